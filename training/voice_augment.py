"""Variety for training, on mel energies: where a stretch is cut, rooms, spectra, noise, blanked parts.

Everything physical happens on linear energies, before the front end's own scaling, so a noisy example looks
as the kit would see it. Energies of independent sounds add up; a room's tail adds up in energy as well.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from edge.types import FloatArray
from training.voice_config import Augment

Generator = np.random.Generator


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
    flicker = random.gamma(3.0, 1 / 3.0, (count, frames, mels))
    noise = (tilt / tilt.mean(-1, keepdims=True) * flicker).astype(np.float32)
    loudness = random.uniform(augment.quietest_noise_db, augment.loudest_noise_db, (count, 1, 1))
    batch = batch + level * noise * _sometimes(10 ** (loudness / 10), augment.noise, random)

    scene = scenes / np.maximum(scenes.mean((1, 2), keepdims=True), np.float32(1e-20))
    loudness = random.uniform(augment.quietest_noise_db / 2, augment.loudest_noise_db, (count, 1, 1))
    batch = batch + level * scene * _sometimes(10 ** (loudness / 10), augment.scene, random)

    highest = mels * random.uniform(0.75, 1.0, (count, 1, 1))
    lost = (np.arange(mels) > highest) & (random.random((count, 1, 1)) < augment.narrow)
    return np.asarray(np.where(lost, batch * np.float32(1e-5), batch), np.float32)


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
