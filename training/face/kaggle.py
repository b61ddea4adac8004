"""Kaggle's fer2013.csv and icml_face_data.csv, and the votes in FER+'s fer2013new.csv."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from edge.types import SourceError
from training.face.layout import SIDE, VOTES, Rows, label_code, no_votes, usage_code

_COLUMNS = ("emotion", "usage", "pixels")
_GREY = {str(value): value for value in range(256)}
"""A dictionary reads the 83 million numbers twice as fast as int() and refuses what is no grey value."""


@dataclass(frozen=True, slots=True)
class Votes:
    """fer2013new.csv, row by row."""

    usages: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    """N x 10 voters; zeros where the votes were another row's."""


def read_faces(path: Path) -> Rows:
    """Read a CSV with the columns emotion, Usage and pixels, in any order.

    Raises:
        SourceError: missing, torn, or with a value that cannot be; the message names the line.
    """
    labels, usages, pixels = [], [], []
    lines = _lines(path)
    _, header = next(lines, (1, []))
    names = [name.strip().lower() for name in header]
    if missing := [name for name in _COLUMNS if name not in names]:
        raise SourceError(
            f"{path}: has no column {' nor '.join(missing)}; fer2013.csv and icml_face_data.csv have them"
        )
    emotion, usage, picture = (names.index(name) for name in _COLUMNS)
    with tqdm(
        total=path.stat().st_size, desc=path.name, unit="B", unit_scale=True, leave=False, disable=None
    ) as bar:
        for number, row in lines:
            where = f"{path}, line {number}"
            if len(row) < len(names):
                raise SourceError(f"{where}: torn, {len(row)} of {len(names)} columns")
            label, split = label_code(row[emotion]), usage_code(row[usage])
            if label is None:
                raise SourceError(f"{where}: {row[emotion]!r} is none of the seven labels, 0 to 6")
            if split is None:
                raise SourceError(f"{where}: {row[usage]!r} is not Training, PublicTest or PrivateTest")
            labels.append(label)
            usages.append(split)
            pixels.append(_grey(row[picture], where))
            bar.update(sum(map(len, row)) + len(row))
    if not labels:
        raise SourceError(f"{path}: holds no faces")
    images = np.frombuffer(b"".join(pixels), np.uint8).reshape(-1, SIDE, SIDE)
    return Rows(images, np.array(labels), np.array(usages), no_votes(len(labels)), original_order=True)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows with the number of the line they begin on, as an editor shows it; empty ones are left out."""
    begins = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            for row in reader:
                if row:
                    yield begins, row
                begins = reader.line_num + 1
    except FileNotFoundError:
        raise SourceError(f"{path}: not found") from None
    except csv.Error as error:
        raise SourceError(f"{path}, line {begins}: torn ({error})") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: not a readable CSV file ({error})") from error


def _grey(text: str, where: str) -> bytes:
    """The grey values of one picture."""
    try:
        values = bytes(map(_GREY.__getitem__, text.split()))
    except KeyError as error:
        raise SourceError(f"{where}: {error.args[0]!r} is no grey value, 0 to 255") from None
    if len(values) != SIDE * SIDE:
        raise SourceError(f"{where}: {len(values)} pixels, not {SIDE} x {SIDE} = {SIDE * SIDE}")
    return values


def read_votes(path: Path) -> Votes:
    """Read FER+'s table: Usage, Image name and one column per kind of vote.

    Raises:
        SourceError: as for read_faces.
    """
    lines = _lines(path)
    _, header = next(lines, (1, []))
    wanted = ["usage", "image name", *(name.lower() for name in VOTES)]
    if [name.strip().lower() for name in header] != wanted:
        raise SourceError(f"{path}: not FER+'s fer2013new.csv, whose columns are {', '.join(wanted)}")
    usages, names, counts = [], [], []
    for number, row in lines:
        split = usage_code(row[0])
        if len(row) != len(wanted) or not all(map(str.isdecimal, row[2:])) or split is None:
            raise SourceError(f"{path}, line {number}: torn or not votes: {','.join(row)[:60]!r}")
        usages.append(split)
        names.append(row[1])
        counts.append([int(count) for count in row[2:]])
    if not counts:
        raise SourceError(f"{path}: holds no votes")
    table = np.array(counts)
    table[copied(names, table)] = 0
    return Votes(np.array(usages), table)


def copied(names: Sequence[str], counts: npt.NDArray[np.int64]) -> list[int]:
    """Rows that carry the picture name and the votes of another row, so that their own votes are lost.

    FER+ has one, row 5274: it repeats row 6968. Names run on with the rows but for a lag that grows to 173,
    so that of two rows with one name the one whose number is further off is the copy. A name that comes twice
    with different votes (there is one) is only misnamed.
    """
    by_name: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        if name:
            by_name.setdefault(name, []).append(row)
    found = []
    for name, rows in by_name.items():
        digits = re.search(r"\d+", name)
        if len(rows) > 1 and digits:
            own = min(rows, key=lambda row: abs(row - int(digits[0])))
            found += [row for row in rows if row != own and np.array_equal(counts[row], counts[own])]
    return found
