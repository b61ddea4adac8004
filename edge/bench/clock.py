"""Times of many calls, by name: the calling thread's own processor time, and the wall clock's."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Times:
    """What one stage took."""

    calls: int
    p50_ms: float
    p95_ms: float
    cpu_s: float
    """Processor seconds of all calls."""
    wall_p95_ms: float


@dataclass(slots=True)
class Stopwatch:
    """Collects times. One thread."""

    _cpu: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _own: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _wall: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _inside: list[float] = field(default_factory=lambda: [0.0])

    @contextmanager
    def lap(self, name: str) -> Iterator[None]:
        """Time the block."""
        wall, cpu = time.perf_counter(), time.thread_time()
        self._inside.append(0.0)
        try:
            yield
        finally:
            spent = time.thread_time() - cpu
            self._own[name].append(spent - self._inside.pop())
            self._inside[-1] += spent
            self._cpu[name].append(spent)
            self._wall[name].append(time.perf_counter() - wall)

    def around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """*call*, timed each time."""

        def timed(*arguments: Any, **options: Any) -> Any:
            with self.lap(name):
                return call(*arguments, **options)

        return timed

    def forget(self) -> None:
        """Start anew, after warming up."""
        for times in (self._cpu, self._own, self._wall):
            times.clear()

    def times(self, name: str, *, own: bool = False) -> Times:
        """Of one name; its *own* are without the blocks that were timed inside it.

        A name that was never called gives zeros.
        """
        cpu, wall = sorted((self._own if own else self._cpu)[name]), sorted(self._wall[name])
        if not cpu:
            return Times(0, 0.0, 0.0, 0.0, 0.0)
        return Times(
            calls=len(cpu),
            p50_ms=round(1000 * quantile(cpu, 0.5), 4),
            p95_ms=round(1000 * quantile(cpu, 0.95), 4),
            cpu_s=round(sum(cpu), 6),
            wall_p95_ms=round(1000 * quantile(wall, 0.95), 4),
        )


def quantile(ordered: Sequence[float], part: float) -> float:
    """Of sorted values, at least one."""
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def best_of(call: Callable[[], object], *, rounds: int = 7, at_least_s: float = 0.05) -> float:
    """Processor seconds of one call where least disturbed: the best of several rounds of enough calls."""
    times, since = 1, time.thread_time()
    call()
    times = max(1, round(at_least_s / max(time.thread_time() - since, 1e-6)))
    best = float("inf")
    for _ in range(rounds):
        since = time.thread_time()
        for _ in range(times):
            call()
        best = min(best, (time.thread_time() - since) / times)
    return best


def wall_and_cpu(call: Callable[[], object], *, rounds: int = 60) -> dict[str, float]:
    """Wall p50 and p95 and the whole process's processor time of one call, in ms: for pools of threads."""
    for _ in range(5):
        call()
    wall = []
    cpu = time.process_time()
    for _ in range(rounds):
        since = time.perf_counter()
        call()
        wall.append(time.perf_counter() - since)
    cpu = (time.process_time() - cpu) / rounds
    wall.sort()
    return {
        "wall_p50_ms": round(1000 * quantile(wall, 0.5), 4),
        "wall_p95_ms": round(1000 * quantile(wall, 0.95), 4),
        "cpu_ms": round(1000 * cpu, 4),
    }
