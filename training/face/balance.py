"""No expression left out: a bias per label, so that the rare and the ambiguous ones are read as well.

A network that minimises its errors answers sad to most faces between fear and sad, and hardly ever disgust,
because that is how often each is right. A room's mood made of such answers would not know fear. The biases
trade a little accuracy for that; they become part of the head's own bias, so the kit knows nothing of them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.types import FloatArray
from training import metrics
from training.metrics import IntArray

STEP, LARGEST = 0.02, 2.0


def biases(logits: FloatArray, truth: IntArray, *, least: float) -> npt.NDArray[np.float32]:
    """The smallest biases with which every label that occurs is recalled often enough.

    Args:
        logits: N x labels, of faces that neither trained the network nor judge it at the end.
        truth: index into the labels, N.
        least: recall that each label should reach, 0..1.

    Returns:
        One number per label, to be added to its logit; none is raised by more than LARGEST.
    """
    raised = np.zeros(logits.shape[1], np.float32)
    while raised.max() < LARGEST:
        predicted = np.asarray((logits + raised).argmax(1), np.int64)
        recalls = metrics.recalls(metrics.confusion(truth, predicted, logits.shape[1]))
        missed = np.nan_to_num(recalls, nan=1.0)
        if missed.min() >= least:
            break
        raised[missed.argmin()] += STEP
    return raised
