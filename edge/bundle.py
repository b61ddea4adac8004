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
from dataclasses import asdict
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from edge.checks import Language, Patient
from edge.doctor import Report, as_text
from edge.settings import Settings
from edge.types import EdgeError
from edge.visit import VisitError, broker_address

LOG_LINES = 400
SECRET = re.compile(r"password|secret|token|credential", re.IGNORECASE)
IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\w)")
IPV6 = re.compile(r"(?<![\w:.])[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?:%\w+)?(?![\w:])", re.IGNORECASE)
MAC = re.compile(r"(?<!\w)(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}(?!\w)", re.IGNORECASE)
HOME = re.compile(r"(?<=/home/)[^/\s\"']+")
USER = re.compile(r"(?<=:)//[^/@\s\"']*@")
PLAIN = {"", "localhost", "root", "pi", "suasana", "kit"}
"""Words that tell nothing about anybody."""


def write(
    path: Path, report: Report, patient: Patient, language: Language, *, log: Callable[[], str] | None = None
) -> None:
    """Write the bundle, readable for its owner only.

    Raises:
        EdgeError: it cannot be written, or something lies there already.
    """
    hide = Redactor(patient.settings)
    files = {
        "report.txt": hide(as_text(report, language)),
        "report.json": hide(report.to_json("en")),
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


class Redactor:
    """Replaces what tells where the kit stands, who uses it and how to get in."""

    def __init__(self, settings: Settings | None) -> None:
        """Know the names of this machine and of *settings*."""
        self._words: list[tuple[re.Pattern[str], str]] = []
        for secret, instead in sorted(_names(settings), key=lambda pair: -len(pair[0])):
            if secret.lower() not in PLAIN:
                self._words.append((re.compile(rf"(?<!\w){re.escape(secret)}(?!\w)", re.IGNORECASE), instead))
        password = _password(settings)
        if password:
            self._words.insert(0, (re.compile(re.escape(password)), "<password>"))

    def __call__(self, text: str) -> str:
        """*text* with stand-ins for everything that is nobody's business."""
        for word, instead in self._words:
            text = word.sub(instead, text)
        text = USER.sub("//<user>@", HOME.sub("<user>", text))
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


def _names(settings: Settings | None) -> Iterator[tuple[str, str]]:
    host = socket.gethostname()
    for name in (socket.getfqdn(), host, host.split(".")[0]):
        yield name, "<host>"
    for user in (_user(), os.environ.get("SUDO_USER", "")):
        yield user, "<user>"
    if settings is None:
        return
    yield settings.room, "<room>"
    yield settings.kit, "<kit>"
    yield settings.kit_name, "<kit>"
    try:
        address = broker_address(settings.mqtt.url, password_file="", ca_file="")
    except VisitError:
        return
    yield address.host, "<broker>"
    yield address.user, "<mqtt user>"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _password(settings: Settings | None) -> str:
    if settings is None:
        return ""
    try:
        mqtt = settings.mqtt
        return broker_address(mqtt.url, password_file=mqtt.password_file, ca_file="").password
    except VisitError:
        return ""


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
