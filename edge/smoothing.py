"""Smoothing over time and labels that do not flicker. Pure: the same values in, the same values out."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edge.words import UNCERTAIN


def blend(
    previous: Sequence[float], current: Sequence[float], *, elapsed_s: float, time_constant_s: float
) -> tuple[float, ...]:
    """Exponential moving average for readings that come at uneven times.

    Args:
        previous: probabilities so far.
        current: the new reading's, same length.
        elapsed_s: since the previous reading; readings out of order count as simultaneous.
        time_constant_s: after this long a past reading still counts 1/e; 0 keeps only the new one.

    Returns:
        Probabilities that sum to 1 if both inputs do.
    """
    if time_constant_s <= 0:
        return tuple(current)
    # A reading closer than a tenth of the constant would hardly count; give each at least that much.
    gain = max(1 - math.exp(-max(elapsed_s, 0) / time_constant_s), 0.1)
    return tuple(old + gain * (new - old) for old, new in zip(previous, current, strict=True))


def choose(
    labels: Sequence[str],
    values: Sequence[float],
    held: str,
    *,
    enter: float,
    leave: float,
    lead: float = 0.0,
) -> str:
    """Pick a label with hysteresis.

    Args:
        labels: what there is to choose from.
        values: one value 0..1 per label.
        held: the label chosen last time, or ``uncertain``.
        enter: a new label needs at least this value.
        leave: the held label goes when its value falls below this; not above *enter*.
        lead: a new label must also beat the held one by this much.

    Returns:
        One of *labels*, or ``uncertain`` when none is strong enough.
    """
    best = max(range(len(values)), key=values.__getitem__)
    held_value = values[labels.index(held)] if held in labels else -1.0
    holds = held_value >= leave
    if holds and (labels[best] == held or values[best] < held_value + lead or values[best] < enter):
        return held
    return labels[best] if values[best] >= enter else UNCERTAIN
