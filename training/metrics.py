"""How good a classifier is: figures over truth and prediction, and how far they may be off by chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float64]

ROUNDS = 1000
"""Resamplings of a bootstrap interval."""
BINS = 15
"""Of confidence, for the calibration error."""


def confusion(truth: IntArray, predicted: IntArray, classes: int) -> IntArray:
    """Count how often each class was taken for each, classes x classes; rows are the truth."""
    return np.bincount(truth * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def accuracy(matrix: IntArray) -> float:
    """Share on the diagonal."""
    return float(np.trace(matrix) / max(1, matrix.sum()))


def recalls(matrix: IntArray) -> npt.NDArray[np.float64]:
    """Per class, the share of it that was found; not a number where the class does not occur."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.diag(matrix) / matrix.sum(1))


def precisions(matrix: IntArray) -> npt.NDArray[np.float64]:
    """Per class, the share of its predictions that were right; 0 where it was never predicted."""
    return np.asarray(np.diag(matrix) / np.maximum(matrix.sum(0), 1))


def f1_scores(matrix: IntArray) -> npt.NDArray[np.float64]:
    """Per class, twice the hits over all that was there or was predicted."""
    return np.asarray(2 * np.diag(matrix) / np.maximum(matrix.sum(0) + matrix.sum(1), 1))


def average_recall(matrix: IntArray) -> float:
    """Unweighted average recall over the classes that occur."""
    return float(np.nanmean(recalls(matrix)))


def macro_f1(matrix: IntArray) -> float:
    """Mean F1 over the classes that occur."""
    return float(f1_scores(matrix)[matrix.sum(1) > 0].mean())


def calibration_error(probs: Probabilities, truth: IntArray, bins: int = BINS) -> float:
    """Expected calibration error (Guo et al. 2017): mean gap of confidence and accuracy over equal bins."""
    places, gaps = _gaps(probs, truth, bins)
    return float(np.abs(np.bincount(places, gaps, minlength=bins)).sum() / max(1, len(truth)))


def _gaps(probs: Probabilities, truth: IntArray, bins: int) -> tuple[IntArray, Probabilities]:
    """Per item, its bin of confidence, and confidence less whether it was right."""
    sure, right = probs.max(1), probs.argmax(1) == truth
    return np.minimum((sure * bins).astype(np.int64), bins - 1), np.asarray(sure - right, np.float64)


def resample(
    truth: IntArray,
    predicted: IntArray,
    classes: int,
    *,
    groups: IntArray | None = None,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> IntArray:
    """Confusion matrices of bootstrap samples, rounds x classes x classes.

    Args:
        truth: N class indices.
        predicted: N class indices.
        classes: how many there are.
        groups: N group numbers, speakers say, drawn whole because their items are alike; items by default.
        rounds: number of resamplings.
        seed: of the resampling.
    """
    random = np.random.default_rng(seed)
    cells = truth * classes + predicted
    if groups is None:  # drawing items with replacement fills the cells by a multinomial
        counts = np.bincount(cells, minlength=classes**2)
        matrices = random.multinomial(len(cells), counts / len(cells), rounds)
    else:
        members = np.unique(groups, return_inverse=True)[1]
        counts = np.zeros((int(members.max()) + 1, classes**2), np.int64)
        np.add.at(counts, (members, cells), 1)
        draws = random.integers(0, len(counts), (rounds, len(counts)))
        matrices = np.stack([counts[drawn].sum(0) for drawn in draws])
    return np.asarray(matrices, np.int64).reshape(rounds, classes, classes)


def interval(
    figure: Callable[[IntArray], float],
    truth: IntArray,
    predicted: IntArray,
    classes: int,
    *,
    groups: IntArray | None = None,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> tuple[float, float]:
    """The 95 % bootstrap interval of accuracy, macro_f1 or average_recall; the rest is as in ``resample``."""
    matrices = resample(truth, predicted, classes, groups=groups, rounds=rounds, seed=seed)
    return middle([figure(matrix) for matrix in matrices])


def calibration_interval(
    probs: Probabilities, truth: IntArray, *, bins: int = BINS, rounds: int = ROUNDS, seed: int = 0
) -> tuple[float, float]:
    """The 95 % bootstrap interval of ``calibration_error``.

    It lies higher than the error itself where that is small: a sample of a sample adds gaps by chance.
    """
    random = np.random.default_rng(seed)
    places, gaps = _gaps(probs, truth, bins)
    count = len(truth)
    figures = []
    for _ in range(rounds):
        rows = random.integers(0, count, count)
        figures.append(float(np.abs(np.bincount(places[rows], gaps[rows], minlength=bins)).sum() / count))
    return middle(figures)


def middle(figures: Sequence[float]) -> tuple[float, float]:
    """The middle 95 % of resampled figures; samples in which the figure does not exist are left out."""
    found = np.asarray(figures, np.float64)
    low, high = np.percentile(found[np.isfinite(found)], [2.5, 97.5])
    return float(low), float(high)
