"""The speech study's teacher, Wav2Vec 2.0 fine-tuned in stages, and the older methods it is compared with."""
