"""Speech as samples: every clip cut to where it is spoken, at one level, over one floor of noise.

What the kit's front end does about the traps of the corpora on mel energies, done on waveforms: loudness
gives classes away, and so do the silence around the speech and how it was edited (IndoWaveSentiment's clips
of some classes end in digital silence). So a clip keeps only its speech, its level is taken away, and noise
covers what lies far below it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from edge.types import RATE_HZ, FloatArray, SettingsError, Utterance
from training.voice import corpora
from training.voice.corpora import Clip

LEVEL = 0.1
"""Root mean square of every clip's active windows."""
WINDOW = 512
"""Samples over which activity is judged, 32 ms."""
ACTIVE_DB = 30.0
"""How far under the loudest window a window may lie to count for the level."""
HEARD_DB = 40.0
"""The same, for where speech begins and ends in a clip in which the gate hears none."""
VERSION = 1
"""Of what is in the cache; part of its name."""


@dataclass(frozen=True, slots=True)
class Sounds:
    """Clips with their speech."""

    clips: list[Clip]
    samples: list[npt.NDArray[np.float16]]
    """Mono, 16 kHz, at LEVEL."""

    def select(self, clips: Iterable[Clip]) -> Sounds:
        """Some of the clips only, in their order here."""
        wanted = set(clips)
        rows = [row for row, clip in enumerate(self.clips) if clip in wanted]
        return Sounds([self.clips[row] for row in rows], [self.samples[row] for row in rows])


def load(clips: Sequence[Clip], data: Path, cache: Path, *, quiet: bool = False) -> Sounds:
    """The clips' speech, from *cache* or made now and kept there.

    Args:
        clips: of manifest.csv.
        data: folder of the corpora.
        cache: folder for what was made; anything in it can be deleted.
        quiet: no progress bar.

    Raises:
        SettingsError: a clip is missing or no sound.
        ModelError: the speech gate is not set up.
    """
    folder = cache / f"sounds-{key(clips, data)}"
    if not (folder / "lengths.npy").exists():
        _make(clips, data, folder, quiet=quiet)
    lengths = np.load(folder / "lengths.npy")
    whole = np.load(folder / "samples.npy", mmap_mode="r")
    return Sounds(list(clips), np.split(whole, np.cumsum(lengths)[:-1]))


def key(clips: Sequence[Clip], data: Path) -> str:
    """Changes with the clips, their files' sizes, and how speech is cut out of them.

    Raises:
        SettingsError: a file is missing.
    """
    try:
        files = [(clip.path, (data / clip.path).stat().st_size) for clip in clips]
    except OSError as error:
        raise SettingsError(f"{error.filename}: {error.strerror}") from error
    what = [VERSION, LEVEL, ACTIVE_DB, HEARD_DB, files]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]


def _make(clips: Sequence[Clip], data: Path, folder: Path, *, quiet: bool) -> None:
    segmenter = corpora.open_segmenter()
    made = []
    for clip in tqdm(clips, "cutting out speech", unit="clip", disable=quiet or None, mininterval=5):
        samples = corpora.read_sound(data / clip.path)
        if not len(samples):
            raise SettingsError(f"{data / clip.path}: holds no sound")
        first, end = spoken(samples, corpora.hear(samples, segmenter))
        made.append(levelled(samples[first:end]).astype(np.float16))
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "samples.npy", np.concatenate(made))
    # Last: its presence says that the rest is whole.
    np.save(folder / "lengths.npy", np.array([len(one) for one in made]))


def spoken(samples: FloatArray, utterances: Sequence[Utterance]) -> tuple[int, int]:
    """First sample and one past the last with speech: by the gate, or by energy where it heard none."""
    if utterances:
        last = utterances[-1]
        return round(utterances[0].at * RATE_HZ), round((last.at + last.duration_s) * RATE_HZ)
    loud = np.flatnonzero(_active(samples, HEARD_DB))
    return int(loud[0]) * WINDOW, min(len(samples), (int(loud[-1]) + 1) * WINDOW)


def levelled(samples: FloatArray) -> FloatArray:
    """At LEVEL over the active windows, so that pauses do not count; silence stays silence."""
    padded = _windows(samples)
    rms = float(np.sqrt((padded[_active(samples, ACTIVE_DB)] ** 2).mean()))
    return np.asarray(samples * (LEVEL / max(rms, 1e-6)), np.float32)


def _windows(samples: FloatArray) -> FloatArray:
    return np.pad(samples, (0, -len(samples) % WINDOW)).reshape(-1, WINDOW)


def _active(samples: FloatArray, below_db: float) -> npt.NDArray[np.bool_]:
    """Which windows lie within *below_db* of the loudest."""
    power = (_windows(samples) ** 2).mean(1)
    return np.asarray(power >= power.max() * 10 ** (-below_db / 10))


def stretch(samples: npt.NDArray[np.floating], start: int, length: int) -> FloatArray:
    """*length* samples of a clip from *start*, which may lie before it; zeros where the clip is not."""
    low, high = max(0, start), min(len(samples), start + length)
    cut = np.zeros(length, np.float32)
    if high > low:
        cut[low - start : high - start] = samples[low:high]
    return cut


def stretches(samples: npt.NDArray[np.floating], length: int) -> list[FloatArray]:
    """A whole clip in as few stretches as cover it, evenly spread; a shorter one stands in the middle."""
    spare = len(samples) - length
    if spare <= 0:
        return [stretch(samples, spare // 2, length)]
    starts = np.linspace(0, spare, -(-len(samples) // length)).round().astype(int)
    return [stretch(samples, int(start), length) for start in starts]


def floored(samples: FloatArray, floor_db: float, random: np.random.Generator) -> FloatArray:
    """With white noise *floor_db* (below 0) under the speech: no digital silence is left to be recognised."""
    noise = random.standard_normal(len(samples), np.float32)
    return samples + np.float32(LEVEL * 10 ** (floor_db / 20)) * noise


def chance(clip: Clip) -> np.random.Generator:
    """The same noise for the same clip, whenever it is judged."""
    return np.random.default_rng(list(hashlib.sha256(clip.path.encode()).digest()[:8]))
