"""``suasana doctor``: looks at every part of the kit, says what is wrong and what to do about it."""

from __future__ import annotations

import json
import os
import shutil
import textwrap
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from edge import __version__
from edge.broker.visit import Visit, VisitError, broker_address
from edge.checks import CHECKS, Finding, Language, Patient, Running, Status, attempt, finding, names, words
from edge.checks.apart import Apart
from edge.events import EventError, Health, Info, SourceStatus, format_time, from_json
from edge.settings import Settings, load
from edge.state import claim
from edge.types import SettingsError

COLOURS: Mapping[Status, str] = {"ok": "32", "warning": "33", "failure": "1;31", "skipped": "2"}
"""SGR codes; on a terminal only, and beside a word."""
KEPT_S = 3.0
"""What a broker keeps comes at once, or not at all."""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was found."""

    findings: tuple[Finding, ...]
    at: str
    """UTC, RFC 3339, by a clock that may be wrong."""

    @property
    def failures(self) -> int:
        """How many things failed."""
        return sum(item.status == "failure" for item in self.findings)

    def to_json(self, language: Language) -> str:
        """For programs: ids and statuses are stable, texts are not."""
        checks = [
            {
                "check": item.check,
                "id": item.id,
                "status": item.status,
                "found": item.found(language),
                "todo": item.todo(language),
                "values": dict(item.values),
            }
            for item in self.findings
        ]
        table = {
            "schema": 1,
            "software": f"suasana {__version__}",
            "at": self.at,
            "ok": not self.failures,
            "language": language,
            "checks": checks,
        }
        return json.dumps(table, ensure_ascii=False, indent=1)


def admit(path: Path | None, *, root: Path = Path("/")) -> Patient:
    """The kit of the settings at *path*, and the daemon that may be running on it.

    Settings that are there but wrong are something to report, not a reason to give up.

    Raises:
        SettingsError: there is no such file.
    """
    settings, trouble = Settings(), ""
    if path is not None:
        if not path.exists():
            raise SettingsError(f"{path}: no such file")
        try:
            settings = load(path)
        except SettingsError as error:
            return Patient(None, path, str(error), root=root)
    running = _ask_daemon(settings)
    held = claim.is_held(settings.state_folder)
    twin = running is not None and held is False
    if twin or (running is None and held):
        running = Running() if held else None
    return Patient(settings, path, trouble, running, twin, root)


def _ask_daemon(settings: Settings) -> Running | None:
    """What the kit of this name says about itself; None when none is online."""
    mqtt = settings.mqtt
    try:
        address = broker_address(mqtt.url, **mqtt.files)
        with Visit(address, kit=settings.kit_name) as visit:
            sources = ("camera", "microphone")
            visit.listen("availability", *(f"source/{source}/status" for source in sources))
            if visit.hear("availability", patience_s=KEPT_S) != "online":
                return None
            told = {source: visit.hear(f"source/{source}/status", patience_s=KEPT_S) for source in sources}
            info, health = visit.ask("info"), visit.ask("health")
            if info is None or health is None:
                return None
            return Running(
                from_json(Info, json.dumps(info["info"])),
                from_json(Health, json.dumps(health["health"])),
                {source: cast("SourceStatus", status) for source, status in told.items() if status},
            )
    except (VisitError, EventError, KeyError):
        return None


def examine(patient: Patient) -> Iterator[Finding]:
    """Every check in order; those that may hang start first, beside the others."""
    apart = {
        name: Apart(name, patient)
        for name, check in CHECKS.items()
        if check.apart and (patient.settings is not None or not check.needs_settings)
    }
    for name in CHECKS:
        yield from apart[name].findings() if name in apart else attempt(name, patient)


def glance(patient: Patient) -> list[Finding]:
    """What a running kit can tell about itself without opening anything."""
    assert patient.running is not None
    found = [item for name, check in CHECKS.items() if check.light for item in attempt(name, patient)]
    return found + [
        finding(f"{source}.kit_{status}", uri=getattr(patient.settings, source).uri)
        for source, status in patient.running.sources.items()
    ]


def report(findings: Iterable[Finding]) -> Report:
    """Date the findings."""
    return Report(tuple(findings), format_time(time.time()))


def choose_language(environment: Mapping[str, str], region: str) -> Language:
    """The language of the terminal; without one, Indonesian for a kit in Indonesia and English elsewhere."""
    spoken = next(filter(None, (environment.get(key) for key in ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    if spoken.lower().startswith(("id", "in_")):
        return "id"
    unset = spoken.split(".")[0] in {"", "C", "POSIX"}
    return "id" if unset and region.lower() == "id" else "en"


class Table:
    """The report for people, a line at a time."""

    def __init__(self, language: Language, *, width: int, colour: bool) -> None:
        """Lines of at most *width* characters."""
        self._language, self._width, self._colour = language, max(width, 60), colour
        self._names = max(len(name[language]) for name in names().values()) + 2
        self._states = max(len(words()[status][language]) for status in COLOURS) + 2
        self._last = ""

    def lines(self, item: Finding) -> Iterator[str]:
        """One finding: what was looked at (once), how it is, what was found, what to do."""
        name = "" if item.check == self._last else names()[item.check][self._language]
        self._last = item.check
        state = words()[item.status][self._language].ljust(self._states)
        if self._colour:
            state = f"\033[{COLOURS[item.status]}m{state}\033[0m"
        first = f"{name:<{self._names}}{state}"
        indent = " " * (self._names + self._states)
        room = self._width - len(indent)
        for line in textwrap.wrap(item.found(self._language), room, break_on_hyphens=False):
            yield first + line
            first = indent
        todo = item.todo(self._language)
        if todo and item.status in {"warning", "failure"}:
            for number, line in enumerate(textwrap.wrap(todo, room - 2, break_on_hyphens=False)):
                yield f"{indent}{'  ' if number else '→ '}{line}"

    def summary(self, findings: Sequence[Finding]) -> str:
        """One sentence."""
        failures = sum(item.status == "failure" for item in findings)
        warnings = sum(item.status == "warning" for item in findings)
        key = "bad" if failures else "worth" if warnings else "good"
        return words()[key][self._language].format(failures=failures, warnings=warnings)


def as_text(report: Report, language: Language) -> str:
    """The whole table without colour, 100 columns wide."""
    table = Table(language, width=100, colour=False)
    lines = [line for item in report.findings for line in table.lines(item)]
    return "\n".join([*lines, "", table.summary(report.findings), ""])


def terminal_table(language: Language, *, is_terminal: bool) -> Table:
    """The table for standard output, coloured on a terminal unless $NO_COLOR is set."""
    width = shutil.get_terminal_size((100, 24)).columns if is_terminal else 100
    return Table(language, width=width, colour=is_terminal and not os.environ.get("NO_COLOR"))
