"""What many tests need: a real broker, an independent client, and where the optional data lies."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as paho
import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"
PATIENCE_S = 30.0


def eventually(holds: Callable[[], object]) -> None:
    """Wait until *holds*; for what another process or thread does, never for a duration."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def broker() -> Iterator[int]:
    """The port of an embedded broker of the test's own."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "edge.broker", "--port", str(port)], cwd=ROOT)
    try:
        eventually(lambda: _answers(port))
        yield port
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


@contextmanager
def running_mosquitto(folder: Path, *lines: str, port: int | None = None) -> Iterator[int]:
    """The port of a Mosquitto of the test's own, configured by *lines*; without any it is open to all."""
    program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("Mosquitto is not installed (Debian: mosquitto)")
    port = port or free_port()
    config = folder / f"mosquitto-{port}.conf"
    # As root it would become the user mosquitto, who cannot read the test's folder.
    own = [f"listener {port} 127.0.0.1", "user root"] if os.geteuid() == 0 else [f"listener {port} 127.0.0.1"]
    config.write_text("\n".join([*own, *(lines or ("allow_anonymous true",))]) + "\n")
    process = subprocess.Popen([program, "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: _answers(port) or process.poll() is not None)
        assert process.poll() is None, f"Mosquitto did not start with {lines}"
        yield port
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[int]:
    """The port of a Mosquitto that is open to all."""
    with running_mosquitto(tmp_path) as port:
        yield port


@pytest.fixture(params=["amqtt", "mosquitto"])
def any_broker(request: pytest.FixtureRequest) -> int:
    """The port of each broker that a classroom may have."""
    return int(request.getfixturevalue("broker" if request.param == "amqtt" else "mosquitto"))


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Subscriber:
    """An independent client that hears everything."""

    client: paho.Client
    messages: list[tuple[str, str, bool]] = field(default_factory=list)
    """Topic, payload, retained."""

    def payloads(self, topic: str) -> list[str]:
        return [payload for name, payload, _ in list(self.messages) if name == topic]


@pytest.fixture
def subscriber(broker: int) -> Iterator[Subscriber]:
    """Subscribed to ``#`` of the test's broker."""
    yield from subscribe(broker)


def subscribe(port: int) -> Iterator[Subscriber]:
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    heard = Subscriber(client)
    client.on_message = lambda _c, _d, m: heard.messages.append((m.topic, m.payload.decode(), bool(m.retain)))
    subscribed: list[int] = []
    client.on_subscribe = lambda *_: subscribed.append(1)
    # On every connection: a broker that is only just starting may drop the first one.
    client.on_connect = lambda *_: client.subscribe("#", qos=1)
    client.connect("127.0.0.1", port)
    client.loop_start()
    eventually(lambda: subscribed)
    yield heard
    client.disconnect()
    client.loop_stop()
