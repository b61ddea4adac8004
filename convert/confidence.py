"""Calibration of what is claimed: the temperature, and the probability under which nothing is claimed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.types import FloatArray


def probabilities(logits: FloatArray, temperature: float) -> npt.NDArray[np.float64]:
    """Softmax of logits / temperature, N x labels."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(1, keepdims=True)
    weights = np.exp(scaled)
    return np.asarray(weights / weights.sum(1, keepdims=True))


def fit_temperature(logits: FloatArray, truth: npt.NDArray[np.int64]) -> float:
    """The temperature with the smallest negative log likelihood (Guo et al. 2017), by golden section.

    The loss has one minimum over log temperature, so bracketing 0.1 to 10 finds it.
    """
    rows = np.arange(len(truth))

    def loss(exponent: float) -> float:
        probs = probabilities(logits, float(np.exp(exponent)))
        return float(-np.log(np.maximum(probs[rows, truth], 1e-12)).mean())

    low, high, ratio = np.log(0.1), np.log(10.0), (np.sqrt(5) - 1) / 2
    while high - low > 1e-4:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def negative_threshold(
    probs: npt.NDArray[np.float64], negative: npt.NDArray[np.bool_], *, share: float
) -> float:
    """The smallest probability from which on few enough inputs without emotion are claimed to be negative.

    Args:
        probs: calibrated, N x labels, of inputs without emotion.
        negative: which labels are, per label.
        share: of the inputs that may be claimed so, 0..1.

    Returns:
        A probability, rounded up to a hundredth; 0 where any is good enough, 0.99 where none is.
    """
    wrong = negative[probs.argmax(1)]
    for hundredth in range(100):
        if (wrong & (probs.max(1) >= hundredth / 100)).mean() <= share:
            return hundredth / 100
    return 0.99


def threshold(probs: npt.NDArray[np.float64], truth: npt.NDArray[np.int64], *, right: float) -> float:
    """The smallest probability from which on the readings that are claimed are right often enough.

    Args:
        probs: calibrated, N x labels.
        truth: index into the labels, N.
        right: share of the claimed readings that must be right, 0..1.

    Returns:
        A probability, rounded up to a hundredth; 1 / labels where even claiming everything is good enough,
        0.99 where nothing is.
    """
    best, sure = probs.argmax(1), probs.max(1)
    for hundredth in range(int(np.ceil(100 / probs.shape[1])), 100):
        claimed = sure >= hundredth / 100
        if claimed.any() and (best[claimed] == truth[claimed]).mean() >= right:
            return hundredth / 100
    return 0.99
