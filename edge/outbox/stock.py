"""Taking stock: what a file's records amount to, and which of the records found in a damaged one count."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from edge.outbox.record import MARK, Mark, Record, read_mark


@dataclass(frozen=True, slots=True)
class Stock:
    """What a file holds."""

    mark: Mark
    events: int
    bytes: int
    """Of the events' JSON."""
    oldest: int
    """The smallest number; 0 when there is no event."""
    dropped: int
    age_s: float
    """The outbox's own clock when it last wrote."""


@dataclass(frozen=True, slots=True)
class Estate:
    """What is left after damage."""

    records: Sequence[Record]
    """Events that still wait, in order."""
    mark: Mark
    alive_from: int
    """Everything below this number was done or dropped."""
    lost: int
    """Numbers that should be there and are not."""


def count(records: Iterable[Record]) -> Stock:
    """Go through a file once, holding nothing."""
    mark = Mark()
    events, size, oldest, newest, dropped, age_s = 0, 0, 0, 0, 0, 0.0
    for record in records:
        dropped, age_s = max(dropped, record.dropped), max(age_s, record.age_s)
        if record.n == MARK:
            mark = read_mark(record)
        else:
            events, size = events + 1, size + len(record.body)
            oldest, newest = oldest or record.n, record.n
    mark = replace(mark, next=max(mark.next, newest + 1))
    return Stock(mark, events, size, oldest, dropped, age_s)


def settle(mark: Mark, found: Mapping[int, Record], *, from_number: int = 1) -> Estate:
    """Which of the *found* records still wait, and how many are missing.

    Each record tells which number was the oldest to wait when it was written, so copies of what was
    acknowledged long ago do not come back.
    """
    alive_from = max([from_number, *(record.first for record in found.values())])
    records = [record for n, record in sorted(found.items()) if n >= alive_from and n != MARK]
    next = max([mark.next, *(record.n + 1 for record in records)])
    if records and records[-1].n >= mark.next:  # newer than the mark
        data = json.loads(records[-1].body)["data"]
        mark = replace(
            mark,
            boot_id=data["boot_id"],
            events=data["seq"] + 1,
            mono_id=data.get("mono_id", ""),
            ended=False,
        )
    lost = max(0, next - alive_from - len(records))
    return Estate(records, replace(mark, next=next), alive_from, lost)


def mark_record(mark: Mark, stock: Stock, *, lost: int) -> Record:
    """The mark after damage: what is lost is counted as dropped."""
    return Record(MARK, stock.oldest, stock.dropped + lost, stock.age_s, "", mark.to_json())
