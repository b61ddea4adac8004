"""The broker: birth and will, retained values told again on every connect, events until acknowledged.

paho's network thread only puts what happened into a queue; everything else is decided in ``tend``, on the
main thread, so there is no lock to get wrong.
"""

from __future__ import annotations

import logging
import random
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit

from edge.broker.beacon import BeaconError, find_broker, reach
from edge.contract.channels import channel_of
from edge.contract.commands import Command
from edge.events import SCHEMA, Event, mark_replayed, topic
from edge.outbox import Letter, Outbox
from edge.outbox.memory import MemoryOutbox
from edge.sinks import Access, OnCommand

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessageInfo
    from paho.mqtt.properties import Properties

logger = logging.getLogger(__name__)

IN_FLIGHT = 20
"""Messages on their way before the first of them is acknowledged."""
HANDED = 100
"""Events handed to paho, which sends the next of them as soon as one is acknowledged."""
REFUSED_S = 30.0
"""After the broker refused an event nothing more is sent for so long; the event stays where it is."""
LONGEST_COMMAND = 40_000
"""Bytes of a command that are read; longer ones are refused unread. A part of a model package has 33,000."""
GOODBYE_S = 1.5
RECONNECT_S = (0.5, 2.0)
"""Before the first attempt to come back; it doubles from there."""
LONGEST_WAIT_S = (15.0, 45.0)
"""Between attempts, after many of them."""
HANDSHAKE_S = 3.0
"""A broker that has not answered the greeting by now may not know this version of MQTT, or never will.

It gets twice as long each time after that: a slow one must have its turn. After the keep-alive paho leaves.
"""
ENVELOPE = 256
"""Bytes of a packet besides topic and payload, properties included, at most."""
UNREACHABLE = "is not reachable"
HANGS_UP = "hangs up at the greeting: mqtts:// needs the port for TLS, mqtt:// the one without"
HANGS_UP_TLS = (
    "hangs up at the greeting: it does not take this kit's certificate (none, revoked, run out, another "
    "site's), or it does not speak MQTT there"
)
BRIEF_S = 10.0
"""A connection that the broker ends sooner than this, three times in a row, is worth another word."""
AGAIN = "again and again: another program may use this kit's name, or the broker forbids what it publishes"
WHY_REFUSED = {
    "Bad user name or password": "wrong user name or password: look at mqtt.url and mqtt.password_file",
    "Not authorized": "not authorised: the password is wrong, or this user may not connect",
    "Client identifier not valid": "it does not allow the client name suasana-<kit>",
    "Unsupported protocol version": "it does not speak this version of MQTT: look at mqtt.protocol",
    "Session taken over": "another program connected under this kit's name: each kit needs its own",
}
"""Reasons of MQTT that say more in other words; the rest are told as they are."""


class UnfoundError(OSError):
    """Nobody in this network says to be the broker."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a broker asks of its clients; only MQTT 5 has words for it."""

    in_flight: int = IN_FLIGHT
    """Messages that it takes before it has acknowledged the first of them."""
    largest_bytes: int | None = None
    """Longer packets make it hang up."""
    retains: bool = True


def open(uri: str, *, kit: str, on_command: OnCommand, access: Access, outbox: Outbox | None) -> Mqtt:
    """The sink for ``mqtt://[user@]host[:port]``, ``mqtts://…`` and ``discover://site``."""
    parts = urlsplit(uri)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if not parts.hostname or port == -1 or parts.path.strip("/") or parts.query:
        raise ValueError(f"{_shown(parts)}: not a broker's address; give mqtt://[user@]host[:port]")
    if parts.password:
        raise ValueError(f"{_shown(parts)}: a password does not belong in an address; set mqtt.password_file")
    if parts.scheme == "discover" and (not access.ca_file or parts.netloc != parts.hostname):
        raise ValueError(f"{uri}: give discover://SITE, and mqtt.ca_file: anybody may say to be the broker")
    return Mqtt(parts, kit=kit, on_command=on_command, access=access, outbox=outbox)


class Mqtt:
    """One kit's connection to one broker."""

    def __init__(
        self,
        address: SplitResult,
        *,
        kit: str,
        on_command: OnCommand,
        access: Access,
        outbox: Outbox | None = None,
        make_client: Callable[..., Client] | None = None,
    ) -> None:
        """Prepare; nothing is sent before the context is entered. *make_client* stands in for Client."""
        self._address, self._access = address, access
        self._make = make_client
        self._kit, self._on_command = kit, on_command
        self._outbox: Outbox = outbox if outbox is not None else MemoryOutbox()
        self._happened: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._retained: dict[str, str] = {}
        self._announced: dict[str, str] = {}
        self._births: frozenset[str] = frozenset()
        self._in_flight: dict[int, str] = {}
        """Message ids of this connection, and the events that went under them."""
        self._live: set[str] = set()
        """Events that came while connected: the others have waited."""
        self._begin_at: float | None = None
        self._quiet_until = float("-inf")
        self._five = access.protocol != "3.1.1"
        self._complained = ""
        self._greeted: float | None = None
        self._handshake_s = HANDSHAKE_S
        self._limits = Limits()
        self._since, self._brief = 0.0, 0
        self._futile = 0
        """Connections in a row that the broker did not greet."""
        self.connected = False
        self._leaving = threading.Event()
        self._client = self._make_client()

    @property
    def waiting(self) -> int:
        """Events the broker has not acknowledged."""
        return len(self._outbox)

    @property
    def dropped(self) -> int:
        """Events given up because too many waited."""
        return self._outbox.dropped

    def __enter__(self) -> Mqtt:
        self._outbox.open()
        self._client.loop_start()
        return self

    def publish(self, event: Event) -> None:
        """Put the event into the outbox and send what can be sent."""
        self._outbox.put(event)
        if self.connected:
            self._live.add(event.id)
        self._send_waiting()

    def retain(self, leaf: str, payload: str) -> None:
        """Publish retained now, and again on every connect."""
        self._retained[leaf] = payload
        if self.connected:
            self._say(leaf, payload, qos=1, retain=True)

    def tell(self, leaf: str, payload: str, *, qos: int = 0, to: Command | None = None) -> None:
        """Publish once, if there is a connection; what MQTT 5 says about an answer goes along."""
        if self.connected:
            self._say(leaf, payload, qos=qos, to=to)

    def announce(self, name: str, payload: str, *, again_on: str) -> None:
        """Retain on another program's topic now, on every connect, and when that program says it started."""
        self._announced[name], self._births = payload, self._births | {again_on}
        if self.connected:
            self._announce()

    def tend(self) -> None:
        """Work through what the network thread reported, then send what waits."""
        while True:
            try:
                happened = self._happened.get_nowait()
            except Empty:
                break
            happened()
        now = time.monotonic()
        if self._greeted is not None and now - self._greeted > self._handshake_s:
            self._when_unanswered()
        if self._begin_at is not None and now >= self._begin_at:
            self._begin_at = None
            self._client.loop_start()
        self._send_waiting()
        self._outbox.tend()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        deadline = time.monotonic() + GOODBYE_S
        self.tend()
        if self.connected:
            self._say("availability", "stopped", qos=1, retain=True)
            while self._in_flight and time.monotonic() < deadline:
                self.tend()
                time.sleep(0.02)
        if len(self._outbox):
            kept = "stay on disk" if self._outbox.keeping == "disk" else "are lost"
            logger.warning("mqtt: %d events were never acknowledged and %s", len(self._outbox), kept)
        self._leaving.set()
        self._client.disconnect()
        self._client.loop_stop()
        self._outbox.close()

    def _send_waiting(self) -> None:
        if not self.connected or time.monotonic() < self._quiet_until:
            return
        handed = set(self._in_flight.values())
        if len(handed) < min(HANDED, len(self._outbox)):
            for letter in self._outbox.oldest(HANDED):
                if letter.id not in handed:
                    self._send(letter)

    def _send(self, letter: Letter) -> None:
        body = letter.body if letter.id in self._live else mark_replayed(letter.body)
        sent = self._say("event", body, qos=1)
        if sent is not None:
            self._in_flight[sent.mid] = letter.id

    def _say(
        self, leaf: str, payload: str, *, qos: int, retain: bool = False, to: Command | None = None
    ) -> MQTTMessageInfo | None:
        """Publish; None if the broker would not take a message of this size."""
        name = to.answer_topic if to is not None and to.answer_topic else topic(self._kit, leaf)
        size, largest = len(payload.encode()) + len(name) + ENVELOPE, self._limits.largest_bytes
        if largest is not None and size > largest:
            self._complain(f"the broker takes {largest} bytes at most; a message on {leaf} may need {size}")
            return None
        properties = _describe(leaf, to) if self._five else None
        keep = retain and self._limits.retains
        return self._client.publish(name, payload, qos=qos, retain=keep, properties=properties)

    def _announce(self) -> None:
        for name in self._births:
            self._client.subscribe(name, qos=1)
        self._when_born()

    def _when_acknowledged(self, mid: int, failure: str) -> None:
        id = self._in_flight.pop(mid, None)
        if failure:
            self._complain(f"the broker refused a message: {failure}")
            if id is not None:
                self._quiet_until = time.monotonic() + REFUSED_S
                self._live.discard(id)
        elif id is not None:
            self._live.discard(id)
            self._outbox.done(id)

    def _when_greeted(self, at: float) -> None:
        self._greeted = at

    def _when_unanswered(self) -> None:
        self._greeted, self._handshake_s = None, 2 * self._handshake_s
        self._futile += 1
        if self._access.protocol == "auto":
            self._switch_protocol()
        else:
            self._complain(f"{_shown(self._address)} does not answer as a broker; trying again")
            self._restart(wait_s=random.uniform(*RECONNECT_S))

    def _when_connected(self, limits: Limits) -> None:
        fewer = limits.in_flight < self._limits.in_flight
        self._greeted, self._handshake_s, self._limits = None, HANDSHAKE_S, limits
        self._futile = 0
        if fewer:
            self._restart()  # paho can be told before it connects, not after
            return
        self.connected, self._since = True, time.monotonic()
        if self._brief < 3:
            self._complained = ""
            logger.info("mqtt: connected to %s", _shown(self._address))
        if not limits.retains:
            self._complain("the broker keeps no retained messages: a newcomer learns nothing until told anew")
        for pattern in ("set/+", "request/+"):
            self._hear(topic(self._kit, pattern))
        self._say("availability", "online", qos=1, retain=True)
        for leaf, payload in self._retained.items():
            self._say(leaf, payload, qos=1, retain=True)
        self._announce()

    def _hear(self, name: str) -> None:
        """Subscribe to commands, their retain flag as the sender set it.

        Without that wish, for which 3.1.1 has no words, a broker takes the flag off what is published live,
        and a command that it keeps is obeyed once before it is refused.
        """
        from paho.mqtt.subscribeoptions import SubscribeOptions

        if self._five:
            self._client.subscribe(name, options=SubscribeOptions(qos=1, retainAsPublished=True))
        else:
            self._client.subscribe(name, qos=1)

    def _when_born(self) -> None:
        for name, payload in self._announced.items():
            self._client.publish(name, payload, qos=1, retain=self._limits.retains)

    def _when_refused(self, reason: str, *, protocol: bool) -> None:
        self.connected, self._greeted = False, None
        if protocol and self._access.protocol == "auto":
            self._switch_protocol()
        elif reason == "Retain not supported" and self._limits.retains:
            self._limits = Limits(retains=False)  # it minds our will, before it could say so
            self._restart()
        else:
            why = WHY_REFUSED.get(reason, reason)
            self._complain(f"{_shown(self._address)} refused the connection: {why}", logging.ERROR)

    def _when_unheard(self, reason: str) -> None:
        self._complain(f"the broker does not pass commands on to this kit: {reason}", logging.ERROR)

    def _when_disconnected(self, reason: str, *, had_been_connected: bool) -> None:
        if self.connected:
            self._brief = self._brief + 1 if time.monotonic() - self._since < BRIEF_S else 0
            why = AGAIN if self._brief >= 3 else f"({WHY_REFUSED.get(reason, reason)})"
            self._complain(f"connection lost {why}")
        self._futile += not self.connected
        self.connected, self._greeted = False, None
        if not had_been_connected and not self._five:
            tls = self._address.scheme != "mqtt"
            self._complain(f"{_shown(self._address)} {HANGS_UP_TLS if tls else HANGS_UP}")
        if not had_been_connected and self._access.protocol == "auto":
            self._switch_protocol()  # some brokers hang up on a version that they do not speak
        else:
            # paho would send again what it had, as if it had not waited; the outbox does that, and says so.
            self._restart(wait_s=draw_wait(self._futile))

    def _switch_protocol(self) -> None:
        self._five = not self._five
        self._limits = Limits()
        logger.info("mqtt: trying MQTT %s", "5" if self._five else "3.1.1")
        self._restart(wait_s=draw_wait(self._futile // 2))  # the other version has a right to its first try

    def _restart(self, *, wait_s: float = 0.0) -> None:
        """Another client, which begins after *wait_s*; what the old one had in flight goes again."""
        self._client.disconnect()  # its thread sees that and ends by itself; joining it would wait
        _let_go(self._client)
        self._in_flight.clear()
        self._live.clear()
        self._client = self._make_client()
        self._begin_at = time.monotonic() + wait_s

    def _complain(self, message: str, level: int = logging.WARNING) -> None:
        """Once per trouble, not once per attempt."""
        if message != self._complained:
            self._complained = message
            logger.log(level, "mqtt: %s", message)

    def _make_client(self) -> Client:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

        version = MQTTProtocolVersion.MQTTv5 if self._five else MQTTProtocolVersion.MQTTv311
        make = self._make or (self._seeker() if self._address.scheme == "discover" else Client)
        client = make(CallbackAPIVersion.VERSION2, client_id=f"suasana-{self._kit}", protocol=version)
        if self._address.username:
            client.username_pw_set(unquote(self._address.username), self._access.password or None)
        if self._address.scheme != "mqtt":
            access = self._access
            client.tls_set(access.ca_file or None, access.cert_file or None, access.key_file or None)
        will, hello = (_describe_will(), _describe_us()) if self._five else (None, None)
        keep = self._limits.retains
        client.will_set(topic(self._kit, "availability"), "offline", qos=1, retain=keep, properties=will)
        client.max_inflight_messages_set(self._limits.in_flight)
        spread_reconnects(client)
        self._listen(client)
        port = self._address.port or (8883 if self._address.scheme == "mqtts" else 1883)
        client.connect_async(str(self._address.hostname), port, self._access.keepalive_s, properties=hello)
        return client

    def _seeker(self) -> type[Client]:
        """A client that looks for the broker whenever it connects; its certificate has to name the site."""
        from paho.mqtt.client import Client

        site, authority, leaving = str(self._address.hostname), Path(self._access.ca_file), self._leaving

        class Seeker(Client):
            def _create_socket_connection(self) -> socket.socket:
                try:
                    place = find_broker(site, authority.read_bytes(), leaving=leaving.is_set)
                except BeaconError as error:
                    raise UnfoundError(str(error)) from error
                return reach(place, self.connect_timeout)

        return Seeker

    def _listen(self, client: Client) -> None:
        """Everything the network thread tells us goes through the queue; an old client is not heard."""
        met = False

        def happened(what: Callable[[], None]) -> None:
            self._happened.put(lambda: what() if client is self._client else None)

        def on_socket_open(_client: Any, _data: Any, _sock: Any) -> None:
            at = time.monotonic()
            happened(lambda: self._when_greeted(at))

        def on_connect(_client: Any, _data: Any, _flags: Any, reason: Any, properties: Any) -> None:
            nonlocal met
            if reason.is_failure:
                met = True  # it answered, so hanging up is not about the protocol's version
                unsupported = "protocol version" in str(reason).lower()
                happened(lambda: self._when_refused(str(reason), protocol=unsupported))
            else:
                met = True
                limits = _read_limits(properties)
                happened(lambda: self._when_connected(limits))

        def on_subscribe(_client: Any, _data: Any, _mid: int, reasons: Any, _properties: Any) -> None:
            refused = [str(reason) for reason in reasons if reason.is_failure]
            if refused:
                happened(lambda: self._when_unheard(refused[0]))

        def on_disconnect(_client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
            nonlocal met
            spread_reconnects(client)
            knew, met = met, False
            happened(lambda: self._when_disconnected(str(reason), had_been_connected=knew))

        def on_connect_fail(_client: Any, _data: Any) -> None:
            why = _explain(sys.exc_info()[1])  # paho calls this while it handles the exception
            level = logging.WARNING if why == UNREACHABLE else logging.ERROR
            happened(lambda: self._complain(f"{_shown(self._address)} {why}; trying again", level))

        def on_publish(_client: Any, _data: Any, mid: int, reason: Any, _properties: Any) -> None:
            failure = str(reason) if reason.is_failure else ""
            happened(lambda: self._when_acknowledged(mid, failure))

        def on_message(_client: Any, _data: Any, message: Any) -> None:
            if message.topic in self._births:
                if message.payload == b"online":
                    happened(self._when_born)
                return
            wishes = getattr(message, "properties", None)
            wanted = str(getattr(wishes, "ResponseTopic", ""))
            # Only below our own name: nobody borrows this kit's rights to speak elsewhere.
            ours = wanted.startswith(topic(self._kit, "response/")) and not set(wanted) & set("+#\0")
            refusal = _refuse(message)
            self._on_command(
                Command(
                    message.topic.split("/", 2)[2],
                    b"" if refusal else message.payload,
                    wanted if ours else "",
                    bytes(getattr(wishes, "CorrelationData", b"")),
                    refusal,
                )
            )

        client.on_socket_open = on_socket_open
        client.on_connect, client.on_disconnect = on_connect, on_disconnect
        client.on_connect_fail, client.on_publish = on_connect_fail, on_publish
        client.on_message, client.on_subscribe = on_message, on_subscribe


def _let_go(client: Client) -> None:
    """Hear no more of an old client, which so loses its last owner: its sockets close when its thread ends.

    The callbacks know their client, and such a circle would keep its sockets until Python looks for circles.
    """
    client.on_socket_open = client.on_connect = client.on_disconnect = None
    client.on_connect_fail = client.on_publish = client.on_message = client.on_subscribe = None


def _explain(error: BaseException | None) -> str:
    """What kept us from a connection, as the end of a sentence about the broker."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"has a certificate that is not trusted ({error.verify_message}): look at mqtt.ca_file"
    if isinstance(error, ssl.SSLError):
        return f"does not speak TLS here ({error.reason or error})"
    if isinstance(error, UnfoundError):
        return f"is not found: {error}"
    if isinstance(error, ConnectionResetError):
        return HANGS_UP
    if isinstance(error, socket.gaierror):
        return "has a name that nobody knows: look at mqtt.url"
    return UNREACHABLE


def _read_limits(properties: Any) -> Limits:
    """From the properties of a CONNACK, which are empty before MQTT 5."""
    return Limits(
        in_flight=min(IN_FLIGHT, getattr(properties, "ReceiveMaximum", IN_FLIGHT)),
        largest_bytes=getattr(properties, "MaximumPacketSize", None),
        retains=bool(getattr(properties, "RetainAvailable", 1)),
    )


def _describe(leaf: str, to: Command | None) -> Properties:
    """What MQTT 5 says about a message besides its payload."""
    if to is None or not to.correlation:
        return _describe_news(leaf)
    properties = _make_description(leaf)
    properties.CorrelationData = to.correlation
    return properties


@cache
def _describe_news(leaf: str) -> Properties:
    """The same for every message on a topic; making one costs as much as sending it."""
    return _make_description(leaf)


def _make_description(leaf: str) -> Properties:
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    channel = channel_of(leaf)
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.PayloadFormatIndicator = 1  # UTF-8
    properties.ContentType = channel.content_type
    properties.UserProperty = ("schema", str(SCHEMA))
    if channel.expires_s is not None:
        properties.MessageExpiryInterval = channel.expires_s
    return properties


def _describe_will() -> Properties:
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    properties = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]
    properties.PayloadFormatIndicator = 1
    properties.ContentType = channel_of("availability").content_type
    properties.UserProperty = ("schema", str(SCHEMA))
    return properties


def _describe_us() -> Properties:
    """What the broker may send us: commands are short and few."""
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.ReceiveMaximum = IN_FLIGHT
    properties.MaximumPacketSize = LONGEST_COMMAND + 4096
    return properties


def _refuse(message: Any) -> str:
    """Why this command is not obeyed, or nothing."""
    if message.retain:
        return "a retained command is not obeyed: it would undo what somebody chose since, at every connect"
    if len(message.payload) > LONGEST_COMMAND:
        return f"the payload is longer than {LONGEST_COMMAND} bytes"
    return ""


def spread_reconnects(client: Client) -> None:
    """Draw new waiting times, so that a school's kits do not all return in the same second."""
    first, longest = random.uniform(*RECONNECT_S), random.uniform(*LONGEST_WAIT_S)
    client.reconnect_delay_set(min_delay=first, max_delay=longest)  # type: ignore[arg-type]


def draw_wait(failures: int) -> float:
    """Seconds before the next attempt, after so many in a row that failed: not together, and ever later."""
    return min(random.uniform(*RECONNECT_S) * 2.0 ** min(failures, 10), random.uniform(*LONGEST_WAIT_S))


def _shown(address: SplitResult) -> str:
    """The address without anything secret in it."""
    port = address.netloc.rpartition(":")[2]
    return f"{address.scheme}://{address.hostname or ''}{f':{port}' if port.isdecimal() else ''}"
