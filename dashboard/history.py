"""The lesson so far and the weeks before: closed mood windows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timezone
from typing import Any

from dashboard.database import ROOM_DATA, Database
from edge.events import Event, EventError, MoodWindow, parse_time

DAY_S = 86_400.0
LATEST_S = 253_402_300_799.0
"""The end of the year 9999, the last date that there is."""
MOST_ROWS = 5000
"""In one answer: nearly seven hours of five-second windows."""
MOST_A_DAY = 90_000
"""Read at once for an export: a day of one-second windows."""
KEPT = (
    *("id", "kit", "boot_id", "seq", "ends", "window_s", "mood", "suppressed", "confidence", "people"),
    *("shares", "mono_s", "mono_id", "dated", "came"),
)
OUTDATED = "ends < ? AND (dated = 1 OR COALESCE(came, ends) < ?)"
COLUMNS = ("ends", "window_s", "mood", "suppressed", "confidence", "people")


@dataclass(frozen=True, slots=True)
class Row:
    """One window with its place in time."""

    event: Event
    ends: float
    """Seconds since 1970."""
    dated: bool = True
    """Whether the kit knew the time; otherwise it is placed anew once it does."""
    came: float | None = None
    """Seconds since 1970 at which it was told."""

    def view(self) -> dict[str, Any]:
        """Plain JSON values, the same as History.windows tells."""
        data = self.event.data
        assert isinstance(data, MoodWindow)
        return {
            "ends": self.ends,
            "window_s": data.window_s,
            "mood": data.mood,
            "suppressed": data.suppressed,
            "confidence": data.confidence,
            "people": data.people,
            "shares": dict(data.shares),
        }


def locate(event: Event, now: float, known: float | None = None) -> Row:
    """The event with its place in time.

    A kit has no clock battery. Its own time counts when it is synchronised; else what is *known* by its
    steady clock (Clocks.time_of); else its own time if it waited in the outbox, and its arrival if it did
    not. Nothing lies in the future.

    Raises:
        EventError: the event's time is no time.
    """
    own = parse_time(event.at)
    if event.time_quality == "synced":
        return Row(event, min(own, now), came=now)
    if known is not None:
        return Row(event, min(known, now), came=now)
    return Row(event, min(own, now) if event.replayed else now, dated=False, came=now)


class History:
    """The windows in a database. Every method may raise DatabaseError."""

    def __init__(self, database: Database) -> None:
        """Use *database*, which somebody else closes."""
        self._db = database

    def add(self, rows: Iterable[Row]) -> int:
        """Keep mood windows; what is known already is left as it is. Returns how many were new.

        None of them where the database is shared: there the ingesters keep them.
        """
        if self._db.shared:
            return 0
        values = [_values(row) for row in rows]
        marks = ",".join("?" * len(KEPT))
        return self._db.change(
            f"INSERT INTO windows ({', '.join(KEPT)}) VALUES ({marks}) ON CONFLICT DO NOTHING",  # noqa: S608
            values,
        )

    def windows(self, kit: str, since: float, until: float, most: int = MOST_ROWS) -> list[dict[str, Any]]:
        """Windows of *kit* that end in since..until (seconds since 1970), oldest first.

        Returns:
            The newest *most* of them, each as Row.view tells it.
        """
        days, which = _days(since, until) if self._db.shared else ((), "")
        found = self._db.ask(
            f"SELECT {', '.join(COLUMNS)}, shares FROM windows"  # noqa: S608 -- names of our own
            f" WHERE kit = ? AND ends BETWEEN ? AND ?{which} ORDER BY ends DESC, seq DESC LIMIT ?",
            (kit, since, until, *days, most),
        )
        return [
            dict(zip(COLUMNS, row[:-1], strict=True)) | {"shares": json.loads(row[-1])}
            for row in reversed(found)
        ]

    def stretch(self, kit: str, since: float, until: float) -> Iterator[dict[str, Any]]:
        """As ``windows``, but all of them, and no more than a day of them in memory."""
        while since <= until:
            yield from self.windows(kit, since, min(since + DAY_S - 1e-6, until), MOST_A_DAY)
            since += DAY_S

    def kits(self) -> list[str]:
        """Every kit that windows are known of."""
        if self._db.shared:  # a look at every day of a district would take long, and it knows its kits
            return [row[0] for row in self._db.ask("SELECT kit FROM suasana.kits ORDER BY kit")]
        return [row[0] for row in self._db.ask("SELECT DISTINCT kit FROM windows ORDER BY kit")]

    def forget(self, before: float) -> int:
        """Delete what is about rooms and older than this time. Returns how many windows that were.

        A window whose kit did not know the time may say 1970: until it is placed, its arrival counts.
        """
        for table, column in (("lessons", "starts"), ("notes", "at"), ("alerts", "starts"), ("clocks", "at")):
            self._db.change(f"DELETE FROM {table} WHERE {column} < ?", [(before,)])  # noqa: S608
        return self._db.change(f"DELETE FROM windows WHERE {OUTDATED}", [(before, before)])  # noqa: S608

    def wipe(self, kit: str) -> None:
        """Delete everything about one room, at once and for good."""
        self._db.together(*((f"DELETE FROM {table} WHERE kit = ?", (kit,)) for table in ROOM_DATA))  # noqa: S608
        self._db.tidy()


def _days(since: float, until: float) -> tuple[tuple[date, date], str]:
    """Where a district's partitions by day need not be looked into: only in those around the time asked for.

    A kit's clock may be ahead by up to a day; whose time was not known lies in a partition of its own.
    """
    first, last = (
        datetime.fromtimestamp(min(max(at, 0.0), LATEST_S), timezone.utc).date()
        for at in (since, until + DAY_S)
    )
    return (first, last), " AND (day = DATE '1970-01-01' OR day BETWEEN ? AND ?)"


def _values(row: Row) -> tuple[Any, ...]:
    event, data = row.event, row.event.data
    if not isinstance(data, MoodWindow):
        raise EventError("only mood windows are kept")
    shares = json.dumps(dict(data.shares), separators=(",", ":"))
    stamp = (event.id, event.kit, event.boot_id, event.seq, row.ends, data.window_s)
    reading = (data.mood, data.suppressed, data.confidence, data.people, shares)
    return (*stamp, *reading, event.mono_s, event.mono_id, int(row.dated), row.came)
