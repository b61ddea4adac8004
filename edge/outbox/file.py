"""The outbox's file: SQLite in WAL mode, one table of records by number. What goes wrong has two names."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.outbox.record import MARK, DamagedRecord, Record, carve, decode
from edge.state import durable

VERSION = 1
TROUBLES = ("full", "disk i/o error", "readonly", "read-only", "unable to open", "locked", "out of memory")
"""What SQLite says about the disk and the system; all else that it says is about the file's content.

Its error codes would tell too, but Python 3.10 does not hand them on.
"""
PATIENCE_S = 0.5
"""How long another process may hold the file before we do without it."""


class DiskTrouble(Exception):  # noqa: N818 -- read as: except DiskTrouble
    """The disk does not do what it is asked: full, read-only, gone, in use. It may later."""


class DamagedFile(Exception):  # noqa: N818
    """What the file holds is not what was written."""


class RecordFile:
    """One open file. Every method may raise DiskTrouble or DamagedFile."""

    def __init__(self, path: Path) -> None:
        """Open or make the file at *path*, for its owner's eyes only."""
        self._path, self._wal = path, journal(path)
        with _told(path):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite gives the journal the same rights
            self._db = connect(path)
        try:
            with _told(path):
                self._prepare()
        except BaseException:
            self._db.close()
            raise

    def all(self) -> Iterator[Record]:
        """Every record by number, each proven intact; the mark, if there is one, comes first."""
        with _told(self._path):
            for (blob,) in self._db.execute("SELECT record FROM records ORDER BY n"):
                yield decode(blob)

    def after(self, n: int, count: int) -> list[Record]:
        """The next *count* events behind number *n*."""
        with _told(self._path):
            wanted = "SELECT record FROM records WHERE n > ? ORDER BY n LIMIT ?"
            return [decode(blob) for (blob,) in self._db.execute(wanted, (max(n, MARK), count))]

    def write(self, records: Iterable[Record], done: Iterable[int] = ()) -> None:
        """Add *records*, delete the numbers *done*: all or nothing. A killed process loses none of it."""
        with _told(self._path):
            try:
                self._db.execute("BEGIN IMMEDIATE")
                self._db.executemany("DELETE FROM records WHERE n = ?", ((n,) for n in done))
                self._db.executemany(
                    "INSERT OR REPLACE INTO records VALUES (?, ?)",
                    ((record.n, record.encode()) for record in records),
                )
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def sync(self) -> None:
        """What was written survives a power cut from here on."""
        with _told(self._path):
            handle = os.open(self._wal if self._wal.exists() else self._path, os.O_RDONLY)
            try:
                os.fdatasync(handle)
            finally:
                os.close(handle)

    def close(self) -> None:
        """Merge the journal into the file and let go."""
        with _told(self._path):
            self._db.close()

    def _prepare(self) -> None:
        # Alone on the file: no second daemon, and no shared-memory file to be written.
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if version > VERSION:
            raise DamagedFile(f"{self._path}: written by a newer version, or damaged")
        self._db.execute("PRAGMA journal_mode = WAL")
        # NORMAL: the journal is synchronised when it is merged and when `sync` says so, not at every commit.
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA cache_size = -512")
        create(self._db)
        answer = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if answer != "ok":
            raise DamagedFile(f"{self._path}: {answer}")
        durable.sync_folder(self._path.parent)


def connect(path: Path) -> sqlite3.Connection:
    """A connection in which every statement stands for itself; to be used by one thread at a time."""
    return sqlite3.connect(path, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False)


def create(db: sqlite3.Connection) -> None:
    """Make the table where there is none."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'records'").fetchone():
        db.execute("CREATE TABLE records (n INTEGER PRIMARY KEY, record BLOB NOT NULL)")
        db.execute(f"PRAGMA user_version = {VERSION}")


def journal(path: Path) -> Path:
    """SQLite's write-ahead log of a file."""
    return path.with_name(path.name + "-wal")


def torn_off(path: Path) -> dict[int, Record]:
    """The events in a file's journal by number, read before SQLite opens it.

    SQLite believes a journal up to the first damage and silently forgets what comes after.
    """
    try:
        return {record.n: record for record in carve(journal(path).read_bytes()) if record.n != MARK}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise DiskTrouble(str(error)) from error


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Whatever goes wrong, by one of two names and in one line."""
    try:
        yield
    except (DamagedRecord, sqlite3.IntegrityError) as error:
        raise DamagedFile(f"{path}: {error}") from error
    except OSError as error:
        raise DiskTrouble(f"{path}: {error}") from error
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.DatabaseError as error:
        trouble = isinstance(error, sqlite3.OperationalError) and any(
            word in str(error).lower() for word in TROUBLES
        )
        raise (DiskTrouble if trouble else DamagedFile)(f"{path}: {error}") from error
