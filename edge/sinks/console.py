"""A line per mood window for people at a terminal: ``console:``."""

from __future__ import annotations

import sys
from datetime import datetime

from edge.events import Alert, Clock, Event, MoodWindow, parse_time
from edge.sinks import Lines

SUPPRESSED = {
    "too_few_people": "too few readable faces",
    "nobody": "nobody in view",
    "capture_off": "capture is off",
}


def open(_uri: str, **_others: object) -> Lines:
    """The sink for ``console:``."""
    return Lines(sys.stdout, describe)


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
