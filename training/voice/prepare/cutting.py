"""Recordings in, utterances out: the kit's own speech gate cuts, every cut lands on disk and in the manifest.

A recording enters the manifest in one piece, after its last clip was written. So a run that was killed leaves
clips that nobody has heard of, which the next one makes again, and nothing is ever cut twice.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from tqdm import tqdm

from edge.types import RATE_HZ, SettingsError, SourceError, Utterance
from edge.vad import Segmentation, SpeechGate, SpeechSegmenter
from training.voice.prepare import collection, recordings, tables
from training.voice.prepare.recordings import Recording, clock
from training.voice.prepare.tables import Row

CLIPS = "clips"
LANGUAGE = "id"
KIT = Segmentation()
SILENT = 1e-4
"""A recording that is nowhere louder than this (-80 dB of full scale) holds nothing."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How a folder's recordings are cut: all of them alike, or length would tell where a clip comes from."""

    corpus: str
    min_s: float = KIT.shortest_s
    """Less speech than this is dropped. At 1 s, 9 of 80 RAVDESS sentences were lost, at 0.4 s none."""
    max_s: float = KIT.longest_s
    pause_s: float = KIT.pause_s
    margin_s: float = KIT.margin_s

    def __post_init__(self) -> None:
        if not 0 < self.min_s < self.max_s <= 60:
            raise SettingsError(f"clips of {self.min_s:g} to {self.max_s:g} s: want 0 < min < max <= 60")
        if not (0 < self.pause_s <= 10 and 0 < self.margin_s <= 1):
            raise SettingsError("a pause may last up to 10 s, a margin up to 1 s, and both more than 0")

    @property
    def segmentation(self) -> Segmentation:
        """The same, as the kit's gate wants it."""
        return replace(
            KIT,
            shortest_s=self.min_s,
            longest_s=self.max_s,
            pause_s=self.pause_s,
            margin_s=self.margin_s,
        )


@dataclass(frozen=True, slots=True)
class Wish:
    """What is known about a recording beside its sound; None leaves what an earlier run was told."""

    speaker: str | None = None
    language: str | None = None
    licence: str | None = None


def rules_of(folder: Path, wanted: dict[str, Any]) -> Rules:
    """The rules that *folder* was begun with, or new ones, kept there.

    Args:
        folder: in which clips are collected.
        wanted: what was asked for by name; the rest is as before, or by default.

    Raises:
        SettingsError: the folder was begun with other rules, or they make no sense.
    """
    path = folder / "rules.json"
    if not path.exists():
        rules = Rules(**{"corpus": folder.resolve().name, **wanted})
        tables.write_bytes(path, json.dumps(asdict(rules), indent=2).encode())
        return rules
    try:
        rules = Rules(**json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise SettingsError(f"{path}: not the rules of a prepared folder ({error})") from error
    for field in fields(Rules):
        begun, asked = getattr(rules, field.name), wanted.get(field.name)
        if asked is not None and asked != begun:
            raise SettingsError(
                f"{folder}: was begun with {field.name} {begun}, not {asked}; name another folder with --out"
            )
    return rules


def cut_all(
    paths: list[Path],
    folder: Path,
    gate: SpeechGate,
    rules: Rules,
    wish: Callable[[Path], Wish],
    *,
    torn: bool = False,
    told: Callable[[str], None] = print,
    failed: Callable[[str], None],
) -> int:
    """Cut what was not cut before; a recording that fails does not keep the others.

    Args:
        paths: recordings.
        folder: gets ``clips/`` and ``manifest.csv``; nobody else may change it meanwhile.
        gate: hears speech.
        rules: of the folder.
        wish: what is known about a recording; may raise SourceError.
        torn: take what there is of torn recordings.
        told: hears a line per recording.
        failed: hears a line per recording that failed.

    Returns:
        How many failed.

    Raises:
        SettingsError: the folder's manifest is damaged, or the disk refuses.
    """
    rows, failures = collection.read(folder), 0
    for path in paths:
        try:
            recording, known = recordings.inspect(path), wish(path)
            mine = [row for row in rows if row["recording"] == recording.key]
            made = [] if mine else cut(recording, folder, gate, rules, known, torn=torn)
        except SourceError as error:
            failures += 1
            failed(str(error))
            continue
        rows += made
        news = _learn(mine, known)
        if made or news:
            collection.write(folder, rows)
        speech = f"{clock(sum(float(row['duration_s']) for row in made))} of {clock(recording.duration_s)}"
        told(f"{path}: {len(made)} clips, {speech}" if made else f"{path}: was cut before{news}")
    return failures


def _learn(mine: list[Row], known: Wish) -> str:
    """Take over what is known now about clips that exist; what that changed, in words."""
    changed = ""
    for column, value in asdict(known).items():
        if value is not None and any(row[column] != value for row in mine):
            changed += f"; {column} is now {value}"
            for row in mine:
                row[column] = value
    return changed


def cut(
    recording: Recording, folder: Path, gate: SpeechGate, rules: Rules, known: Wish, *, torn: bool = False
) -> list[Row]:
    """Write a recording's utterances as 16 kHz FLAC.

    Returns:
        Rows for the manifest, in the order of time.

    Raises:
        SourceError: torn, silent or without speech; nothing of it is left then.
        SettingsError: the disk refuses.
    """
    place = folder / CLIPS / recording.key
    shutil.rmtree(place, ignore_errors=True)  # of a run that was killed
    try:
        return [
            _keep(utterance, recording, place, rules, known)
            for utterance in _utterances(recording, SpeechSegmenter(gate, rules.segmentation), torn=torn)
        ]
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def _utterances(recording: Recording, segmenter: SpeechSegmenter, *, torn: bool) -> Iterator[Utterance]:
    """At least one, or SourceError."""
    loudest, found = 0.0, 0
    with tqdm(
        desc=recording.path.name,
        total=round(recording.duration_s),
        unit="s",
        disable=None,
        leave=False,
        mininterval=0.5,
    ) as bar:
        for block in recordings.listen(recording, torn=torn):
            loudest = max(loudest, float(np.abs(block.samples).max()))
            bar.update(round(block.at) - bar.n)
            for utterance in segmenter(block):
                found += 1
                yield utterance
        for utterance in segmenter.flush():
            found += 1
            yield utterance
    if not found:
        what = "no speech in it" if loudest > SILENT else "it is silent"
        raise SourceError(f"{recording.path}: {what}, nothing to cut")


def _keep(utterance: Utterance, recording: Recording, place: Path, rules: Rules, known: Wish) -> Row:
    """Write one clip; its row of the manifest."""
    start, end = utterance.at, min(utterance.at + utterance.duration_s, recording.duration_s)
    # The letter keeps spreadsheets from taking the name for a number; the end keeps the name of a longer cut
    # apart, since training remembers what it has read by name. Nothing of the recording's own name is in it.
    name = f"c{recording.key}-{round(1000 * start):08}-{round(1000 * end):08}.flac"
    sound = io.BytesIO()
    soundfile.write(sound, utterance.samples, RATE_HZ, format="FLAC", subtype="PCM_16")
    tables.write_bytes(place / name, sound.getvalue())
    return {
        **dict.fromkeys(collection.COLUMNS, ""),
        "path": f"{CLIPS}/{recording.key}/{name}",
        "corpus": rules.corpus,
        "language": known.language or LANGUAGE,
        "speaker": known.speaker or "",
        "licence": known.licence or "",
        "duration_s": f"{utterance.duration_s:.3f}",
        "src_rate": str(recording.rate_hz),
        "src_path": str(recording.path),
        "recording": recording.key,
        "start_s": f"{start:.3f}",
        "end_s": f"{end:.3f}",
    }
