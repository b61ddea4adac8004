"""Using a running kit from the command line: its switches, and what it says about itself.

A command goes over MQTT. Where no kit answers, a switch is written into the file that the daemon looks at.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge.answers import read
from edge.broker.visit import Visit, VisitError, broker_address
from edge.contract.commands import SwitchName
from edge.events import Capture, Sense, Switch
from edge.practice.learned import FILE, Head, delete
from edge.practice.learned import read as read_heads
from edge.settings import Settings, load
from edge.state.switches import Switches
from edge.types import SettingsError

INSTALLED = Path("/etc/suasana/kit.toml")
"""Where the package puts the settings: the default of commands that speak about the kit on this machine."""
RELEASED_S = 8.0
"""A device that is not closed by now is told as such."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a command."""

    capture: Capture
    how: Literal["mqtt", "file"]
    why: str = ""
    """Why not over MQTT."""
    still_open: tuple[str, ...] = ()
    """Sources that should be closed and did not say so in time."""


def settings_of(path: Path | None) -> Settings:
    """The settings at *path*, of the installed kit, or the defaults.

    Raises:
        SettingsError: they do not do.
    """
    if path is None and INSTALLED.exists():
        path = INSTALLED
    return load(path) if path else Settings()


def switch(settings: Settings, name: SwitchName, value: Switch) -> Outcome:
    """Flip one switch of the kit on this machine, however it can be reached.

    Raises:
        SettingsError: neither the kit nor the file could be reached.
    """
    try:
        return _send(settings, name, value)
    except VisitError as error:
        return _write(settings, name, value, why=error.reason)


def current(settings: Settings) -> Capture:
    """The switches as the kit remembers them."""
    path = settings.state_folder / "switches.json"
    _refuse_unreadable(path)
    return Switches(path).now


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What came of forgetting."""

    how: Literal["mqtt", "file"]
    found: bool
    """Whether there was a file."""
    why: str = ""
    """Why not over MQTT."""


def forget(settings: Settings) -> Forgotten:
    """Delete what the kit on this machine learned in the practice game, whether it runs or not.

    Raises:
        SettingsError: the file could not be deleted.
    """
    path, mqtt, why = learned_file(settings), settings.mqtt, ""
    found = path.exists()
    try:
        address = broker_address(mqtt.url, password_file=mqtt.password_file, ca_file=mqtt.ca_file)
        with Visit(address, kit=settings.kit_name) as visit:
            answer = visit.ask("practice-forget")
        if answer is None or answer.get("ok") is not True:
            why = str((answer or {}).get("error", "no kit answers there"))
    except VisitError as error:
        why = error.reason
    try:
        delete(path)  # also where the kit that answered is another machine's of the same name
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror or error}; sudo may help") from error
    return Forgotten("file" if why else "mqtt", found, why)


def learned(settings: Settings) -> dict[Sense, Head]:
    """What the kit learned in the practice game.

    Raises:
        SettingsError: the file cannot be read, or is damaged.
    """
    path = learned_file(settings)
    try:
        return read_heads(path)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror or error}; sudo may help") from error
    except ValueError as error:
        raise SettingsError(f"{path}: damaged ({error}); nothing of it is used") from error


def learned_file(settings: Settings) -> Path:
    """Where it is kept."""
    return settings.state_folder / FILE


def _send(settings: Settings, name: SwitchName, value: Switch) -> Outcome:
    mqtt = settings.mqtt
    address = broker_address(mqtt.url, **mqtt.files)
    with Visit(address, kit=settings.kit_name) as visit:
        sources = ("camera", "microphone")
        visit.listen("response/set", *(f"source/{source}/status" for source in sources))
        visit.say(f"set/{name}", value)

        def is_ours(text: str) -> bool:
            answer = read(text)
            return answer.get("ok") is not True or answer.get("capture", {}).get(name) == value

        text = visit.hear("response/set", is_ours)
        if text is None:
            raise VisitError("heard", "no kit answers there")
        answer = read(text)
        if answer.get("ok") is not True:
            raise VisitError("heard", str(answer.get("error", "the kit refused")))
        now = Capture(**{key: answer["capture"][key] for key in ("capture", "camera", "microphone")})
        closed = {"disabled", "offline"}
        still_open = tuple(
            source
            for source in sources
            if "off" in (now.capture, getattr(now, source))
            and visit.hear(f"source/{source}/status", closed.__contains__, patience_s=RELEASED_S) is None
        )
        return Outcome(now, "mqtt", still_open=still_open)


def _write(settings: Settings, name: SwitchName, value: Switch, *, why: str) -> Outcome:
    path = settings.state_folder / "switches.json"
    _refuse_unreadable(path)
    switches = Switches(path)
    switches.set(name, value)
    if not switches.remembered:
        raise SettingsError(f"no kit answers ({why}), and {path} cannot be written; sudo may help")
    return Outcome(switches.now, "file", why)


def _refuse_unreadable(path: Path) -> None:
    """Somebody without the right to look must not take that for a damaged file."""
    try:
        path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror or error}; sudo may help") from error
