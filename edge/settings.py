"""Settings of one kit: a TOML file into frozen dataclasses. An unknown key is an error that names the key."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from edge.events import KIT_NAME
from edge.types import SettingsError
from edge.words import LABELS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PIN = re.compile(r"GPIO([0-9]|1[0-9]|2[0-7])")


TOPIC = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")


@dataclass(frozen=True, slots=True)
class Camera:
    """Where pictures come from."""

    uri: str = "opencv:0"
    """``opencv:PATH``, ``opencv:name=NAME``, ``opencv:0``, ``picamera2:0``, ``replay:FILE``, ``scene:``,
    ``pattern:`` or ``none``."""
    problem_after_s: float = 10.0
    """Pictures that are frozen, black or covered for this long are a problem; 0 judges no picture."""


@dataclass(frozen=True, slots=True)
class Microphone:
    """Where sound comes from."""

    uri: str = "pyaudio:default"
    """``pyaudio:NAME``, ``replay:FILE``, ``pattern:`` or ``none``."""
    problem_after_s: float = 60.0
    """Silence of this length is a problem, and so is clipping; 0 judges no sound."""


@dataclass(frozen=True, slots=True)
class Faces:
    """Finding faces."""

    detector: Literal["retinaface", "blazeface", "yunet"] = "retinaface"
    """docs/detectors.md compares them."""
    yunet: str = ""
    """Path of the official YuNet ONNX file, needed for ``detector = "yunet"``."""
    yunet_sha256: str = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
    """Of face_detection_yunet_2023mar.onnx, OpenCV Zoo."""
    search_px: int = 1280
    """RetinaFace looks at a picture of this width; smaller is faster and misses far faces."""
    max_fps: float = 5.0
    """Frames looked at per second; the camera may deliver more."""
    reads_per_s: float = 2.0
    """Readings of one face per second; in between it is only followed."""
    look_around_s: float = 2.0
    """RetinaFace searches a whole frame this often; in between it looks where faces are. 0: every frame."""


@dataclass(frozen=True, slots=True)
class Load:
    """When to look less hard; edge.load says in which order. 0 sets no limit."""

    cpu_percent: float = 80.0
    """Of one core, for the whole daemon; 400 is all of a Raspberry Pi."""
    temperature_c: float = 75.0
    """Of the processor. A Raspberry Pi slows itself down at 80."""


@dataclass(frozen=True, slots=True)
class Classifier:
    """One model in use."""

    model: str = ""
    """Name of a folder in models/, or a path; empty takes the kit's own."""
    runtime: Literal["auto", "tflite", "onnx"] = "auto"
    threads: int = 1
    """Of the runtime's own pool."""


@dataclass(frozen=True, slots=True)
class Mood:
    """From readings to the room's mood; edge.mood.Rules says what each does."""

    window_s: float = 5.0
    min_people: int = 5
    smoothing_s: float = 1.0
    voice_weight: float = 0.25
    view: tuple[str, ...] = LABELS
    """``["happy", "sad", "fear"]`` gives the early-childhood study's view."""


@dataclass(frozen=True, slots=True)
class Mqtt:
    """The broker."""

    url: str = "mqtt://127.0.0.1:1883"
    """``mqtt://[user@]host[:port]``, ``mqtts://`` for TLS, or ``discover://SITE`` to look for it by mDNS."""
    password_file: str = ""
    ca_file: str = ""
    """Certificate authority for ``mqtts://``; empty takes the system's."""
    cert_file: str = ""
    """The kit's own certificate, where the broker wants one; ``suasana pair`` writes all of these."""
    key_file: str = ""
    """Its private key; not for everybody to read."""
    registrar_port: int = 0
    """Where the site makes the kit's next certificate, on the broker's machine; 0: nowhere."""
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    keepalive_s: int = 15

    @property
    def files(self) -> dict[str, str]:
        """What lets a client in, by the settings' own names; empty where there is no such file."""
        names = ("password_file", "ca_file", "cert_file", "key_file")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class HomeAssistant:
    """Whether the kit introduces itself to Home Assistant; docs/home-assistant.md."""

    discovery: bool = False
    prefix: str = "homeassistant"
    """Home Assistant's own setting "discovery prefix"."""
    language: Literal["id", "en"] = "id"
    """Of the entities' names."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A button and a lamp on the kit itself; empty is none."""

    button: str = ""
    """``GPIO17``: switches all capture off and on; connects the pin to ground."""
    led: str = ""
    """``GPIO27``: burns while a camera or microphone is open."""


@dataclass(frozen=True, slots=True)
class Updates:
    """Whose model packages may be installed."""

    trusted_keys: tuple[str, ...] = ()
    """Public keys, ``ed25519:BASE64 OWNER`` each, as they stand in the .pub files of ``convert new-key``."""
    keys_dir: str = "/etc/suasana/keys"
    """Every ``*.pub`` file in this folder is trusted too."""
    remote: bool = False
    """Whether models may be installed and rolled back over MQTT as well, by an admin of the dashboard."""


@dataclass(frozen=True, slots=True)
class Outbox:
    """Where events wait for the broker."""

    keep: Literal["disk", "memory"] = "disk"
    """``memory`` leaves nothing behind and loses what waits when the daemon ends."""
    max_events: int = 100_000
    """Nearly six days of five-second windows; the oldest go first and are counted."""
    max_mb: float = 64.0
    """MB (10^6 bytes) of events."""
    max_age_h: float = 168.0
    """Hours that the kit ran since: a holiday, or a clock that jumps, empties nothing."""
    commit_s: float = 10.0
    """A power cut costs at most the events of so many seconds, and only those the broker did not have."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a kit can be told."""

    kit: str = ""
    """Lower-case letters, digits, hyphens; also the MQTT user name. Empty takes the host's name."""
    room: str = ""
    """What the teacher calls the room."""
    mode: Literal["", "class", "practice"] = ""
    """``class`` has to be asked for by name, and allows ``practice``; ``practice`` allows nothing else."""
    region: str = ""
    """``eu`` refuses class mode: emotion inference in education is prohibited there. It does not refuse the
    practice game; docs/architecture.md tells why."""
    state_dir: str = ""
    """Where switches are remembered; empty takes $STATE_DIRECTORY or ~/.local/state/suasana."""
    camera: Camera = field(default_factory=Camera)
    microphone: Microphone = field(default_factory=Microphone)
    faces: Faces = field(default_factory=Faces)
    load: Load = field(default_factory=Load)
    expression: Classifier = field(default_factory=lambda: Classifier(model="face-expression"))
    tone: Classifier = field(default_factory=lambda: Classifier(model="voice-tone"))
    mood: Mood = field(default_factory=Mood)
    mqtt: Mqtt = field(default_factory=Mqtt)
    homeassistant: HomeAssistant = field(default_factory=HomeAssistant)
    updates: Updates = field(default_factory=Updates)
    panel: Panel = field(default_factory=Panel)
    outbox: Outbox = field(default_factory=Outbox)

    def __post_init__(self) -> None:
        _require(
            not self.kit or KIT_NAME.fullmatch(self.kit), "kit", "lower-case letters, digits and hyphens"
        )
        _require(self.region in ("", "eu", "id") or self.region.isalpha(), "region", "a country code")
        _require(1 <= self.mood.window_s <= 60, "mood.window_s", "1 to 60 seconds")
        _require(0 <= self.mood.min_people <= 100, "mood.min_people", "0 to 100")
        _require(0 <= self.mood.smoothing_s <= 10, "mood.smoothing_s", "0 to 10 seconds")
        _require(0 <= self.mood.voice_weight <= 1, "mood.voice_weight", "0 to 1")
        _require(
            bool(self.mood.view) and set(self.mood.view) <= set(LABELS),
            "mood.view",
            f"labels of {', '.join(LABELS)}",
        )
        _require(160 <= self.faces.search_px <= 3840, "faces.search_px", "160 to 3840 pixels")
        _require(0 <= self.faces.look_around_s <= 60, "faces.look_around_s", "0 to 60 seconds")
        for key, source in (("camera", self.camera), ("microphone", self.microphone)):
            _require(0 <= source.problem_after_s <= 3600, f"{key}.problem_after_s", "0 to 3600 seconds")
        _require(0.1 <= self.faces.reads_per_s <= 60, "faces.reads_per_s", "0.1 to 60")
        _require(0 <= self.load.cpu_percent <= 10_000, "load.cpu_percent", "0 to 10000 per cent of one core")
        _require(0 <= self.load.temperature_c <= 120, "load.temperature_c", "0 to 120 degrees Celsius")
        _require(0.1 <= self.faces.max_fps <= 60, "faces.max_fps", "0.1 to 60")
        _require(1 <= self.expression.threads <= 16, "expression.threads", "1 to 16")
        _require(1 <= self.tone.threads <= 16, "tone.threads", "1 to 16")
        for key, pin in (("panel.button", self.panel.button), ("panel.led", self.panel.led)):
            _require(not pin or PIN.fullmatch(pin), key, "a pin from GPIO0 to GPIO27, or empty")
        _require(
            not self.panel.led or self.panel.led != self.panel.button,
            "panel.led",
            "another pin than panel.button",
        )
        _require(
            TOPIC.fullmatch(self.homeassistant.prefix),
            "homeassistant.prefix",
            "levels of a topic: ha or my/ha",
        )
        _require(
            bool(self.mqtt.cert_file) == bool(self.mqtt.key_file),
            "mqtt.cert_file and mqtt.key_file",
            "given together",
        )
        _require(0 <= self.mqtt.registrar_port <= 65535, "mqtt.registrar_port", "a port, or 0")
        _require(5 <= self.mqtt.keepalive_s <= 3600, "mqtt.keepalive_s", "5 to 3600 seconds")
        _require(100 <= self.outbox.max_events <= 10_000_000, "outbox.max_events", "100 to 10000000")
        _require(1 <= self.outbox.max_mb <= 10_000, "outbox.max_mb", "1 to 10000 MB")
        _require(0 < self.outbox.max_age_h <= 87_600, "outbox.max_age_h", "more than 0, at most 87600 hours")
        _require(0 <= self.outbox.commit_s <= 300, "outbox.commit_s", "0 to 300 seconds")

    @property
    def kit_name(self) -> str:
        """The kit's name, made from the host's where none is set."""
        return self.kit or re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().lower()).strip("-")[:63] or "kit"

    @property
    def state_folder(self) -> Path:
        """The folder that survives a restart."""
        folder = self.state_dir or os.environ.get("STATE_DIRECTORY", "").split(":")[0]
        return Path(folder) if folder else Path.home() / ".local" / "state" / "suasana"


def _require(holds: object, key: str, rule: str) -> None:
    if not holds:
        raise SettingsError(f"{key} must be {rule}")


def check_mode(settings: Settings) -> None:
    """Refuse to watch a class unless that was asked for, where it may be. Practice may be played anywhere.

    Raises:
        SettingsError: says what to set, or why not.
    """
    if settings.mode == "practice":
        return
    if settings.mode != "class":
        raise SettingsError(
            'watching a class has to be asked for by name: --mode class, or mode = "class" in the settings; '
            "read the README's page on privacy first. The practice game is --mode practice"
        )
    if settings.region.lower() == "eu":
        raise SettingsError(
            'region "eu" refuses class mode: inferring emotions in education is prohibited there '
            "(AI Act Art. 5(1)(f))"
        )
    if settings.mood.min_people < 2:
        raise SettingsError("mood.min_people must be 2 or more in class mode: one person is not a room")


def load(path: Path) -> Settings:
    """Read a settings file.

    Raises:
        SettingsError: not readable, not TOML, an unknown key, a wrong type or a value out of range.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error
    try:
        return build(table)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from None


def build(table: Mapping[str, Any]) -> Settings:
    """Settings from nested tables, as TOML gives them.

    Raises:
        SettingsError: names the key that is wrong.
    """
    settings = _build(Settings, table, "")
    assert isinstance(settings, Settings)
    return settings


def _build(cls: type, table: Mapping[str, Any], prefix: str) -> object:
    known = {field.name for field in fields(cls)}
    for key in table:
        if key not in known:
            raise SettingsError(f"unknown setting {prefix}{key}")
    hints = get_type_hints(cls)
    return cls(**{key: _convert(value, hints[key], prefix + key) for key, value in table.items()})


def _convert(value: Any, hint: Any, key: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        if isinstance(value, Mapping):
            return _build(hint, value, f"{key}.")  # type: ignore[arg-type]
        raise SettingsError(f"{key} must be a table")
    if origin is UnionType and NoneType in args:
        hint = next(arg for arg in args if arg is not NoneType)
    if origin is Literal:
        if value not in args:
            raise SettingsError(f"{key} must be one of {', '.join(repr(arg) for arg in args if arg)}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise SettingsError(f"{key} must be a list of texts")
        return tuple(value)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if type(value) is hint:
        return value
    names = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
    raise SettingsError(f"{key} must be {names[hint]}")
