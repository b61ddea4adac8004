"""How far annotators agree beyond chance, over clips that not everybody has labelled.

Everything is counted from one table: per clip, how many annotators gave each label.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from training import metrics
from training.metrics import IntArray

MISSING = -1
"""The code of a vote that was not given."""


def count(votes: IntArray, labels: int) -> IntArray:
    """How many annotators gave each clip each label.

    Args:
        votes: clips x annotators, codes of labels or MISSING.
        labels: how many there are.
    """
    return np.stack([(votes == code).sum(1) for code in range(labels)], axis=1)


def alpha(counts: IntArray) -> float:
    """Krippendorff's alpha for names without order; not a number where chance cannot be told.

    1 is full agreement, 0 is chance. Clips with fewer than two votes say nothing. Krippendorff (2011),
    Computing Krippendorff's Alpha-Reliability, part C: any number of observers, missing data.
    """
    agreeing, paired = _pairs(counts)
    return _alpha(agreeing.sum(), paired.sum(0))


def _pairs(counts: IntArray) -> tuple[npt.NDArray[np.float64], IntArray]:
    """Per clip with two votes or more: coincidences of equal votes, and the votes."""
    paired = counts[counts.sum(1) > 1]
    equal = (paired * (paired - 1)).sum(1) / (paired.sum(1) - 1)
    return np.asarray(equal, np.float64), paired


def _alpha(agreeing: float, votes: IntArray) -> float:
    total = int(votes.sum())
    expected = total * (total - 1) - int((votes * (votes - 1)).sum())
    if not expected:  # nothing was voted on twice, or one label is all there is
        return math.nan
    return float(1 - (total - 1) * (total - agreeing) / expected)


def alpha_interval(counts: IntArray, *, rounds: int = metrics.ROUNDS, seed: int = 0) -> tuple[float, float]:
    """The 95 % bootstrap interval of ``alpha`` over clips; not numbers where alpha is none."""
    random = np.random.default_rng(seed)
    agreeing, paired = _pairs(counts)
    figures = [math.nan]
    for _ in range(rounds if len(paired) else 0):
        drawn = random.integers(0, len(paired), len(paired))
        figures.append(_alpha(agreeing[drawn].sum(), paired[drawn].sum(0)))
    return metrics.middle(figures) if np.isfinite(figures).any() else (math.nan, math.nan)


def agreement_by_label(counts: IntArray) -> npt.NDArray[np.float64]:
    """Per label, how likely a second annotator gives it where one did; not a number where none did."""
    paired = counts[counts.sum(1) > 1]
    equal = (paired * (paired - 1) / np.maximum(paired.sum(1, keepdims=True) - 1, 1)).sum(0)
    with np.errstate(invalid="ignore"):
        return np.asarray(equal / paired.sum(0))


def kappa(first: IntArray, second: IntArray) -> tuple[float, int]:
    """Cohen's kappa (1960) of two annotators, and how many clips both have labelled.

    Not a number where they share none, or where both gave one and the same label only.
    """
    both = (first != MISSING) & (second != MISSING)
    one, other = first[both], second[both]
    shared = int(both.sum())
    if not shared:
        return math.nan, 0
    labels = int(max(one.max(), other.max())) + 1
    matrix = metrics.confusion(one, other, labels)
    by_chance = float((matrix.sum(0) * matrix.sum(1)).sum()) / shared**2
    if by_chance == 1:
        return math.nan, shared
    return (metrics.accuracy(matrix) - by_chance) / (1 - by_chance), shared
