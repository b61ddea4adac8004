"""Events wait here until the broker has acknowledged them: on disk, or in memory where nothing may stay.

An event is written once, as the JSON that is going to be sent, and never changes: whoever gets it twice
gets the same bytes, the ``replayed`` flag apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from edge.events import Event, Previous

Keeping = Literal["disk", "memory"]


@dataclass(frozen=True, slots=True)
class Letter:
    """An event that waits."""

    id: str
    body: str
    """The event's JSON as it was first written."""


class Outbox(Protocol):
    """Bounded, ordered, drop-oldest. Owned by one thread; no method raises because of the disk."""

    def open(self) -> None:
        """Take up what an earlier run left."""
        ...

    def put(self, event: Event) -> None:
        """Keep *event* until it is done; at the cost of the oldest if there is no room."""
        ...

    def oldest(self, count: int) -> Sequence[Letter]:
        """The first *count* events that are not done, in order."""
        ...

    def done(self, id: str) -> None:
        """The broker has it. An unknown id is no error: it may have been dropped meanwhile."""
        ...

    def tend(self) -> None:
        """Called about once a second: write, commit and drop what is due."""
        ...

    def close(self) -> None:
        """The run ends as it should."""
        ...

    def __len__(self) -> int: ...

    @property
    def dropped(self) -> int:
        """Events given up for want of room or lost to a damaged file, in earlier runs too."""
        ...

    @property
    def damaged(self) -> int:
        """Files that were found damaged and set aside, in earlier runs too."""
        ...

    @property
    def keeping(self) -> Keeping:
        """Where a new event goes now."""
        ...

    @property
    def previous(self) -> Previous | None:
        """What is known about the run before this one; None where nothing is."""
        ...
