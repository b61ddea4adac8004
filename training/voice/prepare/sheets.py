"""Label sheets: one table per annotator, to be filled in with any spreadsheet and read back."""

from __future__ import annotations

import csv
import io
import os
import random
import re
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.types import SettingsError
from edge.words import UNCERTAIN, VOICE_LABELS
from training.voice import corpora
from training.voice.prepare import collection, tables
from training.voice.prepare.tables import Row

LABELS = (*VOICE_LABELS, UNCERTAIN)
"""What may stand in a sheet."""
INDONESIAN = ("marah", "jijik", "takut", "senang", "sedih", "netral", "tidak pasti")
"""The same, in the same order."""
_CODES = {word: code for words in (LABELS, INDONESIAN) for code, word in enumerate(words)}
_ALLOWED = ", ".join(f"{local} = {label}" for local, label in zip(INDONESIAN, LABELS, strict=True))
_ANNOTATOR = "# annotator:"


@dataclass(frozen=True, slots=True)
class Vote:
    """What one annotator says about one clip."""

    clip: str
    annotator: str
    label: str
    """One of LABELS."""
    sheet: str
    """Where it stands: file and row."""


def label_of(word: str) -> str | None:
    """One of LABELS for a word in English or Indonesian; None for anything else."""
    code = _CODES.get(" ".join(word.lower().replace("_", " ").split()))
    return None if code is None else LABELS[code]


def export(
    folder: Path,
    rows: Sequence[Row],
    annotators: Sequence[str],
    out: Path,
    *,
    voted: Collection[tuple[str, str]] = (),
    seed: int = 0,
    separator: str = ";",
    copies: bool = False,
) -> dict[Path, int]:
    """Write an empty sheet for each annotator, every one in an order of its own.

    Args:
        folder: of the clips.
        rows: of its manifest, the clips to label.
        annotators: short names; they become file names.
        out: gets ``<annotator>.csv``; a sheet that is there already is never overwritten.
        voted: clip and annotator, where nothing is left to ask.
        seed: of the orders.
        separator: between cells.
        copies: also copy the clips there, so that *out* can be handed over by itself.

    Returns:
        How many clips each sheet holds.

    Raises:
        SettingsError: a name that makes no file name, a sheet that exists, a clip whose name gives a label
            away, or a disk that refuses.
    """
    for name in annotators:
        if not re.fullmatch(r"[\w-]+", name):
            raise SettingsError(f"annotator {name!r}: use letters, digits, - and _ only")
        if (out / f"{name}.csv").exists():
            raise SettingsError(f"{out / f'{name}.csv'}: exists and may hold labels; name another --out")
    if len({name.lower() for name in annotators}) < len(annotators):
        raise SettingsError(f"annotators {', '.join(annotators)}: a name stands there twice")
    _check_silent(rows)
    made = {}
    for name in annotators:
        mine = [row for row in rows if (collection.clip_name(row), name) not in voted]
        random.Random(f"{seed} {name}").shuffle(mine)
        text = io.StringIO(newline="")
        sheet = csv.writer(text, delimiter=separator)
        sheet.writerow([f"{_ANNOTATOR} {name}"])
        sheet.writerow([f"# label: {_ALLOWED}"])
        sheet.writerow(["clip", "play", "label", "note"])
        sheet.writerows(
            [collection.clip_name(row), _sound(folder, row, out, copies=copies), "", ""] for row in mine
        )
        # The mark in front is how spreadsheets recognise UTF-8.
        tables.write_bytes(out / f"{name}.csv", text.getvalue().encode("utf-8-sig"))
        made[out / f"{name}.csv"] = len(mine)
    return made


def _check_silent(rows: Sequence[Row]) -> None:
    """Refuse clips whose names would tell an annotator what to hear."""
    telling = {*corpora.WORDS, *INDONESIAN}
    for row in rows:
        if found := telling & set(re.split(r"[^a-z]+", row["path"].lower())):
            raise SettingsError(
                f"{row['path']}: its name gives {found.pop()!r} away; rename it, and in manifest.csv"
            )


def _sound(folder: Path, row: Row, out: Path, *, copies: bool) -> str:
    """The clip's path as seen from the sheet."""
    source = folder / row["path"]
    if not copies:
        return Path(os.path.relpath(source, out)).as_posix()
    target = out / "clips" / source.name
    try:
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target.with_suffix(".new"))
            target.with_suffix(".new").replace(target)
    except OSError as error:
        raise SettingsError(f"{source}: cannot be copied to {target} ({error.strerror or error})") from error
    return f"clips/{target.name}"


def collect(paths: Sequence[Path], clips: Collection[str]) -> tuple[list[Vote], list[str]]:
    """The votes in filled sheets, and a line for each row that is not right.

    The annotator is the one whom the sheet names on top; where that was deleted, the file's name says it.

    Args:
        paths: of sheets, saved as CSV.
        clips: that may be voted on.

    Raises:
        SettingsError: a file is missing or no sheet.
    """
    votes: dict[tuple[str, str], Vote] = {}
    wrong: list[str] = []
    for path in paths:
        remarks, rows = tables.read(path, ("clip", "label"))
        names = [remark[len(_ANNOTATOR) :].strip() for remark in remarks if remark.startswith(_ANNOTATOR)]
        annotator = names[0] if names and names[0] else path.stem
        seen: dict[str, int] = {}
        for number, row in rows:
            where, clip, word = f"{path}, row {number}", row["clip"].lower(), row["label"]
            label = label_of(word)
            if clip not in clips:
                wrong.append(f"{where}: there is no clip {row['clip']!r}")
            elif clip in seen:
                wrong.append(f"{where}: clip {clip} stands in row {seen[clip]} already")
            elif word and label is None:
                wrong.append(f"{where}: {word!r} is no label; there are {_ALLOWED}")
            elif label is not None:
                vote = Vote(clip, annotator, label, where)
                first = votes.setdefault((clip, annotator), vote)
                if first is not vote:
                    wrong.append(f"{where}: {annotator} labelled {clip} in {first.sheet} already")
            seen.setdefault(clip, number)
    return list(votes.values()), wrong
