"""How long one item takes: CPU time, so that other work on the machine counts as little as possible."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

Item = TypeVar("Item")
ROUNDS = 300
WARM_UP = 0.1
"""Share of the rounds at the start that do not count."""


def median_ms(
    runs: Mapping[str, Callable[[Item], object]], items: Sequence[Item], rounds: int = ROUNDS
) -> dict[str, float]:
    """Median CPU milliseconds of each run for one item.

    The runs take turns, so what slows the machine down for a while slows all of them. Only the calling thread
    is timed: whatever runs here must be set to one thread.

    Args:
        runs: by name, what to time.
        items: what they are given, one after the other.
        rounds: how often each is called.
    """
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds):
        item = items[turn % len(items)]
        for name, run in runs.items():
            since = time.thread_time()
            run(item)
            taken[name].append(time.thread_time() - since)
    skip = int(WARM_UP * rounds)
    return {name: 1000 * statistics.median(times[skip:]) for name, times in taken.items()}
