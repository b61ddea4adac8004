"""What leaves the kit: plain values, their topics and their JSON. Nothing here can hold a pixel or a sample.

The same classes write (the kit) and read (the dashboard, tests); ``from_json`` believes nothing it is
sent. The page for people who subscribe is docs/events.md; edge/contract/pages.py writes the schemas in
docs/contract from these classes and the texts under their fields.
"""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import datetime, timezone
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

SCHEMA = 1
"""Version of the message contract. Within one version changes only add."""

MAX_BYTES = 65_536
"""Longest payload that anybody has to read."""

Availability = Literal["online", "stopped", "offline"]
SourceName = Literal["camera", "microphone"]
SourceStatus = Literal["online", "recovering", "offline", "disabled"]
TimeQuality = Literal["synced", "unsynced"]
Suppressed = Literal["too_few_people", "nobody", "capture_off"]
Switch = Literal["on", "off"]
Mode = Literal["class", "practice"]
Sense = Literal["face", "voice"]
Match = Literal["like", "partly", "other"]

KIT_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
"""A kit's name is a topic level and an MQTT user name: lower case letters, digits and hyphens."""


class EventError(ValueError):
    """A payload is not what its topic promises; the message says why in one line."""


# ── Values ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value keeps to besides its type. The reader checks it and the published schemas tell it."""

    at_least: float | None = None
    at_most: float | None = None
    shortest: int = 0
    """Characters of a text."""
    moment: bool = False
    """The text is a time in UTC, RFC 3339."""


UtcTime = Annotated[str, Rule(moment=True)]
Part = Annotated[float, Rule(0, 1)]
Amount = Annotated[float, Rule(0)]
Count = Annotated[int, Rule(0, 2**53 - 1)]
"""Counts stay exact in languages whose numbers are all floating point."""
Name = Annotated[str, Rule(shortest=1)]


# ── Payloads ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Model:
    """A model in use, as the info topic names it."""

    task: Literal["expression", "tone"]
    id: str
    """``name@version``."""
    runtime: str
    sha256: str
    """Of the weights file in use."""
    trial: bool = False
    """It was installed lately and has yet to prove itself."""
    instead_of: str = ""
    """Version that was to be used but failed; empty where this is the right one."""


@dataclass(frozen=True, slots=True)
class Capture:
    """What may be captured right now. ``capture`` is the master switch."""

    capture: Switch
    camera: Switch
    microphone: Switch


@dataclass(frozen=True, slots=True)
class Adapted:
    """A few numbers that the kit learned in the practice game; ``practice-forget`` deletes them."""

    sense: Sense
    model: str
    """``name@version`` of the model that they belong to."""
    rounds: Count
    """From how many rounds."""
    at: UtcTime
    """When."""
    used: bool
    """False when the kit reads with another model now."""


@dataclass(frozen=True, slots=True)
class Learning:
    """What was gathered in memory, since an adult consented, for the kit to learn from."""

    sense: Sense
    rounds: Count
    next_at: Count | None
    """How many rounds it takes until the kit tries to learn; None when it has given up."""
    refusal: str | None
    """Why the last try taught nothing: ``too_few_rounds``, ``too_few_labels``, ``not_shown``, ``no_gain`` or
    ``would_harm``; more may come. None before the first."""


@dataclass(frozen=True, slots=True)
class Info:
    """Retained on ``info``: who this kit is and what it may do."""

    schema: Count
    kit: Name
    room: str
    software: str
    mode: Mode
    labels: tuple[str, ...]
    """The labels that shares can name, in display order, without ``uncertain``."""
    models: tuple[Model, ...]
    capture: Capture
    window_s: Amount
    min_people: Count
    replay: bool
    """True when the sources are files or a staged scene, not the room."""
    adapted: tuple[Adapted, ...] = ()
    """What the kit learned in the practice game, by sense."""
    learning: tuple[Learning, ...] = ()
    """How learning goes, by sense, while an adult's consent holds."""
    absent: tuple[SourceName, ...] = ()
    """Which of ``camera`` and ``microphone`` the kit's settings leave out; their status is ``offline``."""


@dataclass(frozen=True, slots=True)
class Reduced:
    """How hard a kit looks that is told, or has, to look less hard than its settings ask."""

    reason: str
    """``cpu``, ``heat``, ``throttled`` or ``hearing`` (sound was late or lost); more may come."""
    since: UtcTime
    """When it changed last."""
    fps: Amount
    """Frames searched for faces per second, at most."""
    search_px: Count
    """Width at which they are searched."""
    reads_per_s: Amount
    """Readings of one face per second, at most."""
    misses_far_faces: bool
    """True when ``search_px`` is reduced: fewer people are counted in the back of the room."""


@dataclass(frozen=True, slots=True)
class Health:
    """On ``health`` every 30 s."""

    schema: Count
    at: UtcTime
    """UTC, RFC 3339."""
    time_quality: TimeQuality
    uptime_s: Amount
    fps: Amount
    """Frames read per second since the last health message."""
    latency_p50_s: Amount | None
    """From a frame's capture to its readings."""
    latency_p95_s: Amount | None
    dropped_frames: Count
    """Frames replaced by newer ones before they were read, since the start."""
    dropped_blocks: Count
    rss_mb: Amount
    temperature_c: float | None
    throttled: bool | None
    """The board lowered its clock or voltage is low; None where the board does not tell."""
    outbox: Count
    """Events that the broker has not acknowledged."""
    dropped_events: Count
    """Events given up for want of room or lost to a damaged outbox, in all runs of this kit."""
    outbox_keeping: Literal["disk", "memory"] = "memory"
    """Where a new event waits; ``memory`` on a kit whose disk refuses: full, read-only, broken."""
    outbox_damaged: Count = 0
    """Times that the outbox was found damaged and set aside, in all runs of this kit."""
    camera_problem: str | None = None
    """As in the camera's detail; None when there is none."""
    microphone_problem: str | None = None
    cpu_percent: Amount | None = None
    """Of one core, the whole daemon, over the last two seconds; None on a kit without a camera."""
    reduced: Reduced | None = None
    """None while the kit looks as hard as its settings ask."""
    dropped_commands: Count = 0
    """Commands refused because newer ones came before they could be obeyed, since the start."""


@dataclass(frozen=True, slots=True)
class SourceDetail:
    """Retained on ``source/<name>/detail``: what stands behind a source's status."""

    schema: Count
    at: UtcTime
    """Since when it is so."""
    status: SourceStatus
    """The same as on the status topic."""
    problem: str | None
    """``failed``, ``stuck``, ``frozen``, ``black``, ``dark``, ``covered``, ``silent`` or ``clipped``.

    More may come.
    """
    text: str
    """For whoever repairs it, one line of English; empty when all is well."""


@dataclass(frozen=True, slots=True)
class State:
    """Retained on ``state``: the room's mood as of the last closed window."""

    schema: Count
    at: UtcTime
    """End of the window, UTC, RFC 3339."""
    time_quality: TimeQuality
    mood: str | None
    """The leading label, ``uncertain``, or None when suppressed."""
    shares: Mapping[str, Part]
    """Part of the group per label and ``uncertain``; sums to 1, empty when suppressed."""
    confidence: Part
    """Mean calibrated probability of what is claimed, 0..1."""
    people: Count
    suppressed: Suppressed | None
    """Why there is no mood, or None."""


@dataclass(frozen=True, slots=True)
class Practice:
    """On ``practice`` while a round of the practice game is on: what one face or one sentence is like.

    Told once and kept nowhere. It names nobody, and nobody can be told from the message before.
    """

    schema: Count
    at: UtcTime
    """When the picture was taken, or the sentence ended."""
    time_quality: TimeQuality
    age_s: Amount
    """From that moment until this message was made."""
    round: str
    """The ``transaction`` of the request that began the round."""
    left_s: Amount
    """How long the round goes on."""
    sense: Sense
    people: Count
    """Faces in view; the nearest one is read. 0 for a voice."""
    label: str | None
    """What it is like, ``uncertain``, or None when there is nobody or the face is too small to be read."""
    confidence: Part
    """Calibrated probability of that label; 0 where none is claimed."""
    asked: str | None
    """The label that the round asks for; None when it asks for none."""
    match: Match | None
    """``like`` what was asked for, ``partly`` like it, or like something ``other``.

    None when nothing was read or asked for.
    """
    held_s: Amount
    """How long ``match`` has been the same."""


@dataclass(frozen=True, slots=True)
class MoodWindow:
    """Data of a ``suasana.mood.v1`` event: one closed window."""

    start: UtcTime
    """UTC, RFC 3339; the event's own time is the window's end."""
    window_s: Amount
    mood: str | None
    shares: Mapping[str, Part]
    confidence: Part
    people: Count
    suppressed: Suppressed | None
    face_readings: Count
    voice_readings: Count


@dataclass(frozen=True, slots=True)
class Previous:
    """What a kit knows about the run before: with it, events that a power cut took can be counted."""

    boot_id: Name
    events: Count
    """That run made at least so many events: seq 0 and up."""
    unsure: Count | None
    """At most so many more were lost by a power cut; None when the outbox was damaged and nobody knows."""


@dataclass(frozen=True, slots=True)
class Session:
    """Data of a ``suasana.session.v1`` event: capture began or ended."""

    phase: Literal["start", "end"]
    reason: Literal["boot", "switch", "shutdown"]
    previous: Previous | None = None
    """With the first session of a boot; None where nothing is known, as on a new kit."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Data of a ``suasana.clock.v1`` event: the wall clock jumped, can be trusted from now on, or no longer.

    The event's own ``time`` and ``mono_s`` are the same moment on both clocks, after the change.
    """

    reason: Literal["synced", "unsynced", "stepped"]
    step_s: float
    """How far the wall clock jumped against the steady one; more than 0 is forward, 0 is no jump."""


@dataclass(frozen=True, slots=True)
class Alert:
    """Data of a ``suasana.alert.v1`` event: a condition about the room holds for a while.

    Told by the dashboard, where a teacher wrote the rule; about the room, never about one person.
    """

    phase: Literal["new", "update", "end"]
    alert: Name
    """The same in every event about it."""
    condition: Name
    """A label, ``uncertain``, ``unread`` (nothing could be said about the room) or ``away`` (the kit is)."""
    at_least: Part
    """Part of the group that the label has to have; not used for ``unread`` and ``away``."""
    for_s: Amount
    """How long the condition has to hold before anything is told."""
    since: UtcTime
    """Since when it holds."""


Data = MoodWindow | Session | Clock | Alert
EVENT_TYPES: Mapping[str, type[Data]] = {
    "suasana.mood.v1": MoodWindow,
    "suasana.session.v1": Session,
    "suasana.clock.v1": Clock,
    "suasana.alert.v1": Alert,
}


@dataclass(frozen=True, slots=True)
class Event:
    """One fact that must not get lost: CloudEvents 1.0, structured JSON, on ``event``."""

    id: Name
    """Unique for ever; a reader drops what it has seen."""
    kit: Name
    boot_id: Name
    """Changes with every start of the daemon."""
    seq: Count
    """Counts up by one within a boot, so gaps can be counted."""
    at: UtcTime
    """UTC, RFC 3339."""
    time_quality: TimeQuality
    data: Data
    replayed: bool = False
    """True when it waited for the broker."""
    schema: Count = SCHEMA
    mono_s: Amount | None = None
    """The event's own moment on a clock that never jumps; None where there is none, as in a recording."""
    mono_id: str = ""
    """Which start of the machine that clock counts from: ``mono_s`` compare under the same id."""

    @property
    def type(self) -> str:
        """The CloudEvents type."""
        return next(name for name, cls in EVENT_TYPES.items() if isinstance(self.data, cls))

    def to_json(self) -> str:
        """The CloudEvents envelope."""
        stamp = {"schema": self.schema, "kit": self.kit, "boot_id": self.boot_id, "seq": self.seq}
        stamp |= {"time_quality": self.time_quality, "replayed": self.replayed}
        stamp |= {"mono_s": self.mono_s, "mono_id": self.mono_id}
        return _dump(
            {
                "specversion": "1.0",
                "id": self.id,
                "source": f"suasana/{self.kit}",
                "type": self.type,
                "time": self.at,
                "datacontenttype": "application/json",
                "data": stamp | _plain(self.data),
            }
        )

    @classmethod
    def from_json(cls, payload: bytes | str) -> Event:
        """Read an envelope.

        Raises:
            EventError: it is not an event of this contract.
        """
        envelope = _parse(payload)
        data = envelope.get("data")
        form = (envelope.get("specversion"), envelope.get("datacontenttype"))
        if form != ("1.0", "application/json") or not isinstance(data, dict):
            raise EventError("not a CloudEvents 1.0 message with JSON data")
        if not isinstance(envelope.get("source"), str) or not envelope["source"]:
            raise EventError("event without a source")
        kind = EVENT_TYPES.get(str(envelope.get("type")))
        if kind is None:
            raise EventError(f"unknown event type {str(envelope.get('type'))[:60]!r}")
        own = {name: data[name] for name in _STAMP if name in data}
        stamped = {"id": envelope.get("id"), "at": envelope.get("time"), **own}
        return _build(cls, {**stamped, "data": _build(kind, data, "data")}, "event")


_STAMP = ("schema", "kit", "boot_id", "seq", "time_quality", "replayed", "mono_s", "mono_id")


def mark_replayed(body: str) -> str:
    """An event's JSON that says it waited for the broker, and is otherwise the same to the byte."""
    return body.replace('"replayed":false', '"replayed":true', 1)  # no text of anybody's stands before it


Payload = TypeVar("Payload")


def to_json(payload: object) -> str:
    """A payload class's instance as one line of JSON."""
    assert is_dataclass(payload)
    return _dump(_plain(payload))


def from_json(cls: type[Payload], payload: bytes | str) -> Payload:
    """Read a payload of a known topic. Unknown keys are ignored: a later version may add some.

    Raises:
        EventError: too long, not JSON, a field missing, of the wrong type or not finite.
    """
    return _build(cls, _parse(payload), cls.__name__.lower())


# ── Topics ───────────────────────────────────────────────────────────────────────────────────────────

BASE = "suasana"


def topic(kit: str, *levels: str) -> str:
    """``suasana/<kit>/…``."""
    return "/".join((BASE, kit, *levels))


def split_topic(name: str) -> tuple[str, str]:
    """The kit and the rest of a topic: ``suasana/k1/source/camera/status`` → ``k1, source/camera/status``.

    Raises:
        EventError: the topic is not ours.
    """
    base, _, rest = name.partition("/")
    kit, _, leaf = rest.partition("/")
    if base != BASE or not leaf or not KIT_NAME.fullmatch(kit):
        raise EventError(f"not a topic of a kit: {name[:80]!r}")
    return kit, leaf


# ── Time and identity ────────────────────────────────────────────────────────────────────────────────


def format_time(epoch_s: float) -> str:
    """Seconds since 1970 as RFC 3339 in UTC with milliseconds."""
    moment = datetime.fromtimestamp(epoch_s, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> float:
    """RFC 3339 as seconds since 1970.

    Raises:
        EventError: no such time.
    """
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        if moment.tzinfo is None:
            raise EventError(f"time without a zone: {text[:40]!r}")
        return moment.timestamp()
    except (ValueError, OverflowError) as error:
        raise EventError(f"not a time: {text[:40]!r}") from error


def name_event(kit: str, boot_id: str, seq: int) -> str:
    """The unique id of an event: the same event gets the same id however often it is told."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"suasana/{kit}/{boot_id}/{seq}"))


# ── JSON in and out ──────────────────────────────────────────────────────────────────────────────────

Built = TypeVar("Built")


def _dump(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _parse(payload: bytes | str) -> dict[str, Any]:
    if len(payload) > MAX_BYTES:
        raise EventError(f"payload of {len(payload)} bytes is longer than {MAX_BYTES}")
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise EventError("payload is not JSON") from error
    if not isinstance(value, dict):
        raise EventError("payload is not a JSON object")
    return value


@cache
def _hints(cls: type) -> Mapping[str, Any]:
    """The types of a class's fields; asking for them takes longer than reading a message."""
    return get_type_hints(cls, include_extras=True)


def _build(cls: type[Built], table: Mapping[str, Any], where: str) -> Built:
    hints = _hints(cls)  # type: ignore[arg-type] # a class is hashable
    values = {}
    for field in fields(cls):  # type: ignore[arg-type]
        if field.name in table:
            values[field.name] = _convert(table[field.name], hints[field.name], f"{where}.{field.name}")
        elif field.default is MISSING:
            raise EventError(f"{where}.{field.name} is missing")
    return cls(**values)


def _convert(value: Any, hint: Any, where: str) -> Any:
    """Check *value* against the type of its field; JSON's lists become tuples."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        converted = _convert(value, args[0], where)
        _check(converted, args[1], where)
        return converted
    if is_dataclass(hint) and isinstance(value, dict):
        return _build(hint, value, where)  # type: ignore[arg-type]
    if origin in (Union, UnionType):
        if value is None and NoneType in args:
            return None
        if any(is_dataclass(arg) and isinstance(value, arg) for arg in args):  # type: ignore[arg-type]
            return value
        hint = next(arg for arg in args if arg is not NoneType)
        return _convert(value, hint, where)
    if origin is Literal and value in args and isinstance(value, str):
        return value
    if origin is tuple and isinstance(value, list):
        return tuple(_convert(item, args[0], f"{where}[]") for item in value)
    if origin is Mapping and isinstance(value, dict):
        return {str(key): _convert(item, args[1], f"{where}.{str(key)[:40]}") for key, item in value.items()}
    if hint is float and _is_number(value):
        return float(value)
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)  # JSON has one kind of number: 8.0 is a count too
    if hint in (int, bool, str) and type(value) is hint:
        return value
    raise EventError(f"{where} cannot be {json.dumps(value)[:60]}")


def _check(value: Any, rule: Rule, where: str) -> None:
    if rule.at_least is not None and value < rule.at_least:
        raise EventError(f"{where} is out of range: {str(value)[:40]} is below {rule.at_least:g}")
    if rule.at_most is not None and value > rule.at_most:
        raise EventError(f"{where} is out of range: {str(value)[:40]} is above {rule.at_most:g}")
    if rule.shortest and len(value) < rule.shortest:
        raise EventError(f"{where} is empty")
    if rule.moment:
        parse_time(value)


def _is_number(value: Any) -> bool:
    # An integer too long for a float would overflow: it is as little a reading as infinity.
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) < 1e300
        and math.isfinite(value)
    )
