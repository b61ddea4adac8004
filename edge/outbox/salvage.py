"""A damaged outbox is set aside under another name; whatever is still readable goes into a new one."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path

from edge.outbox.file import DiskTrouble, connect, create, journal
from edge.outbox.record import MARK, DamagedRecord, Record, carve, decode
from edge.state import durable

MOST_ASIDE = 3
"""Damaged files that are kept; a card that dies slowly must not fill itself with them."""


def salvage(path: Path) -> dict[int, Record]:
    """Every intact record by number: by the table as far as it goes, and from the bytes of file and journal.

    Raises:
        DiskTrouble: the file cannot be read at all.
    """
    found: dict[int, Record] = {}
    try:
        for source in (path, journal(path)):
            if source.exists():
                for record in carve(source.read_bytes()):
                    known = found.get(record.n)
                    # Of one number there are only copies; of the mark, the one from the latest moment counts.
                    if known is None or record.age_s >= known.age_s:
                        found[record.n] = record
    except OSError as error:
        raise DiskTrouble(str(error)) from error
    for record in _by_table(path):
        if record.n != MARK:
            found[record.n] = record  # a long record lies in pieces that only the table can join
    return found


def _by_table(path: Path) -> Iterator[Record]:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)) as db:
            for (blob,) in db.execute("SELECT record FROM records ORDER BY n"):
                with suppress(DamagedRecord):
                    yield decode(blob)
    except sqlite3.Error:
        return


def rebuild(path: Path, records: Iterable[Record], aside: int) -> Path:
    """Replace the damaged file by one that holds *records*; returns the name that it was given.

    A power cut at any moment leaves either the damaged file or the new one in place, see finish.

    Raises:
        DiskTrouble: there is no room for that now; the damaged file stays where it is.
    """
    draft, name = _draft(path), path.with_name(f"{path.stem}.damaged-{aside}{path.suffix}")
    try:
        _remove(draft)
        os.close(os.open(draft, os.O_RDWR | os.O_CREAT, 0o600))
        with closing(connect(draft)) as db:
            create(db)
            db.execute("BEGIN")
            db.executemany("INSERT INTO records VALUES (?, ?)", ((item.n, item.encode()) for item in records))
            db.execute("COMMIT")  # synchronous = FULL by default
        if journal(path).exists():
            journal(path).replace(journal(name))
        path.replace(name)
        draft.replace(path)
        durable.sync_folder(path.parent)
        for old in set_aside(path)[:-MOST_ASIDE]:
            _remove(old)
    except (OSError, sqlite3.Error) as error:
        raise DiskTrouble(f"{path}: {error}") from error
    return name


def finish(path: Path) -> None:
    """Bring a replacement to its end that a power cut interrupted, or forget it.

    Raises:
        DiskTrouble: it cannot be done now.
    """
    draft = _draft(path)
    try:
        if draft.exists() and not path.exists():
            draft.replace(path)
        else:
            _remove(draft)
    except OSError as error:
        raise DiskTrouble(str(error)) from error


def _draft(path: Path) -> Path:
    return path.with_name(path.name + ".new")


def set_aside(path: Path) -> list[Path]:
    """Damaged files, the oldest first."""
    pattern = re.compile(re.escape(path.stem) + r"\.damaged-([0-9]+)" + re.escape(path.suffix))
    named = ((pattern.fullmatch(file.name), file) for file in path.parent.iterdir())
    return [file for _, file in sorted((int(match[1]), file) for match, file in named if match)]


def _remove(path: Path) -> None:
    for file in (path, journal(path), path.with_name(path.name + "-journal")):
        file.unlink(missing_ok=True)
