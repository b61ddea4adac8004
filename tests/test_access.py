"""Who gets into a broker, and what a kit may do there: TLS, the package's access list, brokers gone mad."""

import contextlib
import datetime as dt
import ipaddress
import logging
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge.discovery import config_topic
from edge.sinks import Access, mqtt, open_sink
from tests.conftest import ROOT, eventually, running_mosquitto
from tests.test_sinks import event, tend_until

# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────

NOW = dt.datetime.now(dt.timezone.utc)
DAY = dt.timedelta(days=1)


@dataclass
class Site:
    """A certificate authority of one school, and what it signs."""

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"CA {self.folder.name}")])
        ca = self._begin(self._name, self._key, NOW + DAY).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.ca_file = self.folder / "ca.pem"
        signed = ca.sign(self._key, hashes.SHA256())
        self.ca_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def lines(self, *, address: str = "127.0.0.1", until: dt.datetime = NOW + DAY) -> tuple[str, ...]:
        """Mosquitto's configuration with a certificate for *address*."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker")])
        alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        signed = (
            self._begin(name, key, until)
            .add_extension(alternative, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        certificate, private = self.folder / "broker.pem", self.folder / "broker.key"
        certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return "allow_anonymous true", f"certfile {certificate}", f"keyfile {private}"

    def _begin(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, until: dt.datetime
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - 3 * DAY)
            .not_valid_after(until)
        )


@pytest.mark.parametrize("protocol", ["auto", "3.1.1"])
def test_a_broker_with_the_sites_certificate_is_trusted(tmp_path: Path, protocol: str) -> None:
    site = Site(tmp_path / "site")
    with running_mosquitto(tmp_path, *site.lines()) as port:
        access = Access(ca_file=str(site.ca_file), protocol=protocol)
        with open_sink(f"mqtts://127.0.0.1:{port}", kit="k1", access=access) as sink:
            sink.publish(event(0))
            tend_until(sink, lambda: sink.waiting == 0)


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # paho leaves the socket to Python
@pytest.mark.parametrize("fault", ["another site", "expired", "another address", "no TLS"])
def test_a_broker_that_cannot_be_trusted_hears_nothing_and_the_log_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    caplog.set_level(logging.INFO)
    site = Site(tmp_path / "site")
    make, said = {
        "another site": (Site(tmp_path / "other").lines, "mqtt.ca_file"),
        "expired": (partial(site.lines, until=NOW - DAY), "expired"),
        "another address": (partial(site.lines, address="10.9.8.7"), "mismatch"),
        "no TLS": (lambda: ("allow_anonymous true",), "TLS"),
    }[fault]
    with running_mosquitto(tmp_path, *make()) as port:
        access = Access(ca_file=str(site.ca_file), password="hunter2")
        with open_sink(f"mqtts://k1@127.0.0.1:{port}", kit="k1", access=access) as sink:
            sink.publish(event(0))
            tend_until(sink, lambda: said in caplog.text)
            assert sink.waiting == 1
    errors = [record.message for record in caplog.records if record.levelno >= logging.ERROR]
    assert errors
    assert all("\n" not in message for message in errors)
    assert "connected to" not in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("protocol", ["auto", "3.1.1"])
def test_a_kit_without_tls_at_a_port_for_tls_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, protocol: str
) -> None:
    site, access = Site(tmp_path / "site"), Access(protocol=protocol)
    with (
        running_mosquitto(tmp_path, *site.lines()) as port,
        open_sink(f"mqtt://127.0.0.1:{port}", kit="k1", access=access) as sink,
    ):
        tend_until(sink, lambda: "the port for TLS" in caplog.text)


# ── The package's access list ────────────────────────────────────────────────────────────────────────


@dataclass
class Guest:
    """A client with a name and a password, and what it heard."""

    name: str
    port: int

    def __post_init__(self) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._subscribed: list[int] = []
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=f"test-{self.name}")
        self._client.username_pw_set(self.name, f"secret of {self.name}")
        self._client.on_message = lambda _c, _d, m: self.heard.append((m.topic, m.payload))
        self._client.on_subscribe = lambda *_: self._subscribed.append(1)
        self._client.connect("127.0.0.1", self.port)
        self._client.loop_start()

    def listen(self, *topics: str) -> None:
        for topic in topics:
            before = len(self._subscribed)
            self._client.subscribe(topic, qos=1)
            eventually(lambda before=before: len(self._subscribed) > before)

    def say(self, topic: str, payload: bytes = b"x") -> None:
        self._client.publish(topic, payload, qos=1).wait_for_publish(30)

    def leave(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def package_broker(folder: Path, *names: str) -> Iterator[tuple[int, list[Guest]]]:
    """Mosquitto with the access list and the limits that the package installs, and guests at it."""
    program = shutil.which("mosquitto_passwd")
    if program is None:
        pytest.skip("mosquitto_passwd is not installed (Debian: mosquitto)")
    passwords = folder / "passwords"
    passwords.touch(0o600)
    for name in names:
        subprocess.run([program, "-b", str(passwords), name, f"secret of {name}"], check=True)
    replaced = {
        "listener": None,
        "password_file": f"password_file {passwords}",
        "acl_file": f"acl_file {ROOT / 'systemd' / 'mosquitto.acl'}",
    }
    lines = []
    for line in (ROOT / "systemd" / "mosquitto.conf").read_text("utf-8").splitlines():
        key = line.split(" ", maxsplit=1)[0]
        if key and not key.startswith("#") and (own := replaced.get(key, line)):
            lines.append(own)
    with running_mosquitto(folder, *lines) as port:
        guests = [Guest(name, port) for name in names]
        try:
            yield port, guests
        finally:
            for guest in guests:
                guest.leave()


def test_a_kit_speaks_and_hears_below_its_own_name_only(tmp_path: Path) -> None:
    with package_broker(tmp_path, "kit-1", "kit-2", "teacher_page") as (_, (kit, other, teacher)):
        teacher.listen("suasana/#")
        kit.listen("suasana/#", "homeassistant/#")
        other.listen("suasana/+/set/+")
        kit.say("suasana/kit-2/state")
        kit.say("suasana/state")
        kit.say("elsewhere")
        kit.say("suasana/kit-1/state", b"mine")
        other.say("suasana/kit-2/event", b"theirs")
        teacher.say("suasana/kit-1/state", b"forged")
        teacher.say("suasana/kit-1/event", b"alert")
        teacher.say("suasana/kit-1/set/camera", b"off")
        eventually(lambda: len(teacher.heard) >= 4 and len(kit.heard) >= 3)
    assert teacher.heard == [
        ("suasana/kit-1/state", b"mine"),
        ("suasana/kit-2/event", b"theirs"),
        ("suasana/kit-1/event", b"alert"),
        ("suasana/kit-1/set/camera", b"off"),
    ]
    assert kit.heard == [
        ("suasana/kit-1/state", b"mine"),
        ("suasana/kit-1/event", b"alert"),
        ("suasana/kit-1/set/camera", b"off"),
    ]
    assert other.heard == []


def test_a_kit_introduces_itself_and_nobody_else(tmp_path: Path) -> None:
    with package_broker(tmp_path, "kit-1", "kit-2") as (port, (kit, other)):
        access = Access(password="secret of kit-2")
        with open_sink(f"mqtt://kit-2@127.0.0.1:{port}", kit="kit-2", access=access) as sink:
            sink.announce(config_topic("homeassistant", "kit-2"), "{}", again_on="homeassistant/status")
            sink.announce(config_topic("homeassistant", "kit-1"), "{}", again_on="homeassistant/status")
            sink.publish(event(0))
            tend_until(sink, lambda: sink.waiting == 0)
        list_file = ROOT / "systemd" / "mosquitto.acl"
        assert "pattern write homeassistant/device/%u/config" in list_file.read_text("utf-8")
        kit.listen("homeassistant/#")
        other.say("homeassistant/status", b"online")
        kit.say("suasana/kit-1/set/camera", b"on")  # its own echo tells that everything before it came
        kit.listen("suasana/kit-1/set/+")
        kit.say("suasana/kit-1/set/camera", b"off")
        eventually(lambda: kit.heard)
    assert kit.heard == [("suasana/kit-1/set/camera", b"off")]


def test_a_packet_of_a_megabyte_is_refused_and_the_others_go_on(tmp_path: Path) -> None:
    with package_broker(tmp_path, "kit-1", "teacher_page") as (port, (kit, teacher)):
        teacher.listen("suasana/#")
        with socket.create_connection(("127.0.0.1", port)) as raw:
            hello = b"\x00\x04MQTT\x04\xc2\x00\x3c\x00\x01x\x00\x05kit-1\x00\x0fsecret of kit-1"
            raw.sendall(b"\x10" + bytes([len(hello)]) + hello)
            assert raw.recv(4) == b"\x20\x02\x00\x00"
            raw.sendall(b"\x30\x84\x80\x40\x00\x13suasana/kit-1/state")  # PUBLISH of 1 MiB
            raw.settimeout(30)
            with contextlib.suppress(ConnectionResetError):
                assert raw.recv(1) == b"", "the broker hangs up before it holds all that"
        kit.say("suasana/kit-1/state", b"small")
        eventually(lambda: teacher.heard)
    assert teacher.heard == [("suasana/kit-1/state", b"small")]


# ── Brokers gone mad ─────────────────────────────────────────────────────────────────────────────────

NONSENSE = [
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"\x20\x02\x00",
    b"\x20\xff\xff\xff\xff\xff\xff",
    b"\x20\x03\x00\x00\x00\x30\xff\xff\xff\x7f",
    b"\x20\x03\x00\x00\x00\x32\x02\x00\x09",
    bytes(range(256)),
    b"",
]


@pytest.mark.parametrize("protocol", ["auto", "5", "3.1.1"])
def test_a_broker_that_talks_nonsense_costs_no_event(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What looks like a broker answers each greeting with other bytes; a real one follows."""
    monkeypatch.setattr(mqtt, "RECONNECT_S", (0.05, 0.1))  # each failure doubles the wait
    monkeypatch.setattr(mqtt, "LONGEST_WAIT_S", (0.1, 0.2))
    with socket.create_server(("127.0.0.1", 0)) as server:
        met: list[bytes] = []

        def answer() -> None:
            for nonsense in NONSENSE:
                visitor, _ = server.accept()
                with visitor:
                    visitor.recv(1024)
                    visitor.sendall(nonsense)
                met.append(nonsense)

        thread = threading.Thread(target=answer)
        thread.start()
        port = server.getsockname()[1]
        access = Access(protocol=protocol)
        with open_sink(f"mqtt://127.0.0.1:{port}", kit="k1", access=access) as sink:
            sink.publish(event(0))
            for known in range(len(NONSENSE)):
                tend_until(sink, lambda known=known: len(met) > known)
            sink.tend()
            assert sink.waiting == 1
        thread.join()
