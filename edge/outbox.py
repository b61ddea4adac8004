"""Events wait here until the broker has acknowledged them. The seam for the outbox on disk."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Protocol

from edge.events import Event


class Outbox(Protocol):
    """Bounded, ordered, drop-oldest. Owned by one thread."""

    def put(self, event: Event) -> None:
        """Keep *event* until it is done; at the cost of the oldest if there is no room."""
        ...

    def oldest(self, count: int) -> Iterator[Event]:
        """The first *count* events that are not done, in order; putting or finishing meanwhile is fine."""
        ...

    def done(self, id: str) -> None:
        """The broker has it. An unknown id is no error: it may have been dropped meanwhile."""
        ...

    def __len__(self) -> int: ...

    @property
    def dropped(self) -> int:
        """Events given up since the start."""
        ...


class MemoryOutbox:
    """An outbox that a restart empties."""

    def __init__(self, size: int = 2000) -> None:
        """Hold at most *size* events: nearly three hours of five-second windows."""
        self._events: dict[str, Event] = {}
        self._size = size
        self.dropped = 0

    def put(self, event: Event) -> None:
        """See Outbox."""
        if len(self._events) >= self._size:
            del self._events[next(iter(self._events))]
            self.dropped += 1
        self._events[event.id] = event

    def oldest(self, count: int) -> Iterator[Event]:
        """See Outbox."""
        return iter(list(islice(self._events.values(), count)))

    def done(self, id: str) -> None:
        """See Outbox."""
        self._events.pop(id, None)

    def __len__(self) -> int:
        return len(self._events)
