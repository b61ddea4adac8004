"""How hard the kit may look, so that board, heat and hearing stand it. Measurements in, an Effort out.

Nothing here reads a clock or a sensor: a Strain holds what was measured and when. What is reduced comes in
this order, because each step costs the mood more than the one before: looks per second down to two, the width
at which faces are searched (far ones are missed from there on), readings of a face per second, looks again.

Reducing is quick, one or two steps at a time; taking back waits half a minute of calm per step. A step back
that was regretted within a minute doubles that wait, so that a kit does not swing around its limit all day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

Reason = Literal["hearing", "throttled", "heat", "cpu"]

FEWER, FEWEST_FPS = 0.8, 2.0
"""Each step looks at so much of the frames, first down to this rate."""
SMALLER = (7 / 8, 3 / 4, 5 / 8, 1 / 2)
"""Of the full width. Half of it has a quarter of the cost and finds faces of twice the size."""
SLOWEST_FPS, SLOWEST_READS = 0.5, 1.0
PER_WINDOW = 2.0
"""Every window needs so many looks, and readings of each face."""

LATE_S = 0.5
"""Hearing that is further behind is in want of processor time."""
COOLER_C, EASIER = 5.0, 0.75
"""Taking back needs so much distance from the heat limit, and this part of the processor budget at most."""
CHECK_EVERY_S = 2.0
SETTLES_S: dict[Reason, float] = {"hearing": 2.0, "throttled": 10.0, "heat": 20.0, "cpu": 4.0}
"""How long a step takes to show in what is measured."""
CALM_S, REGRET_S, LONGEST_CALM_S = 30.0, 60.0, 600.0


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard to look."""

    fps: float
    """Frames searched for faces per second, at most."""
    search_px: int
    """Width at which they are searched; only one of the detectors can change it."""
    reads_per_s: float
    """Readings of one face per second, at most."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What the board may be asked for; 0 sets no limit."""

    cpu_percent: float
    """Of one core, the whole process."""
    temperature_c: float


@dataclass(frozen=True, slots=True)
class Strain:
    """What was measured since the last time."""

    at: float
    cpu_percent: float
    temperature_c: float | None = None
    throttled: bool | None = None
    heard_late_s: float = 0.0
    """Sound that waits for hearing."""
    lost_blocks: int = 0
    """Blocks of sound that hearing never got."""


def ladder(full: Effort, *, window_s: float, resizable: bool) -> tuple[Effort, ...]:
    """Efforts from the full one to the least, each a step below the one before."""
    return tuple(_steps(full, window_s, resizable=resizable))


def _steps(full: Effort, window_s: float, *, resizable: bool) -> Iterator[Effort]:
    least_fps = min(full.fps, max(SLOWEST_FPS, PER_WINDOW / window_s))
    least_reads = min(full.reads_per_s, max(SLOWEST_READS, PER_WINDOW / window_s))
    effort = full
    yield effort
    for slower in _slower(full, max(least_fps, min(full.fps, FEWEST_FPS))):
        effort = slower
        yield effort
    for part in SMALLER if resizable else ():
        effort = replace(effort, search_px=round(full.search_px * part / 32) * 32)
        yield effort
    if least_reads < effort.reads_per_s:
        effort = replace(effort, reads_per_s=least_reads)
        yield effort
    yield from _slower(effort, least_fps)


def _slower(effort: Effort, least: float) -> Iterator[Effort]:
    while effort.fps > least:
        fewer = round(effort.fps * FEWER, 2)
        effort = replace(effort, fps=fewer if fewer > least * 1.1 else least)
        yield effort


class Governor:
    """Walks the ladder. Owned by one thread; ``effort`` is replaced as a whole and read by others."""

    def __init__(self, efforts: tuple[Effort, ...], ceiling: Ceiling) -> None:
        """Start with the full effort."""
        self._efforts, self._ceiling = efforts, ceiling
        self._level = 0
        self._next_check = self._next_down = float("-inf")
        self._calm_since: float | None = None
        self._calm_s = CALM_S
        self._raised_at: float | None = None
        self.reason: Reason | None = None
        """Why it was reduced last; None while nothing is."""
        self.since = 0.0
        """When the effort changed last."""

    @property
    def effort(self) -> Effort:
        """How hard to look now."""
        return self._efforts[self._level]

    @property
    def full(self) -> Effort:
        """How hard the settings ask to look."""
        return self._efforts[0]

    def due(self, now: float) -> bool:
        """Whether it is time to measure again."""
        return now >= self._next_check

    def heed(self, strain: Strain) -> bool:
        """Decide anew; whether the effort changed."""
        self._next_check = strain.at + CHECK_EVERY_S
        before = self._level
        reason = self._complaint(strain)
        if reason is not None:
            self._calm_since = None
            if strain.at >= self._next_down or reason == "hearing":
                self._reduce(strain, reason)
        elif not self._is_calm(strain):
            self._calm_since = None
        else:
            self._calm_since = strain.at if self._calm_since is None else self._calm_since
            if self._level and strain.at - self._calm_since >= self._calm_s:
                self._level -= 1
                self._calm_since = self._raised_at = strain.at
                self.reason = self.reason if self._level else None
            elif self._raised_at is not None and strain.at - self._raised_at >= REGRET_S:
                self._calm_s, self._raised_at = CALM_S, None
        if self._level != before:
            self.since = strain.at
        return self._level != before

    def _complaint(self, strain: Strain) -> Reason | None:
        ceiling = self._ceiling
        if strain.lost_blocks or strain.heard_late_s > LATE_S:
            return "hearing"
        if strain.throttled:
            return "throttled"
        if 0 < ceiling.temperature_c < (strain.temperature_c or 0.0):
            return "heat"
        return "cpu" if 0 < ceiling.cpu_percent < strain.cpu_percent else None

    def _is_calm(self, strain: Strain) -> bool:
        ceiling = self._ceiling
        warm = ceiling.temperature_c and (strain.temperature_c or 0.0) > ceiling.temperature_c - COOLER_C
        busy = ceiling.cpu_percent and strain.cpu_percent > ceiling.cpu_percent * EASIER
        return not (warm or busy)

    def _reduce(self, strain: Strain, reason: Reason) -> None:
        if self._raised_at is not None and strain.at - self._raised_at < REGRET_S:
            self._calm_s = min(2 * self._calm_s, LONGEST_CALM_S)
        self._raised_at = None
        far_over = reason == "cpu" and strain.cpu_percent > 1.5 * self._ceiling.cpu_percent
        steps = 2 if reason == "hearing" or far_over else 1
        self._level = min(self._level + steps, len(self._efforts) - 1)
        self._next_down = strain.at + SETTLES_S[reason]
        self.reason = reason if self._level else None
