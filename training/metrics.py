"""How good a classifier is: figures over truth and prediction, and how far they may be off by chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float64]


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


def calibration_error(probs: Probabilities, truth: IntArray, bins: int = 15) -> float:
    """Expected calibration error (Guo et al. 2017): mean gap of confidence and accuracy over equal bins."""
    sure, right = probs.max(1), probs.argmax(1) == truth
    places = np.minimum((sure * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(places, sure - right, minlength=bins)
    return float(np.abs(gaps).sum() / max(1, len(truth)))


def interval(
    figure: Callable[[IntArray], float],
    truth: IntArray,
    predicted: IntArray,
    classes: int,
    *,
    groups: IntArray | None = None,
    rounds: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """The 95 % bootstrap interval of a figure of the confusion matrix.

    Args:
        figure: accuracy, macro_f1, average_recall.
        truth: N class indices.
        predicted: N class indices.
        classes: how many there are.
        groups: N group numbers, speakers say, drawn whole because their items are alike; items by default.
        rounds: number of resamplings.
        seed: of the resampling.
    """
    random = np.random.default_rng(seed)
    cells = truth * classes + predicted
    members = None if groups is None else np.unique(groups, return_inverse=True)[1]
    matrices = np.zeros((0, 0), np.int64)
    if members is not None:
        matrices = np.zeros((int(members.max()) + 1, classes**2), np.int64)
        np.add.at(matrices, (members, cells), 1)
    figures = []
    for _ in range(rounds):
        if members is None:
            drawn = cells[random.integers(0, len(cells), len(cells))]
            matrix = np.bincount(drawn, minlength=classes**2)
        else:
            matrix = matrices[random.integers(0, len(matrices), len(matrices))].sum(0)
        figures.append(figure(matrix.reshape(classes, classes)))
    low, high = np.percentile(figures, [2.5, 97.5])
    return float(low), float(high)


def draw_confusion(matrix: IntArray, labels: Sequence[str], title: str, path: Path) -> None:
    """Write the confusion matrix as a picture: shares of each row, coloured and in figures."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  slow, and rarely needed
    from matplotlib.figure import Figure  # noqa: PLC0415

    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    drawing = Figure(figsize=(1.6 + 0.8 * len(labels), 1.4 + 0.7 * len(labels)), layout="constrained")
    axes = drawing.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(labels)), labels, rotation=40, ha="right")
    axes.set_yticks(
        range(len(labels)), [f"{label} ({count})" for label, count in zip(labels, matrix.sum(1), strict=True)]
    )
    axes.set_xlabel("predicted")
    axes.set_ylabel("labelled (how many)")
    axes.set_title(title)
    for row in range(len(labels)):
        for column in range(len(labels)):
            share = shares[row, column]
            ink = "white" if share > 0.5 else "black"
            axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=ink)
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(drawing)
    drawing.savefig(path)
