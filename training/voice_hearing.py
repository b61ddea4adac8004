"""Clips behind the kit's own speech gate; where it heard speech is kept on disk, as that takes long."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from edge.types import RATE_HZ, FloatArray, SettingsError, Utterance
from training import voice_data, voice_tables
from training.voice_data import Clip


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
    path = None if cache is None else cache / f"heard-{_key(clips, data)}.json"
    if path is not None and path.exists():
        spans = json.loads(path.read_text("utf-8"))
        found = {}
        for clip, cuts in zip(clips, spans, strict=True):
            samples = voice_data.read_sound(data / clip.path)
            utterances = [
                Utterance(first / RATE_HZ, (end - first) / RATE_HZ, samples[first:end]) for first, end in cuts
            ]
            found[clip] = Heard(clip, len(samples) / RATE_HZ, utterances, samples)
        return found
    segmenter = voice_data.open_segmenter()
    found = {}
    for clip in tqdm(clips, "hearing", unit="clip", disable=quiet or None, leave=False, mininterval=2):
        samples = voice_data.read_sound(data / clip.path)
        found[clip] = Heard(clip, len(samples) / RATE_HZ, voice_data.hear(samples, segmenter), samples)
    if path is not None:
        spans = [
            [
                [round(part.at * RATE_HZ), round(part.at * RATE_HZ) + len(part.samples)]
                for part in one.utterances
            ]
            for one in found.values()
        ]
        voice_tables.write_bytes(path, json.dumps(spans).encode())
    return found


def _key(clips: Sequence[Clip], data: Path) -> str:
    try:
        files = [(clip.path, (data / clip.path).stat().st_size) for clip in clips]
    except OSError as error:
        raise SettingsError(f"{error.filename}: {error.strerror}") from error
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16]
