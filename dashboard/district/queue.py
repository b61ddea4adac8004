"""RabbitMQ from the ingester's side: batches from quorum queues, acknowledged when their rows are committed.

The only module that knows pika. A batch that is not acknowledged when the connection ends is given to
somebody else, or to us again. One process on one node leads a queue; where that is not enough, an exchange
shares the events among several queues by their topic, so that one kit's stay together.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import ssl
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import pika
import pika.exceptions

from dashboard.district.sites import ASIDE, EXCHANGE, MOST_QUEUES, QUEUE, SPREAD, queue_names
from dashboard.district.sorting import Message
from edge.events import BASE

HEARTBEAT_S = 30
DELIVERIES = 1000
"""A message that was given out so often and never acknowledged goes aside: a backstop, not a way to wait."""
DEFAULT_LIMIT_MB = 20_000
LOOK_EVERY_S = 30.0
"""For queues that were added since: what nobody takes from fills up."""
ROUTES = f"{BASE}.*.event"
PORTS = {"amqp": 5672, "amqps": 5671}
NOT_FOUND = 404


class QueueError(Exception):
    """The broker cannot be used now; the message says why in one line."""


@dataclass(frozen=True, slots=True)
class Broker:
    """One address of each node, and who we are."""

    hosts: tuple[tuple[str, int], ...]
    user: str
    password: str = field(repr=False)
    vhost: str = "/"
    tls: bool = False
    ca_file: str | None = None
    """Whom to trust with TLS; None trusts whom the system trusts."""
    cert_file: str | None = None
    """Our own, where the broker wants to see one."""
    key_file: str | None = None

    @property
    def shown(self) -> str:
        """Without anything secret in it."""
        scheme = "amqps" if self.tls else "amqp"
        return ", ".join(f"{scheme}://{host}:{port}" for host, port in self.hosts)


def parse_broker(url: str, password: str | None) -> Broker:
    """``amqp[s]://[user@]host[:port][,host[:port]…][/vhost]``.

    Raises:
        ValueError: anything else, a password in it among it.
    """
    parts = urlsplit(url)
    user, _, nodes = parts.netloc.rpartition("@")
    if parts.scheme not in PORTS or not nodes or ":" in user:
        raise ValueError(f"{parts.scheme}://…: not a broker's address; give amqp[s]://[user@]host[:port][,…]")
    hosts = []
    for node in nodes.split(","):
        host, _, port = node.partition(":")
        if not host or (port and not port.isdigit()):
            raise ValueError(f"{node}: not host[:port]")
        hosts.append((host, int(port or PORTS[parts.scheme])))
    vhost = unquote(parts.path[1:]) or "/"
    name, tls = unquote(user) or "suasana_ingest", parts.scheme == "amqps"
    return Broker(tuple(hosts), name, password or "", vhost, tls)


def trust(broker: Broker) -> ssl.SSLContext | None:
    """How to shake hands with any of the nodes; None where nothing is encrypted.

    Raises:
        ValueError: a file cannot be used, or goes with no ``amqps://``.
    """
    files = (broker.ca_file, broker.cert_file, broker.key_file)
    if not broker.tls:
        if any(files):
            raise ValueError("certificates are for amqps://; nothing else is encrypted")
        return None
    if bool(broker.cert_file) != bool(broker.key_file):
        raise ValueError("a certificate and its key: give both")
    try:
        context = ssl.create_default_context(cafile=broker.ca_file)
        if broker.cert_file:
            context.load_cert_chain(broker.cert_file, broker.key_file)
    except OSError as error:  # ssl.SSLError among them
        names = ", ".join(file for file in files if file)
        raise ValueError(f"{names}: {getattr(error, 'reason', None) or error.strerror}") from error
    return context


class Intake:
    """One consumer. Every method may raise QueueError, after which ``connect`` begins anew."""

    def __init__(self, broker: Broker, *, prefetch: int = 2000) -> None:
        """Prepare; at most *prefetch* messages of each queue are ours at a time.

        Raises:
            ValueError: the certificates do not do.
        """
        self._broker, self._prefetch = broker, prefetch
        self._trust = trust(broker)
        self._connection: Any = None
        self._channel: Any = None
        self._queues: list[str] = []
        """Those that we take from."""
        self._looked = self._counted = float("-inf")
        self._known: list[str] = []
        """Those that are counted."""
        self._given: deque[Message] = deque()
        """What the broker gave us and nobody took yet, in the order of its tags."""

    def connect(self) -> None:
        """To any node that answers."""
        self.close()
        nodes = [
            pika.ConnectionParameters(
                host=host,
                port=port,
                virtual_host=self._broker.vhost,
                credentials=pika.PlainCredentials(self._broker.user, self._broker.password),
                heartbeat=HEARTBEAT_S,
                blocked_connection_timeout=60,
                socket_timeout=5,
                # By the name that was asked for: no node may pass for another one, nor anybody for a node.
                ssl_options=pika.SSLOptions(self._trust, host) if self._trust else None,
                client_properties={"connection_name": "suasana-ingest"},
            )
            for host, port in random.sample(self._broker.hosts, len(self._broker.hosts))
        ]
        with self._in_words():
            self._connection = pika.BlockingConnection(nodes)
            self._channel = self._connection.channel()

    def declare(self, nodes: int, limit_mb: int = DEFAULT_LIMIT_MB, queues: int = 1) -> None:
        """The queues and what flows into them; to be done before a kit connects. Another number may follow.

        A broker acknowledges what no queue wants. Full, a queue refuses, and kits keep what they have.
        """
        if not 1 <= queues <= MOST_QUEUES:
            raise ValueError(f"{queues} queues: 1 to {MOST_QUEUES}")
        quorum = {"x-queue-type": "quorum", "x-quorum-initial-group-size": nodes}
        events = quorum | {
            "x-overflow": "reject-publish",
            "x-max-length-bytes": limit_mb * 1_000_000,
            "x-delivery-limit": DELIVERIES,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": ASIDE,
            "x-dead-letter-strategy": "at-least-once",
        }
        before, self._counted = self._find(), float("-inf")
        with self._in_words():
            self._channel.queue_declare(ASIDE, durable=True, arguments=quorum)
            wanted = queue_names(queues)
            if queues == 1:
                self._channel.queue_declare(QUEUE, durable=True, arguments=events)
                self._channel.queue_bind(QUEUE, EXCHANGE, routing_key=ROUTES)
            else:
                spread = events | {"x-queue-leader-locator": "balanced"}  # else one node leads them all
                self._channel.exchange_declare(SPREAD, "x-consistent-hash", durable=True)
                for queue in wanted:
                    self._channel.queue_declare(queue, durable=True, arguments=spread)
                    self._channel.queue_bind(queue, SPREAD, routing_key="1")  # its weight
                self._channel.exchange_bind(SPREAD, EXCHANGE, routing_key=ROUTES)
            # Only now: at no time an event has nowhere to go. In between some go two ways, which is harmless.
            for queue in (queue for queue in before if queue not in wanted):
                self._leave(queue)
            if queues == 1 and len(before) > 1:
                self._channel.exchange_unbind(SPREAD, EXCHANGE, routing_key=ROUTES)

    def take(self, most: int, linger_s: float, patience_s: float) -> Sequence[Message]:
        """Up to *most* messages: all within *linger_s* of the first, which is waited for *patience_s*."""
        due = time.monotonic() + patience_s
        lingers = False
        with self._in_words():
            self._begin()
            while (now := time.monotonic()) < due and len(self._given) < most:
                if self._given and not lingers:
                    lingers, due = True, now + linger_s
                self._connection.process_data_events(min(due - now, linger_s / 2))
        return [self._given.popleft() for _ in range(min(most, len(self._given)))]

    def acknowledge(self, messages: Iterable[Message]) -> None:
        """The rows of everything up to the last of them are committed."""
        newest = max((message.tag for message in messages), default=0)
        if newest:
            with self._in_words():
                self._channel.basic_ack(newest, multiple=True)

    def waiting(self) -> int:
        """Messages that nobody has taken yet, in all queues."""
        with self._in_words():
            if time.monotonic() - self._counted > LOOK_EVERY_S:
                self._counted, self._known = time.monotonic(), self._find()
            return sum(self._length(queue) for queue in self._known)

    def close(self) -> None:
        """Let go; what is not acknowledged goes back."""
        with contextlib.suppress(pika.exceptions.AMQPError, OSError):
            if self._connection is not None:
                self._connection.close()
        self._connection = self._channel = None
        self._queues, self._looked, self._counted = [], float("-inf"), float("-inf")
        self._given.clear()

    def _begin(self) -> None:
        """Take from every queue there is."""
        if time.monotonic() - self._looked < LOOK_EVERY_S:
            return
        self._looked = time.monotonic()
        found = self._find()
        if not found:
            raise QueueError(f"{self._broker.shown}: there is no queue {QUEUE}; the verb queue makes it")
        if not self._queues:
            self._channel.basic_qos(prefetch_count=self._prefetch)
            self._channel.add_on_cancel_callback(self._when_cancelled)
        for queue in (queue for queue in found if queue not in self._queues):
            self._channel.basic_consume(queue, self._when_given)
            self._queues.append(queue)

    def _when_given(self, _channel: Any, method: Any, _properties: Any, body: bytes) -> None:
        topic = method.routing_key.replace(".", "/")
        self._given.append(Message(method.delivery_tag, topic, body, bool(method.redelivered)))

    def _when_cancelled(self, _frame: Any) -> None:
        raise QueueError(f"{self._broker.shown}: a queue was taken away")

    def _find(self) -> list[str]:
        """The queues of events that the broker has, an unnumbered one first."""
        numbered = (f"{QUEUE}-{number}" for number in range(MOST_QUEUES))
        found = [QUEUE] if self._has(QUEUE) else []
        return found + list(itertools.takewhile(self._has, numbered))

    def _has(self, queue: str) -> bool:
        with self._in_words():
            channel = self._connection.channel()  # one of its own: not to have a queue closes it
            try:
                channel.queue_declare(queue, passive=True)
            except pika.exceptions.ChannelClosedByBroker as error:
                if error.reply_code != NOT_FOUND:
                    raise
                return False
            channel.close()
            return True

    def _length(self, queue: str) -> int:
        return int(self._channel.queue_declare(queue, passive=True).method.message_count)

    def _leave(self, queue: str) -> None:
        """Nothing flows into *queue* any more; what is in it is still taken."""
        if queue == QUEUE:
            self._channel.queue_unbind(queue, EXCHANGE, routing_key=ROUTES)
        else:
            self._channel.queue_unbind(queue, SPREAD, routing_key="1")

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except (pika.exceptions.AMQPError, OSError) as error:
            raise QueueError(f"{self._broker.shown}: {_describe(error)}") from error


def _describe(error: BaseException) -> str:
    """In a line. pika wraps what happened, once for each attempt and each step of it."""
    for one in _inside(error):
        if isinstance(one, ssl.SSLCertVerificationError):
            return f"not trusted ({one.verify_message})"
        if isinstance(one, ssl.SSLError):
            return f"no TLS ({one.reason or one})"
    said = [str(one).strip() or type(one).__name__ for one in _inside(error)]
    own, last = str(error).strip(), said[-1]
    return (own or last).splitlines()[0][:200]


def _inside(error: BaseException) -> Iterator[BaseException]:
    yield error
    for one in (*error.args, getattr(error, "exception", None), *getattr(error, "exceptions", ())):
        if isinstance(one, BaseException):
            yield from _inside(one)
