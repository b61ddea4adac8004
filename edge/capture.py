"""One device's lane: open while its switch is on, closed while it is off, judged, and its state told."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from threading import Event as Flag
from typing import Any, NamedTuple

from edge.events import SourceName, SourceStatus
from edge.flow import Mailbox, OpenDevices
from edge.sources import Camera, Microphone
from edge.state.switches import Switches
from edge.supervisor import Lane
from edge.types import AudioBlock, EdgeError, Frame, SourceError, StuckError
from edge.verdict import ABOUT, PictureJudge, SoundJudge, Verdict


class Report(NamedTuple):
    """What a lane says of its source."""

    source: SourceName
    status: SourceStatus
    problem: str | None = None
    text: str = ""


class Capture:
    """From a device to a mailbox. Its lane owns it; ``delivered`` may be read from anywhere."""

    def __init__(
        self,
        name: SourceName,
        open_source: Callable[[], Camera | Microphone],
        box: Mailbox[Any],
        *,
        judge: PictureJudge | SoundJudge | None,
        switches: Switches,
        devices: OpenDevices,
        tell: Callable[[Report], object],
        stop: Flag,
    ) -> None:
        """Put what *judge* finds worth reading into *box*, all of it without one, and *tell* how it goes."""
        self._name, self._open_source, self._box = name, open_source, box
        self._judge, self._switches, self._devices = judge, switches, devices
        self._tell, self._stop = tell, stop
        self.delivered = -math.inf
        """Time of the newest item since the device was opened."""

    def lane(self) -> Lane:
        """The work of the lane."""
        name, box = self._name, self._box
        while True:
            if not self._switches.allows(name):
                box.clear()
                self._tell(Report(name, "disabled"))
                while not self._switches.allows(name):
                    self._stop.wait(0.1)
                    yield
            try:
                over = yield from self._deliver()
            except EdgeError as error:
                box.clear()
                problem = "stuck" if isinstance(error, StuckError) else "failed"
                judged = self._judge and self._judge.problem
                self._tell(Report(name, "recovering", judged or problem, str(error)))
                raise
            if over:
                return

    def _deliver(self) -> Generator[None, None, bool]:
        """Hand on what the device gives and is worth reading; whether the source is over."""
        name = self._name
        judge: Callable[[Any], Verdict] = self._judge or _wave_through
        told: Verdict | None = None
        self.delivered = -math.inf
        source = self._open_source()
        with self._devices.hold(name, source.close) as hold, source:
            for item in source:
                if not self._switches.allows(name):
                    return False
                verdict = judge(item)
                problem = verdict.problem
                if told is None or problem != told.problem:
                    told = verdict
                    status: SourceStatus = "online" if problem in (None, "dark") else "recovering"
                    text = f"{item.source}: {ABOUT[problem]}" if problem else ""
                    self._tell(Report(name, status, problem, text))
                if verdict.read:
                    self._box.put(item)
                self.delivered = item.at
                yield
                if verdict.reopen and problem:
                    raise SourceError(f"{item.source}: {ABOUT[problem]}")
        return not hold.dismissed


def _wave_through(_item: Frame | AudioBlock) -> Verdict:
    """Of recordings: a photo that does not move is as it should be."""
    return Verdict()
