"""FER-2013 as folders of pictures: one folder per split, in it one per label."""

from __future__ import annotations

import hashlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from edge.types import LABELS, ImageArray, SourceError
from training.face.layout import SIDE, USAGES, Rows, label_code, no_votes, usage_code

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})
TEST = "test"
"""Kaggle's folders have one for both test splits; see _halves."""


@dataclass(frozen=True, slots=True)
class _Picture:
    path: Path
    label: int
    usage: int | None
    """None: one of the two test splits, but the folder does not say which."""


def holds(folder: Path) -> bool:
    """Whether *folder* has a subfolder that is called like a split."""
    return any(_is_split(one) for one in folder.iterdir() if one.is_dir())


def _is_split(folder: Path) -> bool:
    return folder.name.lower() == TEST or usage_code(folder.name) is not None


def read(folder: Path) -> Rows:
    """Read {train,test}/{angry,…}/ or {Training,PublicTest,PrivateTest}/{0..6}/ with any picture files.

    Raises:
        SourceError: an unknown label, an empty folder, a file that is no picture; the message names it.
    """
    pictures = [
        picture for split in sorted(folder.iterdir()) if split.is_dir() for picture in _listed(split, folder)
    ]
    pictures, original_order = _in_order(pictures)
    images = _images([one.path for one in pictures], folder)
    usages = np.array([-1 if one.usage is None else one.usage for one in pictures])
    unsaid = np.flatnonzero(usages < 0)
    if len(unsaid):
        usages[unsaid] = _halves([pictures[row].path.name for row in unsaid], images[unsaid], folder)
    labels = np.array([one.label for one in pictures])
    return Rows(images, labels, usages, no_votes(len(labels)), original_order=original_order)


def _listed(split: Path, folder: Path) -> list[_Picture]:
    """The pictures of one split; nothing for a folder that is called otherwise."""
    if not _is_split(split):
        return []
    usage = usage_code(split.name)
    if usage is None and any(usage_code(one.name) == USAGES["public"] for one in folder.iterdir()):
        usage = USAGES["private"]
    pictures = []
    for place in sorted(one for one in split.iterdir() if one.is_dir() and not one.name.startswith(".")):
        label = label_code(place.name)
        if label is None:
            raise SourceError(f"{place}: called like none of the labels {', '.join(LABELS)} or 0 to 6")
        files = sorted(one for one in place.iterdir() if one.suffix.lower() in PICTURES)
        if not files:
            raise SourceError(f"{place}: holds no pictures")
        pictures += [_Picture(one, label, usage) for one in files]
    if not pictures:
        raise SourceError(f"{split}: holds no folders of labels")
    return pictures


def _in_order(pictures: list[_Picture]) -> tuple[list[_Picture], bool]:
    """In the order of fer2013.csv and True, where files are called by row number; else as they are, False."""
    rows = [int(one.path.stem) if one.path.stem.isdecimal() else -1 for one in pictures]
    if sorted(rows) != list(range(len(pictures))):
        return pictures, False
    return [pictures[place] for place in np.argsort(rows)], True


def _images(paths: list[Path], folder: Path) -> ImageArray:
    images = np.empty((len(paths), SIDE, SIDE), np.uint8)
    resized, largest = 0, (SIDE, SIDE)
    for row, path in enumerate(tqdm(paths, desc=folder.name, unit="picture", leave=False, disable=None)):
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if image is None:
            raise SourceError(f"{path}: not a picture")
        height, width = image.shape[:2]
        if (height, width) != (SIDE, SIDE):
            resized += 1
            largest = max(largest, (height, width))
            shrinks = min(height, width) >= SIDE
            image = cv2.resize(
                image, (SIDE, SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            )
        images[row] = image
    if resized:
        print(
            f"{folder}: {resized} of {len(paths)} pictures brought to {SIDE} x {SIDE}; "
            f"the largest had {largest[1]} x {largest[0]}",
            file=sys.stderr,
        )
    return images


def _halves(names: list[str], images: ImageArray, folder: Path) -> list[int]:
    """Which test split each picture of ``test`` belongs to: by its name, else by its pixels.

    Kaggle's copy calls its files PublicTest_… and PrivateTest_…, which says it. Where that is lost, the hash
    of the pixels decides, so that everybody gets the same halves and copies of a picture stay together.
    """
    said = [re.match(r"(public|private)test", name, re.IGNORECASE) for name in names]
    named = [USAGES[one[1].lower()] for one in said if one]
    if len(named) == len(names):
        return named
    halves = [
        USAGES["private" if hashlib.sha256(image.tobytes()).digest()[0] & 1 else "public"] for image in images
    ]
    print(
        f"{folder}: test/ does not say which pictures are PublicTest and which PrivateTest; halved by a hash "
        f"of the pixels into {halves.count(USAGES['public'])} and {halves.count(USAGES['private'])}, "
        "so figures on it compare with no published ones",
        file=sys.stderr,
    )
    return halves
