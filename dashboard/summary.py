"""What a stretch of time was like: mean shares, how much was read, and why the rest was not. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any


def summarise(windows: Iterable[Mapping[str, Any]], span_s: float | None = None) -> dict[str, Any]:
    """One stretch of time in numbers.

    Args:
        windows: as History.windows tells them.
        span_s: how long the stretch was, None for as long as its windows; what none covers was not read.

    Returns:
        ``shares`` (means over the time that was read, sums to 1), ``read`` (part of the time, 0..1),
        ``mood`` (the largest share), ``people`` (mean), ``confidence`` (mean), ``windows`` (count),
        ``unread`` (part of the time, by reason).
    """
    shares: defaultdict[str, float] = defaultdict(float)
    unread: Counter[str] = Counter()
    read_s = told_s = people = confidence = 0.0
    count = 0
    for window in windows:
        length = float(window["window_s"])
        told_s += length
        count += 1
        if window["suppressed"]:
            unread[window["suppressed"]] += length  # type: ignore[assignment]
            continue
        read_s += length
        people += length * window["people"]
        confidence += length * window["confidence"]
        for label, share in window["shares"].items():
            shares[label] += length * share
    whole_s = max(told_s, span_s or 0.0)
    if whole_s > told_s:
        unread["gap"] += whole_s - told_s  # type: ignore[assignment]
    means = {label: total / read_s for label, total in shares.items()} if read_s else {}
    return {
        "windows": count,
        "read": read_s / whole_s if whole_s else 0.0,
        "shares": means,
        "mood": max(means, key=lambda label: means[label]) if means else None,
        "people": people / read_s if read_s else 0.0,
        "confidence": confidence / read_s if read_s else 0.0,
        "unread": {reason: seconds / whole_s for reason, seconds in unread.items()} if whole_s else {},
    }


def by_day(windows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A summary per day by the server's own clock, oldest first: ``day`` (YYYY-MM-DD) beside the numbers."""
    days: dict[str, list[Mapping[str, Any]]] = {}
    for window in windows:
        middle = window["ends"] - window["window_s"] / 2
        days.setdefault(f"{datetime.fromtimestamp(middle).astimezone():%Y-%m-%d}", []).append(window)
    return [{"day": day, **summarise(found)} for day, found in sorted(days.items())]
