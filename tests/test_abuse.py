"""Clients gone mad: brokers and kits live on, and nobody else notices."""

import random
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from edge.contract.commands import Command
from edge.sinks import Access, open_sink
from tests.conftest import Subscriber, eventually
from tests.sites import Running, running_site
from tests.test_sinks import event, tend_until

Connect = Callable[[], socket.socket]
MEGABYTE = 1024 * 1024


def packet(kind: int, body: bytes, *, length: int | None = None) -> bytes:
    """One MQTT packet, whose length may be a lie."""
    left, coded = len(body) if length is None else length, b""
    while True:
        left, digit = left >> 7, left & 127
        coded += bytes([digit | 128 if left else digit])
        if not left:
            return bytes([kind]) + coded + body


def text(value: bytes) -> bytes:
    return struct.pack(">H", len(value)) + value


def hello(client: bytes, *, level: int = 4) -> bytes:
    properties = b"\x00" if level == 5 else b""
    return packet(0x10, text(b"MQTT") + bytes([level, 2, 0, 60]) + properties + text(client))


SUBSCRIBE = packet(0x82, b"\x00\x01" + text(b"suasana/kit-9/set/+") + b"\x01")
PUBLISH = packet(0x32, text(b"suasana/kit-9/state") + b"\x00\x02" + b"{}")
MALFORMED = [
    b"\x00\x00",
    b"\xf0\x00",
    b"\x10\xff\xff\xff\xff\x7f",
    hello(b"x")[:7],
    packet(0x10, text(b"MQTT") + b"\x63\x02\x00\x3c" + text(b"x")),
    packet(0x10, text(b"WRONG") + b"\x04\x02\x00\x3c" + text(b"x")),
    packet(0x10, text(b"MQTT") + b"\x04\x01\x00\x3c" + text(b"x")),
    PUBLISH,
    hello(b"a1") + hello(b"a1"),
    hello(b"a2") + packet(0x30, b"\xff\xffsuasana"),
    hello(b"a3") + packet(0x30, text(b"suasana/#") + b"x"),
    hello(b"a4") + packet(0x36, text(b"suasana/kit-9/x") + b"\x00\x01x"),
    hello(b"a5") + packet(0x30, text(b"suasana/kit-9/\xff\xfe\x00") + b"x"),
    hello(b"a6") + packet(0x82, b"\x00\x01"),
    hello(b"a7") + packet(0x80, b"\x00\x01" + text(b"#") + b"\x03"),
    hello(b"a8") + packet(0xC0, b"junk"),
    hello(b"a9") + packet(0x40, b"\x12\x34") + packet(0x70, b"\x00\x00"),
    hello(b"aa", level=5) + packet(0x30, text(b"suasana/kit-9/x") + b"\xff\xff\xff\x7fx"),
    hello(b"ab", level=5) + packet(0x30, text(b"suasana/kit-9/x") + b"\x02\x01\x63x"),
    hello(b"ac") + packet(0x30, b"", length=268_435_455),
]


def mutants(seed: int, count: int) -> Iterator[bytes]:
    """A conversation that is almost right."""
    chance = random.Random(seed)
    for number in range(count):
        level = chance.choice((4, 5))
        data = bytearray(hello(b"m%d" % number, level=level) + SUBSCRIBE + PUBLISH)
        for _ in range(chance.randint(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        yield bytes(data[: chance.randint(1, len(data))])


def say(connect: Connect, data: bytes) -> None:
    """Send it, and be gone; half of the time with a reset."""
    with suppress(OSError):
        link = connect()
        with link:
            link.sendall(data)
            if len(data) % 2:
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hung_up(link: socket.socket) -> bool:
    """Whether the other side ends the connection, having said whatever it says before."""
    link.settimeout(30)
    try:
        while link.recv(4096):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


# ── Mosquitto, as a site runs it ─────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_site(tmp_path_factory.mktemp("abuse") / "site") as running:
        yield running


def secure(school: Running, folder: Path) -> Connect:
    """TCP and TLS as a member, and nothing of MQTT said yet."""
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.load_cert_chain(folder / "client.pem", folder / "client.key")

    def connect() -> socket.socket:
        plain = socket.create_connection(("127.0.0.1", school.port), 30)
        return context.wrap_socket(plain, server_hostname="127.0.0.1")

    return connect


def test_a_site_bears_a_member_gone_mad(school: Running) -> None:
    mad = school.join("kit-9")
    connect = secure(school, mad.folder)

    def bare() -> socket.socket:
        return socket.create_connection(("127.0.0.1", school.port), 30)

    with school.join("kit-1") as kit, school.join("teacher_page", "dashboard") as page:
        page.listen("suasana/kit-1/#")
        for data in MALFORMED:
            say(connect, data)
            say(bare, data)
        for data in mutants(1, 60):
            say(connect, data)
        assert kit.say("suasana/kit-1/state", b"still here") == ""
        eventually(lambda: page.heard)
        assert (kit.lost, page.lost) == ([], [])
    assert page.heard == [("suasana/kit-1/state", b"still here")]


def test_a_payload_of_a_megabyte_ends_its_sender_only(school: Running) -> None:
    mad = school.join("kit-8")
    with school.join("kit-2") as kit, school.join("other_page", "dashboard") as page:
        page.listen("suasana/#")
        for level in (4, 5):
            with secure(school, mad.folder)() as link:
                link.sendall(hello(b"big%d" % level, level=level))
                assert link.recv(4)[0] == 0x20, "let in"
                properties = b"\x00" if level == 5 else b""
                body = text(b"suasana/kit-8/state") + properties + b"x" * MEGABYTE
                with suppress(OSError):
                    link.sendall(packet(0x30, body))
                assert hung_up(link)
        assert kit.say("suasana/kit-2/state", b"small") == ""
        eventually(lambda: page.heard)
    assert page.heard == [("suasana/kit-2/state", b"small")]


def test_many_who_never_finish_their_handshake_keep_nobody_out(school: Running) -> None:
    idle = [socket.create_connection(("127.0.0.1", school.port), 30) for _ in range(100)]
    try:
        with school.join("kit-3") as kit:
            assert kit.say("suasana/kit-3/state") == ""
    finally:
        for one in idle:
            one.close()


# ── The embedded broker ──────────────────────────────────────────────────────────────────────────────


def test_the_embedded_broker_bears_clients_gone_mad(broker: int, subscriber: Subscriber) -> None:
    commands: list[Command] = []
    access = Access(protocol="3.1.1")
    with open_sink(f"mqtt://127.0.0.1:{broker}", kit="k1", access=access, on_command=commands.append) as sink:
        tend_until(sink, lambda: "online" in subscriber.payloads("suasana/k1/availability"))
        for data in (*MALFORMED, *mutants(2, 60)):
            say(lambda: socket.create_connection(("127.0.0.1", broker), 30), data)
        sink.publish(event(0))
        tend_until(sink, lambda: sink.waiting == 0)
        eventually(lambda: subscriber.payloads("suasana/k1/event"))
        # 1 MB for the kit itself: refused unread, and the kit goes on.
        subscriber.client.publish("suasana/k1/set/camera", b"x" * MEGABYTE, qos=1)
        tend_until(sink, lambda: commands)
        assert commands[0].payload == b""
        assert "longer than" in commands[0].refusal
        subscriber.client.publish("suasana/k1/set/camera", b"off", qos=1)
        tend_until(sink, lambda: len(commands) == 2)
        sink.publish(event(1))
        tend_until(sink, lambda: sink.waiting == 0)
        eventually(lambda: len(subscriber.payloads("suasana/k1/event")) >= 2)
    assert commands[1].payload == b"off"
    assert len(subscriber.payloads("suasana/k1/event")) == 2
