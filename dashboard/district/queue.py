"""RabbitMQ from the ingester's side: batches from a quorum queue, acknowledged when their rows are committed.

The only module that knows pika. A batch that is not acknowledged when the connection ends is given to
somebody else, or to us again.
"""

from __future__ import annotations

import contextlib
import random
import ssl
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import pika
import pika.exceptions

from dashboard.district.sites import ASIDE, EXCHANGE, QUEUE
from dashboard.district.sorting import Message
from edge.events import BASE

HEARTBEAT_S = 30
DELIVERIES = 1000
"""A message that was given out so often and never acknowledged goes aside: a backstop, not a way to wait."""
DEFAULT_LIMIT_MB = 20_000
ROUTES = f"{BASE}.*.event"
PORTS = {"amqp": 5672, "amqps": 5671}


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
        """Prepare; at most *prefetch* messages are ours at a time.

        Raises:
            ValueError: the certificates do not do.
        """
        self._broker, self._prefetch = broker, prefetch
        self._trust = trust(broker)
        self._connection: Any = None
        self._channel: Any = None

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

    def declare(self, nodes: int, limit_mb: int = DEFAULT_LIMIT_MB) -> None:
        """The queues and what flows into them; to be done before a kit connects.

        A broker acknowledges what no queue wants. Full, the queue refuses, and kits keep what they have.
        """
        quorum = {"x-queue-type": "quorum", "x-quorum-initial-group-size": nodes}
        events = quorum | {
            "x-overflow": "reject-publish",
            "x-max-length-bytes": limit_mb * 1_000_000,
            "x-delivery-limit": DELIVERIES,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": ASIDE,
            "x-dead-letter-strategy": "at-least-once",
        }
        with self._in_words():
            self._channel.queue_declare(ASIDE, durable=True, arguments=quorum)
            self._channel.queue_declare(QUEUE, durable=True, arguments=events)
            self._channel.queue_bind(QUEUE, EXCHANGE, routing_key=ROUTES)

    def take(self, most: int, linger_s: float, patience_s: float) -> Sequence[Message]:
        """Up to *most* messages: all within *linger_s* of the first, which is waited for *patience_s*."""
        found: list[Message] = []
        due = time.monotonic() + patience_s
        with self._in_words():
            if not self._channel.consumer_tags:
                self._channel.basic_qos(prefetch_count=self._prefetch)
            for method, _, body in self._channel.consume(QUEUE, inactivity_timeout=linger_s / 2):
                if method is not None:
                    if not found:
                        due = time.monotonic() + linger_s
                    topic = method.routing_key.replace(".", "/")
                    found.append(Message(method.delivery_tag, topic, body, bool(method.redelivered)))
                if len(found) >= most or time.monotonic() >= due:
                    break
        return found

    def acknowledge(self, messages: Iterable[Message]) -> None:
        """The rows of everything up to the last of them are committed."""
        newest = max((message.tag for message in messages), default=0)
        if newest:
            with self._in_words():
                self._channel.basic_ack(newest, multiple=True)

    def waiting(self) -> int:
        """Messages that nobody has taken yet."""
        with self._in_words():
            return int(self._channel.queue_declare(QUEUE, passive=True).method.message_count)

    def breathe(self) -> None:
        """Answer heartbeats."""
        with self._in_words():
            self._connection.process_data_events(0)

    def close(self) -> None:
        """Let go; what is not acknowledged goes back."""
        with contextlib.suppress(pika.exceptions.AMQPError, OSError):
            if self._connection is not None:
                self._connection.close()
        self._connection = self._channel = None

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
