"""The topics below ``suasana/<kit>/``: what is said there, by whom, whether it is kept, how long it is news.

The kit publishes by this table, and edge/contract/pages.py writes it down for readers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from edge.contract.commands import (
    Answer,
    LearnRequest,
    ModelRequest,
    PartRequest,
    Request,
    RoundRequest,
    SettingsRequest,
    Verb,
)
from edge.events import (
    Availability,
    Event,
    Health,
    Info,
    Mode,
    Practice,
    SourceDetail,
    SourceStatus,
    State,
    Switch,
)

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Channel:
    """One topic, or a family of topics."""

    leaf: str
    """A level in braces stands for any one level."""
    payload: Any
    """A dataclass, told as JSON, or a Literal, told as the bare word."""
    about: str
    by: Literal["kit", "reader"] = "kit"
    retained: bool = False
    qos: Literal[0, 1] = 1
    expires_s: int | None = None
    """A broker that speaks MQTT 5 throws the message away when it could not deliver it for so long."""
    levels: tuple[str, ...] = ()
    """What the level in braces can be, as far as it is fixed."""

    @property
    def name(self) -> str:
        """Of its schema's file: the levels that are fixed, as in ``source-status``."""
        return "-".join(level for level in self.leaf.split("/") if not level.startswith("{"))

    @property
    def content_type(self) -> str:
        """The MIME type that MQTT 5 tells."""
        if self.payload is Event:
            return "application/cloudevents+json"
        return "application/json" if isinstance(self.payload, type) else "text/plain"


CHANNELS = (
    Channel(
        "availability",
        Availability,
        "whether the kit is there; `offline` is the broker's word",
        retained=True,
    ),
    Channel("info", Info, "who the kit is, its models, its switches", retained=True),
    Channel("state", State, "the room's mood as of the last closed window", retained=True),
    Channel(
        "event",
        Event,
        "one CloudEvent per window, per beginning and end of a session, and when the clock changes",
        expires_s=7 * DAY_S,  # a reader that was away over a holiday finds the week before
    ),
    Channel("health", Health, "every 30 s: speed, latency, memory, temperature", qos=0, expires_s=60),
    Channel(
        "source/{source}/status",
        SourceStatus,
        "the camera's and the microphone's condition; `disabled` is switched off: the device is closed",
        retained=True,
        levels=("camera", "microphone"),
    ),
    Channel(
        "source/{source}/detail",
        SourceDetail,
        "why the camera or the microphone is not `online`, or sees nothing",
        retained=True,
        levels=("camera", "microphone"),
    ),
    Channel(
        "practice",
        Practice,
        "several times a second while a round of the practice game is on, in practice mode only",
        qos=0,
        expires_s=2,
    ),
    Channel(
        "set/mode",
        Mode,
        "you publish `class` or `practice`, never retained; class only where the kit's settings ask for it",
        by="reader",
    ),
    Channel(
        "set/{switch}",
        Switch,
        "you publish `on` or `off`, never retained; what it is now shows in `info`, after a power cut too",
        by="reader",
        levels=("capture", "camera", "microphone"),
    ),
    Channel(
        "request/practice-round",
        RoundRequest,
        "you ask for a round of the practice game; not retained",
        by="reader",
    ),
    Channel(
        "request/practice-learn",
        LearnRequest,
        "an adult lets the kit learn from the rounds that follow, or takes that back; not retained",
        by="reader",
    ),
    Channel(
        "request/settings-change",
        SettingsRequest,
        "you change settings; the kit tries them, answers, and begins anew with them; not retained",
        by="reader",
    ),
    Channel(
        "request/model-part",
        PartRequest,
        "you send a signed model package, one part after the other's answer; not retained",
        by="reader",
    ),
    Channel(
        "request/model-rollback",
        ModelRequest,
        "you ask for the model before; not retained",
        by="reader",
    ),
    Channel(
        "request/{verb}",
        Request,
        "you ask; not retained",
        by="reader",
        levels=("ping", "info", "health", "doctor", "practice-forget", "settings", "models"),
    ),
    Channel(
        "response/{verb}",
        Answer,
        "the answer to a request, or to a switch or mode on `response/set`",
        expires_s=60,
        levels=(*get_args(Verb), "set"),
    ),
)


def channel_of(leaf: str) -> Channel:
    """The channel of a topic's leaf: ``source/camera/status`` is one of ``source/{source}/status``.

    Raises:
        KeyError: nothing of ours is said there.
    """
    levels = leaf.split("/")
    for channel in CHANNELS:
        known = channel.leaf.split("/")
        if len(known) == len(levels) and all(
            name == level or name.startswith("{") for name, level in zip(known, levels, strict=True)
        ):
            return channel
    raise KeyError(leaf)
