"""A model that was just installed is on trial: the daemon watches it and returns to the one before.

That is so when it does not load, when it raises, when the program breaks down while it is on trial, or when
the program was killed in the model's first minutes. It is confirmed after ten minutes of one run in which it
answered. Time is handed in; no clock on the wall plays a part.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from edge.models.shelf import VERSION, Shelf, order
from edge.types import EdgeError, ModelError, Observation, Presence

logger = logging.getLogger(__name__)

HEALTHY_S = 600.0
"""A start that lasted this long does not count against the model any more."""
READINGS = 20
"""Answers that a model must have given in that time: in an empty room nothing is proved."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class TrialError(Exception):
    """A model on trial failed while it was in use. Ends the process: the next start uses the one before."""


@dataclass(slots=True)
class _Running:
    version: str
    readings: int = 0
    since: float | None = None
    settled: bool = False


class Trials:
    """All models of one run. A context manager: an exception that leaves it counts against those on trial."""

    def __init__(self, shelf: Shelf, *, boot: str | None = None) -> None:
        """Watch the models of *shelf*; *boot* names the machine's boot (default: what Linux says)."""
        self.shelf = shelf
        self._boot = boot or _boot_id()
        self._running: dict[str, _Running] = {}
        self._instead_of: dict[str, str] = {}
        self._broken: tuple[str, str] | None = None

    def on_trial(self, name: str) -> bool:
        """Whether the model in use has yet to prove itself."""
        return name in self._running

    def instead_of(self, name: str, used: str = "") -> str:
        """Version that should be in use but failed; empty where the right one, or a newer one, is *used*."""
        failed = self._instead_of.get(name, "")
        newer = failed and VERSION.fullmatch(used) and order(used) > order(failed)
        return "" if newer else failed

    def begin(self, name: str, version: str) -> bool:
        """Whether *version* (empty: the shipped one) may be loaded; a trial is noted on the disk first."""
        record = self.shelf.record(name)
        if record.failed:
            self._instead_of[name] = record.failed
        if record.current != version or record.trial is None:
            return True
        try:
            why = self.shelf.begin(name, version, self._boot)
        except ModelError as error:
            # Not noted, so a crash would not be known for one: on a full disk nothing is tried.
            logger.warning("models: %s %s is not tried now: %s", name, version, error)
            self._instead_of[name] = version
            return False
        if why:
            self.reject(name, version, why)
            return False
        self._running[name] = _Running(version)
        return True

    def reject(self, name: str, version: str, why: str) -> None:
        """Do not use the installed *version*: for good if it is on trial, this time if it was confirmed."""
        logger.warning("models: %s %s is given up: %s", name, version, why)
        self._instead_of[name] = version
        self._running.pop(name, None)
        record = self.shelf.record(name)
        if record.current == version and record.trial is not None:
            try:
                before = self.shelf.roll_back(name, version=version, why=why)
                logger.warning("models: %s is %s again", name, before.current or "the shipped one")
            except ModelError as error:
                logger.warning("models: that cannot be remembered: %s", error)

    def count(self, item: Observation | Presence | None) -> None:
        """A model answered."""
        if self._running and isinstance(item, Observation):
            for name, running in self._running.items():
                if item.scores.model == f"{name}@{running.version}":
                    running.readings += 1

    @contextmanager
    def watching(self, name: str) -> Iterator[None]:
        """Around every use of a model, in the thread that owns it."""
        try:
            yield
        except ModelError as error:
            if name in self._running:
                self._broken = name, str(error)
            raise

    def tend(self, now: float) -> bool:
        """Confirm what has proved itself; True if something was.

        Raises:
            TrialError: a model failed.
        """
        if self._broken:
            raise TrialError("{}: {}".format(*self._broken))
        confirmed = []
        for name, running in self._running.items():
            running.since = now if running.since is None else running.since
            if now - running.since < HEALTHY_S:
                continue
            if running.readings >= READINGS:
                if self._note(self.shelf.confirm, name):
                    logger.info("models: %s %s has proved itself", name, running.version)
                    confirmed.append(name)
            elif not running.settled:
                running.settled = self._note(self.shelf.settle, name)
        for name in confirmed:
            del self._running[name]
        return bool(confirmed)

    @contextmanager
    def starting(self) -> Iterator[None]:
        """While models are loaded. What else goes wrong before the daemon runs is no fault of theirs."""
        try:
            yield
        except EdgeError:
            self._pause()
            raise
        self._pause()

    def _pause(self) -> None:
        for name in self._running:
            self._note(self.shelf.pause, name)

    def __enter__(self) -> Trials:
        for name, running in self._running.items():
            try:
                self.shelf.begin(name, running.version, self._boot)
            except ModelError as error:  # noqa: PERF203 -- two models
                logger.warning("models: the trial of %s cannot be remembered: %s", name, error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, running in list(self._running.items()):
            if self._broken and self._broken[0] == name:
                why = self._broken[1]
            elif isinstance(error, Exception) and not isinstance(error, EdgeError) and not self._broken:
                why = f"the program ended ({type(error).__name__}: {error})"
            else:
                self._note(self.shelf.pause, name)
                continue
            self.reject(name, running.version, why)

    def _note(self, note: Callable[[str, str], None], name: str) -> bool:
        """Write to the disk; a disk that refuses is no reason to stop watching the room."""
        try:
            note(name, self._running[name].version)
        except ModelError as error:
            logger.warning("models: the trial of %s cannot be remembered: %s", name, error)
            return False
        return True


def _boot_id() -> str:
    try:
        return BOOT_ID.read_text("ascii").strip()
    except OSError:
        return "unknown"  # every start counts as one of the same boot
