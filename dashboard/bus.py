"""The broker, from the page's side: hears every kit, and passes switches on. The only module that knows paho.

paho runs in a thread of its own. Messages reach the event loop through a bounded queue: when the loop cannot
keep up, the thread waits, and so the broker does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from queue import Empty, Full, Queue
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from edge.events import BASE, MAX_BYTES

if TYPE_CHECKING:
    from paho.mqtt.client import Client

logger = logging.getLogger(__name__)

LEAVES = (
    "availability",
    "info",
    "health",
    "state",
    "event",
    "source/+/status",
    "source/+/detail",
    "response/+",
    "practice",
)
TOPICS = tuple(f"{BASE}/+/{leaf}" for leaf in LEAVES)
OTHERS = ("set/", "request/")
"""What is said to kits; whoever asks for all topics of one hears it too."""
WAITING = 2000
"""Messages between the two threads."""
PATIENCE_S = 5.0
"""Longer than this a full queue is not waited for, or the connection itself would be lost."""


class AddressError(ValueError):
    """Not the address of a broker; the message says why in one line."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the broker is and who we are."""

    host: str
    port: int
    tls: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    """Whom to trust; None trusts whom the system trusts."""
    cert_file: str | None = None
    key_file: str | None = None

    @property
    def shown(self) -> str:
        """Without anything secret in it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Message:
    """One MQTT message."""

    topic: str
    payload: bytes
    retained: bool


def parse_address(url: str, password: str | None = None) -> Address:
    """``mqtt://[user@]host[:port]`` or ``mqtts://…``.

    Raises:
        AddressError: anything else, a password in the address among it: addresses end up in logs.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise AddressError(f"not a broker's address: {error}") from error
    if parts.password is not None:
        raise AddressError("a password does not belong in an address; set SUASANA_MQTT_PASSWORD")
    if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname or parts.path.strip("/") or parts.query:
        raise AddressError(f"{url}: not a broker's address; give mqtt://[user@]host[:port]")
    tls = parts.scheme == "mqtts"
    user = unquote(parts.username) if parts.username else None
    return Address(parts.hostname, port or (8883 if tls else 1883), tls, user, password)


class Bus:
    """One connection to one broker, kept up until stopped."""

    def __init__(
        self,
        address: Address,
        *,
        on_message: Callable[[Message], None],
        on_connection: Callable[[bool], None],
    ) -> None:
        """Prepare. The callbacks are called on the event loop that ``start`` runs in."""
        self.address = address
        self.lost = 0
        """Messages thrown away because the loop stood still."""
        self._on_message, self._on_connection = on_message, on_connection
        self._waiting: Queue[Message] = Queue(WAITING)
        self._client: Client | None = None
        self._kits: frozenset[str] | None = None
        self._complained = ""

    def hear(self, kits: Iterable[str]) -> None:
        """From now on hear these kits and no others, which is all that a district's broker allows."""
        wanted = frozenset(kits)
        fresh = wanted - (self._kits or frozenset())
        gone = (self._kits or frozenset()) - wanted
        everybody, self._kits = self._kits is None, wanted
        client = self._client
        if client is not None and client.is_connected():
            if everybody:
                client.unsubscribe(list(TOPICS))
            if fresh:
                client.subscribe([(f"{BASE}/{kit}/#", 1) for kit in sorted(fresh)])
            if gone:
                client.unsubscribe([f"{BASE}/{kit}/#" for kit in sorted(gone)])

    def start(self) -> None:
        """Connect in the background, now and after every loss; a broker that is down is waited for."""
        self._client = self._make_client(asyncio.get_running_loop())
        self._client.loop_start()

    async def stop(self) -> None:
        """Disconnect and end the thread."""
        if self._client is not None:
            self._client.disconnect()
            await asyncio.to_thread(self._client.loop_stop)
            self._client = None

    async def publish(self, topic: str, payload: str, *, timeout_s: float = 3.0) -> bool:
        """Publish with QoS 1, not retained; True once the broker has it."""
        client = self._client
        if client is None or not client.is_connected():
            return False
        sent = client.publish(topic, payload, qos=1)
        with contextlib.suppress(RuntimeError, ValueError):  # lost on the way, or the queue is full
            await asyncio.to_thread(sent.wait_for_publish, timeout_s)
            return sent.is_published()
        return False

    def _make_client(self, loop: asyncio.AbstractEventLoop) -> Client:
        from paho.mqtt.client import Client  # noqa: PLC0415 -- drivers are loaded where they are used
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion  # noqa: PLC0415

        # Named after its user: a broker may keep the queues of clients apart by their names.
        name = f"{self.address.user}-{secrets.token_hex(6)}" if self.address.user else ""
        client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv311)
        client.connect_timeout = 3.0
        if self.address.user:
            client.username_pw_set(self.address.user, self.address.password)
        if self.address.tls:
            client.tls_set(self.address.ca_file, self.address.cert_file, self.address.key_file)
        self._listen(client, loop)
        _spread_reconnects(client)
        client.connect_async(self.address.host, self.address.port, keepalive=15)
        return client

    def _listen(self, client: Client, loop: asyncio.AbstractEventLoop) -> None:
        """These run in paho's thread and only hand things over."""

        def tell(connected: bool) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: we are ending
                loop.call_soon_threadsafe(self._on_connection, connected)

        def on_connect(_client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
            if reason.is_failure:
                self._complain(f"{self.address.shown} refused the connection: {reason}")
                return
            self._complained = ""
            logger.info("mqtt: connected to %s", self.address.shown)
            kits = self._kits
            topics = TOPICS if kits is None else tuple(f"{BASE}/{kit}/#" for kit in sorted(kits))
            if topics:
                client.subscribe([(topic, 1) for topic in topics])
            tell(True)

        def on_disconnect(_client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
            _spread_reconnects(client)
            if reason.is_failure:
                self._complain(f"connection to {self.address.shown} lost: {reason}")
            tell(False)

        def on_connect_fail(_client: Any, _data: Any) -> None:
            self._complain(f"{self.address.shown} is not reachable; trying again")

        def on_message(_client: Any, _data: Any, message: Any) -> None:
            if self._kits is not None and message.topic.split("/", 2)[-1].startswith(OTHERS):
                return
            # What is too long is cut one byte beyond the limit: the reader refuses it, and nobody holds it.
            item = Message(message.topic, bytes(message.payload[: MAX_BYTES + 1]), bool(message.retain))
            try:
                self._waiting.put(item, timeout=PATIENCE_S)
            except Full:
                self.lost += 1
                return
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._deliver)

        client.on_connect, client.on_disconnect = on_connect, on_disconnect
        client.on_connect_fail, client.on_message = on_connect_fail, on_message

    def _deliver(self) -> None:
        with contextlib.suppress(Empty):
            self._on_message(self._waiting.get_nowait())

    def _complain(self, message: str) -> None:
        """Once per trouble, not once per attempt."""
        if message != self._complained:
            self._complained = message
            logger.warning("mqtt: %s", message)


def _spread_reconnects(client: Client) -> None:
    """Draw new waiting times, so that everybody does not return in the same second."""
    client.reconnect_delay_set(min_delay=random.uniform(0.5, 2.0), max_delay=random.uniform(8, 20))  # type: ignore[arg-type]
