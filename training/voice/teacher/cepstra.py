"""What classical work makes of an utterance: cepstra of the kit's own log-mel, and prosody, frame by frame.

Nothing here knows how loud a clip was or how long the file: energies are over the utterance's own level, and
the length gives away how a corpus was edited.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.fft import dct
from tqdm import tqdm

from edge.manifest import LogMelInput
from edge.preprocess import FrontEnd
from edge.types import RATE_HZ, FloatArray
from training.voice import speech
from training.voice.speech import Sounds

CEPSTRA = 20
TRACKS = (*(f"mfcc{index}" for index in range(CEPSTRA)), "pitch", "voicing", "energy")
"""Columns of a clip's frames."""
PITCH, VOICING, ENERGY = CEPSTRA, CEPSTRA + 1, CEPSTRA + 2
PITCH_HZ = (65.0, 500.0)
VOICED = 0.5
"""Height of the autocorrelation from which a frame counts as voiced."""
QUIET_DB = 25.0
"""A frame this far under the loudest is not voiced."""
OCTAVE_COST = 0.02
"""By how much a period twice as long must fit better to be believed (Boersma 1993)."""
FLOOR_DB = -45.0
"""Noise under the speech."""
REFERENCE_HZ = 100.0
VERSION = 1
"""Of what is in the cache; part of its name."""

Frames = FloatArray
"""Frames x TRACKS: cepstra; semitones over REFERENCE_HZ, 0 where unvoiced; 0..1; dB over the clip's level."""


@dataclass(frozen=True, slots=True)
class Features:
    """Of some clips, in their order."""

    frames: list[Frames]
    statistics: FloatArray
    """Clips x numbers of ``describe``."""


def extract(sounds: Sounds, spec: LogMelInput, cache: Path, *, quiet: bool = False) -> Features:
    """The clips' features, from *cache* or made now and kept there.

    Args:
        sounds: the clips' speech.
        spec: of the log-mel front end.
        cache: folder for what was made; anything in it can be deleted.
        quiet: no progress bar.
    """
    digest = hashlib.sha256(json.dumps([VERSION, TRACKS, asdict(spec)]).encode())
    for clip, samples in zip(sounds.clips, sounds.samples, strict=True):
        digest.update(clip.path.encode() + np.ascontiguousarray(samples).tobytes())
    path = cache / f"features-{digest.hexdigest()[:16]}.npz"
    if path.exists():
        with np.load(path) as kept:
            frames = np.split(kept["frames"], np.cumsum(kept["lengths"])[:-1])
    else:
        frames = []
        front = FrontEnd(spec)
        pairs = list(zip(sounds.clips, sounds.samples, strict=True))
        for clip, samples in tqdm(pairs, "features", unit="clip", disable=quiet or None, mininterval=5):
            plain = samples.astype(np.float32)
            heard = speech.floored(plain, FLOOR_DB, speech.chance(clip))
            frames.append(track(heard, front))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".new").open("wb") as file:
            np.savez(file, frames=np.concatenate(frames), lengths=np.array(list(map(len, frames))))
        path.with_suffix(".new").replace(path)
    return Features(frames, np.stack([describe(one, spec.hop_s) for one in frames]))


def track(samples: FloatArray, front: FrontEnd) -> Frames:
    """Cepstra and prosody of an utterance, frame by frame."""
    window = round(front.spec.window_s * RATE_HZ)
    padded = np.pad(samples, (0, max(0, window - len(samples))))
    energies = front.energies(padded)
    cepstra = dct(front.scale(energies), axis=1, norm="ortho")[:, :CEPSTRA]
    decibels = 10 * np.log10(np.maximum(energies.mean(1), 1e-12))
    active = decibels >= decibels.max() - QUIET_DB
    hertz, voicing = pitch(padded, window, round(front.spec.hop_s * RATE_HZ))
    voiced = (voicing >= VOICED) & active
    semitones = np.where(voiced, 12 * np.log2(np.maximum(hertz, 1) / REFERENCE_HZ), 0)
    level = decibels - decibels[active].mean()
    return np.column_stack([cepstra, semitones, voicing, level]).astype(np.float32)


def pitch(
    samples: FloatArray, window: int, hop: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Frequency in Hz and strength 0..1 of the voice in every frame (Boersma 1993, without its path search).

    The autocorrelation of the windowed frame over that of the window itself; the highest peak wins, a longer
    period only if it fits better by OCTAVE_COST per octave.
    """
    taper = np.hanning(window + 1)[:-1]
    size = 1 << (2 * window - 1).bit_length()
    frames = np.lib.stride_tricks.sliding_window_view(samples, window)[::hop].astype(np.float64)
    spectrum = np.fft.rfft((frames - frames.mean(1, keepdims=True)) * taper, size)
    shortest, longest = int(RATE_HZ / PITCH_HZ[1]), int(RATE_HZ / PITCH_HZ[0])
    found = np.fft.irfft(np.abs(spectrum) ** 2, size)[:, : longest + 2]
    own = np.fft.irfft(np.abs(np.fft.rfft(taper, size)) ** 2, size)[: longest + 2]
    found = found / np.maximum(found[:, :1], 1e-12) / (own / own[0])
    lags = np.arange(shortest, longest + 1)
    heights = found[:, lags]
    peaks = (heights >= found[:, lags - 1]) & (heights > found[:, lags + 1])
    scores = np.where(peaks, heights - OCTAVE_COST * np.log2(lags / shortest), -1.0)
    best = scores.argmax(1)
    rows = np.arange(len(best))
    before, at, after = (found[rows, lags[best] + step] for step in (-1, 0, 1))
    bend = np.minimum(before - 2 * at + after, -1e-9)
    periods = lags[best] + np.clip(0.5 * (before - after) / bend, -0.5, 0.5)
    strength = np.where(scores[rows, best] > -1, np.clip(at, 0, 1), 0)
    return RATE_HZ / periods, strength


def names() -> list[str]:
    """Of the numbers of ``describe``."""
    tracks = [f"mfcc{index}" for index in range(CEPSTRA)]
    cepstra = [f"{what}_{name}" for what in ("mean", "sd", "change") for name in tracks]
    voice = ["pitch_mean", "pitch_sd", "pitch_p10", "pitch_p90", "pitch_slope", "jitter", "shimmer"]
    return [
        *cepstra,
        *voice,
        "voicing_mean",
        "voiced_share",
        "voiced_runs_per_s",
        "energy_sd",
        "energy_change",
    ]


def describe(frames: Frames, hop_s: float) -> FloatArray:
    """An utterance in one row: means, deviations and changes of the cepstra; how pitch and energy move.

    ``jitter`` and ``shimmer`` are like those of phoneticians, but from frame to frame, not period to period.
    """
    cepstra, semitones, voicing, energy = frames[:, :CEPSTRA], *frames[:, PITCH:].T
    # Pitch is 0 where there is none, and hardly ever exactly that where there is.
    voiced = semitones != 0
    pairs = np.flatnonzero(voiced[1:] & voiced[:-1])
    steps, level_steps = semitones[pairs + 1] - semitones[pairs], energy[pairs + 1] - energy[pairs]
    smooth = np.abs(steps) < 3  # a jump of more is a wrong octave, or another syllable
    tune = semitones[voiced] if voiced.any() else np.zeros(1, np.float32)
    runs = int(voiced[0]) + int((voiced[1:] & ~voiced[:-1]).sum())
    numbers = [
        tune.mean(),
        tune.std(),
        *np.percentile(tune, [10, 90]),
        np.abs(steps[smooth]).mean() / hop_s if smooth.any() else 0.0,
        np.abs(np.diff(steps)).mean() if len(steps) > 1 else 0.0,
        np.abs(level_steps).mean() if len(level_steps) else 0.0,
        voicing.mean(),
        voiced.mean(),
        runs / (len(frames) * hop_s),
        energy.std(),
        np.abs(np.diff(energy)).mean() if len(energy) > 1 else 0.0,
    ]
    changes = np.abs(np.diff(cepstra, axis=0)).mean(0) if len(cepstra) > 1 else np.zeros(CEPSTRA)
    return np.concatenate([cepstra.mean(0), cepstra.std(0), changes, numbers]).astype(np.float32)


def pictures(frames: Sequence[Frames], length: int) -> FloatArray:
    """The middle *length* frames of each clip, clips x length x TRACKS; zeros around shorter ones."""
    made: Any = np.zeros((len(frames), length, len(TRACKS)), np.float32)
    for picture, one in zip(made, frames, strict=True):
        start = (len(one) - length) // 2
        low, high = max(0, start), min(len(one), start + length)
        picture[low - start : high - start] = one[low:high]
    return np.asarray(made, np.float32)
