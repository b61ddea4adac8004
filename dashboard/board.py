"""What the dashboard knows about each kit: a value, and a pure function from one message to the next value.

``board = apply(board, topic, payload, now)``. No network, no clock, no file; a test is a list of messages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, cast, get_args

from edge.events import (
    Availability,
    Event,
    EventError,
    Health,
    Info,
    MoodWindow,
    SourceDetail,
    SourceStatus,
    State,
    Suppressed,
    from_json,
    parse_time,
    split_topic,
)
from edge.words import LABELS, UNCERTAIN

Phase = Literal["online", "silent", "offline", "stopped", "unknown"]
"""``silent``: says it is online but has not been heard for a while; a broker may miss that a kit died."""

SOURCES = ("camera", "microphone")
LONGEST_TEXT = 200
MOST_MODELS = 8
MOST_PEOPLE = 10_000


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is believed, and for how long."""

    kits: int = 200
    """Kits beyond these are refused: a broker that anybody may write to must not fill our memory."""
    silent_after_s: float = 75.0
    """Two health messages and a half."""
    fresh_windows: float = 4.0
    """A state older than this many windows no longer describes the room."""
    fresh_least_s: float = 20.0


@dataclass(frozen=True, slots=True)
class KitBoard:
    """Everything known about one kit. Times are seconds since 1970 by the dashboard's clock."""

    kit: str
    known_at: float
    heard_at: float | None = None
    """When it last said something itself; a retained message is no sign of life."""
    availability: Availability | None = None
    info: Info | None = None
    health: Health | None = None
    state: State | None = None
    state_at: float | None = None
    """When the state was told."""
    sources: Mapping[str, SourceStatus] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    """What is wrong with a source, as its detail tells; only of sources that have a problem."""


@dataclass(frozen=True, slots=True)
class Board:
    """All kits by name."""

    limits: Limits = field(default_factory=Limits)
    kits: Mapping[str, KitBoard] = field(default_factory=dict)


def apply(board: Board, topic: str, payload: bytes, now: float, *, retained: bool = False) -> Board:
    """The board after one message.

    Args:
        board: as it was.
        topic: ``suasana/<kit>/…``.
        payload: as received.
        now: seconds since 1970.
        retained: the broker kept this message, so it may be old.

    Raises:
        EventError: not a message of the contract, or one kit too many; the board stays as it was.
    """
    name, leaf = split_topic(topic)
    kit = board.kits.get(name)
    if kit is None:
        if not payload:
            return board  # somebody cleared a retained message of a kit that is gone
        if len(board.kits) >= board.limits.kits:
            raise EventError(f"more than {board.limits.kits} kits")
        kit = KitBoard(name, known_at=now)
    kit = _read(kit, leaf, payload, now, retained=retained)
    if not payload and not (kit.availability or kit.info or kit.state):
        # All that the broker kept of it was cleared: the kit is gone for good.
        return replace(board, kits={other: kept for other, kept in board.kits.items() if other != name})
    if not retained and payload:
        kit = replace(kit, heard_at=now)
    return replace(board, kits={**board.kits, name: kit})


def _read(kit: KitBoard, leaf: str, payload: bytes, now: float, *, retained: bool) -> KitBoard:
    """What one message changes, apart from that it was heard."""
    if leaf == "availability":
        return replace(kit, availability=cast("Availability | None", _word(payload, Availability)))
    if leaf == "info":
        return replace(kit, info=_read_info(kit.kit, payload) if payload else None)
    if leaf == "health":
        return replace(kit, health=from_json(Health, payload))
    if leaf == "state":
        if not payload:
            return replace(kit, state=None, state_at=None)
        state = from_json(State, payload)
        check_reading(state)
        told_at = min(parse_time(state.at), now) if retained else now
        return replace(kit, state=state, state_at=told_at)
    family, _, rest = leaf.partition("/")
    source, _, what = rest.partition("/")
    if family == "source" and source in SOURCES and what == "status":
        status = cast("SourceStatus | None", _word(payload, SourceStatus))
        others = {name: value for name, value in kit.sources.items() if name != source}
        return replace(kit, sources=others if status is None else {**others, source: status})
    if family == "source" and source in SOURCES and what == "detail":
        problem = from_json(SourceDetail, payload).problem if payload else None
        problems = {name: value for name, value in kit.problems.items() if name != source}
        return replace(kit, problems={**problems, source: problem[:LONGEST_TEXT]} if problem else problems)
    if leaf == "event":
        read_event(kit.kit, payload)
        return kit
    raise EventError(f"unknown topic of a kit: {leaf[:60]!r}")


def read_event(kit: str, payload: bytes) -> Event:
    """An event of *kit*.

    Raises:
        EventError: not an event, of another kit, or its numbers cannot be.
    """
    event = Event.from_json(payload)
    if event.kit != kit:
        raise EventError(f"an event of {event.kit[:60]!r} on the topic of {kit!r}")
    if max(len(event.id), len(event.boot_id)) > LONGEST_TEXT:
        raise EventError("event with an id too long")
    if isinstance(event.data, MoodWindow):
        check_reading(event.data)
        if not 0 < event.data.window_s <= 86_400:
            raise EventError(f"a window of {event.data.window_s:g} s")
    return event


def check_reading(reading: State | MoodWindow) -> None:
    """Refuse a mood that cannot be.

    Raises:
        EventError: says what is wrong.
    """
    known = {*LABELS, UNCERTAIN}
    if not set(reading.shares) <= known or reading.mood not in {None, *known}:
        raise EventError("a mood that has no name here")
    if reading.shares and not math.isclose(sum(reading.shares.values()), 1, abs_tol=0.01):
        raise EventError(f"shares sum to {sum(reading.shares.values()):.3f}")
    if reading.people > MOST_PEOPLE:
        raise EventError("people out of range")
    if (reading.suppressed is None) != (reading.mood is not None) or (reading.suppressed and reading.shares):
        raise EventError("a mood that is suppressed and told, or neither")


def _read_info(kit: str, payload: bytes) -> Info:
    info = from_json(Info, payload)
    if info.kit != kit:
        raise EventError(f"the info of {info.kit[:60]!r} on the topic of {kit!r}")
    texts = [info.room, info.software, *info.labels]
    texts += [text for model in info.models for text in (model.id, model.runtime, model.sha256)]
    if (
        max(map(len, texts)) > LONGEST_TEXT
        or len(info.models) > MOST_MODELS
        or len(info.labels) > len(LABELS)
    ):
        raise EventError("info is longer than anybody can read")
    if not 0 < info.window_s <= 86_400 or info.min_people > MOST_PEOPLE:
        raise EventError("window_s or min_people out of range")
    return info


def _word(payload: bytes, words: Any) -> str | None:
    """One of the *words* of a literal type; an empty payload clears a retained one."""
    text = payload[:40].decode("utf-8", "replace")
    if text and text not in get_args(words):
        raise EventError(f"{text!r} is none of {', '.join(get_args(words))}")
    return text or None


# ── Views ────────────────────────────────────────────────────────────────────────────────────────────


def phase(kit: KitBoard, now: float, limits: Limits) -> Phase:
    """Whether the kit is there, as far as can be told from here."""
    if kit.availability is None and kit.heard_at is None:
        return "unknown"
    if kit.availability not in {None, "online"}:
        return kit.availability
    # Heard, but never that it came: not every broker tells a newcomer what it was told to keep.
    quiet_s = now - (kit.known_at if kit.heard_at is None else kit.heard_at)
    return "silent" if quiet_s > limits.silent_after_s else "online"


def is_fresh(kit: KitBoard, now: float, limits: Limits) -> bool:
    """Whether the state still describes the room. What is off stays off until the kit says otherwise."""
    if kit.state is None or kit.state_at is None:
        return False
    stopped: Suppressed = "capture_off"
    if kit.state.suppressed == stopped:
        return True
    window_s = kit.info.window_s if kit.info else 5.0
    return now - kit.state_at <= max(limits.fresh_least_s, limits.fresh_windows * window_s)


def view_kit(kit: KitBoard, now: float, limits: Limits) -> dict[str, Any]:
    """One kit as plain JSON values, the way the page reads it."""
    return {
        "kit": kit.kit,
        "phase": phase(kit, now, limits),
        "heard_at": kit.heard_at,
        "info": asdict(kit.info) if kit.info else None,
        "health": asdict(kit.health) if kit.health else None,
        "state": asdict(kit.state) if kit.state else None,
        "state_at": kit.state_at,
        "fresh": is_fresh(kit, now, limits),
        "sources": dict(kit.sources),
        "problems": dict(kit.problems),
    }


def view(board: Board, now: float) -> list[dict[str, Any]]:
    """All kits, in the order of their rooms and names."""
    kits = sorted(board.kits.values(), key=lambda kit: (kit.info.room if kit.info else "", kit.kit))
    return [view_kit(kit, now, board.limits) for kit in kits]
