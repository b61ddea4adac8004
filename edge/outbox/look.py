"""Looking at an outbox from outside, while no daemon runs. Nothing is written or locked."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from edge.outbox.file import DiskTrouble, torn_off
from edge.outbox.record import MARK, DamagedRecord, decode
from edge.outbox.salvage import set_aside


@dataclass(frozen=True, slots=True)
class Sight:
    """What lies there."""

    waiting: int
    """Events in the file or in its journal; those that the journal says are done already count as well."""
    aside: int
    """Damaged files that were set aside."""
    trouble: str = ""
    """What is wrong with the file; empty where it is in order."""


def look(path: Path) -> Sight | None:
    """The outbox at *path*; None where there is none.

    Raises:
        OSError: we may not look.
    """
    if not path.exists():
        return None
    path.open("rb").close()
    numbers: set[int] = set()
    trouble = ""
    with suppress(DiskTrouble):
        numbers |= set(torn_off(path))
    try:
        # Immutable: SQLite neither locks nor looks for a journal that it would have to recover.
        where = f"file:{quote(str(path))}?mode=ro&immutable=1"
        with closing(sqlite3.connect(where, uri=True)) as db:
            (answer,) = db.execute("PRAGMA quick_check(1)").fetchone()
            if answer != "ok":
                trouble = str(answer)
            for (blob,) in db.execute("SELECT record FROM records"):
                numbers.add(decode(blob).n)
    except (DamagedRecord, sqlite3.Error) as error:
        if "no such table" not in str(error) or path.stat().st_size:
            trouble = str(error)
    return Sight(len(numbers - {MARK}), len(set_aside(path)), trouble)
