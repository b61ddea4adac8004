"""A model file at work on many faces: what it answered, and the reader that made it answer as a kit would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge import runtimes
from edge.manifest import ImageInput, Manifest
from edge.preprocess import face_tensor
from edge.types import ImageArray, ModelError
from training import metrics
from training.metrics import IntArray, Probabilities

BATCH = 64


@dataclass(frozen=True, slots=True)
class Reading:
    """Answers to labelled faces."""

    truth: IntArray
    """Index into the labels, N."""
    probs: Probabilities
    """N x labels, calibrated."""

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def predicted(self) -> IntArray:
        """The likeliest label of each face."""
        return np.asarray(self.probs.argmax(1), np.int64)

    @property
    def matrix(self) -> IntArray:
        """Confusion, labels x labels; rows are the truth."""
        return metrics.confusion(self.truth, self.predicted, self.probs.shape[1])

    def take(self, rows: Any) -> Reading:
        """The chosen rows."""
        return Reading(self.truth[rows], self.probs[rows])


class Reader:
    """One file of a model, fed through the kit's own preprocessing and runtime."""

    def __init__(self, model: Manifest, runtime: str, bar: Any) -> None:
        """Open the file.

        Args:
            model: an expression model.
            runtime: ``tflite`` or ``onnx``.
            bar: a tqdm that counts faces.

        Raises:
            ModelError: the model reads something else, or its file cannot be opened.
        """
        if not isinstance(model.input, ImageInput):
            raise ModelError(f"{model.id}: reads {model.task}, not expressions")
        self._model, self._input, self._bar = model, model.input, bar
        self._run = runtimes.load(model, runtime, threads=2)

    def __call__(self, crops: Sequence[ImageArray] | ImageArray, doing: str) -> Probabilities:
        """Probabilities, N x labels, of N grey crops; *doing* is what the bar shows meanwhile."""
        self._bar.set_description(doing)
        parts = []
        for start in range(0, len(crops), BATCH):
            some = list(crops[start : start + BATCH])
            scores = self._model.calibrate(self._run(face_tensor(some, self._input)))
            parts.append(np.array([one.probs for one in scores], np.float64))
            self._bar.update(len(some))
        return np.concatenate(parts) if parts else np.zeros((0, len(self._model.labels)))
