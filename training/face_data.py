"""FER-2013 with the FER+ votes: reading, cleaning, targets.

The data is one lossless picture of all faces and one table; ``../shared/data/face/SOURCES.md`` says where it
comes from. PublicTest selects, PrivateTest is read by the evaluate command only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge.manifest import ImageInput
from edge.preprocess import face_tensor
from edge.types import LABELS, FloatArray, ImageArray, SourceError

SIDE = 48
PIXELS, TABLE = "fer2013_pixels.png", "fer2013_labels.npz"
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

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Faces:
    """Some rows of the data."""

    images: ImageArray
    """N x 48 x 48 grey."""
    labels: IntArray
    """Index into LABELS, from FER-2013 itself."""
    votes: npt.NDArray[np.float32]
    """N x 8 shares of the FER+ voters; a row of zeros where nobody voted for an expression."""
    votes_for_nothing: npt.NDArray[np.float32]
    """Share of the voters who saw no face at all."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: npt.NDArray[np.bool_] | IntArray) -> Faces:
        """The chosen rows."""
        return Faces(self.images[rows], self.labels[rows], self.votes[rows], self.votes_for_nothing[rows])


def load(folder: Path) -> dict[str, Faces]:
    """Read all three splits: ``training``, ``public``, ``private``.

    Raises:
        SourceError: a file is missing or not what it should be.
    """
    table = _table(folder / TABLE)
    count = len(table["label"])
    images = _images(folder / PIXELS, count)
    votes = table["votes"].astype(np.float32) * table["votes_ok"][:, None]
    total = np.maximum(votes.sum(1, keepdims=True), 1)
    expressions = votes[:, :EXPRESSIONS]
    shares = expressions / np.maximum(expressions.sum(1, keepdims=True), 1)
    everything = Faces(images, table["label"].astype(np.int64), shares, (votes / total)[:, VOTES.index("NF")])
    return {name: everything.take(table["usage"] == code) for name, code in USAGES.items()}


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


def contained(faces: Faces, others: Faces) -> npt.NDArray[np.bool_]:
    """Which of *faces* are, pixel for pixel, among *others*."""
    known = {image.tobytes() for image in others.images}
    return np.array([image.tobytes() in known for image in faces.images], bool)


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What was taken out of the training split, in pictures."""

    in_public: int
    in_private: int
    not_a_face: int


def clean(splits: dict[str, Faces]) -> tuple[Faces, Cleaning]:
    """The training split without pictures that a test split holds too and without those that show no face."""
    training = splits["training"]
    in_public = contained(training, splits["public"])
    in_private = contained(training, splits["private"])
    not_a_face = training.votes_for_nothing > 0.5
    kept = training.take(~(in_public | in_private | not_a_face))
    return kept, Cleaning(int(in_public.sum()), int(in_private.sum()), int(not_a_face.sum()))


def batch(faces: Faces, spec: ImageInput) -> FloatArray:
    """All *faces* as the kit would feed them, N x height x width x 1."""
    return face_tensor(list(faces.images), spec)


def targets(faces: Faces, votes: float) -> npt.NDArray[np.float32]:
    """What to learn per face: its own label, softened by what people who voted alike were labelled.

    FER+ voters move many faces to another class than FER-2013's, fear to surprise above all, so their votes
    are first translated: column c of the table holds how FER-2013 labels faces that got votes for c.

    Args:
        faces: the training split.
        votes: share of the translated votes in the target, 0..1.

    Returns:
        N x labels, each row sums to 1.
    """
    own = np.eye(len(LABELS), dtype=np.float32)[faces.labels]
    table = own.T @ faces.votes
    table /= np.maximum(table.sum(0, keepdims=True), 1e-6)
    translated = faces.votes @ table.T
    share = votes * (faces.votes.sum(1, keepdims=True) > 0)
    return np.asarray((1 - share) * own + share * translated, np.float32)
