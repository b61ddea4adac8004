"""FER-2013 with the FER+ votes: splits, cleaning, targets.

PublicTest selects, PrivateTest is read by the evaluate command only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge.manifest import ImageInput
from edge.preprocess import face_tensor
from edge.types import LABELS, FloatArray, ImageArray
from training.face import layout, sources

SIDE = layout.SIDE
PIXELS, TABLE = sources.PIXELS, sources.TABLE
USAGES = layout.USAGES
VOTES, EXPRESSIONS = layout.VOTES, layout.EXPRESSIONS

ALIKE = 0.94
"""Correlation of two thumbnails above which they show the same photograph."""

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


def load(path: Path, votes: Path | None = None) -> dict[str, Faces]:
    """Read all three splits: ``training``, ``public``, ``private``.

    Args:
        path: where FER-2013 lies, in any of sources.FORMS.
        votes: FER+'s table where it does not lie beside the faces.

    Raises:
        SourceError: nothing is there, or it is not what it should be.
    """
    rows = sources.read(path, votes)
    counts = rows.votes.astype(np.float32)
    total = np.maximum(counts.sum(1, keepdims=True), 1)
    expressions = counts[:, :EXPRESSIONS]
    shares = expressions / np.maximum(expressions.sum(1, keepdims=True), 1)
    everything = Faces(rows.images, rows.labels, shares, (counts / total)[:, VOTES.index("NF")])
    return {name: everything.take(rows.usages == code) for name, code in USAGES.items()}


def contained(faces: Faces, others: Faces) -> npt.NDArray[np.bool_]:
    """Which of *faces* are, pixel for pixel, among *others*."""
    known = {image.tobytes() for image in others.images}
    return np.array([image.tobytes() in known for image in faces.images], bool)


def near(faces: Faces, others: Faces) -> npt.NDArray[np.bool_]:
    """Which of *faces* are the same photograph as one of *others*: cropped anew, watermarked or mirrored.

    Pictures are compared as thumbnails of 16 x 16, freed of brightness and contrast. Looked at by eye, all
    FER-2013 pairs above ALIKE were one photograph, and from 0.935 down every other pair was not.
    """
    return nearest(faces, others)[1] > ALIKE


def copied(faces: Faces, others: Faces) -> npt.NDArray[np.bool_]:
    """Which of *faces* are among *others* in any form, pixel for pixel or nearly."""
    return contained(faces, others) | near(faces, others)


def nearest(faces: Faces, others: Faces) -> tuple[IntArray, FloatArray]:
    """For each of *faces*, which of *others* is most alike in the sense of near, and their correlation."""
    plain, mirrored = _thumbnails(others.images).T, _thumbnails(others.images[:, :, ::-1]).T
    places, alike = [], []
    # In parts: all correlations of FER-2013 at once would take 400 MB twice.
    for part in np.array_split(_thumbnails(faces.images), 1 + len(faces) // 1024):
        found = np.maximum(part @ plain, part @ mirrored)
        places.append(found.argmax(1))
        alike.append(found.max(1))
    return np.concatenate(places), np.concatenate(alike)


def _thumbnails(images: ImageArray) -> FloatArray:
    """N x 256, each of mean 0 and length 1, so that a product of two is their correlation."""
    small = np.stack([cv2.resize(image, (16, 16), interpolation=cv2.INTER_AREA) for image in images])
    flat = small.reshape(len(small), -1).astype(np.float32)
    flat -= flat.mean(1, keepdims=True)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6), np.float32)


def disputed(faces: Faces) -> npt.NDArray[np.bool_]:
    """Which of *faces* occur more than once, pixel for pixel, and not always with the same label."""
    labels: dict[bytes, set[int]] = {}
    keys = [image.tobytes() for image in faces.images]
    for key, label in zip(keys, faces.labels.tolist(), strict=True):
        labels.setdefault(key, set()).add(label)
    return np.array([len(labels[key]) > 1 for key in keys], bool)


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What was taken out of the training split, in pictures; one that is out for two reasons counts twice."""

    in_public: int
    """Exact copies of PublicTest pictures."""
    in_private: int
    near_public: int
    """The same photograph as one of PublicTest, but other pixels."""
    near_private: int
    disputed: int
    """Copies of one picture under different labels."""
    not_a_face: int
    """Most FER+ voters saw none."""


def clean(splits: dict[str, Faces]) -> tuple[Faces, Cleaning]:
    """The training split without what a test split shows too, is labelled both ways, or shows no face."""
    training = splits["training"]
    in_public, in_private = (contained(training, splits[name]) for name in ("public", "private"))
    near_public, near_private = (near(training, splits[name]) for name in ("public", "private"))
    reasons = {
        "in_public": in_public,
        "in_private": in_private,
        "near_public": near_public & ~in_public,
        "near_private": near_private & ~in_private,
        "disputed": disputed(training),
        "not_a_face": training.votes_for_nothing > 0.5,
    }
    kept = training.take(~np.any(list(reasons.values()), axis=0))
    return kept, Cleaning(**{name: int(rows.sum()) for name, rows in reasons.items()})


def batch(faces: Faces, spec: ImageInput) -> FloatArray:
    """All *faces* as the kit would feed them, N x height x width x 1."""
    return face_tensor(list(faces.images), spec)


def targets(faces: Faces, votes: float, labels: int = len(LABELS)) -> npt.NDArray[np.float32]:
    """What to learn per face: its own label, softened by what people who voted alike were labelled.

    FER+ voters move many faces to another class than FER-2013's, fear to surprise above all, so their votes
    are first translated: column c of the table holds how FER-2013 labels faces that got votes for c.

    Args:
        faces: the training split.
        votes: share of the translated votes in the target, 0..1.
        labels: number of classes.

    Returns:
        N x labels, each row sums to 1.
    """
    own = np.eye(labels, dtype=np.float32)[faces.labels]
    table = own.T @ faces.votes
    table /= np.maximum(table.sum(0, keepdims=True), 1e-6)
    translated = faces.votes @ table.T
    share = votes * (faces.votes.sum(1, keepdims=True) > 0)
    return np.asarray((1 - share) * own + share * translated, np.float32)
