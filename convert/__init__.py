"""From a trained network to a model folder that a kit can run.

``export`` writes float files (TFLite and ONNX, both N x height x width x channels), ``quantise`` makes them
int8, ``verify`` compares what the real edge runtimes answer with what torch answers, ``confidence`` fits the
temperature and the threshold under which nothing is claimed, ``package`` does it all and writes model.toml.
``report`` holds every file, int8 and float, against the network, with ``latency`` for what each costs.
Nothing here knows faces from voices: a task hands in a ``training.candidate.Candidate``.
"""
