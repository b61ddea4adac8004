"""Between the threads: Mailbox, the one queue, and OpenDevices. The only module with a lock."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from edge.types import StuckError

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """A bounded queue whose writer never waits: when it is full the oldest item goes, and is counted.

    A queue of 30 frames in front of a slow reader would make every frame a second old; ``Mailbox(1)``
    keeps only the newest. Safe for any number of writers and readers; ``oldest`` is for one reader.
    """

    def __init__(self, size: int) -> None:
        """Hold at most *size* items."""
        self._items: deque[Item] = deque(maxlen=size)
        self._changed = threading.Condition()
        self._dropped = 0
        self._in_hand: Item | None = None
        self._woken = False

    def put(self, item: Item) -> Item | None:
        """Add *item*, at the cost of the oldest if there is no room. Returns the one that had to go."""
        with self._changed:
            full = len(self._items) == self._items.maxlen
            gone = self._items[0] if full else None
            self._dropped += full
            self._items.append(item)
            self._changed.notify()
            return gone

    def get(self, *, timeout_s: float) -> Item | None:
        """Take the oldest item; None when there was none for *timeout_s*, or the reader was woken."""
        with self._changed:
            self._in_hand = None
            if timeout_s > 0:
                self._changed.wait_for(lambda: self._items or self._woken, timeout_s)
                self._woken = False
            self._in_hand = self._items.popleft() if self._items else None
            return self._in_hand

    def wake(self) -> None:
        """Have the reader wait no longer, now or when it waits next: there is something else for it to do."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    @property
    def oldest(self) -> Item | None:
        """What the reader works on, until it asks for the next item, or else the oldest item that waits."""
        with self._changed:
            if self._in_hand is None and self._items:
                return self._items[0]
            return self._in_hand

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


class Hold:
    """One device while it is open."""

    def __init__(self, close: Callable[[], None]) -> None:
        """*close* ends the device's iteration, from any thread."""
        self._close = close
        self.dismissed = False
        """Whether somebody asked for the device to be closed, so that its end is not the source's."""
        self.stuck: StuckError | None = None
        """The driver that did not return: the block is left, but the device is not released."""

    def dismiss(self) -> None:
        """Ask for the device to be closed."""
        self.dismissed = True
        self._close()


class OpenDevices:
    """Which devices are open: from just before one is opened until it was released, whatever was wished."""

    def __init__(self, told: Callable[[bool], None] = lambda _: None) -> None:
        """*told* hears, in order and before any device is opened, whether one or more are open."""
        self._told = told
        self._holds: dict[str, Hold] = {}
        self._lock = threading.Lock()

    @contextmanager
    def hold(self, name: str, close: Callable[[], None]) -> Iterator[Hold]:
        """Count *name* as open for the length of the block, which opens and releases it.

        When the block ends with a StuckError it stays open until ``look`` finds that the driver returned.
        """
        hold = Hold(close)
        self._change(name, None, hold)
        try:
            yield hold
        except StuckError as stuck:
            hold.stuck = stuck
            raise
        finally:
            if hold.stuck is None:
                self._change(name, hold, None)

    def look(self) -> None:
        """Notice drivers that returned late."""
        for name, hold in list(self._holds.items()):
            if hold.stuck is not None and hold.stuck.freed:
                self._change(name, hold, None)

    def dismiss(self, name: str) -> None:
        """Ask for the device to be closed if it is open. Never waits; safe from any thread."""
        hold = self._holds.get(name)
        if hold is not None:
            hold.dismiss()

    def __contains__(self, name: str) -> bool:
        return name in self._holds

    def _change(self, name: str, old: Hold | None, new: Hold | None) -> None:
        with self._lock:
            before = bool(self._holds)
            if new is not None:
                self._holds[name] = new
            elif self._holds.get(name) is old:
                self._holds.pop(name, None)
            if bool(self._holds) != before:
                self._told(bool(self._holds))
