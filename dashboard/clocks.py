"""What a kit's steady clock is by the wall, once the kit knows: windows told before are placed anew by it.

A kit has no clock battery. Its events carry ``mono_s``, a clock that never jumps, and ``mono_id``, which
names the start of the machine that it counts from. One moment known on both clocks (``suasana.clock.v1``)
places all others.
"""

from __future__ import annotations

from dataclasses import dataclass

from dashboard.database import Database
from edge.events import Clock, Event, parse_time

MOST = 2000
"""Starts of machines that are remembered, over all kits; the oldest are forgotten."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """One moment on both clocks of one start of a kit's machine."""

    kit: str
    mono_id: str
    ahead_s: float
    """Seconds since 1970 minus ``mono_s``."""
    at: float
    """When the kit told it, in seconds since 1970."""


def read_anchor(event: Event, now: float) -> Anchor | None:
    """What a clock event makes known; None where its own time is not to be trusted, or it has no steady one.

    A kit that claims to be ahead of *now*, the dashboard's time, is not believed about the future.

    Raises:
        EventError: the event's time is no time.
    """
    if not isinstance(event.data, Clock) or event.time_quality != "synced":
        return None
    if event.mono_s is None or not event.mono_id:
        return None
    at = min(parse_time(event.at), now)
    return Anchor(event.kit, event.mono_id, at - event.mono_s, at)


class Clocks:
    """The anchors, in a database and in memory. Every method may raise DatabaseError."""

    def __init__(self, database: Database) -> None:
        """Read what is known from *database*, which somebody else closes."""
        self._db = database
        found = database.ask("SELECT kit, mono_id, ahead_s FROM clocks ORDER BY at DESC LIMIT ?", (MOST,))
        self._ahead = {(kit, mono_id): ahead_s for kit, mono_id, ahead_s in reversed(found)}

    def learn(self, anchor: Anchor) -> None:
        """Know it from now on; ``keep`` writes it."""
        self._ahead.pop((anchor.kit, anchor.mono_id), None)
        self._ahead[anchor.kit, anchor.mono_id] = anchor.ahead_s
        while len(self._ahead) > MOST:
            del self._ahead[next(iter(self._ahead))]

    def time_of(self, event: Event) -> float | None:
        """When an event was, in seconds since 1970; None where nothing is known of its steady clock."""
        ahead_s = self._ahead.get((event.kit, event.mono_id)) if event.mono_id else None
        return None if ahead_s is None or event.mono_s is None else event.mono_s + ahead_s

    def keep(self, anchor: Anchor) -> int:
        """Write the anchor, and place the windows anew that nobody could date. Returns how many those were.

        The same anchor again changes nothing: a window is placed by numbers that stay.
        """
        self._db.change(
            "INSERT INTO clocks (kit, mono_id, ahead_s, at) VALUES (?, ?, ?, ?) ON CONFLICT (kit, mono_id)"
            " DO UPDATE SET ahead_s = excluded.ahead_s, at = excluded.at",
            [(anchor.kit, anchor.mono_id, anchor.ahead_s, anchor.at)],
        )
        return self._db.change(
            "UPDATE windows SET ends = mono_s + ?, dated = 1"
            " WHERE kit = ? AND mono_id = ? AND dated = 0 AND mono_s IS NOT NULL",
            [(anchor.ahead_s, anchor.kit, anchor.mono_id)],
        )

    def forget(self, kit: str) -> None:
        """Nothing about a room is known any more."""
        self._ahead = {key: ahead_s for key, ahead_s in self._ahead.items() if key[0] != kit}
