"""``suasana pair``: this kit joins a site's broker, by an invitation and with a key of its own.

    1. Take the site's authority from the address in the invitation, and compare its fingerprint. Nothing has
       been said yet that a listener could use.
    2. Speak to the same address again, verified by that authority; say the secret, show a signing request.
    3. Put key, certificate and authority beside the settings, and only then name them in the settings.

No step asks this machine's clock, which may stand anywhere: the site knows when an invitation runs out. A
power cut at any moment leaves the old settings or the new ones, whole.
"""

from __future__ import annotations

import http.client
import os
import pwd
import shutil
import socket
import ssl
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from edge import answers
from edge.answers import Answer
from edge.broker import certificates
from edge.broker.beacon import BeaconError, choose, look, reachable
from edge.broker.certificates import CertificateError
from edge.broker.invitation import Invitation
from edge.events import KIT_NAME
from edge.remote import INSTALLED
from edge.settings import build
from edge.state import durable
from edge.types import EdgeError, SettingsError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CLOCKS_AGREE = timedelta(minutes=1)
SERVICE = "suasana"
"""The user and the group of an installed kit."""
OURS = {"kit.pem", "kit.pem.next", "kit.key", "ca.pem"}
"""What a pairing and a renewal put into a folder; kit.key in earlier versions."""
ELSEWHERE = "somebody may be in between, or the invitation is another site's; nothing was told to it"


class PairError(EdgeError):
    """The kit was not paired; the settings are as they were."""


@dataclass(frozen=True, slots=True)
class Paired:
    """What came of it."""

    site: str
    kit: str
    url: str
    address: str
    """That the broker was reached by, numeric."""
    settings: Path
    clock_ahead: timedelta
    """Of this kit, against the site's."""

    @property
    def clock_is_off(self) -> bool:
        """Whether somebody should see to it."""
        return abs(self.clock_ahead) > CLOCKS_AGREE


def pair(
    invitation: Invitation,
    settings: Path,
    *,
    door: tuple[str, int] | None = None,
    discover: bool = False,
    clock: Callable[[], float] = time.time,
) -> Paired:
    """Join, and write *settings*; a file that is there keeps everything else, comments included.

    Args:
        invitation: who invites, and the secret.
        settings: TOML; made where there is none.
        door: instead of the address in the invitation.
        discover: have the kit look for the broker at every connection, instead of noting its address.
        clock: this machine's, seconds since 1970.

    Raises:
        PairError: a step failed; one line tells which, and nothing was changed.
    """
    before = _read_settings(settings)
    host, port = door or _find(invitation)
    authority = _take_authority(host, port, invitation)
    key = certificates.make_key()
    asked = {"secret": invitation.secret, "request": certificates.make_request(key).decode()}
    said, address = _join(host, port, authority, asked)
    made = _judge(said, key, authority)
    where = f"discover://{said['site']}" if discover else f"mqtts://{_bracketed(host)}:{said['port']}"
    ahead = timedelta(seconds=clock() - float(said["now"]))
    try:
        folder = _store(settings.parent, made, key, authority)
        _write_settings(settings, before, str(said["kit"]), where, folder, registrar=said.get("registrar", 0))
    except OSError as error:
        raise PairError(f"{error.filename or settings}: {error.strerror or error}; sudo may help") from error
    _forget_others(folder)
    return Paired(str(said["site"]), str(said["kit"]), where, address, settings, ahead)


def describe_clock(paired: Paired, *, now: float) -> str:
    """One line about clocks that differ."""
    ours = datetime.fromtimestamp(now, timezone.utc)
    site = ours - paired.clock_ahead
    return (
        f"this kit's clock shows {ours:%Y-%m-%d %H:%M} UTC, the site's {site:%Y-%m-%d %H:%M}: "
        "events carry the time of this one until it is set (`suasana doctor` says how)"
    )


def _find(invitation: Invitation) -> tuple[str, int]:
    """The door; an invitation without an address is looked for by its authority."""
    if invitation.host:
        return invitation.host, invitation.port
    try:
        doors = look("door", fingerprint=invitation.fingerprint.hex())
        found = reachable(
            choose(doors, "", what="site that invites this kit", how="give --address HOST[:PORT]")
        )
    except BeaconError as error:
        raise PairError(str(error)) from error
    return found.address, found.port


def _take_authority(host: str, port: int, invitation: Invitation) -> bytes:
    """The authority that the invitation means. Whoever answers is not trusted with anything."""
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname = False
    anybody.verify_mode = ssl.CERT_NONE
    answer = _ask(host, port, anybody, "/authority")
    try:
        told = certificates.read(answer.body if answer.status == http.client.OK else b"")
    except CertificateError as error:
        raise PairError(f"{host}:{port} is not a site's door ({error})") from error
    if not invitation.trusts(told.fingerprint):
        raise PairError(f"{host}:{port} has another authority than the invitation tells: {ELSEWHERE}")
    return certificates.first(answer.body)


def _join(
    host: str, port: int, authority: bytes, asked: Mapping[str, object]
) -> tuple[Mapping[str, Any], str]:
    """What the site answers, and the address that it did it from."""
    verified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    verified.verify_flags |= certificates.NO_CHECK_TIME
    verified.load_verify_locations(cadata=authority.decode("ascii"))
    answer = _ask(host, port, verified, "/join", asked)
    told = answer.table
    if not told:
        raise PairError(f"{host}:{port} does not answer as a site")
    if answer.status != http.client.OK:
        raise PairError(answer.refusal)
    return told, answer.address


def _ask(
    host: str, port: int, context: ssl.SSLContext, path: str, table: Mapping[str, object] | None = None
) -> Answer:
    """A GET, or with *table* a POST."""
    try:
        return answers.ask((host, port), context, "POST" if table else "GET", path, table)
    except ssl.SSLCertVerificationError as error:
        raise PairError(
            f"{host}:{port} cannot prove who it is ({error.verify_message}): {ELSEWHERE}"
        ) from error
    except ssl.SSLError as error:
        raise PairError(f"{host}:{port} is not a site's door ({error.reason or error})") from error
    except socket.gaierror as error:
        raise PairError(f"{host}: a name that nobody knows here; --address takes a number") from error
    except ConnectionRefusedError as error:
        raise PairError(
            f"{host}:{port}: no site waits there; the invitation ran out, was used, or its command was ended"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise PairError(f"{host}:{port} does not answer ({reason})") from error


def _judge(said: Mapping[str, Any], key: bytes, authority: bytes) -> bytes:
    """The certificate, when everything that the site says can be what it should be."""
    certificate = str(said.get("certificate", "")).encode()
    port, registrar, now = said.get("port"), said.get("registrar", 0), said.get("now")
    holds = (
        KIT_NAME.fullmatch(str(said.get("kit", "")))
        and KIT_NAME.fullmatch(str(said.get("site", "")))
        and isinstance(port, int)
        and 1 <= port <= 65535
        and isinstance(registrar, int)
        and 0 <= registrar <= 65535
        and isinstance(now, int | float)
        and certificates.belong_together(certificate, key)
        and certificates.is_signed_by(certificate, authority)
        and certificates.read(certificate).name == said["kit"]
    )
    if not holds:
        raise PairError("the site's answer does not make sense; has it the same version?")
    return certificate


# ── On this kit ──────────────────────────────────────────────────────────────────────────────────────


def _read_settings(path: Path) -> str:
    try:
        text = path.read_text("utf-8")
        build(tomllib.loads(text))
    except FileNotFoundError:
        if not os.access(path.parent, os.W_OK):
            raise PairError(f"{path.parent}: cannot be written to; sudo may help") from None
        return ""
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, SettingsError) as error:
        raise PairError(f"{path}: {error}; put that right first") from error
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        raise PairError(f"{path}: cannot be written; sudo may help")
    return text


def _store(beside: Path, certificate: bytes, key: bytes, authority: bytes) -> Path:
    """A new folder for each pairing: what is in use stays as it is until the settings name this one."""
    folder = beside.absolute() / f"broker-{certificates.read(certificate).serial[:12]}"
    folder.mkdir(mode=0o700)
    # Key and certificate in one file, so that a renewal puts both in place at once.
    certificates.write_private(folder / "kit.pem", certificate + key)
    certificates.write_private(folder / "ca.pem", authority)
    group = _group(beside)
    if group is not None:
        # As the password's file in a package: root's, and the daemon's group may read it.
        for path, mode in ((folder, 0o750), *((one, 0o640) for one in folder.iterdir())):
            os.chown(path, 0, group)
            path.chmod(mode)
    durable.sync_folder(folder)
    durable.sync_folder(beside)
    return folder


def _group(beside: Path) -> int | None:
    """Of the daemon, where a package runs it."""
    if os.geteuid() != 0 or beside.absolute() != INSTALLED.parent:
        return None
    with suppress(KeyError):
        return pwd.getpwnam(SERVICE).pw_gid
    return None


def _write_settings(path: Path, before: str, kit: str, url: str, folder: Path, *, registrar: int) -> None:
    import tomlkit  # noqa: PLC0415 -- keeps comments, which nothing else here needs

    document = tomlkit.parse(before)
    document["kit"] = kit
    mqtt: Any = document.setdefault("mqtt", tomlkit.table())
    mqtt["url"] = url
    for key, name in (("ca_file", "ca.pem"), ("cert_file", "kit.pem"), ("key_file", "kit.pem")):
        mqtt[key] = str(folder / name)
    mqtt["registrar_port"] = registrar
    if mqtt.get("password_file"):
        mqtt["password_file"] = ""
    text = tomlkit.dumps(document)
    build(tomllib.loads(text))
    draft = path.with_name(f".{path.name}.new")
    durable.write(draft, text.encode())
    if before:
        kept = path.stat()
        draft.chmod(kept.st_mode & 0o7777)
        if os.geteuid() == 0:
            os.chown(draft, kept.st_uid, kept.st_gid)
    draft.replace(path)
    durable.sync_folder(path.parent)


def _forget_others(folder: Path) -> None:
    """Keys of earlier pairings, which no settings name any more."""
    for old in folder.parent.glob("broker-????????????"):
        if old != folder and {one.name for one in old.iterdir()} <= OURS:
            shutil.rmtree(old, ignore_errors=True)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
