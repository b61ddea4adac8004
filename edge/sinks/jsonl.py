"""Events as JSON lines on standard output: ``jsonl:-``. The other topics are not printed."""

from __future__ import annotations

import sys

from edge.events import Event
from edge.sinks import Lines


def open(uri: str, **_others: object) -> Lines:
    """The sink for ``jsonl:-``."""
    if uri != "jsonl:-":
        raise ValueError(f"{uri}: only jsonl:- (standard output) is known")
    return Lines(sys.stdout, Event.to_json)
