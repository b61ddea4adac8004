"""A site with its Mosquitto, and clients with certificates, for tests of both sides of a pairing."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from edge.site.access import Member
from edge.site.door import listen
from edge.site.folder import Site, Wishes
from edge.site.registrar import Office, Registrar
from tests.conftest import PATIENCE_S, _answers, eventually, free_port

NOW = datetime.now(timezone.utc)
DAY = timedelta(days=1)
TRIES = 5


@contextmanager
def running_site(folder: Path, name: str = "sekolah-1", *, passwords: bool = False) -> Iterator[Running]:
    """A site founded in *folder*, and Mosquitto with exactly the configuration that was written for it."""
    site = Site.create(
        folder,
        Wishes(name, ("127.0.0.1",), free_port(), free_port() if passwords else None),
        NOW,
    )
    with running_broker(site) as log:
        yield Running(site, log)


@contextmanager
def running_broker(site: Site) -> Iterator[Path]:
    """Mosquitto for a site that is there; the file that its log goes to."""
    program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("Mosquitto is not installed (Debian: mosquitto)")
    if os.geteuid() == 0:
        # Otherwise it would become the user mosquitto, who cannot enter the test's folder.
        (site.broker / "local.d" / "root.conf").write_text("user root\n")
    log = site.folder / "mosquitto.log"
    port = site.register().port
    for attempt in range(TRIES):
        with log.open("ab") as file:
            process = subprocess.Popen([program, "-c", str(site.broker / "mosquitto.conf")], stderr=file)
        eventually(lambda process=process: _answers(port) or process.poll() is not None)
        told = log.read_text("utf-8")
        if process.poll() is None or "Address already in use" not in told or attempt == TRIES - 1:
            break
        time.sleep(1)  # somebody else's connection, who was given this port meanwhile, ends
    try:
        assert process.poll() is None, told
        yield log
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


@dataclass
class Running:
    """A site whose broker runs."""

    site: Site
    log: Path

    @property
    def port(self) -> int:
        return self.site.register().port

    def join(self, name: str, role: str = "kit", *, kits: tuple[str, ...] = ()) -> Client:
        """A member's connection, certificate made at once."""
        return Client(self.port, self.site.add(Member(name, role, reads=kits), NOW))  # type: ignore[arg-type]


@dataclass
class Client:
    """Somebody at a broker, and what it heard and was told."""

    port: int
    folder: Path
    """With ca.pem, client.pem and client.key."""
    client_id: str = ""
    heard: list[tuple[str, bytes]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Reasons of messages that the broker did not take."""
    lost: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._connected: list[str] = []
        self._subscribed: list[int] = []
        self._acknowledged: set[int] = set()
        client = self._client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            self.client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        client.tls_set(*(str(self.folder / name) for name in ("ca.pem", "client.pem", "client.key")))
        client.on_connect = lambda _c, _d, _f, reason, _p: self._connected.append(str(reason))
        client.on_message = lambda _c, _d, m: self.heard.append((m.topic, m.payload))
        client.on_subscribe = lambda *_: self._subscribed.append(1)
        client.on_disconnect = lambda _c, _d, _f, reason, _p: self.lost.append(str(reason))
        client.on_publish = self._when_published

    def __enter__(self) -> Client:
        """Connect; raises what TLS raises, or ConnectionError when the broker turns us away."""
        self._client.connect("127.0.0.1", self.port)
        self._client.loop_start()
        eventually(lambda: self._connected or self.lost)
        if self._connected != ["Success"]:
            self.__exit__()
            raise ConnectionError(*self._connected, *self.lost)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def listen(self, *topics: str) -> None:
        for topic in topics:
            before = len(self._subscribed)
            self._client.subscribe(topic, qos=1)
            eventually(lambda before=before: len(self._subscribed) > before)

    def say(self, topic: str, payload: bytes = b"x") -> str:
        """Publish; why the broker did not take it, or nothing."""
        before = len(self.refused)
        sent = self._client.publish(topic, payload, qos=1)
        eventually(lambda: sent.mid in self._acknowledged)
        return "".join(self.refused[before:])

    def _when_published(self, _client: object, _data: object, mid: int, reason: object, _p: object) -> None:
        if getattr(reason, "is_failure", False):
            self.refused.append(str(reason))
        self._acknowledged.add(mid)


def turned_away(client: Client) -> bool:
    """Whether the broker does not let this one in."""
    try:
        with client:
            return False
    except (ssl.SSLError, ConnectionError):
        return True


@contextmanager
def running_registrar(
    site: Site, *, wall: Callable[[], datetime] = lambda: NOW, door_port: int = 0
) -> Iterator[Office]:
    """A registrar that listens where the site's register says, by the clock *wall*."""
    with (
        Registrar(site, door_port=door_port, told=lambda _: None) as registrar,
        listen(site.register().registrar_port) as listener,
    ):
        office = Office(registrar, wall=wall)
        thread = threading.Thread(target=office.run, kwargs={"sockets": [listener]})
        thread.start()
        eventually(lambda: office.started)
        try:
            yield office
        finally:
            office.should_exit = True
            thread.join(PATIENCE_S)
