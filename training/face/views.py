"""What one reading of the faces says, from several sides: tables of fractions with their 95 % intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edge.manifest import Manifest
from training import metrics
from training.face.fer2013 import VOTES, Faces
from training.face.reading import Reading
from training.metrics import IntArray

DIGITS = 4
STUDY = ("happy", "sad", "fear")
"""The classes of the early-childhood study."""
FER_PLUS = {
    "neutral": "neutral",
    "happiness": "happy",
    "surprise": "surprise",
    "sadness": "sad",
    "anger": "angry",
    "disgust": "disgust",
    "fear": "fear",
}
"""FER+ votes that have a label here; contempt has none."""


def headline(reading: Reading, model: Manifest) -> dict[str, Any]:
    """Accuracy, macro-F1, average recall, calibration error, and what a kit would claim."""
    sure = reading.probs.max(1) >= model.uncertain_below
    claims = np.ones(len(reading), np.int64), np.asarray(sure, np.int64)
    return {
        **quality(reading),
        **_with_interval("claimed", metrics.accuracy, *claims, 2),
        **_of_reading("claimed_accuracy", metrics.accuracy, reading.take(sure)),
    }


def quality(reading: Reading) -> dict[str, Any]:
    """Accuracy, macro-F1, average recall and calibration error."""
    error = metrics.calibration_error(reading.probs, reading.truth)
    low, high = metrics.calibration_interval(reading.probs, reading.truth)
    return {
        **_of_reading("accuracy", metrics.accuracy, reading),
        **_of_reading("macro_f1", metrics.macro_f1, reading),
        **_of_reading("uar", metrics.average_recall, reading),
        "ece": round(error, DIGITS),
        "ece_interval": [round(low, DIGITS), round(high, DIGITS)],
    }


def part(reading: Reading, rows: Any) -> dict[str, Any]:
    """Accuracy on some of the faces only."""
    chosen = reading.take(rows)
    return {"images": len(chosen), **_of_reading("accuracy", metrics.accuracy, chosen)}


def per_class(reading: Reading, labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Precision, recall and F1 of every label that occurs."""
    kinds = {"precision": metrics.precisions, "recall": metrics.recalls, "f1": metrics.f1_scores}
    matrix = reading.matrix
    samples = metrics.resample(reading.truth, reading.predicted, len(labels))
    found: dict[str, dict[str, Any]] = {label: {} for label in labels}
    for kind, figure in kinds.items():
        values, drawn = figure(matrix), np.stack([figure(sample) for sample in samples])
        for column in np.flatnonzero(matrix.sum(1)).tolist():
            low, high = metrics.middle(drawn[:, column].tolist())
            found[labels[column]] |= {
                kind: round(float(values[column]), DIGITS),
                f"{kind}_interval": [round(low, DIGITS), round(high, DIGITS)],
            }
    return {label: figures for label, figures in found.items() if figures}


def ferplus_majority(reading: Reading, faces: Faces, labels: Sequence[str]) -> dict[str, Any]:
    """How often the model agrees with most FER+ voters, and how often FER-2013's own label does.

    FER+ (Barsoum et al. 2016) asked ten people about every face again. Faces that most of them saw nothing
    in, called contempt, or were divided about are left out. Votes for "unknown" are not among Faces, so the
    sixtieth of the faces in which those lead are judged by the expression that came second.
    """
    voted = majority(faces, labels)
    rows = voted >= 0
    agreeing = Reading(voted[rows], reading.probs[rows])
    own = metrics.confusion(faces.labels[rows], voted[rows], len(labels))
    return {
        "images": len(agreeing),
        **_of_reading("accuracy", metrics.accuracy, agreeing),
        **_of_reading("macro_f1", metrics.macro_f1, agreeing),
        "label_agreement": round(metrics.accuracy(own), DIGITS),
    }


def majority(faces: Faces, labels: Sequence[str]) -> IntArray:
    """Per face the label with most FER+ votes, or -1 where that is none of *labels* or shared by two."""
    wanted = [FER_PLUS.get(name) for name in VOTES]
    places = [labels.index(name) if name in labels else -1 for name in wanted]
    most = faces.votes.max(1)
    alone = (faces.votes > most[:, None] - 1e-4).sum(1) == 1
    clear = alone & (most > 0) & (faces.votes_for_nothing <= 0.5)
    return np.where(clear, np.array(places, np.int64)[faces.votes.argmax(1)], -1)


def three_classes(reading: Reading, labels: Sequence[str]) -> dict[str, Any]:
    """The study's view: its three kinds of faces only, and the likeliest of its three labels."""
    columns = [labels.index(label) for label in STUDY]
    place = np.full(len(labels), -1)
    place[columns] = range(len(STUDY))
    rows = place[reading.truth] >= 0
    chosen = reading.probs[rows][:, columns]
    narrow = Reading(place[reading.truth[rows]], chosen / np.maximum(chosen.sum(1, keepdims=True), 1e-12))
    return {
        "images": len(narrow),
        **_of_reading("accuracy", metrics.accuracy, narrow),
        **_of_reading("macro_f1", metrics.macro_f1, narrow),
        "per_class": per_class(narrow, STUDY),
    }


def _of_reading(name: str, figure: Callable[[IntArray], float], reading: Reading) -> dict[str, Any]:
    return _with_interval(name, figure, reading.truth, reading.predicted, reading.probs.shape[1])


def _with_interval(
    name: str, figure: Callable[[IntArray], float], truth: IntArray, predicted: IntArray, classes: int
) -> dict[str, Any]:
    """A figure and its interval; of no faces at all nothing is known."""
    if not len(truth):
        return {name: 0.0, f"{name}_interval": [0.0, 1.0]}
    value = figure(metrics.confusion(truth, predicted, classes))
    low, high = metrics.interval(figure, truth, predicted, classes)
    return {name: round(value, DIGITS), f"{name}_interval": [round(low, DIGITS), round(high, DIGITS)]}
