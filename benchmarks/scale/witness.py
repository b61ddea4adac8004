"""What was stored and shown: read from the database by plain SQL, and from a page's stream as a browser does.

Nothing here is imported from the kit or the dashboard. What was made is known from the simulator's ledger.
"""

from __future__ import annotations

import http.client
import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Key = tuple[str, str, int]
LOOK_EVERY_S = 0.1
"""How often the database is asked what is new; times of storing are as rough as this."""
LOOK_BACK_S = 5.0
"""How long before the first look a window may have ended and still be noticed."""
OUT_OF_ORDER_S, OUT_OF_ORDER = 3.0, 20
"""A kit's windows are stored in their order, but for so many that two ingesters have at the same time."""
PARTS = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class Made:
    """One event by the ledger."""

    key: Key
    window: bool
    at: str
    closed: float
    """Seconds since 1970, when the window was closed and the event went into the outbox."""


class Ledger:
    """What the simulated kits wrote down, read as it grows; a last line that is torn waits for its rest."""

    def __init__(self, *paths: Path) -> None:
        """Read the files at *paths*, which may be made later."""
        self.made: list[Made] = []
        self.acknowledged: list[tuple[float, float]] = []
        """When each acknowledged event was made, and how long (s) it waited for that."""
        self._read_to = dict.fromkeys(paths, 0)

    def read(self) -> Ledger:
        """What is new."""
        for path in self._read_to:
            if path.exists():
                self._read(path)
        return self

    def _read(self, path: Path) -> None:
        with path.open("rb") as file:
            file.seek(self._read_to[path])
            lines = file.read()
        whole = lines[: lines.rfind(b"\n") + 1]
        self._read_to[path] += len(whole)
        for line in whole.splitlines():
            one = json.loads(line)
            if "seq" in one:
                key = (one["kit"], one["boot_id"], one["seq"])
                self.made.append(Made(key, one["type"] == "suasana.mood.v1", one["at"], one["closed"]))
            else:
                self.acknowledged.append((one["acknowledged"] - one["waited_s"], one["waited_s"]))


def stored_in_district(url: str) -> Counter[Key]:
    """How often each event is in the tables, by a reader of its own."""
    import psycopg  # noqa: PLC0415 -- an optional driver

    both = (
        "SELECT kit, boot_id, seq FROM suasana.windows"
        " UNION ALL SELECT kit, boot_id, seq FROM suasana.happenings"
    )
    with closing(psycopg.connect(url)) as db:
        return Counter((kit, boot_id, int(seq)) for kit, boot_id, seq in db.execute(both))


def stored_in_file(path: Path) -> Counter[Key]:
    """The same of a page's own SQLite file, which keeps windows only."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        found = db.execute("SELECT kit, boot_id, seq FROM windows").fetchall()
    return Counter((kit, boot_id, int(seq)) for kit, boot_id, seq in found)


@dataclass(frozen=True, slots=True)
class Count:
    """What was made against what is stored."""

    made: int
    stored: int
    lost: int
    doubled: int
    unmade: int
    """Stored, and nobody made it."""

    @property
    def holds(self) -> bool:
        """Nothing lost, nothing doubled."""
        return not (self.lost or self.doubled or self.unmade)


def compare(made: Iterable[Made], stored: Mapping[Key, int], *, windows_only: bool) -> Count:
    """Count by (kit, boot_id, seq)."""
    keys = {one.key for one in made if one.window or not windows_only}
    return Count(
        made=len(keys),
        stored=len(stored),
        lost=len(keys - stored.keys()),
        doubled=sum(times - 1 for times in stored.values()),
        unmade=len(stored.keys() - keys),
    )


class Watcher:
    """A thread that notes when something was there for the first time."""

    def __init__(self) -> None:
        """Not yet watching."""
        self.seen: dict[Any, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def covers(self, kit: str) -> bool:  # noqa: ARG002 -- all, if nobody says otherwise
        """Whether *kit*'s windows are looked for."""
        return True

    def _watch(self) -> None:
        raise NotImplementedError


class FileWatcher(Watcher):
    """Windows that appear in a page's SQLite file."""

    def __init__(self, path: Path) -> None:
        """Watch the file at *path*, which may be made later."""
        super().__init__()
        self._path = path

    def _watch(self) -> None:
        newest = 0
        while not self._stop.wait(LOOK_EVERY_S):
            with (
                suppress(sqlite3.Error),
                closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)) as db,
            ):
                sql = "SELECT rowid, kit, boot_id, seq FROM windows WHERE rowid > ? ORDER BY rowid"
                found, now = db.execute(sql, (newest,)).fetchall(), time.time()
                for row, kit, boot_id, seq in found:
                    newest = row
                    self.seen.setdefault((kit, boot_id, int(seq)), now)


class TableWatcher(Watcher):
    """Windows of some kits that appear in the district's tables; asking for all would be a load in itself."""

    def __init__(self, url: str, kits: Sequence[str], stranger: Callable[[int], None]) -> None:
        """Watch the database at *url*, also while it is away; *stranger* hears who serves us there."""
        super().__init__()
        self._url, self._kits, self._stranger = url, list(kits), stranger

    def covers(self, kit: str) -> bool:
        return kit in self._kits

    def _watch(self) -> None:
        import psycopg  # noqa: PLC0415

        sql = (
            "SELECT w.kit, w.boot_id, w.seq, w.ends, w.window_s"
            " FROM unnest(%s::text[], %s::float8[]) AS known (kit, since)"
            " JOIN suasana.windows w ON w.kit = known.kit AND w.ends > known.since"
        )
        since = dict.fromkeys(self._kits, time.time() - LOOK_BACK_S)
        while not self._stop.wait(LOOK_EVERY_S):
            with suppress(psycopg.Error), closing(psycopg.connect(self._url, autocommit=True)) as db:
                self._stranger(db.info.backend_pid)
                while not self._stop.wait(LOOK_EVERY_S):
                    found = db.execute(sql, (list(since), list(since.values()))).fetchall()
                    now = time.time()
                    for kit, boot_id, seq, ends, window_s in found:
                        self.seen.setdefault((kit, boot_id, int(seq)), now)
                        since[kit] = max(since[kit], ends - OUT_OF_ORDER_S - OUT_OF_ORDER * window_s)


class StreamWatcher(Watcher):
    """Windows that a page shows, as server-sent events, by kit and the end of the window."""

    def __init__(self, port: int) -> None:
        """Watch the page at *port*."""
        super().__init__()
        self._port = port

    def _watch(self) -> None:
        while not self._stop.is_set():
            with suppress(OSError, http.client.HTTPException):
                self._read()
            self._stop.wait(0.5)

    def _read(self) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)) as connection:
            connection.request("GET", "/api/stream")
            with connection.getresponse() as answer:
                self._note(answer)

    def _note(self, answer: http.client.HTTPResponse) -> None:
        name = ""
        while not self._stop.is_set():
            line = answer.readline().decode("utf-8").rstrip("\n")
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: ") and name == "window":
                value = json.loads(line.removeprefix("data: "))
                self.seen.setdefault((value["kit"], round(value["ends"], 3)), time.time())


def waits_ms(closed: Mapping[Any, float], seen: Mapping[Any, float]) -> dict[str, float]:
    """From a window's closing until it was seen: quantiles over what was, in milliseconds."""
    return quantiles_ms(at - closed[key] for key, at in seen.items() if key in closed)


def quantiles_ms(waits_s: Iterable[float]) -> dict[str, float]:
    """Of waits in seconds, in milliseconds; empty if there are none."""
    waits = sorted(wait * 1000 for wait in waits_s)
    if not waits:
        return {}
    found = {
        name: round(waits[min(len(waits) - 1, int(part * len(waits)))], 1) for name, part in PARTS.items()
    }
    return {"windows": len(waits), **found}


@dataclass
class Stopwatch:
    """When each window closed, by what the database and the stream know it by."""

    by_key: dict[Key, float] = field(default_factory=dict)
    by_end: dict[tuple[str, float], float] = field(default_factory=dict)

    def read(self, made: Sequence[Made], parse: Any) -> Stopwatch:
        """From the ledger; *parse* reads a time in RFC 3339 as seconds since 1970."""
        for one in made:
            if one.window:
                self.by_key[one.key] = one.closed
                self.by_end[one.key[0], round(parse(one.at), 3)] = one.closed
        return self
