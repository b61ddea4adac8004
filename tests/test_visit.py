"""The way to a broker, step by step, on real brokers that are wrong in one way each."""

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge import checks
from edge.broker import visit
from edge.checks import Patient
from edge.settings import Mqtt, Settings
from tests.conftest import free_port, running_mosquitto

NOW = datetime.now(timezone.utc)
DAY = timedelta(days=1)


def walk(url: str, *, password_file: str = "", ca_file: str = "") -> list[str]:
    """Ids of the findings, without ``broker.``."""
    settings = Settings(kit="k1", mqtt=Mqtt(url, password_file=password_file, ca_file=ca_file))
    found = list(checks.examine("broker", Patient(settings)))
    for item in found:
        assert item.found("id")
        assert "hunter2" not in item.found("en") + str(item.values)
    return [item.id.removeprefix("broker.") for item in found]


def test_every_step_of_a_good_way(mosquitto: int) -> None:
    steps = ["name_ok", "tcp_ok", "login_ok", "publish_ok", "heard_ok"]
    assert walk(f"mqtt://127.0.0.1:{mosquitto}") == steps


def test_the_embedded_broker_will_do(broker: int) -> None:
    assert walk(f"mqtt://localhost:{broker}")[-1] == "heard_ok"


@pytest.mark.parametrize("url", ["http://x", "mqtt://", "mqtt://h:99999", "mqtt://user:hunter2@h"])
def test_an_address_that_is_none(url: str) -> None:
    assert walk(url) == ["address"]


def test_a_name_that_nobody_knows() -> None:
    assert walk("mqtt://no-such-broker.invalid") == ["name"]


def test_a_port_where_nobody_listens() -> None:
    assert walk(f"mqtt://127.0.0.1:{free_port()}") == ["name_ok", "refused"]


@contextmanager
def listener(answer: bytes) -> Iterator[int]:
    """Something that is no broker: says *answer* to whoever comes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        guests: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    guest, _ = server.accept()
                except OSError:
                    return
                guests.append(guest)
                guest.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)
        for guest in guests:
            guest.close()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_something_that_is_no_broker(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visit, "STEP_S", 2.0)  # nobody answers, however long one waits
    with listener(answer) as port:
        assert walk(f"mqtt://127.0.0.1:{port}") == ["name_ok", "tcp_ok", "greeting"]


# ── Credentials and rights ───────────────────────────────────────────────────────────────────────────


@pytest.fixture
def guarded(tmp_path: Path) -> tuple[str, ...]:
    """Lines of a broker that lets k1 in with hunter2."""
    passwords = tmp_path / "passwords"
    passwords.touch(mode=0o600)
    done = subprocess.run(
        ["mosquitto_passwd", "-b", str(passwords), "k1", "hunter2"], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("mosquitto_passwd is not installed (Debian: mosquitto)")
    return "allow_anonymous false", f"password_file {passwords}"


@pytest.mark.parametrize(
    ("user", "password", "last"),
    [
        ("k1@", "hunter2\n", "heard_ok"),
        ("k1@", "wrong", "login"),
        ("", None, "login"),
        ("k1@", None, "login"),
    ],
)
def test_who_is_let_in(
    tmp_path: Path, guarded: tuple[str, ...], user: str, password: str | None, last: str
) -> None:
    file = tmp_path / "password"
    if password is not None:
        file.write_text(password)
    with running_mosquitto(tmp_path, *guarded) as port:
        url = f"mqtt://{user}127.0.0.1:{port}"
        assert walk(url, password_file=str(file) if password else "")[-1] == last


def test_a_password_that_cannot_be_read(tmp_path: Path) -> None:
    assert walk("mqtt://k1@127.0.0.1", password_file=str(tmp_path / "none")) == ["password"]
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert walk("mqtt://k1@127.0.0.1", password_file=str(tmp_path / "binary")) == ["password"]


def test_a_broker_that_takes_and_does_not_pass_on(tmp_path: Path, guarded: tuple[str, ...]) -> None:
    rules, password = tmp_path / "acl", tmp_path / "password"
    rules.write_text("pattern write suasana/%u/#\n")
    password.write_text("hunter2")
    with running_mosquitto(tmp_path, *guarded, f"acl_file {rules}") as port:
        steps = walk(f"mqtt://k1@127.0.0.1:{port}", password_file=str(password))
    assert steps[-2:] == ["publish_ok", "unheard"]


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────


class School:
    """A certificate authority, and certificates for this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "school")])
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        made = (
            self._draft(self.name, self.key, NOW - 9 * DAY, NOW + 9 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self.key, hashes.SHA256())
        )
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def _draft(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, start: datetime, end: datetime
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
        )

    def broker_lines(
        self, *, start: datetime = NOW - DAY, end: datetime = NOW + 365 * DAY, host: str = ""
    ) -> list[str]:
        """Mosquitto's lines for a certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName(host)] if host else [x509.IPAddress(ip_address("127.0.0.1"))]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host or "broker")])
        made = (
            self._draft(subject, key, start, end)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        certificate, secret = self.folder / "broker.pem", self.folder / "broker.key"
        certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        secret.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return ["allow_anonymous true", f"certfile {certificate}", f"keyfile {secret}"]


@pytest.fixture
def school(tmp_path: Path) -> School:
    return School(tmp_path)


def test_a_certificate_in_order(tmp_path: Path, school: School) -> None:
    with running_mosquitto(tmp_path, *school.broker_lines()) as port:
        steps = walk(f"mqtts://127.0.0.1:{port}", ca_file=str(school.ca))
    assert steps == ["name_ok", "tcp_ok", "tls_ok", "login_ok", "publish_ok", "heard_ok"]


@pytest.mark.parametrize(
    ("span", "host", "last"),
    [
        ((NOW - 3 * DAY, NOW - DAY), "", "tls_expired"),
        ((NOW + DAY, NOW + 3 * DAY), "", "tls_early"),
        ((NOW - DAY, NOW + DAY), "elsewhere.example", "tls"),
    ],
)
def test_a_certificate_that_is_not(
    tmp_path: Path, school: School, span: tuple[datetime, datetime], host: str, last: str
) -> None:
    with running_mosquitto(tmp_path, *school.broker_lines(start=span[0], end=span[1], host=host)) as port:
        assert walk(f"mqtts://127.0.0.1:{port}", ca_file=str(school.ca)) == ["name_ok", "tcp_ok", last]


def test_an_authority_that_is_not_known_or_not_there(tmp_path: Path, school: School, mosquitto: int) -> None:
    with running_mosquitto(tmp_path, *school.broker_lines()) as port:
        assert walk(f"mqtts://127.0.0.1:{port}")[-1] == "tls"
        assert walk(f"mqtts://127.0.0.1:{port}", ca_file=str(tmp_path / "none.pem"))[-1] == "tls"
    assert walk(f"mqtts://127.0.0.1:{mosquitto}", ca_file=str(school.ca))[-1] == "tls", "speaks no TLS"
