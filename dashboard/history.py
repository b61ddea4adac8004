"""The lesson so far and the weeks before: closed mood windows in one SQLite file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.events import Event, EventError, MoodWindow, parse_time

SCHEMA = """
CREATE TABLE IF NOT EXISTS windows (
  id TEXT PRIMARY KEY,
  kit TEXT NOT NULL, boot_id TEXT NOT NULL, seq INTEGER NOT NULL,
  ends REAL NOT NULL,            -- seconds since 1970, see place()
  window_s REAL NOT NULL,
  mood TEXT, suppressed TEXT, confidence REAL NOT NULL, people INTEGER NOT NULL,
  shares TEXT NOT NULL,          -- JSON
  UNIQUE (kit, boot_id, seq)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS windows_by_time ON windows (kit, ends);
CREATE INDEX IF NOT EXISTS windows_by_age ON windows (ends);
PRAGMA user_version = 1;
"""
VERSION = 1
DAY_S = 86_400.0
MOST_ROWS = 5000
"""In one answer: nearly seven hours of five-second windows."""


class HistoryError(Exception):
    """The file cannot be used; the message says why in one line."""


@dataclass(frozen=True, slots=True)
class Row:
    """One window with its place in time."""

    event: Event
    ends: float
    """Seconds since 1970."""

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


def place(event: Event, now: float) -> float:
    """Where an event belongs in time, in seconds since 1970.

    A kit has no clock battery. Its own time counts when it is synchronised, or when the event waited in the
    outbox and nothing better is known; otherwise it is as new as its arrival. Nothing lies in the future.

    Raises:
        EventError: the event's time is no time.
    """
    own = parse_time(event.at)
    if event.time_quality == "synced" or event.replayed:
        return min(own, now)
    return now


class History:
    """One connection to one file, to be used by one thread at a time. Every method may raise HistoryError."""

    def __init__(self, path: Path) -> None:
        """Open or make the file at *path*.

        Raises:
            HistoryError: it cannot be opened, is no database or comes from a newer version.
        """
        self._path = path
        with self._told():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, check_same_thread=False)
        try:
            with self._told():
                self._prepare()
        except HistoryError:
            self._db.close()
            raise

    def add(self, rows: Iterable[Row]) -> int:
        """Keep mood windows; what is known already is left as it is. Returns how many were new."""
        values = [_values(row) for row in rows]
        before = self._db.total_changes
        with self._told(), self._db:
            self._db.executemany(f"INSERT OR IGNORE INTO windows VALUES ({','.join('?' * 11)})", values)  # noqa: S608
        return self._db.total_changes - before

    def windows(self, kit: str, since: float, until: float) -> list[dict[str, Any]]:
        """Windows of *kit* that end in since..until (seconds since 1970), oldest first.

        Returns:
            The newest MOST_ROWS of them, each as Row.view tells it.
        """
        with self._told():
            found = self._db.execute(
                "SELECT ends, window_s, mood, suppressed, confidence, people, shares FROM windows"
                " WHERE kit = ? AND ends BETWEEN ? AND ? ORDER BY ends DESC, seq DESC LIMIT ?",
                (kit, since, until, MOST_ROWS),
            ).fetchall()
        names = ("ends", "window_s", "mood", "suppressed", "confidence", "people")
        return [
            dict(zip(names, row[:-1], strict=True)) | {"shares": json.loads(row[-1])}
            for row in reversed(found)
        ]

    def forget(self, before: float) -> int:
        """Delete windows that ended before this time. Returns how many."""
        with self._told(), self._db:
            return self._db.execute("DELETE FROM windows WHERE ends < ?", (before,)).rowcount

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _prepare(self) -> None:
        version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if version > VERSION:
            raise HistoryError(f"{self._path}: written by a newer version of the dashboard")
        # A power cut may cost the last second; it never damages the file, and an SD card lasts longer.
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(SCHEMA)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Whatever goes wrong with the file, in one line."""
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise HistoryError(f"{self._path}: {error}") from error


def _values(row: Row) -> tuple[Any, ...]:
    event, data = row.event, row.event.data
    if not isinstance(data, MoodWindow):
        raise EventError("only mood windows are kept")
    shares = json.dumps(dict(data.shares), separators=(",", ":"))
    stamp = (event.id, event.kit, event.boot_id, event.seq, row.ends, data.window_s)
    return (*stamp, data.mood, data.suppressed, data.confidence, data.people, shares)
