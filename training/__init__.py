"""The workshop where the models are made: data, networks, training, evaluation.

``python -m training face …`` makes models/face-expression, ``python -m training voice …`` models/voice-tone.
Both end in a run folder under runs/, which ``python -m convert package`` turns into a model folder. What a
network is fed comes from edge.preprocess alone, so the kit and the workshop cannot drift apart; evaluation
runs the shipped files through edge.runtimes, as the kit does.
"""
