"""What ``suasana doctor`` looks at: one file per part of the kit, all answering to ``examine``.

A check looks and tells; it changes nothing, and it opens no device that a running kit uses or that somebody
switched off. What it finds is a ``Finding``: an id and the values for its texts. Status and texts, in
Indonesian and English, stand in texts.toml, so no finding lacks a translation or, if it is bad, an advice.

Adding one: a file here with ``examine(patient)``, a line in CHECKS, and its texts.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args

from edge.events import Health, Info, SourceStatus
from edge.settings import Settings
from edge.state.switches import Switches
from edge.types import EdgeError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Status = Literal["ok", "warning", "failure", "skipped"]
Language = Literal["id", "en"]
Value = str | int | float
PLACE = re.compile(r"{([a-z])}")
"""Of anything, in a reason."""


@dataclass(frozen=True, slots=True)
class Check:
    """How one part is looked at."""

    apart: bool = False
    """In a process of its own: drivers and runtimes may hang or crash."""
    light: bool = False
    """Quick and without devices, so that the daemon itself may do it while it runs."""
    needs_settings: bool = True


CHECKS: Mapping[str, Check] = {
    "system": Check(light=True, needs_settings=False),
    "settings": Check(light=True, needs_settings=False),
    "kit": Check(),
    "permissions": Check(light=True, needs_settings=False),
    "camera": Check(apart=True),
    "microphone": Check(apart=True),
    "models": Check(apart=True),
    "weights": Check(apart=True),
    "learned": Check(light=True),
    "broker": Check(),
    "disk": Check(light=True),
    "clock": Check(light=True, needs_settings=False),
    "temperature": Check(light=True, needs_settings=False),
    "power": Check(light=True, needs_settings=False),
}
"""In the order in which they are told. Each is the module of the same name."""


@dataclass(frozen=True, slots=True)
class Running:
    """A kit that runs here on the same state folder, and what it says about itself."""

    info: Info | None = None
    """None when it does not answer."""
    health: Health | None = None
    sources: Mapping[str, SourceStatus] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Patient:
    """What there is to look at."""

    settings: Settings | None
    """None when they cannot be read."""
    path: Path | None = None
    """Where the settings come from; None for the defaults."""
    trouble: str = ""
    """Why the settings cannot be read."""
    running: Running | None = None
    """The kit in operation, whose devices must be left alone."""
    twin: bool = False
    """Another kit, not of this machine, is at the broker under the same name."""
    root: Path = Path("/")
    """Where /proc, /sys, /dev and /etc are."""

    def is_off(self, name: Literal["camera", "microphone"]) -> bool:
        """Whether somebody switched the device off: it stays closed for the doctor as well."""
        assert self.settings is not None
        return not Switches(self.settings.state_folder / "switches.json").allows(name)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found."""

    id: str
    """``check.what``, the same for ever: programs may rely on it."""
    values: Mapping[str, Value] = field(default_factory=dict)

    @property
    def check(self) -> str:
        """The check's name."""
        return self.id.partition(".")[0]

    @property
    def status(self) -> Status:
        """How it is to be taken."""
        return texts()[self.id].status

    def found(self, language: Language) -> str:
        """What was found, in a sentence; a reason that something else gave is put into words as well."""
        values = dict(self.values)
        if language == "id" and "reason" in values:
            values["reason"] = in_indonesian(str(values["reason"]))
        return texts()[self.id].found[language].format(**values)

    def todo(self, language: Language) -> str:
        """What to do about it; never empty for a warning or a failure."""
        return texts()[self.id].todo[language].format(**self.values)


@dataclass(frozen=True, slots=True)
class Text:
    """A finding's status and its sentences by language."""

    status: Status
    found: Mapping[Language, str]
    todo: Mapping[Language, str]


def finding(id: str, **values: Value) -> Finding:
    """A finding; the values go into the places of its texts."""
    return Finding(id, values)


def examine(name: str, patient: Patient) -> Iterator[Finding]:
    """Look at one part.

    Raises:
        EdgeError: something was found that the check has no words for; a bug in the check raises anything.
    """
    if patient.settings is None and CHECKS[name].needs_settings:
        yield finding(f"{name}.unknown")
        return
    yield from import_module(f"edge.checks.{name}").examine(patient)


def attempt(name: str, patient: Patient) -> Iterator[Finding]:
    """Look at one part, and make a finding of what it has no words for."""
    try:
        yield from examine(name, patient)
    except (EdgeError, OSError) as error:
        yield finding(f"{name}.error", reason=(str(error) or type(error).__name__).splitlines()[0])


@cache
def texts() -> Mapping[str, Text]:
    """Every finding's text by its id."""
    table = _table()
    nothing = dict.fromkeys(get_args(Language), "")
    found = {
        f"{check}.{what}": Text(entry["status"], entry["found"], entry.get("todo", nothing))
        for check, entries in table["findings"].items()
        for what, entry in entries.items()
    }
    for name, check in CHECKS.items():
        for what, entry in table["everywhere"].items():
            if what != "unknown" or check.needs_settings:
                found[f"{name}.{what}"] = Text(entry["status"], entry["found"], entry["todo"])
    return found


def in_indonesian(reason: str) -> str:
    """A reason that kit, system or library gave in English; unchanged where there are no words for it."""
    for pattern, said in _reasons():
        if match := pattern.fullmatch(reason):
            return said.format(**{name: in_indonesian(part) for name, part in match.groupdict().items()})
    where, colon, why = reason.rpartition(": ")  # a path, and what is wrong with it
    return f"{where}{colon}{in_indonesian(why)}" if colon else reason


@cache
def _reasons() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Patterns of English reasons, the most telling first, and what they are in Indonesian."""
    table = tomllib.loads(files("edge.checks").joinpath("reasons.toml").read_text("utf-8"))
    pairs = [pair for part in table.values() for pair in part.items()]
    pairs.sort(key=lambda pair: -len(PLACE.sub("", pair[0])))
    return tuple((re.compile(_as_pattern(english), re.DOTALL), said) for english, said in pairs)


def _as_pattern(english: str) -> str:
    parts = PLACE.split(english)
    return "".join(f"(?P<{part}>.+?)" if place % 2 else re.escape(part) for place, part in enumerate(parts))


def names() -> Mapping[str, Mapping[Language, str]]:
    """What each check is called, by language."""
    named: Mapping[str, Mapping[Language, str]] = _table()["names"]
    return named


def words() -> Mapping[str, Mapping[Language, str]]:
    """What the report itself says: the four statuses and the summary, by language."""
    said: Mapping[str, Mapping[Language, str]] = _table()["words"]
    return said


@cache
def _table() -> Mapping[str, Any]:
    return tomllib.loads(files("edge.checks").joinpath("texts.toml").read_text("utf-8"))


def read(path: Path) -> str | None:
    """A small file of the kernel's without its trailing zero bytes and spaces; None when it does not tell."""
    try:
        return path.read_text("utf-8", "replace").strip("\0 \t\n")
    except OSError:
        return None
