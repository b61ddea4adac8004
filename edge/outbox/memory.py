"""An outbox that a restart empties: for the demo, and wherever nothing may stay."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from edge.events import Event, Previous
from edge.outbox import Keeping, Letter


class MemoryOutbox:
    """See Outbox."""

    keeping: Keeping = "memory"
    previous: Previous | None = None
    damaged = 0

    def __init__(self, size: int = 2000) -> None:
        """Hold at most *size* events: nearly three hours of five-second windows."""
        self._letters: dict[str, Letter] = {}
        self._size = size
        self.dropped = 0

    def open(self) -> None:
        """Nothing was left."""

    def put(self, event: Event) -> None:
        """See Outbox."""
        if len(self._letters) >= self._size:
            del self._letters[next(iter(self._letters))]
            self.dropped += 1
        self._letters[event.id] = Letter(event.id, event.to_json())

    def oldest(self, count: int) -> Sequence[Letter]:
        """See Outbox."""
        return list(islice(self._letters.values(), count))

    def done(self, id: str) -> None:
        """See Outbox."""
        self._letters.pop(id, None)

    def tend(self) -> None:
        """Nothing is due."""

    def close(self) -> None:
        """Nothing stays."""

    def __len__(self) -> int:
        return len(self._letters)
