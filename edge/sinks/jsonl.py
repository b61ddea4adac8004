"""Events as JSON lines on standard output: ``jsonl:-``. The other topics are not printed."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TextIO

from edge.contract.commands import Command
from edge.events import Event


def open(uri: str, **_others: object) -> JsonLines:
    """The sink for ``jsonl:-``."""
    if uri != "jsonl:-":
        raise ValueError(f"{uri}: only jsonl:- (standard output) is known")
    return JsonLines(sys.stdout)


class JsonLines:
    """Writes one event a line, flushed, so that a pipe sees it at once."""

    waiting = 0
    dropped = 0

    def __init__(self, out: TextIO) -> None:
        """Write to *out*, which stays open."""
        self._out = out

    def __enter__(self) -> JsonLines:
        return self

    def publish(self, event: Event) -> None:
        """Print the event."""
        print(event.to_json(), file=self._out, flush=True)

    def retain(self, leaf: str, payload: str) -> None:
        """Nothing: a stream has no newcomers."""

    def tell(self, leaf: str, payload: str, *, qos: int = 0, to: Command | None = None) -> None:
        """Nothing: only events are printed."""

    def announce(self, name: str, payload: str, *, again_on: str) -> None:
        """Nothing: nobody subscribes here."""

    def tend(self) -> None:
        """Nothing waits."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass
