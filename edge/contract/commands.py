"""What a reader may ask of a kit, and what the kit answers. Plain values, as in edge.events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

from edge.events import (
    Amount,
    Capture,
    Count,
    EventError,
    Health,
    Info,
    Mode,
    Name,
    Sense,
    Switch,
    from_json,
    to_json,
)
from edge.words import LABELS, VOICE_LABELS

LONGEST_TRANSACTION = 200
LONGEST_ROUND_S = 120.0
CROWDED = "too many commands at once; newer ones were obeyed instead of this one"
"""The newest wins: whoever says ``off`` last must be heard."""

Wish = TypeVar("Wish", "SettingsRequest", "PartRequest", "ModelRequest")

SwitchName = Literal["capture", "camera", "microphone"]
Verb = Literal[
    "ping",
    "info",
    "health",
    "doctor",
    "practice-round",
    "practice-learn",
    "practice-forget",
    "settings",
    "settings-change",
    "models",
    "model-part",
    "model-rollback",
]


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
class RoundRequest:
    """On ``request/practice-round``: play one round of the practice game, in place of the one that is on."""

    seconds: Amount
    """How long it goes on, at most 120; 0 ends the one that is on."""
    label: str = ""
    """What the player is asked to show or to sound like; empty asks for nothing, the face only answers."""
    sense: Sense = "face"
    transaction: str = ""
    """Comes back in the answer, and as ``round`` in every reading of the round."""


@dataclass(frozen=True, slots=True)
class SettingsRequest:
    """On ``request/settings-change``: change settings, as ``request/settings`` names them."""

    changes: Mapping[str, str]
    """Values as text, by name; an empty text brings back what the kit's own file says."""
    transaction: str = ""


@dataclass(frozen=True, slots=True)
class PartRequest:
    """On ``request/model-part``: the next part of a signed model package, installed once it is whole."""

    sha256: Name
    """Of the whole package; tells one package from another."""
    size: Count
    """Bytes of the whole package."""
    at: Count
    """Where this part begins. 0 begins anew; a part that the kit has is answered and changes nothing."""
    data: str
    """The part's bytes, in base64; at most 24 kB."""
    transaction: str = ""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """On ``request/model-rollback``: return to the model before, or to the software's own."""

    name: Name
    """Without its version."""
    transaction: str = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting that may be changed over MQTT; all others stand in the kit's own file only."""

    name: str
    """As in the file, its table before the dot: ``mood.window_s``."""
    kind: Literal["number", "whole", "text", "choice"]
    value: str
    usual: str
    """What the kit's own file says."""
    least: float | None
    most: float | None
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tuning:
    """How the last change of settings did."""

    trial: bool
    """It has yet to prove itself: one minute with every camera and microphone back that was there before."""
    failed: Mapping[str, str]
    """What was taken back, by name; empty when nothing was."""
    why: Mapping[str, str]
    """Why it was taken back, by language."""


@dataclass(frozen=True, slots=True)
class ModelState:
    """One model in use, and where a rollback leads."""

    name: str
    version: str
    task: Literal["expression", "tone"]
    shipped: bool
    """It came with the software."""
    trial: bool
    """Installed, but yet to prove itself."""
    back_to: str | None
    """The version that a rollback leads to; null when there is nothing to roll back."""
    failed: str
    """Version that was given up last; empty when none was."""
    why: Mapping[str, str]
    """Why it was given up, by language."""
    metrics: Mapping[str, float]
    """What was measured on its files: ``accuracy``, ``claimed``, ``claimed_accuracy``, …, as fractions."""
    card: str
    """The model's card, in Markdown."""


@dataclass(frozen=True, slots=True)
class LearnRequest:
    """On ``request/practice-learn``: let the kit learn from the rounds that follow, or no more.

    What it learns is a few numbers, which ``request/practice-forget`` deletes. ``info`` tells how it goes.
    """

    consent: bool
    """True: an adult who may decide so agrees. False: drop what was gathered; what was learned stays."""
    transaction: str = ""
    """Comes back in the answer."""


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
    """With ``capture`` and ``mode``: false when the disk refused, so that a power cut undoes the choice."""
    info: Info | None = None
    """The answer to ``request/info``."""
    health: Health | None = None
    """The answer to ``request/health``."""
    doctor: tuple[Checked, ...] | None = None
    """The answer to ``request/doctor``: what a kit can tell while it runs, without opening any device."""
    mode: Mode | None = None
    """The mode as it is now; the answer to ``set/mode``."""
    why: Mapping[str, str] | None = None
    """``error`` by language, as far as there are words for it; with what an admin asks for."""
    settings: tuple[Setting, ...] | None = None
    """The answer to ``request/settings`` and ``request/settings-change``."""
    tuning: Tuning | None = None
    """With ``settings``."""
    models: tuple[ModelState, ...] | None = None
    """The answer to ``request/models`` and ``request/model-rollback``."""
    updates: bool | None = None
    """With ``models``: whether the kit's own file lets models be changed over MQTT."""
    have: Count | None = None
    """Bytes of the package that the kit has; the answer to ``request/model-part``."""
    begins_anew: bool | None = None
    """The kit starts anew, with what was changed, within seconds; false when nothing changed."""

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
    raise EventError(f"only {', '.join(get_args(SwitchName))} can be set, to on or off; and mode")


def read_mode(command: Command) -> Mode:
    """Which mode to take.

    Raises:
        EventError: there is no such mode.
    """
    value = command.payload.decode("utf-8", "replace").strip().lower()
    for mode in get_args(Mode):
        if value == mode:
            return mode  # type: ignore[no-any-return]
    raise EventError(f"mode can be set to {' or '.join(get_args(Mode))}")


def read_round(command: Command) -> RoundRequest:
    """Which round to play.

    Raises:
        EventError: the payload is no such request, or asks for what cannot be shown, heard or waited for.
    """
    transaction = read_request(command).transaction
    table = json.loads(command.payload.strip() or b"{}") | {"transaction": transaction}
    wish = from_json(RoundRequest, json.dumps(table))
    labels = VOICE_LABELS if wish.sense == "voice" else LABELS
    if wish.label and wish.label not in labels:
        raise EventError(f"label is empty or one of {', '.join(labels)} for the {wish.sense}")
    if wish.seconds > LONGEST_ROUND_S:
        raise EventError(f"a round lasts {LONGEST_ROUND_S:g} seconds at most")
    return wish


def read_changes(command: Command) -> SettingsRequest:
    """Which settings to change.

    Raises:
        EventError: the payload is no such request.
    """
    return _read_as(SettingsRequest, command)


def read_part(command: Command) -> PartRequest:
    """Which part of a package came.

    Raises:
        EventError: the payload is no such request.
    """
    return _read_as(PartRequest, command)


def read_model(command: Command) -> ModelRequest:
    """Which model is meant.

    Raises:
        EventError: the payload is no such request.
    """
    return _read_as(ModelRequest, command)


def _read_as(cls: type[Wish], command: Command) -> Wish:
    transaction = read_request(command).transaction
    table = json.loads(command.payload.strip() or b"{}") | {"transaction": transaction}
    return from_json(cls, json.dumps(table))


def read_consent(command: Command) -> LearnRequest:
    """Whether the kit may learn.

    Raises:
        EventError: the payload does not say so.
    """
    transaction = read_request(command).transaction
    table = json.loads(command.payload.strip() or b"{}") | {"transaction": transaction}
    if not isinstance(table.get("consent"), bool):
        raise EventError("consent must be true or false: an adult has to agree that the kit learns")
    return from_json(LearnRequest, json.dumps(table))


def transaction_of(command: Command) -> str | None:
    """What a request that is refused may carry all the same, so that its asker knows the answer."""
    try:
        return read_request(command).transaction or None
    except EventError:
        return None


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
