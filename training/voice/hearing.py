"""Clips behind the kit's own speech gate; where it heard speech is kept on disk, as that takes long."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from edge.types import RATE_HZ, FloatArray, SettingsError, Utterance
from training.voice import corpora
from training.voice.corpora import Clip
from training.voice.prepare import tables

FILE = "heard.json"
"""In a cache folder: by clip and size of its file, first sample and one past the last of each utterance."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A clip after the speech gate."""

    clip: Clip
    duration_s: float
    utterances: list[Utterance]
    samples: FloatArray


def hear_all(
    clips: Sequence[Clip], data: Path, cache: Path | None = None, *, quiet: bool = False
) -> dict[Clip, Heard]:
    """What the gate makes of each clip.

    Args:
        clips: of manifest.csv.
        data: folder of the corpora.
        cache: folder that keeps where speech was; heard anew, and nothing kept, if None.
        quiet: no progress bar.

    Raises:
        SettingsError: a clip is missing or no sound.
        ModelError: the speech gate is not set up.
    """
    known = {} if cache is None else _known(cache)
    names = _names(clips, data)
    if all(name in known for name in names):
        return {clip: _cut(clip, data, known[name]) for clip, name in zip(clips, names, strict=True)}
    segmenter = corpora.open_segmenter()
    found, new = {}, {}
    bar = tqdm(clips, "hearing", unit="clip", disable=quiet or None, leave=False, mininterval=2)
    for clip, name in zip(bar, names, strict=True):
        if name in known:
            found[clip] = _cut(clip, data, known[name])
            continue
        samples = corpora.read_sound(data / clip.path)
        parts = corpora.hear(samples, segmenter)
        found[clip] = Heard(clip, len(samples) / RATE_HZ, parts, samples)
        starts = [round(part.at * RATE_HZ) for part in parts]
        new[name] = [[start, start + len(part.samples)] for start, part in zip(starts, parts, strict=True)]
    if cache is not None:
        # Asked again, since another process may have heard others meanwhile.
        tables.write_bytes(cache / FILE, json.dumps(_known(cache) | new).encode())
    return found


def _cut(clip: Clip, data: Path, spans: Sequence[Sequence[int]]) -> Heard:
    """A clip whose utterances are known, in samples."""
    samples = corpora.read_sound(data / clip.path)
    parts = [Utterance(first / RATE_HZ, (end - first) / RATE_HZ, samples[first:end]) for first, end in spans]
    return Heard(clip, len(samples) / RATE_HZ, parts, samples)


def _known(cache: Path) -> dict[str, list[list[int]]]:
    try:
        found: dict[str, list[list[int]]] = json.loads((cache / FILE).read_text("utf-8"))
    except (OSError, ValueError):  # a cache may be missing or torn
        return {}
    return found


def _names(clips: Sequence[Clip], data: Path) -> list[str]:
    """Of what is kept: they change with the files."""
    try:
        return [f"{clip.path} {(data / clip.path).stat().st_size}" for clip in clips]
    except OSError as error:
        raise SettingsError(f"{error.filename}: {error.strerror}") from error
