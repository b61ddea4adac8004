"""A run's network as conversion wants it: with what calibrates and judges its int8 files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.types import VOICE_LABELS, FloatArray
from training.candidate import Candidate
from training.voice import corpora
from training.voice.corpora import CACHE, Corpus
from training.voice.recipes import Config

CALIBRATION_STRETCHES = 512
"""Training stretches from which the int8 ranges are taken."""


def candidate(run: Path, data: Path, *, cache: Path = CACHE) -> Candidate:
    """The network of a run, with what conversion needs to make and judge its int8 files.

    Raises:
        SettingsError: *run* holds no checkpoint, or *data* no corpora.
        ModelError: the speech gate is not set up.
    """
    from training.voice import train  # noqa: PLC0415  torch takes seconds to import

    net, config = train.load_net(run)
    clips = corpora.read_manifest(data)
    parts = corpora.split(clips, config)
    corpus = corpora.load(clips, data, config, cache)
    # Without calm: it is no class of its own, and would make neutral look twice as common as it is.
    chosen = [clip for clip in parts.validation if clip.kind != "calm"]
    inputs, truth = train.centred(corpus.select(chosen), config)
    labelled = [clip for clip in parts.train if clip.label is not None]
    random = np.random.default_rng(config.seed)
    rows = random.permutation(len(labelled))[:CALIBRATION_STRETCHES]
    calibration, _ = train.centred(corpus.select(labelled[row] for row in rows), config)
    return Candidate(
        name="voice-tone",
        task="tone",
        labels=VOICE_LABELS,
        net=net,
        input=config.input,
        calibration=calibration,
        inputs=inputs,
        truth=truth,
        readings_right=config.readings_right,
        unmoved=unmoved(corpus, config),
        negative_share=config.negative_share,
    )


def unmoved(corpus: Corpus, config: Config) -> FloatArray | None:
    """What sets negative_below; None where no validation speaker is calm."""
    from training.voice import train  # noqa: PLC0415  torch takes seconds to import

    parts = corpora.split(corpus.clips, config)
    outliers = [clip for clip in parts.train if clip.label is None and clip.kind not in corpora.EMOTIONAL]
    calm = [clip for clip in parts.validation if clip.label == "neutral"]
    if not calm:
        return None
    return train.unmoved(corpus.select(outliers), corpus.select(calm), config)
