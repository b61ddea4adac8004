"""Messages from the broker become rows, or go aside with the reason why they cannot. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from typing import Any

from dashboard.board import read_event
from dashboard.clocks import Anchor, read_anchor
from dashboard.district.sites import site_of
from dashboard.history import DAY_S, locate
from edge.events import Event, EventError, MoodWindow, parse_time, split_topic

UNDATED = date(1970, 1, 1)
MOST_ASIDE_BYTES = 4096
"""Of a refused message's body that is kept."""
LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class Message:
    """One message as the queue gives it."""

    tag: int
    """What it is acknowledged by."""
    topic: str
    body: bytes
    again: bool = False
    """It was given out before."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that cannot be stored."""

    topic: str
    reason: str
    body: bytes

    def values(self) -> tuple[Any, ...]:
        """As the table refused has them."""
        digest = hashlib.sha256(self.topic.encode() + b"\0" + self.body).hexdigest()
        return (digest, _text(self.topic), _text(self.reason), self.body[:MOST_ASIDE_BYTES], len(self.body))


@dataclass(slots=True)
class Batch:
    """What one transaction writes."""

    windows: list[tuple[Any, ...]] = field(default_factory=list)
    happenings: list[tuple[Any, ...]] = field(default_factory=list)
    anchors: list[Anchor] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    kits: dict[str, str] = field(default_factory=dict)
    """Site by kit."""
    days: set[date] = field(default_factory=set)
    expired: int = 0
    """Events older than anything that is kept."""


def sort(messages: Iterable[Message], now: float, keep_days: float) -> Batch:
    """Rows in the order of their keys: two ingesters that write the same ones must not wait in a circle.

    Args:
        messages: in any order; the same event may be among them twice.
        now: seconds since 1970.
        keep_days: what is older by the kit's own, trusted time is not stored.
    """
    batch = Batch()
    for message in messages:
        try:
            kit, leaf = split_topic(message.topic)
            _check_leaf(leaf)
            _place(read_event(kit, message.body), message.body, batch, now, keep_days)
        except EventError as error:  # noqa: PERF203 -- one of them must not stop the others
            batch.refused.append(Refused(message.topic, str(error)[:LONGEST_REASON], message.body))
    for rows in (batch.windows, batch.happenings):
        rows.sort(key=lambda row: row[2:5])
    return batch


def day_of(event: Event, now: float) -> date:
    """The partition of an event: the day of its own time where that can be believed; later it is the same."""
    own = parse_time(event.at)
    if event.time_quality != "synced" or own < DAY_S or own > now + DAY_S:
        return UNDATED
    return datetime.fromtimestamp(own, timezone.utc).date()


def _place(event: Event, body: bytes, batch: Batch, now: float, keep_days: float) -> None:
    day = day_of(event, now)
    if day != UNDATED and parse_time(event.at) < now - keep_days * DAY_S:
        batch.expired += 1
        return
    _check_text(event.boot_id + event.mono_id)
    site = site_of(event.kit)
    stamp = (day, site, event.kit, event.boot_id, event.seq)
    if isinstance(event.data, MoodWindow):
        data, row = event.data, locate(event, now)
        shares = json.dumps(dict(data.shares), separators=(",", ":"))
        reading = (data.mood, data.suppressed, data.confidence, data.people, shares)
        steady = (row.came, event.mono_s, event.mono_id, int(row.dated))
        batch.windows.append((*stamp, row.ends, data.window_s, *reading, *steady))
    else:
        at = now if day == UNDATED else min(parse_time(event.at), now)  # nobody places these any more
        batch.happenings.append((*stamp, at, event.type, body.decode("utf-8", "replace")))
        anchor = read_anchor(event, now)
        if anchor is not None:
            batch.anchors.append(anchor)
    batch.kits[event.kit] = site
    batch.days.add(day)


def _check_leaf(leaf: str) -> None:
    if leaf != "event":
        raise EventError(f"not an event's topic: {leaf[:60]!r}")


def _check_text(text: str) -> None:
    """JSON can write characters that no database takes: zero, and halves of pairs."""
    try:
        if b"\0" not in text.encode():
            return
    except UnicodeEncodeError:
        pass
    raise EventError("a text with characters that no database takes")


def columns(rows: Sequence[Sequence[Any]], count: int) -> list[list[Any]]:
    """Rows turned into columns, as ``unnest`` takes them."""
    return [[row[index] for row in rows] for index in range(count)]


def _text(text: str) -> str:
    return text.replace("\0", "\\0")[:LONGEST_REASON]
