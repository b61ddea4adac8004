"""How an event lies on disk: one piece of bytes that proves itself and can be found without any table.

SQLite checks its journal but not its pages: a byte that the card turned over comes back as if it had been
written so. Each record therefore carries its own length and hash. When a file is damaged, its intact
records are found by their first word, wherever they lie, and what each tells (its number, the oldest number
that still waited, how many were dropped) says which of them count and how many are missing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from hashlib import blake2b

WORD = b"SUASANA1"
"""A record's first word; the digit is the format's version."""
HEAD = re.compile(rb"SUASANA1 ([0-9a-f]{16}) ([0-9]{1,9})\n")
MARK = 0
"""The number of the one record that is no event: it tells about the outbox itself."""


class DamagedRecord(ValueError):  # noqa: N818 -- read as: except DamagedRecord
    """The bytes are not what was written."""


@dataclass(frozen=True, slots=True)
class Record:
    """One row."""

    n: int
    """The event's place in the queue; a number is given once. MARK for the mark."""
    first: int
    """The oldest number that waited when this was written."""
    dropped: int
    """Events given up until then."""
    age_s: float
    """The outbox's own clock when the event came: seconds that it was open, all runs together."""
    id: str
    body: str
    """JSON: the event as it is sent, or the mark's values."""

    def encode(self) -> bytes:
        """The record as it lies on disk."""
        head = json.dumps([self.n, self.first, self.dropped, round(self.age_s, 1), self.id])
        content = f"{head}\n{self.body}".encode()
        return b"%s %s %d\n%s" % (WORD, _hash(content), len(content), content)


@dataclass(frozen=True, slots=True)
class Mark:
    """What the outbox knows about itself: the body of the one record that is no event."""

    next: int = 1
    """The number of the next event."""
    damaged: int = 0
    """Files set aside so far."""
    boot_id: str = ""
    """Of the run that put the newest event."""
    events: int = 0
    """How many events that run is known to have made."""
    mono_id: str = ""
    ended: bool = False
    """That run came to its proper end."""

    def to_json(self) -> str:
        """The record's body."""
        return json.dumps(asdict(self))


def read_mark(record: Record) -> Mark:
    """The mark in its record; what a later version added is left out."""
    table = json.loads(record.body)
    return Mark(**{field.name: table[field.name] for field in fields(Mark) if field.name in table})


def decode(blob: object) -> Record:
    """Read one record.

    Raises:
        DamagedRecord: it is not what was written.
    """
    found = HEAD.match(blob) if isinstance(blob, bytes) else None
    if found is None or not isinstance(blob, bytes):
        raise DamagedRecord("no record")
    return _read(blob, found)


def carve(data: bytes) -> Iterator[Record]:
    """Every intact record in a file, wherever it lies; older copies of the same record among them."""
    for found in HEAD.finditer(data):
        with suppress(DamagedRecord):
            yield _read(data, found)


def _read(data: bytes, found: re.Match[bytes]) -> Record:
    content = data[found.end() : found.end() + int(found[2])]
    if len(content) != int(found[2]) or _hash(content) != found[1]:
        raise DamagedRecord("the hash does not fit")
    try:
        head, _, body = content.decode("utf-8").partition("\n")
        n, first, dropped, age_s, id = json.loads(head)
        return Record(int(n), int(first), int(dropped), float(age_s), str(id), body)
    except (ValueError, TypeError) as error:
        raise DamagedRecord("the head does not fit") from error


def _hash(content: bytes) -> bytes:
    return blake2b(content, digest_size=8).hexdigest().encode("ascii")
