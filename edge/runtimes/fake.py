"""A runtime without weights, for tests of what stands around a model. As strict as the real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.runtimes import Runtime, check_batch, no_features
from edge.types import FloatArray, ModelError


def open(path: Path, *, labels: int, features: int = 0, threads: int) -> Runtime:
    """Pretend to load the model folder *path*.

    Raises:
        ModelError: the folder does not exist, or a number makes no sense.
    """
    if not path.exists():
        raise ModelError(f"{path}: no such model folder")
    if labels < 2 or features < 0 or threads < 1:
        raise ModelError(f"{labels} labels and {features} features on {threads} threads make no model")
    return _Fake(labels, features)


class _Fake:
    """Logits that depend on each item alone: the brighter or louder it is, the further up the labels.

    Its features grow with the same level, each at its own pace, and none is below zero.
    """

    def __init__(self, labels: int, features: int) -> None:
        self._labels, self._features = labels, features
        self._item_shape: tuple[int, ...] | None = None

    def __call__(self, batch: FloatArray) -> FloatArray:
        level = self._level(batch)
        places = np.arange(self._labels) / (self._labels - 1)
        return np.asarray(-20 * (places - level) ** 2, np.float32)

    def both(self, batch: FloatArray) -> tuple[FloatArray, FloatArray]:
        if not self._features:
            raise no_features()
        paces = np.arange(1, self._features + 1) / self._features
        return self(batch), np.asarray(self._level(batch) * paces, np.float32)

    def _level(self, batch: FloatArray) -> npt.NDArray[np.float64]:
        """From 0 to 1, N x 1."""
        if self._item_shape is None:
            self._item_shape = batch.shape[1:]
        check_batch(batch, self._item_shape)
        means = batch.mean(tuple(range(1, batch.ndim)), dtype=np.float64)
        return np.asarray(1 / (1 + np.exp(-means)))[:, None]
