"""A lane is a thread with a generator inside: it opens, yields once per step of progress, and closes.

An expected failure (EdgeError) closes the lane and opens it again after a random wait; the other lanes go on.
Any other exception is a bug: it is kept for ``check`` to raise, so that the process ends and systemd starts
a new one. This is the only place that catches Exception.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, NoReturn

from edge.types import EdgeError, StuckError

logger = logging.getLogger(__name__)

Lane = Generator[None, None, None]
Condition = Literal["running", "recovering", "ended"]

LONGEST_WAIT_S = 60.0
HEALTHY_AFTER_S = 60.0
"""A lane that ran this long starts its waits from the shortest again."""
NEWS_AFTER_S = 600.0
"""The same trouble is worth a line in the log again after so long without it."""
HUNG_AFTER_S = 10.0
"""No progress for this long withholds the watchdog's ping."""
PARTING_S = 3.0
"""Lanes that have not stopped by then are left behind; with the broker's goodbye a stop takes under 5 s."""
FREED_CHECK_S, FREED_WITHIN_S = 0.2, 60.0
"""A driver that holds a device for longer is given up: the ping is withheld, and the process starts anew."""


@dataclass(slots=True)
class _Running:
    name: str
    work: Callable[[], Lane]
    thread: threading.Thread
    beat: float
    condition: Condition = "running"
    trouble: str = ""
    """The last expected failure."""
    crash: BaseException | None = None


class Supervisor:
    """Starts lanes, reopens them, notices when one hangs. A context manager: leaving stops and joins."""

    def __init__(
        self, stop: threading.Event, *, told: Callable[[str, Condition], None] = lambda *_: None
    ) -> None:
        """Run until *stop* is set; *told* hears of each lane's condition, from the lane's thread."""
        self._stop = stop
        self._told = told
        self._lanes: list[_Running] = []
        self.left: list[str] = []
        """Lanes still at work when this ended: in a driver that hangs, or a slow board's long look."""

    def start(self, name: str, work: Callable[[], Lane]) -> None:
        """Run *work* in a thread of its own, again after each expected failure, until it returns."""
        thread = threading.Thread(target=lambda: self._run(lane), name=name, daemon=True)
        lane = _Running(name, work, thread, beat=time.monotonic())
        self._lanes.append(lane)
        thread.start()

    def check(self) -> None:
        """Raise the bug that ended a lane, if one did."""
        for lane in self._lanes:
            if lane.crash is not None:
                raise lane.crash

    def progressing(self, now: float) -> bool:
        """Whether every lane that is not waiting or over has made a step lately."""
        return all(lane.condition == "ended" or now - lane.beat < HUNG_AFTER_S for lane in self._lanes)

    def ended(self, *names: str) -> bool:
        """Whether all the named lanes are over for good."""
        return all(lane.condition == "ended" for lane in self._lanes if lane.name in names)

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        deadline = time.monotonic() + PARTING_S
        for lane in self._lanes:
            lane.thread.join(max(0.1, deadline - time.monotonic()))
            if lane.thread.is_alive():
                logger.warning("%s: did not stop in time, left behind", lane.name)
                self.left.append(lane.name)

    def _run(self, lane: _Running) -> None:
        try:
            for wait_s in waits(random.random):
                failure = self._attempt(lane)
                if failure is None or self._stop.is_set():
                    break
                self._note(lane, "recovering")
                if isinstance(failure, StuckError):
                    self._outwait(lane, failure)
                logger.debug("%s: tries again in %.1f s", lane.name, wait_s)
                lane.beat = time.monotonic() + wait_s  # waiting is not hanging
                if self._stop.wait(wait_s):
                    break
        except Exception as error:  # noqa: BLE001 -- a bug: kept for check() to raise in the main thread
            lane.crash = error
        finally:
            self._note(lane, "ended")

    def _attempt(self, lane: _Running) -> EdgeError | None:
        """Run the lane once; how it failed in an expected way, None when it came to its end."""
        began = time.monotonic()
        try:
            with closing(lane.work()) as steps:
                for _ in steps:
                    lane.beat = time.monotonic()
                    self._note(lane, "running")
                    if self._stop.is_set():
                        break
        except EdgeError as error:
            # A camera that stays away is told once, not every minute of a night: logs wear out the SD card.
            again = str(error) == lane.trouble and time.monotonic() - began < NEWS_AFTER_S
            logger.log(logging.DEBUG if again else logging.WARNING, "%s: %s", lane.name, error)
            lane.trouble = str(error)
            return error
        return None

    def _outwait(self, lane: _Running, failure: StuckError) -> None:
        """Wait until the driver lets go: opening the device a second time beside it could corrupt both.

        Without progress in the end, so that the watchdog notices; what runs in a kernel cannot be killed.
        """
        lane.beat = time.monotonic() + FREED_WITHIN_S - HUNG_AFTER_S
        while not failure.freed and not self._stop.wait(FREED_CHECK_S):
            pass

    def _note(self, lane: _Running, condition: Condition) -> None:
        if lane.condition != condition:
            lane.condition = condition
            self._told(lane.name, condition)


def waits(draw: Callable[[], float], clock: Callable[[], float] = time.monotonic) -> Iterator[float]:
    """Seconds to wait after each failure: full jitter under a doubling cap, so kits do not return in step.

    The cap starts over once the lane, its wait aside, ran for a healthy minute.
    """
    attempt, wait_s, asked = 0, 0.0, clock()
    while True:
        if clock() - asked - wait_s > HEALTHY_AFTER_S:
            attempt = 0
        asked, wait_s = clock(), draw() * min(2.0**attempt, LONGEST_WAIT_S)
        yield wait_s
        attempt = min(attempt + 1, 10)


def leave(code: int) -> NoReturn:
    """End the process that a lane was left behind in; what it had to keep or send must be done.

    Python's own end takes its lock away from such a thread, and the native library around it then aborts: a
    stop in good order would look like a crash.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def stop_flag() -> threading.Event:
    """A flag that SIGTERM and SIGINT set; a second signal ends the process at once."""
    stop = threading.Event()

    def ask(number: int, _frame: object) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    return stop


def stop_after(stop: threading.Event, seconds: float | None) -> None:
    """Set *stop* in so many seconds; None is never."""
    if seconds is not None:
        timer = threading.Timer(seconds, stop.set)
        timer.daemon = True
        timer.start()
