"""What a reader may ask of a kit, and what the kit answers. Plain values, as in edge.events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from edge.events import Capture, EventError, Health, Info, Switch, from_json, to_json

LONGEST_TRANSACTION = 200

SwitchName = Literal["capture", "camera", "microphone"]
Verb = Literal["ping", "info", "health", "doctor"]


@dataclass(frozen=True, slots=True)
class Command:
    """One message on ``set/…`` or ``request/…``, as it came."""

    leaf: str
    payload: bytes
    answer_topic: str = ""
    """Where the sender wants its answer (MQTT 5's response topic); empty is ``response/<verb>``."""
    correlation: bytes = b""
    """MQTT 5's correlation data, which goes back with the answer."""
    refusal: str = ""
    """Why it must not be obeyed, told to the sender; empty for a command in order."""


@dataclass(frozen=True, slots=True)
class Request:
    """On ``request/<verb>``. An empty payload does too."""

    transaction: str = ""
    """Comes back in the answer, so that the asker knows its own; at most 200 characters of it."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One thing that the kit's doctor found."""

    id: str
    """``check.what``; stays the same, whatever the sentences say."""
    status: Literal["ok", "warning", "failure", "skipped"]
    found: Mapping[str, str]
    """What was found, by language: ``id`` and ``en``."""
    todo: Mapping[str, str]
    """What to do about it, by language; empty sentences where there is nothing to do."""


@dataclass(frozen=True, slots=True)
class Answer:
    """On ``response/<verb>``: what came of a request, or on ``response/set`` of a switch.

    Says only what applies.
    """

    ok: bool
    transaction: str | None = None
    """The request's own."""
    error: str | None = None
    """Why not, in one line of English; only when ``ok`` is false."""
    capture: Capture | None = None
    """All switches as they are now; the answer to ``set/…``."""
    remembered: bool | None = None
    """With ``capture``: false when the disk refused, so that a power cut would undo the choice."""
    info: Info | None = None
    """The answer to ``request/info``."""
    health: Health | None = None
    """The answer to ``request/health``."""
    doctor: tuple[Checked, ...] | None = None
    """The answer to ``request/doctor``: what a kit can tell while it runs, without opening any device."""

    def to_json(self) -> str:
        """One line of JSON, without what does not apply."""
        table = {name: value for name, value in json.loads(to_json(self)).items() if value is not None}
        return json.dumps(table, ensure_ascii=False, separators=(",", ":"))


def read_switch(command: Command) -> tuple[SwitchName, Switch]:
    """Which switch to set to what.

    Raises:
        EventError: there is no such switch or no such value.
    """
    name = command.leaf.partition("/")[2]
    value = command.payload.decode("utf-8", "replace").strip().lower()
    for known in get_args(SwitchName):
        for wanted in get_args(Switch):
            if (name, value) == (known, wanted):
                return known, wanted
    raise EventError(f"only {', '.join(get_args(SwitchName))} can be set, to on or off")


def read_request(command: Command) -> Request:
    """What is asked.

    Raises:
        EventError: the payload is not a JSON object, or its transaction is neither a text nor a number.
    """
    payload = command.payload.strip() or b"{}"
    try:
        table = json.loads(payload)
    except (ValueError, RecursionError):
        table = None
    if not isinstance(table, dict):
        raise EventError("the payload is not a JSON object")
    transaction = table.get("transaction", "")
    if isinstance(transaction, int | float) and not isinstance(transaction, bool):
        return Request(str(transaction)[:LONGEST_TRANSACTION])
    return Request(from_json(Request, payload).transaction[:LONGEST_TRANSACTION])
