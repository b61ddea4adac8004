"""The speech corpora: what is in them, who is kept apart, and their mel energies on disk.

Every clip goes through the kit's own speech gate and front end once; what training and choosing need of it
(energies at several speeds, where the speech is) lies in a cache folder afterwards.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
from tqdm import tqdm

from edge.models import weights
from edge.preprocess import FrontEnd
from edge.runtimes import silero
from edge.types import RATE_HZ, VOICE_LABELS, AudioBlock, FloatArray, SettingsError, Utterance
from edge.vad import SpeechSegmenter
from training.voice.recipes import Config

WORDS = {
    **{label: label for label in VOICE_LABELS},
    "anger": "angry",
    "ira": "angry",
    "asco": "disgust",
    "fearful": "fear",
    "miedo": "fear",
    "happiness": "happy",
    "alegria": "happy",
    "sadness": "sad",
    "tristeza": "sad",
    "neutro": "neutral",
    "calm": "neutral",
}
"""The corpora's words for the labels. Surprise and disappointment have none and stay out."""
SPLITS = ("train", "validation", "test")
CACHE = Path("runs/cache")
"""Where what was cut out of recordings is kept between commands."""
OUTLIERS = ("deeply_nonverbal", "deeply_child", "esc10")
EMOTIONAL = frozenset({"laughing", "crying", "screaming", "moaning", "baby_cry"})
"""Kinds in the outlier corpora that do express something, so that a reading of them is not false."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One row of manifest.csv."""

    path: str
    corpus: str
    speaker: str
    kind: str
    """The corpus's own word."""
    split: str = ""
    """One of SPLITS where the manifest says so; else the recipe's speakers decide."""

    @property
    def label(self) -> str | None:
        """One of VOICE_LABELS; None for outliers, and for tones that the model has no label for."""
        return None if self.corpus in OUTLIERS else WORDS.get(self.kind)


@dataclass(frozen=True, slots=True)
class Splits:
    """Clips by what they are for; no speaker is in two of them."""

    train: list[Clip]
    validation: list[Clip]
    test: list[Clip]


@dataclass(frozen=True, slots=True)
class Corpus:
    """Clips with their energies, ready to draw from."""

    clips: list[Clip]
    spans: list[tuple[int, int]]
    """First and one past the last frame with speech, at speed 1, per clip."""
    frames: list[list[npt.NDArray[np.float16]]]
    """Per speed and clip: log10 of the mel energies, frames x mels."""

    def select(self, clips: Iterable[Clip]) -> Corpus:
        """Some of the clips only."""
        wanted = set(clips)
        rows = [row for row, clip in enumerate(self.clips) if clip in wanted]
        return Corpus(
            [self.clips[row] for row in rows],
            [self.spans[row] for row in rows],
            [[one[row] for row in rows] for one in self.frames],
        )


def read_manifest(data: Path) -> list[Clip]:
    """All clips that carry a label or are outliers.

    Raises:
        SettingsError: the folder holds no manifest.csv, or not such a one, or one that places some clips of a
            corpus in splits and others not.
    """
    return [clip for clip in _read(data) if clip.corpus in OUTLIERS or clip.kind in WORDS]


def read_unnamed(data: Path) -> list[Clip]:
    """The corpora's clips of tones that the model has no label for: surprise, disappointment.

    They train nothing; a model should be ``uncertain`` of them. Errors as for read_manifest.
    """
    return [clip for clip in _read(data) if clip.corpus not in OUTLIERS and clip.kind not in WORDS]


def _read(data: Path) -> list[Clip]:
    path = data / "manifest.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        clips = [
            Clip(row["path"], row["corpus"], row["speaker"], row["emotion"], row.get("split") or "")
            for row in rows
        ]
    except FileNotFoundError:
        raise SettingsError(f"{path}: not found; --data wants the folder of the speech corpora") from None
    except (OSError, UnicodeDecodeError, KeyError, csv.Error) as error:
        raise SettingsError(f"{path}: not a manifest of speech corpora ({error})") from error
    _check_splits(clips, path)
    return clips


def _check_splits(clips: Sequence[Clip], path: Path) -> None:
    places: dict[str, set[str]] = {}
    for clip in clips:
        places.setdefault(clip.corpus, set()).add(clip.split)
    for corpus, found in places.items():
        if wrong := found - {"", *SPLITS}:
            raise SettingsError(f"{path}: split {wrong.pop()!r} is none of {', '.join(SPLITS)}")
        if "" in found and len(found) > 1:  # they would train, beside their own speakers in the test
            raise SettingsError(
                f"{path}: some clips of {corpus} have no split; `voice prepare split` places them"
            )


def split(clips: Iterable[Clip], config: Config) -> Splits:
    """Keep speakers apart: by the manifest's splits, by the recipe's names, and outliers by drawing.

    The one child of deeply_child only measures: there is nobody to keep apart from it. So does a labelled
    corpus that the recipe does not know.
    """
    parts = Splits([], [], [])
    for clip in clips:
        if clip.corpus in OUTLIERS:
            drawn = int(hashlib.sha256(clip.speaker.encode()).hexdigest()[:8], 16) / 2**32
            measures = clip.corpus == "deeply_child" or drawn < config.data.outlier_test
            (parts.test if measures else parts.train).append(clip)
        elif clip.split and clip.corpus in config.data.corpora:
            getattr(parts, clip.split).append(clip)
        elif clip.speaker in config.data.test or clip.corpus not in config.data.corpora:
            parts.test.append(clip)
        elif clip.speaker in config.data.validation:
            parts.validation.append(clip)
        else:
            parts.train.append(clip)
    return parts


def read_sound(path: Path) -> FloatArray:
    """A clip as the microphone lane would deliver it: mono, 16 kHz, -1..1.

    Raises:
        SettingsError: the file is missing or not sound.
    """
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise SettingsError(f"{path}: {error}") from error
    mono = samples.mean(1)
    return np.asarray(mono if rate == RATE_HZ else soxr.resample(mono, rate, RATE_HZ), np.float32)


def hear(samples: FloatArray, segmenter: SpeechSegmenter) -> list[Utterance]:
    """What the kit's speech gate makes of a clip that stands alone."""
    segmenter.reset()
    return segmenter(AudioBlock("clip", 0, 0.0, samples)) + segmenter.flush()


def open_segmenter() -> SpeechSegmenter:
    """The kit's own speech gate.

    Raises:
        ModelError: its weights are not set up.
    """
    return SpeechSegmenter(silero.open(weights.find("silero-vad")))


def load(clips: Sequence[Clip], data: Path, config: Config, cache: Path, *, quiet: bool = False) -> Corpus:
    """The clips' energies, from *cache* or made now and kept there.

    Args:
        clips: of manifest.csv.
        data: folder of the corpora.
        config: its input, and the speeds to make.
        cache: folder for what was made; anything in it can be deleted.
        quiet: no progress bar.
    """
    what = [asdict(config.input), config.augment.speeds, [clip.path for clip in clips]]
    folder = cache / f"voice-{hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]}"
    if not (folder / "spans.npy").exists():
        _make(clips, data, config, folder, quiet=quiet)
    spans = [(int(first), int(end)) for first, end in np.load(folder / "spans.npy")]
    frames = []
    for index in range(len(config.augment.speeds)):
        lengths = np.load(folder / f"lengths{index}.npy")
        whole = np.load(folder / f"frames{index}.npy", mmap_mode="r")
        frames.append(np.split(whole, np.cumsum(lengths)[:-1]))
    return Corpus(list(clips), spans, frames)


def _make(clips: Sequence[Clip], data: Path, config: Config, folder: Path, *, quiet: bool) -> None:
    front, segmenter = FrontEnd(config.input), open_segmenter()
    speeds = config.augment.speeds
    made: list[list[npt.NDArray[np.float16]]] = [[] for _ in speeds]
    spans = []
    for clip in tqdm(clips, "reading speech", unit="clip", disable=quiet, mininterval=5):
        samples = read_sound(data / clip.path)
        for kept, speed in zip(made, speeds, strict=True):
            heard = samples if speed == 1 else soxr.resample(samples, RATE_HZ, RATE_HZ / speed)
            missing = max(0, round(config.input.window_s * RATE_HZ) - len(heard))
            energies = front.energies(np.pad(heard, (0, missing)))
            kept.append(np.log10(np.maximum(energies, 1e-14)).astype(np.float16))
        spans.append(_span(hear(samples, segmenter), len(samples), config))
    folder.mkdir(parents=True, exist_ok=True)
    for index, kept in enumerate(made):
        np.save(folder / f"frames{index}.npy", np.concatenate(kept))
        np.save(folder / f"lengths{index}.npy", np.array([len(frames) for frames in kept]))
    np.save(folder / "spans.npy", np.array(spans))  # last: its presence says that the rest is whole


def _span(utterances: Sequence[Utterance], samples: int, config: Config) -> tuple[int, int]:
    """From the first utterance to the end of the last, in frames; everything where nothing was heard."""
    start_s, end_s = 0.0, samples / RATE_HZ
    if utterances:
        start_s, end_s = utterances[0].at, utterances[-1].at + utterances[-1].duration_s
    first = round(start_s / config.input.hop_s)
    return first, max(first + 1, round(end_s / config.input.hop_s))
