"""Mailbox: the one queue between lanes, and the only module with a lock."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """A bounded queue whose writer never waits: when it is full the oldest item goes, and is counted.

    A queue of 30 frames in front of a slow reader would make every frame a second old; ``Mailbox(1)``
    keeps only the newest. Safe for any number of writers and readers.
    """

    def __init__(self, size: int) -> None:
        """Hold at most *size* items."""
        self._items: deque[Item] = deque(maxlen=size)
        self._changed = threading.Condition()
        self._dropped = 0

    def put(self, item: Item) -> None:
        """Add *item*, at the cost of the oldest if there is no room."""
        with self._changed:
            self._dropped += len(self._items) == self._items.maxlen
            self._items.append(item)
            self._changed.notify()

    def get(self, *, timeout_s: float) -> Item | None:
        """Take the oldest item; None when there was none for *timeout_s*."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._items, timeout_s):
                return None
            return self._items.popleft()

    def clear(self) -> None:
        """Forget everything held; it does not count as dropped."""
        with self._changed:
            self._items.clear()

    @property
    def dropped(self) -> int:
        """Items lost to newer ones since the start."""
        return self._dropped

    def __len__(self) -> int:
        return len(self._items)
