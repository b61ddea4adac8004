"""Where the dashboard keeps what it knows: one SQLite file, or PostgreSQL by URL. The same SQL runs on both.

A Database is used by one thread at a time; Disk is that thread, for callers on the event loop.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

VERSION = 4
"""Of the tables. Version 1 had the windows only, version 2 no steady clocks, version 3 no arrivals."""

WINDOWS = (
    """CREATE TABLE IF NOT EXISTS windows (
  id TEXT PRIMARY KEY,
  kit TEXT NOT NULL, boot_id TEXT NOT NULL, seq BIGINT NOT NULL,
  ends DOUBLE PRECISION NOT NULL,            -- seconds since 1970, see history.locate()
  window_s DOUBLE PRECISION NOT NULL,
  mood TEXT, suppressed TEXT, confidence DOUBLE PRECISION NOT NULL, people BIGINT NOT NULL,
  shares TEXT NOT NULL,                      -- JSON
  mono_s DOUBLE PRECISION, mono_id TEXT NOT NULL DEFAULT '',   -- the end by the kit's steady clock
  dated BIGINT NOT NULL DEFAULT 1,           -- 0: nobody knew the time; placed anew once the kit knows
  came DOUBLE PRECISION,                     -- by the dashboard's clock: how long an undated one is kept
  UNIQUE (kit, boot_id, seq)
)""",
    "CREATE INDEX IF NOT EXISTS windows_by_time ON windows (kit, ends)",
    "CREATE INDEX IF NOT EXISTS windows_by_age ON windows (ends)",
)
"""In a district `windows` is a view of what ingesters write; see dashboard.district."""

TABLES = (
    """CREATE TABLE IF NOT EXISTS clocks (
  kit TEXT NOT NULL, mono_id TEXT NOT NULL, ahead_s DOUBLE PRECISION NOT NULL, at DOUBLE PRECISION NOT NULL,
  PRIMARY KEY (kit, mono_id)
)""",
    """CREATE TABLE IF NOT EXISTS choices (name TEXT PRIMARY KEY, value TEXT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS accounts (
  name TEXT PRIMARY KEY, role TEXT NOT NULL, kits TEXT NOT NULL, hash TEXT NOT NULL,
  made_at DOUBLE PRECISION NOT NULL
)""",
    """CREATE TABLE IF NOT EXISTS sessions (
  digest TEXT PRIMARY KEY, account TEXT NOT NULL, csrf TEXT NOT NULL, until DOUBLE PRECISION NOT NULL
)""",
    """CREATE TABLE IF NOT EXISTS audit (
  seq BIGINT PRIMARY KEY, at DOUBLE PRECISION NOT NULL, account TEXT NOT NULL, role TEXT NOT NULL,
  deed TEXT NOT NULL, kit TEXT NOT NULL, about TEXT NOT NULL
)""",
    """CREATE TABLE IF NOT EXISTS lessons (
  id TEXT PRIMARY KEY, kit TEXT NOT NULL, title TEXT NOT NULL,
  starts DOUBLE PRECISION NOT NULL, ends DOUBLE PRECISION,   -- no end: it is going on
  origin TEXT NOT NULL,                      -- hand, or the name of its plan
  consent BIGINT NOT NULL                    -- 1: may be used for research
)""",
    "CREATE INDEX IF NOT EXISTS lessons_by_time ON lessons (kit, starts)",
    """CREATE TABLE IF NOT EXISTS notes (
  id TEXT PRIMARY KEY, kit TEXT NOT NULL, at DOUBLE PRECISION NOT NULL, account TEXT NOT NULL,
  text TEXT NOT NULL
)""",
    "CREATE INDEX IF NOT EXISTS notes_by_time ON notes (kit, at)",
    """CREATE TABLE IF NOT EXISTS feedback (
  kit TEXT NOT NULL, model TEXT NOT NULL, shown TEXT NOT NULL, meant TEXT NOT NULL, times BIGINT NOT NULL,
  PRIMARY KEY (kit, model, shown, meant)
)""",
    """CREATE TABLE IF NOT EXISTS alerts (
  id TEXT PRIMARY KEY, kit TEXT NOT NULL, rule TEXT NOT NULL, label TEXT NOT NULL,
  starts DOUBLE PRECISION NOT NULL, ends DOUBLE PRECISION
)""",
    "CREATE INDEX IF NOT EXISTS alerts_by_time ON alerts (kit, starts)",
)

NEWER = (
    ("mono_s", "DOUBLE PRECISION"),
    ("mono_id", "TEXT NOT NULL DEFAULT ''"),
    ("dated", "BIGINT NOT NULL DEFAULT 1"),
    ("came", "DOUBLE PRECISION"),
)
"""Columns of windows that older versions did not have; nothing can date what they kept any better."""

UNDATED = "CREATE INDEX IF NOT EXISTS windows_undated ON windows (kit, mono_id) WHERE dated = 0"
"""Behind the columns it needs; mostly empty."""

ROOM_DATA = ("windows", "clocks", "lessons", "notes", "feedback", "alerts")
"""Tables about a room, which retention and wiping empty; all have a column ``kit``."""

Found = TypeVar("Found")


class DatabaseError(Exception):
    """The database cannot be used; the message says why in one line."""


class Database(Protocol):
    """What both kinds do. Every method may raise DatabaseError."""

    shared: bool
    """Somebody else writes the windows: the ingesters of a district."""

    def ask(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows that *sql* finds; ``?`` stands for each of *values*."""
        ...

    def change(self, sql: str, rows: Iterable[Sequence[Any]] = ((),)) -> int:
        """Run *sql* once per row, all of it or nothing. Returns how many rows of the table changed."""
        ...

    def together(self, *changes: tuple[str, Sequence[Any]]) -> None:
        """Several changes, all of them or none."""
        ...

    def tidy(self) -> None:
        """Make sure that what was deleted is gone from the disk too, as far as the database can."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


def open_database(where: Path | str) -> Database:
    """A file at a path, or ``postgresql://…``; the tables are made where they are missing.

    Raises:
        DatabaseError: it cannot be opened, is no database or comes from a newer version.
    """
    if isinstance(where, str):
        if urlsplit(where).scheme not in {"postgresql", "postgres"}:
            raise DatabaseError("not a database's address; give postgresql://[user@]host[:port]/name")
        return Postgres(where)
    return Sqlite(where)


class Sqlite:
    """One file. See Database."""

    shared = False

    def __init__(self, path: Path) -> None:
        """Open or make the file at *path*."""
        self._path = path
        with self._told():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, check_same_thread=False)
        try:
            with self._told():
                self._prepare()
        except DatabaseError:
            self._db.close()
            raise

    def ask(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """See Database."""
        with self._told():
            return self._db.execute(sql, values).fetchall()

    def change(self, sql: str, rows: Iterable[Sequence[Any]] = ((),)) -> int:
        """See Database."""
        with self._told(), self._db:
            return max(0, self._db.executemany(sql, rows).rowcount)

    def together(self, *changes: tuple[str, Sequence[Any]]) -> None:
        """See Database."""
        with self._told(), self._db:
            for sql, values in changes:
                self._db.execute(sql, values)

    def tidy(self) -> None:
        """Empty the write-ahead log, which still holds the old pages."""
        with self._told():
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """See Database."""
        self._db.close()

    def _prepare(self) -> None:
        version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if version > VERSION:
            raise DatabaseError(f"{self._path}: written by a newer version of the dashboard")
        # A power cut may cost the last second; it never damages the file, and an SD card lasts longer.
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA secure_delete = ON")  # what is wiped is overwritten, not only unlinked
        for table in (*WINDOWS, *TABLES):
            self._db.execute(table)
        there = {row[1] for row in self._db.execute("PRAGMA table_info(windows)")}
        for name, type in NEWER:
            if name not in there:
                self._db.execute(f"ALTER TABLE windows ADD COLUMN {name} {type}")
        self._db.execute(UNDATED)
        for deed in ("UPDATE", "DELETE"):
            self._db.execute(
                f"CREATE TRIGGER IF NOT EXISTS audit_no_{deed.lower()} BEFORE {deed} ON audit"
                " BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END"
            )
        self._db.execute(f"PRAGMA user_version = {VERSION}")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Whatever goes wrong with the file, in one line."""
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise DatabaseError(f"{self._path}: {error}") from error


class Postgres:
    """A schema of a PostgreSQL database. A connection that broke is made anew. See Database."""

    def __init__(self, url: str) -> None:
        """Connect to *url*; a password belongs into PGPASSWORD or ~/.pgpass."""
        try:
            import psycopg  # noqa: PLC0415 -- an optional driver
        except ImportError as error:
            raise DatabaseError("PostgreSQL needs psycopg: pip install 'suasana[postgres]'") from error
        parts = urlsplit(url)
        self._driver, self._url = psycopg, url
        self._shown = f"postgresql://{parts.hostname or ''}{parts.path}"
        with self._told():
            self._db = self._connect()
        try:
            with self._told(), self._db.transaction():
                self._prepare()
        except DatabaseError:
            self._db.close()
            raise

    def ask(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """See Database."""
        with self._told(), self._alive().transaction():
            found: list[tuple[Any, ...]] = self._db.execute(_percent(sql), values).fetchall()
            return found

    def change(self, sql: str, rows: Iterable[Sequence[Any]] = ((),)) -> int:
        """See Database."""
        with self._told(), self._alive().transaction(), self._db.cursor() as cursor:
            cursor.executemany(_percent(sql), rows)
            return max(0, int(cursor.rowcount))

    def together(self, *changes: tuple[str, Sequence[Any]]) -> None:
        """See Database."""
        with self._told(), self._alive().transaction():
            for sql, values in changes:
                self._db.execute(_percent(sql), values)

    def close(self) -> None:
        """See Database."""
        with suppress(self._driver.Error):
            self._db.close()

    def tidy(self) -> None:
        """Nothing to do: the server's autovacuum clears what was deleted."""

    def _connect(self) -> Any:
        return self._driver.connect(self._url, connect_timeout=10, autocommit=True)

    def _alive(self) -> Any:
        if self._db.closed or self._db.broken:
            self._db = self._connect()
        return self._db

    def _prepare(self) -> None:
        self._db.execute("CREATE TABLE IF NOT EXISTS version (number BIGINT NOT NULL)")
        found = self._db.execute("SELECT MAX(number) FROM version").fetchone()
        if found[0] is not None and found[0] > VERSION:
            raise DatabaseError(f"{self._shown}: written by a newer version of the dashboard")
        found_windows = self._db.execute("SELECT relkind FROM pg_class WHERE oid = to_regclass('windows')")
        self.shared = (found_windows.fetchone() or ("r",))[0] == "v"
        for table in TABLES if self.shared else (*WINDOWS, *TABLES):
            self._db.execute(table)
        if not self.shared:
            for name, type in NEWER:
                self._db.execute(f"ALTER TABLE windows ADD COLUMN IF NOT EXISTS {name} {type}")
            self._db.execute(UNDATED)
        self._db.execute(
            "CREATE OR REPLACE FUNCTION audit_only_grows() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'the audit log only grows'; END $$"
        )
        self._db.execute("DROP TRIGGER IF EXISTS audit_only_grows ON audit")
        self._db.execute(
            "CREATE TRIGGER audit_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON audit"
            " FOR EACH STATEMENT EXECUTE FUNCTION audit_only_grows()"
        )
        if found[0] != VERSION:
            self._db.execute("INSERT INTO version VALUES (%s)", (VERSION,))

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Whatever goes wrong, in one line without the address's secrets."""
        try:
            yield
        except self._driver.Error as error:
            words = str(error).strip().splitlines() or [type(error).__name__]
            raise DatabaseError(f"{self._shown}: {words[0]}") from error


def _percent(sql: str) -> str:
    return sql.replace("?", "%s")


class Disk:
    """The one thread that uses a database, for callers on the event loop."""

    def __init__(self, database: Database) -> None:
        """Own *database*."""
        self.database = database
        self._thread = ThreadPoolExecutor(1, "database")

    async def run(self, work: Callable[..., Found], *values: Any) -> Found:
        """The result of ``work(*values)``, which may raise DatabaseError."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *values)

    async def close(self) -> None:
        """Finish what waits and close the database."""
        await self.run(self.database.close)
        self._thread.shutdown()
