"""Sinks: where events go, one file each, all answering to Sink and opened by URI.

A sink is owned by the main thread: every method is called from there. It may talk to a network thread of
its own, but then hands over through queues. Nothing here can import an array.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, TextIO
from urllib.parse import urlsplit

from edge.contract.commands import Command
from edge.events import Event
from edge.outbox import Outbox

OnCommand = Callable[[Command], None]
"""Called from any thread."""


class Sink(Protocol):
    """Somewhere to tell what the room's mood is."""

    def __enter__(self) -> Sink:
        """Start; returns at once even when the other side is away."""
        ...

    def publish(self, event: Event) -> None:
        """Deliver *event* at least once, later if need be. Never waits."""
        ...

    def retain(self, leaf: str, payload: str) -> None:
        """Make *payload* the value that a newcomer finds on ``<kit>/<leaf>``. Never waits."""
        ...

    def tell(self, leaf: str, payload: str, *, qos: int = 0, to: Command | None = None) -> None:
        """Say it once to whoever listens now; lost if nobody does. *to* is what it answers."""
        ...

    def announce(self, name: str, payload: str, *, again_on: str) -> None:
        """Retain *payload* on another's topic, again whenever ``online`` is said on *again_on*."""
        ...

    def tend(self) -> None:
        """Called about once a second: send what waits, note what arrived."""
        ...

    @property
    def waiting(self) -> int:
        """Events not yet delivered."""
        ...

    @property
    def dropped(self) -> int:
        """Events given up because too many waited."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say goodbye (``stopped``) and let go, within 2 s."""
        ...


@dataclass(frozen=True, slots=True)
class Access:
    """How to get into a broker; the other sinks need none of it."""

    password: str = field(default="", repr=False)
    ca_file: str = ""
    protocol: str = "auto"
    """``5``, ``3.1.1``, or ``auto``: 5, and 3.1.1 where the broker knows no 5."""
    keepalive_s: int = 15
    cert_file: str = ""
    key_file: str = ""


_SCHEMES = {
    "mqtt": "edge.sinks.mqtt",
    "mqtts": "edge.sinks.mqtt",
    "discover": "edge.sinks.mqtt",
    "jsonl": "edge.sinks.jsonl",
    "console": "edge.sinks.console",
}


def open_sink(
    uri: str,
    *,
    kit: str,
    on_command: OnCommand = lambda *_: None,
    access: Access | None = None,
    outbox: Outbox | None = None,
) -> Sink:
    """Make the sink for a URI: ``mqtt://[user@]host[:port]``, ``mqtts://…``, ``jsonl:-``, ``console:``.

    Events wait in *outbox* where a sink has to wait for its other side; None waits in memory.

    Raises:
        ValueError: the URI is no sink's; the message says why in one line.
    """
    scheme = urlsplit(uri).scheme
    if scheme not in _SCHEMES:
        raise ValueError(f"{uri}: no such sink; known are {', '.join(_SCHEMES)}")
    module = importlib.import_module(_SCHEMES[scheme])
    sink: Sink = module.open(uri, kit=kit, on_command=on_command, access=access or Access(), outbox=outbox)
    return sink


class Lines:
    """What the sinks have in common that print events and nothing else: nothing waits, nobody subscribes."""

    waiting = 0
    dropped = 0

    def __init__(self, out: TextIO, line: Callable[[Event], str]) -> None:
        """Print each event's *line* to *out*, which stays open."""
        self._out, self._line = out, line

    def __enter__(self) -> Lines:
        return self

    def publish(self, event: Event) -> None:
        """Print the line, flushed, so that a pipe sees it at once."""
        print(self._line(event), file=self._out, flush=True)

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
