"""Frame -> Faces, no more often and no wider than an Effort allows. By the frames' own times."""

from __future__ import annotations

from collections.abc import Callable

from edge.faces import FaceFinder
from edge.load import Effort
from edge.types import Face, Frame


class Gaze:
    """Not thread-safe: one lane owns it."""

    def __init__(
        self, finder: FaceFinder, effort: Effort, *, search_at: Callable[[int], None] | None = None
    ) -> None:
        """Look no harder than *effort*; *search_at* sets the detector's width, where it can be set."""
        self._finder, self._search_at = finder, search_at
        self.effort = effort
        """May be replaced at any time, from any thread."""
        self._due = float("-inf")

    @property
    def resizable(self) -> bool:
        """Whether the detector can search at another width."""
        return self._search_at is not None

    def another(self, effort: Effort) -> Gaze:
        """With the same finder, at another time."""
        return Gaze(self._finder, effort, search_at=self._search_at)

    def __call__(self, frame: Frame) -> tuple[Face, ...] | None:
        """The faces in *frame*; None when it comes sooner than needed."""
        if frame.at < self._due:
            return None
        effort = self.effort
        self._due = next_due(self._due, frame.at, 1 / effort.fps)
        if self._search_at is not None:
            self._search_at(effort.search_px)
        return self._finder(frame)

    def reset(self) -> None:
        """Another camera, another task, or a gap."""
        self._due = float("-inf")
        self._finder.reset()


def next_due(due: float, at: float, period_s: float) -> float:
    """When to do again what was due at *due* and is done at *at*.

    Half a period of slack keeps the rate when frames come at no multiple of it.
    """
    return max(due + period_s, at + period_s / 2)
