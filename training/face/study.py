"""The early-childhood study's set-up with this network and recipe, and its figures beside ours.

The study took the faces that FER-2013's Training split calls happy, sad or fear, kept a random fifth for
testing, and reports 44.19 % accuracy of a network that called every test face happy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edge.types import LABELS
from training import metrics
from training.face import crossvalidation, recipes
from training.face.fer2013 import Faces
from training.face.fold_tables import percent, results, spread
from training.pages import Section

STUDY_LABELS = ("happy", "sad", "fear")
TEST_SHARE = 0.2
RECIPE = recipes.DEFAULT.with_name("face_study.toml")
STUDY: Mapping[str, Any] = {"accuracy": 0.4419, "recall": {"happy": 1.0, "sad": 0.0, "fear": 0.0}}
"""All that is known of the study's result; the recalls follow from its calling everything happy."""


def select(faces: Faces, labels: Sequence[str] = STUDY_LABELS) -> Faces:
    """The faces of some labels, which become indices into *labels*."""
    codes = np.full(len(LABELS), -1, np.int64)
    codes[[LABELS.index(label) for label in labels]] = np.arange(len(labels))
    chosen = codes[faces.labels]
    kept = faces.take(chosen >= 0)
    return Faces(kept.images, chosen[chosen >= 0], kept.votes, kept.votes_for_nothing)


def compare(judged: Sequence[crossvalidation.Judged], faces: Faces) -> dict[str, Any]:
    """Our figures, the study's, and those of always saying happy on the very same faces."""
    truth = np.concatenate([one.truth for one in judged])
    always = metrics.confusion(truth, np.zeros_like(truth), len(STUDY_LABELS))
    return {
        "faces": len(faces),
        "labels": list(STUDY_LABELS),
        "study": dict(STUDY),
        "always_happy": {
            "accuracy": round(metrics.accuracy(always), crossvalidation.DIGITS),
            "macro_f1": round(metrics.macro_f1(always), crossvalidation.DIGITS),
        },
        **crossvalidation.table(judged, STUDY_LABELS),
    }


def sections(table: Mapping[str, Any]) -> list[Section]:
    """The study beside ours, then our figures in full."""
    recalls, always = STUDY["recall"], table["always_happy"]
    rows = [
        (
            "accuracy",
            percent(STUDY["accuracy"]),
            percent(always["accuracy"]),
            spread(table, "accuracy"),
        ),
        *(
            (f"recall of {label}", percent(recalls[label]), percent(recalls[label]), spread(found, "recall"))
            for label, found in table["per_class"].items()
        ),
        ("macro F1", "not known", percent(always["macro_f1"]), spread(table, "macro_f1")),
    ]
    text = (
        f"{table['faces']:,} faces of FER-2013's Training split, labelled happy, sad or fear; "
        f"{_protocol(table)}. The study's network called every test face happy, from which its recalls "
        "follow; no other figure of it is known. In brackets: 95 % bootstrap intervals."
    )
    head = ("figure", "the study", "always happy, same faces", "ours")
    return [Section("The early-childhood study and ours", text, head, rows), *results(table)]


def _protocol(table: Mapping[str, Any]) -> str:
    if "folds" in table:
        return f"stratified {len(table['folds'])}-fold cross-validation, so that each is judged once"
    return (
        f"a random {100 * TEST_SHARE:.0f} % of them, {table['images']:,}, for testing, "
        f"{table['faces'] - table['images']:,} for training"
    )
