"""Who works how hard, looked at once a second; what was spent in between is worked out afterwards.

A program is full once the thread that does its work is never idle. On a crowded machine that is not the same
as a whole processor: the thread also stands in the queue for one. So *busy* is the part of the time that it
ran, out of the time in which nothing kept it from running. The kernel tells both, in
/proc/PID/task/*/schedstat.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.scale.stage import Program

EVERY_S = 1.0
Thread = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment."""

    at: float
    """Seconds since 1970."""
    threads: Mapping[str, Mapping[Thread, tuple[float, float]]]
    """Seconds that each thread ran, and seconds that it stood in the queue, by program."""
    machine: tuple[float, float]
    """Seconds that the processors were idle, and all of their time."""
    waiting: int | None
    """Events in the broker's queue; None where it has none or did not tell."""


def look(programs: Iterable[Program], waiting: int | None = None) -> Sample:
    """Now."""
    programs = list(programs)
    return Sample(
        time.time(),
        {one.name: dict(_threads(one.family())) for one in programs},
        _machine(),
        waiting,
    )


def part_of(program: str) -> str:
    """Programs of one name (node-1, node-2 …) count together as what stands before the hyphen."""
    return program.partition("-")[0]


def spent(before: Sample, after: Sample) -> dict[str, float]:
    """Processor seconds between the two, by part; of threads that ended meanwhile nothing is known."""
    found: dict[str, float] = {}
    for name, threads in after.threads.items():
        part = part_of(name)
        ran = sum(run for run, _ in _between(before.threads.get(name, {}), threads))
        found[part] = found.get(part, 0.0) + ran
    return found


def busy(before: Sample, after: Sample, programs: Iterable[Program]) -> dict[str, float]:
    """How full each part was between the two, 0 to 1: of several programs, the fullest."""
    elapsed = max(1e-9, after.at - before.at)
    found: dict[str, float] = {}
    for one in programs:
        ran = _between(before.threads.get(one.name, {}), after.threads.get(one.name, {}))
        busiest = sorted(ran, reverse=True)[: one.lanes]
        could = sum(max(0.0, elapsed - queued) for _, queued in busiest)
        share = sum(run for run, _ in busiest) / max(1e-9, could)
        part = part_of(one.name)
        found[part] = max(found.get(part, 0.0), min(1.0, share))
    return found


def idle(before: Sample, after: Sample) -> float:
    """Part of the machine that nobody used between the two."""
    free, whole = (late - early for early, late in zip(before.machine, after.machine, strict=True))
    return free / whole if whole > 0 else 0.0


class Recorder:
    """A thread that looks; leaving the block ends it."""

    def __init__(self, programs: Sequence[Program], waiting: Callable[[], int | None]) -> None:
        """Watch *programs*, and ask *waiting* for the queue's length."""
        self._programs, self._waiting = programs, waiting
        self.samples: list[Sample] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Recorder:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def between(self, began: float, ended: float) -> list[Sample]:
        """The samples of a time, with the ones nearest to its ends; at least two if there are two."""
        first = max((i for i, one in enumerate(self.samples) if one.at <= began), default=0)
        last = min(
            (i for i, one in enumerate(self.samples) if one.at >= ended), default=len(self.samples) - 1
        )
        return self.samples[first : last + 1]

    def _look(self) -> None:
        while not self._stop.wait(EVERY_S):
            self.samples.append(look(self._programs, self._waiting()))


def _between(
    before: Mapping[Thread, tuple[float, float]], after: Mapping[Thread, tuple[float, float]]
) -> list[tuple[float, float]]:
    found = []
    for thread, (ran, queued) in after.items():
        ran_before, queued_before = before.get(thread, (0.0, 0.0))
        found.append((max(0.0, ran - ran_before), max(0.0, queued - queued_before)))
    return found


def _threads(processes: Iterable[int]) -> Iterable[tuple[Thread, tuple[float, float]]]:
    for pid in processes:
        for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with suppress(OSError, IndexError, ValueError):
                ran, queued = path.read_text("ascii").split()[:2]
                yield (pid, int(path.parent.name)), (int(ran) / 1e9, int(queued) / 1e9)


def _machine() -> tuple[float, float]:
    """Ticks of all processors together; what a host took away counts as used."""
    ticks = [int(word) for word in Path("/proc/stat").read_text("ascii").splitlines()[0].split()[1:9]]
    return float(ticks[3] + ticks[4]), float(sum(ticks))
