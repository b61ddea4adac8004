"""A file to send to a helper: what the doctor found, settings, versions, the log's end, and nothing secret.

No picture, no sound, no password, no host name and no address is in it; the names of the room and of people
who log in here are replaced as well.
"""

from __future__ import annotations

import getpass
import ipaddress
import json
import os
import re
import socket
import subprocess
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib.metadata import distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote

from edge.broker.visit import VisitError, broker_address
from edge.checks import Language, Patient
from edge.doctor import Report, as_text
from edge.types import EdgeError

LOG_LINES = 400
SECRET = re.compile(r"password|secret|token|credential", re.IGNORECASE)
IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\w)")
IPV6 = re.compile(r"(?<![\w:.])[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?:%\w+)?(?![\w:])", re.IGNORECASE)
MAC = re.compile(r"(?<!\w)(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}(?!\w)", re.IGNORECASE)
HOME = re.compile(r"(?<=/home/)[^/\s\"']+")
USER = re.compile(r"(?<=:)//[^\s\"']*@")
"""Up to the last @: a password that somebody wrote there may hold every other sign."""
SERVER = re.compile(r"(?<=mqtt://|qtts://)(?!127\.|localhost)[^/@<:\s\"']+")
ASSIGNED = re.compile(r"^\s*([a-z_]+)\s*=\s*[\"'](.*?)[\"']\s*(?:#.*)?$", re.MULTILINE)
PLAIN = {"", "localhost", "root", "pi", "suasana", "kit"}
"""Words that tell nothing about anybody."""


def write(
    path: Path, report: Report, patient: Patient, language: Language, *, log: Callable[[], str] | None = None
) -> None:
    """Write the bundle, readable for its owner only.

    Raises:
        EdgeError: it cannot be written, or something lies there already.
    """
    hide = Redactor(known_of(patient))
    # Before lines are wrapped and quotes escaped: a name in two pieces would not be known again.
    hidden = replace(
        report,
        findings=tuple(
            replace(
                one, values={key: hide(it) if isinstance(it, str) else it for key, it in one.values.items()}
            )
            for one in report.findings
        ),
    )
    files = {
        "report.txt": hide(as_text(hidden, language)),
        "report.json": hide(hidden.to_json("en")),
        "settings.json": hide(json.dumps(settings_of(patient), ensure_ascii=False, indent=1)),
        "versions.txt": versions(),
        "log.txt": hide((log or tail)()),
    }
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bundle:
            for name, text in files.items():
                bundle.writestr(name, text)
    except OSError as error:
        raise EdgeError(f"{path}: {error.strerror or error}") from error


@dataclass(frozen=True, slots=True)
class Known:
    """What the settings say that nobody else is to read."""

    room: str = ""
    kits: tuple[str, ...] = ()
    url: str = ""
    password_file: str = ""


class Redactor:
    """Replaces what tells where the kit stands, who uses it and how to get in."""

    def __init__(self, known: Known) -> None:
        """Know the names of this machine and what is *known* of the settings."""
        self._words: list[tuple[re.Pattern[str], str]] = []
        for secret, instead in sorted(_names(known), key=lambda pair: -len(pair[0])):
            if secret.lower() not in PLAIN:
                word = "|".join(re.escape(form) for form in _forms(secret))
                self._words.append((re.compile(rf"(?<!\w)(?:{word})(?!\w)", re.IGNORECASE), instead))
        for password in filter(None, _passwords(known)):
            word = "|".join(re.escape(form) for form in _forms(password))
            self._words.insert(0, (re.compile(word), "<password>"))

    def __call__(self, text: str) -> str:
        """*text* with stand-ins for everything that is nobody's business."""
        for word, instead in self._words:
            text = word.sub(instead, text)
        text = USER.sub("//<user>@", HOME.sub("<user>", text))
        text = SERVER.sub("<broker>", text)
        text = MAC.sub("<hardware address>", text)
        return IPV6.sub(_hide_address, IPV4.sub(_hide_address, text))


def settings_of(patient: Patient) -> Mapping[str, Any]:
    """The settings without their secrets; why there are none if they cannot be read."""
    if patient.settings is None:
        return {"trouble": patient.trouble}
    hidden: Mapping[str, Any] = _hide(asdict(patient.settings))
    return hidden


def versions() -> str:
    """Every Python package that is installed here."""
    lines = {f"{one.metadata['Name']}=={one.version}" for one in distributions()}
    return "\n".join(sorted(lines, key=str.lower)) + "\n"


def tail() -> str:
    """The end of the service's log, where there is one that we may read."""
    command = ["journalctl", "--unit=suasana", f"--lines={LOG_LINES}", "--no-pager", "--quiet"]
    command += ["--output=short-iso", "--no-hostname"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"no log: {error}\n"
    return done.stdout or "no log\n"


def known_of(patient: Patient) -> Known:
    """From the settings, or from their text where they cannot be read: the log has the names all the same."""
    if (settings := patient.settings) is not None:
        mqtt = settings.mqtt
        return Known(settings.room, (settings.kit, settings.kit_name), mqtt.url, mqtt.password_file)
    try:
        text = patient.path.read_text("utf-8", "replace") if patient.path is not None else ""
    except OSError:
        return Known()
    found = dict(ASSIGNED.findall(text))
    values = (found.get(key, "") for key in ("room", "kit", "url", "password_file"))
    room, kit, url, password_file = values
    return Known(room, (kit,), url, password_file)


def _names(known: Known) -> Iterator[tuple[str, str]]:
    yield from _host(socket.getfqdn(), "<host>")
    yield from _host(socket.gethostname(), "<host>")
    for user in (_user(), os.environ.get("SUDO_USER", "")):
        yield user, "<user>"
    yield known.room, "<room>"
    for kit in known.kits:
        yield kit, "<kit>"
    if known.url.startswith("discover://"):
        yield known.url.removeprefix("discover://"), "<site>"
    with suppress(VisitError):
        address = broker_address(known.url, password_file="", ca_file="")
        yield from _host(address.host, "<broker>")
        yield address.user, "<mqtt user>"


def _host(name: str, instead: str) -> Iterator[tuple[str, str]]:
    """A machine's name, its first word, and its network's, where other machines stand, too."""
    first, _, network = name.partition(".")
    yield name, instead
    if not name.replace(".", "").isdigit():
        yield first, instead
        if "." in network:
            yield network, "<network>"


def _forms(secret: str) -> set[str]:
    """How it may stand in a text: as it is, in JSON, and in an address."""
    return {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret, safe=""),
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _passwords(known: Known) -> Iterator[str]:
    """The broker's, and what somebody wrote into the address, where no password belongs."""
    login = known.url.partition("://")[2].rpartition("@")[0]
    if ":" in login:
        yield login.partition(":")[2]
    if known.password_file:
        with suppress(OSError, UnicodeDecodeError):
            yield Path(known.password_file).read_text("utf-8").strip()


def _hide(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _hide(item, name) for name, item in value.items()}
    if SECRET.search(key) and value:
        return "<hidden>"
    return value


def _hide_address(match: re.Match[str]) -> str:
    try:
        address = ipaddress.ip_address(match[0].partition("%")[0])
    except ValueError:
        return match[0]  # a time or a version
    return match[0] if address.is_loopback or address.is_unspecified else "<address>"
