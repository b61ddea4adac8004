"""Another certificate before the kit's own ends, from the site's registrar, by itself.

    1. Ask the registrar, known to each other by certificate, whether it is time. It judges by its clock.
    2. Put a new key beside the file in use, and have it signed.
    3. Try the broker with both, there and back.
    4. Put them in the place of the old ones, key and certificate in one file, at one moment.

What is in use is untouched until step 4, and the site takes nothing back, so a power cut or a lost answer
anywhere costs an attempt: the next one goes on with the key, or the certificate, that lies there. No step
asks this machine's clock.
"""

from __future__ import annotations

import fcntl
import http.client
import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from edge import answers
from edge.broker import certificates
from edge.broker.certificates import CertificateError
from edge.broker.visit import Address, Visit, VisitError, broker_address, locate, shake_hands
from edge.settings import Mqtt, load
from edge.state import durable
from edge.types import EdgeError

ECHO = "response/doctor"
"""As the doctor does: below the kit's own name, where a test message disturbs nobody."""
TWO_FILES = (
    "mqtt.cert_file and mqtt.key_file are two files, which cannot be replaced at one moment: put the key "
    "behind the certificate and name that file twice, or pair this kit anew"
)


class RenewalError(EdgeError):
    """No other certificate this time; the one in use is as it was. One line tells why."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """What came of it."""

    renewed: bool
    until: datetime | None = None
    """When the certificate in use runs out; None where there is none to renew."""

    @property
    def shown(self) -> str:
        """One line."""
        if self.until is None:
            return "no site renews this kit's certificate (mqtt.registrar_port)"
        return f"{'another certificate, ' if self.renewed else ''}valid until {self.until:%Y-%m-%d}"


def renew(settings: Path) -> Renewal:
    """Another certificate, if the site says that it is time.

    Raises:
        RenewalError: the site is away, refuses, or the broker does not take the new one.
        SettingsError: the settings cannot be read.
    """
    wanted = load(settings)
    mqtt = wanted.mqtt
    if not mqtt.registrar_port or not mqtt.cert_file:
        return Renewal(renewed=False)
    if mqtt.cert_file != mqtt.key_file:
        raise RenewalError(TWO_FILES)
    path = Path(mqtt.cert_file)
    waiting = path.with_name(f"{path.name}.next")
    try:
        with _alone(path.parent):
            address = locate(broker_address(mqtt.url, **mqtt.files))
            if not _is_whole(waiting) and not _fetch(address, mqtt, path, waiting):
                return Renewal(renewed=False, until=certificates.read(path.read_bytes()).until)
            _try_broker(address, wanted.kit_name, waiting)
            _put_in_place(waiting, path)
            return Renewal(renewed=True, until=certificates.read(path.read_bytes()).until)
    except VisitError as error:
        raise RenewalError(f"the broker's address: {error.reason}") from error
    except CertificateError as error:
        raise RenewalError(f"{path}: {error}") from error
    except OSError as error:
        raise RenewalError(f"{error.filename or path}: {error.strerror or error}; sudo may help") from error


def _fetch(address: Address, mqtt: Mqtt, path: Path, waiting: Path) -> bool:
    """Have a new certificate beside the one in use; False when it is too early for that."""
    registrar = _Registrar(address, mqtt)
    if registrar.ask("GET", "/standing").get("due") is not True:
        waiting.unlink(missing_ok=True)
        return False
    key = _key_of(waiting)
    if key is None:
        key = certificates.make_key()
        certificates.write_private(waiting, key)
    said = registrar.ask("POST", "/certificate", {"request": certificates.make_request(key).decode()})
    made, old = str(said.get("certificate", "")).encode(), certificates.read(path.read_bytes())
    holds = (
        certificates.belong_together(made, key)
        and certificates.is_signed_by(made, Path(mqtt.ca_file).read_bytes())
        and certificates.read(made).name == old.name
        and certificates.read(made).until > old.until
    )
    if not holds:
        raise RenewalError("the site's answer does not make sense; has it the same version?")
    certificates.write_private(waiting, certificates.first(made) + key)
    return True


def _try_broker(address: Address, kit: str, waiting: Path) -> None:
    """There and back with the new certificate, which is thrown away if the broker does not take it."""
    ours = replace(address, cert_file=str(waiting), key_file=str(waiting))
    try:
        shake_hands(ours)
        with Visit(ours, kit=kit) as visit:
            visit.listen(ECHO)
            visit.say(ECHO, '{"ok":true,"transaction":"renewal"}')
            came_back = visit.hear(ECHO) is not None
    except VisitError as error:
        if error.stage in {"credentials", "publish"} or (error.cause == "refused" and error.stage == "tls"):
            waiting.unlink()
            raise RenewalError(f"the broker does not take the new certificate: {error.reason}") from error
        raise RenewalError(f"a new certificate waits until the broker is there: {error.reason}") from error
    if not came_back:
        raise RenewalError("a new certificate waits: the broker's answer to a test message did not come")


def _put_in_place(waiting: Path, path: Path) -> None:
    """At one moment, for the same readers as before."""
    kept = path.stat()
    waiting.chmod(kept.st_mode & 0o777)
    if os.geteuid() == 0:
        os.chown(waiting, kept.st_uid, kept.st_gid)
    waiting.replace(path)
    durable.sync_folder(path.parent)


def _is_whole(waiting: Path) -> bool:
    """Whether a certificate with its key lies there, and only has to be tried."""
    try:
        found = waiting.read_bytes()
    except FileNotFoundError:
        return False
    return certificates.belong_together(found, found)


def _key_of(waiting: Path) -> bytes | None:
    """The key of an attempt before, whose answer was lost; None when there is none that does."""
    try:
        found = waiting.read_bytes()
        certificates.make_request(found)
    except (OSError, ValueError, TypeError):
        return None
    return found


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One renewal at a time: somebody may call it beside the timer."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


class _Registrar:
    """The site's, at the broker's address, under the broker's certificate."""

    def __init__(self, address: Address, mqtt: Mqtt) -> None:
        self._where = (address.host, mqtt.registrar_port)
        context = certificates.client_context(mqtt.ca_file, mqtt.cert_file, mqtt.key_file, name=address.site)
        context.verify_flags |= certificates.NO_CHECK_TIME
        self._context = context

    def ask(self, method: str, path: str, table: Mapping[str, object] | None = None) -> dict[str, Any]:
        """What it answers.

        Raises:
            RenewalError: it is away, or refuses.
        """
        host, port = self._where
        where = f"{host}:{port}"
        try:
            answer = answers.ask(self._where, self._context, method, path, table)
        except ssl.SSLCertVerificationError as error:
            raise RenewalError(
                f"{where} cannot prove to be this kit's site ({error.verify_message})"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise RenewalError(f"the site's registrar at {where} does not answer ({reason})") from error
        if answer.status != http.client.OK:
            raise RenewalError(f"the site: {answer.refusal}")
        return answer.table
