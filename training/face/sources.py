"""FER-2013 in the forms people have it, told apart by what lies there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge.types import ImageArray, SourceError
from training.face import folders, kaggle
from training.face.layout import SIDE, USAGES, Rows

PIXELS, TABLE = "fer2013_pixels.png", "fer2013_labels.npz"
CSV_FILES = ("fer2013.csv", "icml_face_data.csv")
VOTES_FILE = "fer2013new.csv"
FORMS = f"{PIXELS} with {TABLE}, {' or '.join(CSV_FILES)}, or folders train/angry/, Training/0/ and so on"


def read(path: Path, votes: Path | None = None) -> Rows:
    """Read all faces from a file or folder in any of the FORMS, with the FER+ votes where they are.

    Args:
        path: the file, the folder that holds it, or a folder with one such folder in it.
        votes: FER+'s table; by default VOTES_FILE is looked for beside the faces.

    Raises:
        SourceError: nothing is there, or it is not what it should be; names file and line.
    """
    found = _found(path)
    if found is None:
        raise SourceError(f"{path}: {'holds no' if path.exists() else 'not found; --data names'} {FORMS}")
    place, load = found
    rows = load()
    for name, code in USAGES.items():
        if not (rows.usages == code).any():
            raise SourceError(f"{path}: holds no faces of the split {name!r}")
    if votes:
        return _voted(rows, votes)
    if not (beside := place / VOTES_FILE).is_file() or rows.votes.any():
        return rows
    if not rows.original_order:
        print(
            f"{beside}: not used: it goes by rows, and the pictures' names do not tell theirs",
            file=sys.stderr,
        )
        return rows
    return _voted(rows, beside)


def _found(path: Path) -> tuple[Path, Callable[[], Rows]] | None:
    """The folder that holds a known form, and what reads it."""
    if path.is_file():
        if path.suffix.lower() == ".csv":
            return path.parent, partial(kaggle.read_faces, path)
        return _form(path.parent) if path.name in {PIXELS, TABLE} else None
    if not path.is_dir():
        return None
    try:
        inside = sorted(one for one in path.iterdir() if one.is_dir())
        return next(filter(None, map(_form, [path, *inside])), None)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error


def _form(folder: Path) -> tuple[Path, Callable[[], Rows]] | None:
    if any((folder / name).exists() for name in (PIXELS, TABLE)):
        return folder, partial(_archive, folder)
    for name in CSV_FILES:
        if (folder / name).is_file():
            return folder, partial(kaggle.read_faces, folder / name)
    return (folder, partial(folders.read, folder)) if folders.holds(folder) else None


def _archive(folder: Path) -> Rows:
    """One lossless picture of all faces and one table."""
    table = _table(folder / TABLE)
    votes = table["votes"].astype(np.int64) * table["votes_ok"][:, None]
    return Rows(
        images=_images(folder / PIXELS, len(table["label"])),
        labels=table["label"].astype(np.int64),
        usages=table["usage"].astype(np.int64),
        votes=votes,
        original_order=True,
    )


def _table(path: Path) -> dict[str, npt.NDArray[Any]]:
    needed = ("label", "usage", "votes", "votes_ok")
    try:
        with np.load(path) as archive:
            return {name: archive[name] for name in needed}
    except FileNotFoundError:
        raise SourceError(f"{path}: not found; --data names the folder that holds it") from None
    except (OSError, ValueError, KeyError) as error:
        raise SourceError(f"{path}: not the FER-2013 table ({error})") from error


def _images(path: Path, count: int) -> ImageArray:
    sheet = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path.is_file() else None
    if sheet is None:
        raise SourceError(f"{path}: not found or not a picture; --data names the folder that holds it")
    rows, columns = sheet.shape[0] // SIDE, sheet.shape[1] // SIDE
    if sheet.shape != (rows * SIDE, columns * SIDE) or rows * columns < count:
        raise SourceError(f"{path}: {sheet.shape[1]} x {sheet.shape[0]} pixels cannot hold {count} faces")
    tiles = sheet.reshape(rows, SIDE, columns, SIDE).transpose(0, 2, 1, 3).reshape(-1, SIDE, SIDE)
    return np.ascontiguousarray(tiles[:count], np.uint8)


def _voted(rows: Rows, path: Path) -> Rows:
    """The same rows with FER+'s votes.

    Raises:
        SourceError: the votes are not those of these rows.
    """
    votes = kaggle.read_votes(path)
    if not rows.original_order:
        raise SourceError(f"{path}: goes by the rows of fer2013.csv; the pictures' names do not tell theirs")
    if len(votes.usages) != len(rows):
        raise SourceError(f"{path}: votes on {len(votes.usages)} faces, but there are {len(rows)}")
    wrong = np.flatnonzero(votes.usages != rows.usages)
    if len(wrong):
        raise SourceError(
            f"{path}, line {wrong[0] + 2}: another split than the face's; the rows do not match"
        )
    return replace(rows, votes=votes.counts)
