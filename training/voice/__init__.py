"""The tone model: a student small enough for a kit, its teacher, and the preparation of recordings.

``corpora`` and ``speech`` read the data; ``recipes`` and ``train`` make a ``net`` of it with ``augment``;
``evaluation`` judges the shipped files, ``held_out`` people and languages that the student never heard.
``teacher`` fine-tunes Wav2Vec 2.0, ``prepare`` turns long recordings into data.
"""
