"""Variety for training on waveforms: pace and pitch, rooms, spectra, noise.

The counterpart of training.voice.augment, which works on mel energies; blending examples is done there
for both.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import soxr

from edge.types import RATE_HZ, FloatArray
from training.voice import speech
from training.voice.teacher.curriculum import Augment

Generator = np.random.Generator


def cut(samples: npt.NDArray[np.floating], length: int, augment: Augment, random: Generator) -> FloatArray:
    """One stretch out of a clip, at a speed of its own: inside long speech, around short speech.

    Args:
        samples: of the clip.
        length: samples wanted.
        augment: its ``speed`` is the largest change, either way; pitch, formants and pace change together.
        random: decides.
    """
    speed = 1 + augment.speed * float(random.uniform(-1, 1))
    needed = round(length * speed)
    spare = len(samples) - needed
    start = int(random.integers(min(0, spare), max(0, spare) + 1))
    piece = speech.stretch(samples, start, needed)
    if needed != length:
        piece = np.asarray(soxr.resample(piece, RATE_HZ * speed, RATE_HZ, quality="LQ"), np.float32)
    return speech.stretch(piece, 0, length)


def colour(samples: FloatArray, augment: Augment, random: Generator) -> FloatArray:
    """A room, a tilt of the spectrum and steady noise, each or none; the speech is at speech.LEVEL."""
    size = 2 * len(samples)
    hertz = np.fft.rfftfreq(size, 1 / RATE_HZ)
    octaves = np.log2(np.maximum(hertz, 50) / 1000) / 3
    spectrum = np.fft.rfft(samples, size)
    spectrum *= 10 ** (augment.tilt_db / 20 * random.uniform(-1, 1) * octaves)
    if random.random() < augment.reverb:
        spectrum *= np.fft.rfft(_room(random), size)
    heard = np.fft.irfft(spectrum, size)[: len(samples)]
    if random.random() < augment.noise:
        loudness = random.uniform(augment.quietest_noise_db, augment.loudest_noise_db)
        heard += speech.LEVEL * 10 ** (loudness / 20) * _noise(len(samples), random)
    return np.asarray(heard, np.float32)


def _room(random: Generator) -> npt.NDArray[np.float64]:
    """An impulse response: the direct sound and a decaying tail (0.2 to 0.8 s) at most as strong."""
    seconds = random.uniform(0.2, 0.8)
    time_s = np.arange(round(seconds * RATE_HZ / 2)) / RATE_HZ
    tail = random.standard_normal(len(time_s)) * 10 ** (-3 * time_s / seconds)
    tail *= random.uniform(0.1, 1.0) / np.sqrt((tail**2).sum())
    tail[0] += 1
    return np.asarray(tail / np.sqrt((tail**2).sum()))


def _noise(length: int, random: Generator) -> npt.NDArray[np.float64]:
    """Noise of mean square 1 whose power falls by up to 9 dB or rises by up to 3 dB per octave."""
    spectrum = np.fft.rfft(random.standard_normal(length))
    hertz = np.maximum(np.fft.rfftfreq(length, 1 / RATE_HZ), 50)
    noise = np.fft.irfft(spectrum * (hertz / 1000) ** random.uniform(-1.5, 0.5), length)
    return np.asarray(noise / np.sqrt((noise**2).mean()))
