"""A short stay at the broker beside the daemon: to try the way there step by step, and to ask a running kit.

Each step that can go wrong has its own name, so that whoever reads the error knows which of them to look at.
"""

from __future__ import annotations

import json
import socket
import ssl
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlsplit

from edge.answers import read
from edge.broker.beacon import BeaconError, find_broker, reachable
from edge.broker.certificates import CertificateError, check_client, client_context
from edge.events import topic

if TYPE_CHECKING:
    from paho.mqtt.client import Client

Stage = Literal["address", "name", "tcp", "tls", "greeting", "credentials", "publish", "heard"]

FAREWELL = b"\xe0\x00"
"""DISCONNECT: to open with it is an error in every version of MQTT."""
STEP_S = 5.0
"""Patience with each step."""


class VisitError(Exception):
    """A step failed; one line says how."""

    def __init__(self, stage: Stage, reason: str, cause: str = "") -> None:
        """*cause* is a word for programs: ``refused``, ``expired``, …; empty where there is none."""
        super().__init__(reason)
        self.stage, self.reason, self.cause = stage, reason, cause


@dataclass(frozen=True, slots=True)
class Address:
    """Where the broker is and who we are."""

    host: str
    port: int
    tls: bool = False
    user: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    site: str = ""
    """Whose broker to look for, where there is no *host* yet; its certificate is asked for this name."""


def parse_address(url: str, *, password: str = "", ca_file: str = "") -> Address:
    """``mqtt://[user@]host[:port]``, ``mqtts://…`` or ``discover://site``.

    Raises:
        VisitError: anything else.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise VisitError("address", str(error)) from error
    if parts.scheme == "discover" and parts.hostname and parts.netloc == parts.hostname and ca_file:
        return Address("", 0, tls=True, ca_file=ca_file, site=parts.hostname)
    if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname or parts.password:
        raise VisitError("address", "give mqtt://[user@]host[:port]")
    tls = parts.scheme == "mqtts"
    user = unquote(parts.username or "")
    return Address(parts.hostname, port or (8883 if tls else 1883), tls, user, password, ca_file)


def broker_address(
    url: str, *, password_file: str, ca_file: str, cert_file: str = "", key_file: str = ""
) -> Address:
    """The broker of the settings, with the password that lies in a file.

    Raises:
        VisitError: address, or credentials when password, certificate or key cannot be read.
    """
    password = ""
    if password_file:
        try:
            password = Path(password_file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not a text"
            raise VisitError("credentials", f"{password_file}: {reason}", "password") from error
    try:
        check_client(cert_file, key_file)
    except CertificateError as error:
        raise VisitError("credentials", str(error), "certificate") from error
    address = parse_address(url, password=password, ca_file=ca_file)
    return replace(address, cert_file=cert_file, key_file=key_file)


def locate(address: Address) -> Address:
    """With a host: what is to be looked for is looked for now.

    Raises:
        VisitError: name, when nobody says to be this site's broker.
    """
    if address.host or not address.site:
        return address
    try:
        place = reachable(find_broker(address.site, Path(address.ca_file).read_bytes()))
    except OSError as error:
        raise VisitError("tls", f"mqtt.ca_file: {error.strerror}") from error
    except BeaconError as error:
        raise VisitError("name", str(error), "unfound") from error
    return replace(address, host=place.address, port=place.port)


def resolve(address: Address) -> str:
    """The first network address of the broker's name.

    Raises:
        VisitError: name.
    """
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise VisitError("name", getattr(error, "strerror", None) or str(error)) from error
    return str(found[0][4][0])


def reach(address: Address) -> None:
    """Open a TCP connection, and hang up.

    Raises:
        VisitError: tcp.
    """
    try:
        socket.create_connection((address.host, address.port), STEP_S).close()
    except OSError as error:
        cause = "refused" if isinstance(error, ConnectionRefusedError) else "silent"
        raise VisitError("tcp", error.strerror or str(error), cause) from error


@dataclass(frozen=True, slots=True)
class Handshake:
    """What TLS agreed upon."""

    version: str
    until: float
    """When the broker's certificate runs out, seconds since 1970."""


def shake_hands(address: Address) -> Handshake:
    """Make a TLS connection as the kit does, and hang up.

    Raises:
        VisitError: tls.
    """
    try:
        context = _context(address)
        with (
            socket.create_connection((address.host, address.port), STEP_S) as plain,
            context.wrap_socket(plain, server_hostname=address.host) as secure,
        ):
            _see_that_we_are_taken(secure)
            ends = str((secure.getpeercert() or {}).get("notAfter"))
            return Handshake(str(secure.version()), ssl.cert_time_to_seconds(ends))
    except ssl.SSLCertVerificationError as error:
        # OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED
        cause = {9: "early", 10: "expired"}.get(error.verify_code, "unknown")
        raise VisitError("tls", error.verify_message or str(error), cause) from error
    except OSError as error:  # ssl.SSLError among them
        reason = getattr(error, "reason", None) or error.strerror or str(error)
        # What a server thinks of ours comes as an alert: TLSV13_ALERT_CERTIFICATE_REQUIRED and others.
        refused = "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason)
        raise VisitError("tls", reason, "refused" if refused else "") from error


def _context(address: Address) -> ssl.SSLContext:
    return client_context(address.ca_file, address.cert_file, address.key_file, name=address.site)


def _see_that_we_are_taken(secure: ssl.SSLSocket) -> None:
    """In TLS 1.3 a server judges us after the handshake. It hangs up on this farewell in any case.

    Raises:
        VisitError: tls; an alert says what it thinks of our certificate, unless that was lost on the way.
    """
    try:
        secure.sendall(FAREWELL)
        secure.recv(1)
    except TimeoutError:
        return
    except OSError as error:  # ssl.SSLError among them
        reason = getattr(error, "reason", None) or error.strerror or str(error)
        raise VisitError("tls", reason, "refused") from error


class Visit:
    """One connection, from the greeting to the farewell. Never the daemon's own client id."""

    def __init__(self, address: Address, *, kit: str) -> None:
        """Prepare to speak as *kit*."""
        self._address, self._kit = address, kit
        self._news: SimpleQueue[tuple[str, str, str]] = SimpleQueue()
        self._heard: dict[str, list[str]] = {}
        self._client: Client | None = None

    def __enter__(self) -> Visit:
        """Be let in.

        Raises:
            VisitError: tcp, tls, greeting (no answer, or none of a broker) or credentials.
        """
        self._address = locate(self._address)
        client = self._client = self._make_client()
        try:
            client.connect(self._address.host, self._address.port, keepalive=15)
        except ssl.SSLError as error:
            raise VisitError("tls", error.reason or str(error)) from error
        except OSError as error:
            raise VisitError("tcp", error.strerror or str(error)) from error
        client.loop_start()
        try:
            self._await_greeting()
        except VisitError:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def listen(self, *leaves: str) -> None:
        """Hear what is said, and what the broker keeps, on these topics of the kit.

        Raises:
            VisitError: credentials: we may not listen there.
        """
        assert self._client is not None
        for leaf in leaves:
            self._client.subscribe(topic(self._kit, leaf), qos=1)
        for _ in leaves:
            reason = self._await("subscribed")
            if reason != "ok":
                raise VisitError("credentials", f"may not listen: {reason or 'no answer'}", "listen")

    def say(self, leaf: str, payload: str) -> None:
        """Publish, and wait for the acknowledgement.

        Raises:
            VisitError: publish: refused, or not acknowledged.
        """
        assert self._client is not None
        self._client.publish(topic(self._kit, leaf), payload, qos=1)
        reason = self._await("published")
        if reason != "ok":
            raise VisitError("publish", reason or f"not acknowledged within {STEP_S:g} s")

    def hear(
        self, leaf: str, fits: Callable[[str], bool] = bool, *, patience_s: float = STEP_S
    ) -> str | None:
        """The first payload on *leaf* that *fits* and was not heard before; None when there was none."""
        deadline = time.monotonic() + patience_s
        while True:
            while self._heard.get(leaf):
                payload = self._heard[leaf].pop(0)
                if fits(payload):
                    return payload
            if not self._take(deadline - time.monotonic()):
                return None

    def ask(self, verb: str, *, patience_s: float = STEP_S) -> Mapping[str, Any] | None:
        """What the kit answers to ``request/<verb>``; None when it does not. Listens to the answer itself."""
        ours = uuid.uuid4().hex
        self.listen(f"response/{verb}")
        self.say(f"request/{verb}", json.dumps({"transaction": ours}))
        answer = self.hear(
            f"response/{verb}", lambda text: read(text).get("transaction") == ours, patience_s=patience_s
        )
        return None if answer is None else read(answer)

    def _make_client(self) -> Client:
        from paho.mqtt.client import Client  # noqa: PLC0415 -- drivers are loaded where they are used
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion  # noqa: PLC0415

        # 3.1.1 is understood by every broker, those of MQTT 5 among them.
        name = f"suasana-{self._kit}-{uuid.uuid4().hex[:8]}"
        client = Client(CallbackAPIVersion.VERSION2, name, protocol=MQTTProtocolVersion.MQTTv311)
        client.connect_timeout = STEP_S
        if self._address.user:
            client.username_pw_set(self._address.user, self._address.password or None)
        if self._address.tls:
            try:
                client.tls_set_context(_context(self._address))
            except OSError as error:
                raise VisitError("tls", f"mqtt.ca_file: {error.strerror or error}") from error
        prefix = topic(self._kit, "")
        put = self._news.put

        def told(kind: str, reason: Any) -> None:
            put((kind, "", str(reason) if reason.is_failure else "ok"))

        client.on_connect = lambda _c, _d, _f, reason, _p: told("greeted", reason)
        client.on_disconnect = lambda _c, _d, _f, reason, _p: put(("lost", "", str(reason)))
        client.on_subscribe = lambda _c, _d, _m, reasons, _p: told("subscribed", reasons[0])
        client.on_publish = lambda _c, _d, _m, reason, _p: told("published", reason)
        client.on_message = lambda _c, _d, message: put(
            ("heard", message.topic.removeprefix(prefix), message.payload.decode("utf-8", "replace"))
        )
        return client

    def _await_greeting(self) -> None:
        reason = self._await("greeted")
        if reason is None:
            raise VisitError("greeting", f"no answer of a broker within {STEP_S:g} s")
        if reason != "ok":
            raise VisitError("credentials", reason, "login")

    def _await(self, kind: str) -> str | None:
        """The word on the next news of this *kind*; None when there was none, or the connection was lost."""
        deadline = time.monotonic() + STEP_S
        while (left := deadline - time.monotonic()) > 0:
            with suppress(Empty):
                got, leaf, text = self._news.get(timeout=left)
                if got == kind:
                    return text
                if got == "lost":
                    return None
                self._note(got, leaf, text)
        return None

    def _take(self, left: float) -> bool:
        """Note the next piece of news; False when there was none."""
        with suppress(Empty):
            got, leaf, text = self._news.get(timeout=max(left, 0.001))
            self._note(got, leaf, text)
            return got != "lost"
        return False

    def _note(self, got: str, leaf: str, text: str) -> None:
        if got == "heard":
            self._heard.setdefault(leaf, []).append(text)

    def _leave(self) -> None:
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()
            self._client = None
