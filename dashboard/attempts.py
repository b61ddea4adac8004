"""How often somebody may try a password: a bucket per sender, one per sender and name. Time is passed in."""

from __future__ import annotations

import math
from dataclasses import dataclass

MOST_KNOWN = 10_000
"""Buckets that are remembered; a flood of senders must not fill the memory."""


@dataclass(frozen=True, slots=True)
class Limit:
    """So many failures at once, and another one each so many seconds."""

    burst: int
    refill_s: float


PER_NAME = Limit(burst=5, refill_s=60.0)
PER_SENDER = Limit(burst=20, refill_s=30.0)
"""Larger: a school's browsers may all come from one address."""


class Attempts:
    """Failures so far. Nothing is locked for others: whoever fails elsewhere does not shut a teacher out."""

    def __init__(self, per_name: Limit = PER_NAME, per_sender: Limit = PER_SENDER) -> None:
        """Begin with nobody."""
        self._limits = {1: per_sender, 2: per_name}
        self._buckets: dict[tuple[str, ...], tuple[float, float]] = {}
        """Failures that still count, and when that was so."""

    def wait_s(self, sender: str, name: str, now: float) -> int:
        """Whole seconds until this sender may try this name again; 0 for now."""
        return max(self._wait(key, now) for key in self._keys(sender, name))

    def fail(self, sender: str, name: str, now: float) -> None:
        """Count a failure."""
        for key in self._keys(sender, name):
            if key not in self._buckets and len(self._buckets) >= MOST_KNOWN:
                self._buckets.pop(next(iter(self._buckets)))
            self._buckets[key] = (self._level(key, now) + 1, now)

    def forgive(self, sender: str, name: str) -> None:
        """The password was right."""
        self._buckets.pop((sender, name.casefold()), None)

    def _keys(self, sender: str, name: str) -> tuple[tuple[str, ...], ...]:
        return (sender,), (sender, name.casefold()[:60])

    def _level(self, key: tuple[str, ...], now: float) -> float:
        level, at = self._buckets.get(key, (0.0, now))
        return max(0.0, level - max(0.0, now - at) / self._limits[len(key)].refill_s)

    def _wait(self, key: tuple[str, ...], now: float) -> int:
        limit = self._limits[len(key)]
        over = self._level(key, now) - (limit.burst - 1)
        return math.ceil(over * limit.refill_s) if over > 0 else 0
