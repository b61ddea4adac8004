"""A line per mood window for people at a terminal: ``console:``."""

from __future__ import annotations

import sys
from datetime import datetime
from types import TracebackType
from typing import TextIO

from edge.contract.commands import Command
from edge.events import Alert, Clock, Event, MoodWindow, parse_time

SUPPRESSED = {
    "too_few_people": "too few readable faces",
    "nobody": "nobody in view",
    "capture_off": "capture is off",
}


def open(_uri: str, **_others: object) -> Console:
    """The sink for ``console:``."""
    return Console(sys.stdout)


def describe(event: Event) -> str:
    """One line about one event, in the reader's own time zone."""
    clock = datetime.fromtimestamp(parse_time(event.at)).astimezone().strftime("%H:%M:%S")
    data = event.data
    if isinstance(data, Clock):
        return f"{clock}  clock {data.reason}" + (f", jumped {data.step_s:+.1f} s" if data.step_s else "")
    if isinstance(data, Alert):
        return f"{clock}  alert {data.phase}: {data.condition}"
    if not isinstance(data, MoodWindow):
        return f"{clock}  session {data.phase} ({data.reason})"
    faces = f"{data.people} face{'' if data.people == 1 else 's'}"
    if data.suppressed is not None:
        return f"{clock}  no mood: {SUPPRESSED[data.suppressed]} ({faces})"
    top = sorted(data.shares.items(), key=lambda item: -item[1])[:3]
    shares = ", ".join(f"{label} {share:.0%}" for label, share in top if share >= 0.005)
    heard = f", {data.voice_readings} voice" if data.voice_readings else ""
    return f"{clock}  mood {data.mood}  [{shares}]  {faces}{heard}, confidence {data.confidence:.2f}"


class Console:
    """Prints what a person would want to follow."""

    waiting = 0
    dropped = 0

    def __init__(self, out: TextIO) -> None:
        """Print to *out*, which stays open."""
        self._out = out

    def __enter__(self) -> Console:
        return self

    def publish(self, event: Event) -> None:
        """Print the event's line."""
        print(describe(event), file=self._out, flush=True)

    def retain(self, leaf: str, payload: str) -> None:
        """Nothing: the address lines say the rest."""

    def tell(self, leaf: str, payload: str, *, qos: int = 0, to: Command | None = None) -> None:
        """Nothing."""

    def announce(self, name: str, payload: str, *, again_on: str) -> None:
        """Nothing: nobody subscribes here."""

    def tend(self) -> None:
        """Nothing waits."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass
