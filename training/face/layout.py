"""One row per face, as every form of FER-2013 is read into, and the words its files use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.types import LABELS, ImageArray

SIDE = 48
USAGES = {"training": 0, "public": 1, "private": 2}
VOTES = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
)
EXPRESSIONS = 8
"""The first eight vote columns are expressions; the others say that there is none to see."""

_LABEL_WORDS = {
    **{label: code for code, label in enumerate(LABELS)},
    **{str(code): code for code in range(len(LABELS))},
    "anger": LABELS.index("angry"),
    "happiness": LABELS.index("happy"),
    "sadness": LABELS.index("sad"),
}
_USAGE_WORDS = {
    "train": USAGES["training"],
    "training": USAGES["training"],
    "val": USAGES["public"],
    "valid": USAGES["public"],
    "validation": USAGES["public"],
    "public": USAGES["public"],
    "publictest": USAGES["public"],
    "private": USAGES["private"],
    "privatetest": USAGES["private"],
}


@dataclass(frozen=True, slots=True)
class Rows:
    """All faces of all three splits."""

    images: ImageArray
    """N x 48 x 48 grey."""
    labels: npt.NDArray[np.int64]
    """Index into LABELS."""
    usages: npt.NDArray[np.int64]
    """Values of USAGES."""
    votes: npt.NDArray[np.int64]
    """N x 10, how many FER+ voters chose each of VOTES; zeros without votes."""
    original_order: bool
    """Rows stand as in fer2013.csv, which is what FER+ counts by."""

    def __len__(self) -> int:
        return len(self.labels)


def no_votes(count: int) -> npt.NDArray[np.int64]:
    """The votes of faces on which nobody voted."""
    return np.zeros((count, len(VOTES)), np.int64)


def label_code(word: str) -> int | None:
    """The index of a label that is written as a name or a number; None for anything else."""
    return _LABEL_WORDS.get(word.strip().lower())


def usage_code(word: str) -> int | None:
    """The split that a Usage column or a folder names; None for anything else."""
    return _USAGE_WORDS.get(word.strip().lower())
