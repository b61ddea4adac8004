"""Variety for training, on mel energies: where a stretch is cut, rooms, spectra, noise, blanked parts.

Everything physical happens on linear energies, before the front end's own scaling, so a noisy example looks
as the kit would see it. Energies of independent sounds add up; a room's tail adds up in energy as well.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from edge.manifest import LogMelInput
from edge.types import FloatArray
from training.voice.recipes import Augment

Generator = np.random.Generator
CHILDREN = (1.2, 1.6)
"""By how much a child's formants and pitch may lie above those of the voices in training."""


class Blending(Protocol):
    """What ``mix`` needs of a recipe, so that the teacher's serve it too."""

    @property
    def mixup(self) -> float:
        """Parameter of the beta distribution."""
        ...


def cut(
    log_energies: npt.NDArray[np.float16], span: tuple[int, int], frames: int, random: Generator
) -> FloatArray:
    """One stretch out of a clip, linear energies, frames x mels.

    Args:
        log_energies: of the clip, log10.
        span: where the speech is, in frames.
        frames: wanted.
        random: decides where the stretch lies: inside long speech, around short speech; and whether what
            surrounds the speech stays or is silence, as around an utterance on the kit.
    """
    first, end = span
    slack = end - first - frames
    start = first + int(random.integers(min(0, slack), max(0, slack) + 1))
    low, high = 0, len(log_energies)
    if random.random() < 0.5:
        low, high = max(low, first), min(high, end)
    low, high = max(low, start), min(high, start + frames)
    stretch = np.zeros((frames, log_energies.shape[1]), np.float32)
    if high > low:
        stretch[low - start : high - start] = 10 ** log_energies[low:high].astype(np.float32)
    return stretch


def colour(
    batch: FloatArray, scenes: FloatArray, augment: Augment, hop_s: float, random: Generator
) -> FloatArray:
    """Rooms, spectra and noise for a batch of linear energies, N x frames x mels.

    Args:
        batch: the stretches; not changed.
        scenes: stretches of other sound, as many.
        augment: how much.
        hop_s: seconds from frame to frame.
        random: decides.
    """
    count, frames, mels = batch.shape
    batch = _reverberate(batch, hop_s, augment.reverb, random)
    slopes = random.uniform(-1, 1, (count, 1, 1)) * np.linspace(-0.5, 0.5, mels)
    bends = random.uniform(-0.5, 0.5, (count, 1, 1)) * np.cos(np.linspace(0, 2 * np.pi, mels))
    batch = batch * (10 ** (augment.tilt_db / 10 * (slopes + bends))).astype(np.float32)

    level = batch.mean((1, 2), keepdims=True)
    tilt = 10 ** (random.uniform(-2.5, 1.0, (count, 1, 1)) * np.linspace(0, 1, mels))
    # The energy of steady noise in a band flickers: a gamma law with as many degrees as lines fall into it.
    flicker = random.standard_gamma(3.0, (count, frames, mels), np.float32)
    noise = (tilt / (3 * tilt.mean(-1, keepdims=True))).astype(np.float32) * flicker
    loudness = random.uniform(augment.quietest_noise_db, augment.loudest_noise_db, (count, 1, 1))
    batch = batch + level * noise * _sometimes(10 ** (loudness / 10), augment.noise, random)

    scene = scenes / np.maximum(scenes.mean((1, 2), keepdims=True), np.float32(1e-20))
    loudness = random.uniform(augment.quietest_noise_db / 2, augment.loudest_noise_db, (count, 1, 1))
    batch = batch + level * scene * _sometimes(10 ** (loudness / 10), augment.scene, random)

    highest = mels * random.uniform(0.75, 1.0, (count, 1, 1))
    lost = (np.arange(mels) > highest) & (random.random((count, 1, 1)) < augment.narrow)
    return np.asarray(np.where(lost, batch * np.float32(1e-5), batch), np.float32)


def change_voices(batch: FloatArray, spec: LogMelInput, augment: Augment, random: Generator) -> FloatArray:
    """Give linear energies, N x frames x mels, other throats (VTLP, Jaitly and Hinton 2013): pace stays.

    Formants and pitch move by one factor: up to ``augment.throat`` either way, and for a share of
    ``augment.children`` to where a child's lie above a grown-up's. Nobody here has emotional speech of
    children, and a voice as high as nothing in training is otherwise read as a strong emotion.
    """
    count = len(batch)
    factors = np.exp(random.uniform(-augment.throat, augment.throat, count))
    small = random.random(count) < augment.children
    factors = np.where(small, random.uniform(*CHILDREN, count), factors)
    return np.asarray(batch @ _shifts(factors, spec), np.float32)


def change_voice(batch: FloatArray, spec: LogMelInput, factor: float) -> FloatArray:
    """The same with one *factor* for all."""
    return np.asarray(batch @ _shifts(np.array([factor]), spec), np.float32)


def _shifts(factors: npt.NDArray[np.float64], spec: LogMelInput) -> FloatArray:
    """Matrices N x mels x mels that take each band's energy from where it was before its frequency grew.

    What would come from above the highest band is 60 dB under it: such bands hold next to nothing.
    """
    ends = [2595 * np.log10(1 + hertz / 700) for hertz in (spec.low_hz, spec.high_hz)]
    step = (ends[1] - ends[0]) / (spec.mels + 1)
    centres = 700 * (10 ** ((ends[0] + step * np.arange(1, spec.mels + 1)) / 2595) - 1)
    wanted = 2595 * np.log10(1 + centres / factors[:, None] / 700)
    places = np.clip((wanted - ends[0]) / step - 1, 0, None)
    # Linear interpolation between the two nearest bands.
    rows = np.arange(spec.mels)[None, :, None]
    weights = np.maximum(0, 1 - np.abs(rows - np.minimum(places, spec.mels - 1)[:, None, :]))
    return np.asarray(np.where(places[:, None, :] > spec.mels - 1, 1e-6 * weights, weights), np.float32)


def mask(batch: FloatArray, augment: Augment, random: Generator) -> FloatArray:
    """Blank bands and times of scaled pictures (SpecAugment, Park et al. 2019), in place."""
    _, frames, mels = batch.shape
    for picture in batch:
        for _ in range(augment.masks):
            width = int(random.integers(0, augment.mask_mels + 1))
            start = int(random.integers(0, mels - width + 1))
            picture[:, start : start + width] = 0
            width = int(random.integers(0, augment.mask_frames + 1))
            start = int(random.integers(0, frames - width + 1))
            picture[start : start + width] = 0
    return batch


def mix(
    batch: FloatArray, wanted: FloatArray, augment: Blending, random: Generator
) -> tuple[FloatArray, FloatArray]:
    """Blend each picture and its target with another's (mixup, Zhang et al. 2017)."""
    share = random.beta(augment.mixup, augment.mixup, len(batch)).astype(np.float32)
    share = np.maximum(share, 1 - share)
    other = random.permutation(len(batch))
    mine, theirs = share[:, None], 1 - share[:, None]
    return (
        batch * mine[..., None] + batch[other] * theirs[..., None],
        wanted * mine + wanted[other] * theirs,
    )


def _reverberate(batch: FloatArray, hop_s: float, share: float, random: Generator) -> FloatArray:
    """Add exponential tails: reverberation times of 0.2 to 0.8 s, at most as strong as the direct sound."""
    count = len(batch)
    decay = (10 ** (-6 * hop_s / random.uniform(0.2, 0.8, (count, 1)))).astype(np.float32)
    wet = _sometimes(random.uniform(0.1, 1.0, (count, 1)), share, random) * (1 - decay)
    tail = np.zeros_like(batch[:, 0])
    wetted = np.empty_like(batch)
    for frame in range(batch.shape[1]):
        wetted[:, frame] = batch[:, frame] + wet * tail
        tail = (tail + batch[:, frame]) * decay
    return wetted


def _sometimes(values: npt.NDArray[np.float64], share: float, random: Generator) -> FloatArray:
    """*values*, all but a *share* of them set to 0."""
    return np.asarray(np.where(random.random(values.shape) < share, values, 0), np.float32)
