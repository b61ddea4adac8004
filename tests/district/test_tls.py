"""An ingester's way to RabbitMQ over TLS: whom it believes, and what it says before it does."""

from __future__ import annotations

import gc
import shutil
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.scale.cluster import START_S, Cluster, Missing, find_rabbitmq
from benchmarks.scale.stage import wait_for
from dashboard.district import command
from dashboard.district.queue import Broker, Intake, QueueError, parse_broker, trust
from edge.site.access import Member
from edge.site.folder import Site, Wishes
from tests.conftest import PATIENCE_S, ROOT, free_port
from tests.sites import NOW

SECRET = "hunter2-correct-horse"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = Site.create(tmp_path_factory.mktemp("tls") / "site", Wishes("distrik-1", ("127.0.0.1",)), NOW)
    made.add(Member("suasana_ingest", "reader"), NOW)
    return made


@pytest.fixture(autouse=True)
def no_socket_is_left() -> Iterator[None]:
    """pika leaves the socket of a handshake that failed to Python, which complains about it."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@contextmanager
def listening(context: ssl.SSLContext | None, heard: bytearray) -> Iterator[int]:
    """A server that notes what it is told and hangs up."""

    def serve(server: socket.socket) -> None:
        while True:
            try:
                visitor, _ = server.accept()
            except OSError:
                return
            with suppress(OSError), visitor:
                visitor.settimeout(PATIENCE_S / 10)
                if context is None:
                    heard.extend(visitor.recv(100))
                else:
                    with context.wrap_socket(visitor, server_side=True) as secure:
                        heard.extend(secure.recv(100))

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(30)


def server_context(folder: Path, names: tuple[str, str] = ("broker.pem", "broker.key")) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / names[0], folder / names[1])
    return context


def ingester(port: int, ca_file: Path | None, host: str = "127.0.0.1") -> Broker:
    found = parse_broker(f"amqps://suasana_ingest@{host}:{port}", SECRET)
    return replace(found, ca_file=str(ca_file) if ca_file else None)


def refusal(broker: Broker) -> str:
    with closing(Intake(broker)) as intake, pytest.raises(QueueError) as caught:
        intake.connect()
    assert "\n" not in str(caught.value)
    assert "AMQPConnectionError" not in str(caught.value), "that says nothing"
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_an_address_with_tls_has_a_port_of_its_own() -> None:
    found = parse_broker("amqps://me@one,two:1", "x")
    assert (found.hosts, found.tls) == ((("one", 5671), ("two", 1)), True)
    assert found.shown == "amqps://one:5671, amqps://two:1"
    assert trust(parse_broker("amqp://one", "x")) is None


def test_nobody_is_told_anything_who_cannot_prove_to_be_the_broker(site: Site, tmp_path: Path) -> None:
    stranger = Site.create(tmp_path / "site", Wishes("distrik-1", ("127.0.0.1",)), NOW)
    other = Site.create(tmp_path / "other", Wishes("elsewhere", ("10.0.0.1",)), NOW)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    key = (site.broker / "broker.key").read_bytes()
    (elsewhere / "broker.key").write_bytes(key)
    (elsewhere / "broker.pem").write_bytes(site.authority().sign_broker(key, ["10.0.0.1"], NOW))
    member = ("client.pem", "client.key")
    ours = site.folder / "authority.pem"
    heard = bytearray()
    for context, ca_file, why in (
        (server_context(stranger.broker), ours, "not trusted"),
        (server_context(other.broker), ours, "not trusted"),
        (server_context(elsewhere), ours, "not trusted (IP address mismatch"),
        (server_context(site.folder / "clients" / "suasana_ingest", member), ours, "not trusted"),
        (server_context(site.broker), None, "not trusted"),
    ):
        with listening(context, heard) as port:
            assert why in refusal(ingester(port, ca_file))
    assert bytes(heard) == b""


def test_a_broker_without_tls_is_not_spoken_to(site: Site) -> None:
    heard = bytearray()
    with listening(None, heard) as port:
        assert refusal(ingester(port, site.folder / "authority.pem")).startswith(
            f"amqps://127.0.0.1:{port}: "
        )
    assert heard[:1] in (b"", b"\x16"), "a greeting of TLS at most"
    assert SECRET.encode() not in heard


def test_who_proves_it_is_greeted(site: Site) -> None:
    heard = bytearray()
    with listening(server_context(site.broker), heard) as port:
        refusal(ingester(port, site.folder / "authority.pem"))
    assert heard[:4] == b"AMQP"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--amqp", "amqp://one", "--amqp-ca", "{site}/authority.pem"], "for amqps://"),
        (["--amqp", "amqps://one", "--amqp-ca", "{site}/none.pem"], "No such file"),
        (["--amqp", "amqps://one", "--amqp-ca", "{site}/site.json"], "NO_CERTIFICATE_OR_CRL_FOUND"),
        (["--amqp", "amqps://one", "--amqp-cert", "{site}/authority.pem"], "give both"),
        (["--amqp", "amqps://one", "--amqp-key", "{open}"], "every user may read it"),
    ],
)
def test_files_that_do_not_do_cost_one_line(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    (tmp_path / "open.key").write_text("x")
    (tmp_path / "open.key").chmod(0o644)
    filled = [one.format(site=site.folder, open=tmp_path / "open.key") for one in arguments]
    assert command.main(["queue", *filled]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1


@pytest.mark.scale
def test_events_come_through_rabbitmq_over_tls_only(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A node with the repository's own two files, and nothing that is listened to without TLS."""
    try:
        find_rabbitmq()
    except Missing as error:
        pytest.skip(str(error))
    cluster = Cluster(tmp_path / "rabbit", size=1)
    own = tmp_path / "rabbit" / "r1"
    tls = own / "tls"
    tls.mkdir()
    for name in ("ca.pem", "broker.pem", "broker.key"):
        shutil.copy(site.broker / name, tls / name)
    amqps, mqtts = free_port(), free_port()
    text = (ROOT / "systemd" / "district" / "tls.conf").read_text("utf-8")
    text = text.replace("= 5671", f"= 127.0.0.1:{amqps}").replace("= 8883", f"= 127.0.0.1:{mqtts}")
    (own / "conf.d" / "15-tls.conf").write_text(text.replace("/etc/rabbitmq/tls", str(tls)))
    cluster_file = own / "conf.d" / "20-cluster.conf"
    kept = [line for line in cluster_file.read_text().splitlines() if "listeners.tcp" not in line]
    cluster_file.write_text("\n".join(kept) + "\n")
    cluster.mqtt_ports[0] = mqtts
    files = ["--amqp-ca", str(site.folder / "authority.pem")]
    where = ["--amqp", f"amqps://{cluster.amqp.split('//')[1].split('@')[0]}@127.0.0.1:{amqps}"]
    monkeypatch.setenv(command.PASSWORD, cluster.password)
    try:
        cluster.start()
        declare = ["queue", "--nodes", "1", *where, *files]
        wait_for(lambda: command.main(declare) == 0, "the queue is declared", patience_s=START_S)
        assert "queue declared; 0 messages" in capsys.readouterr().out
        cluster.admit(["sdn-3--kelas-1a"], [], SECRET)
        publish(mqtts, site, "sdn-3--kelas-1a")
        broker = replace(parse_broker(where[1], cluster.password), ca_file=files[1])
        with closing(Intake(broker)) as intake:
            intake.connect()
            (taken,) = intake.take(10, 0.2, 30)
            intake.acknowledge([taken])
        assert (taken.topic, taken.body) == ("suasana/sdn-3--kelas-1a/event", b"hello")
        told = cluster.control("listeners", tool="rabbitmq-diagnostics")
        spoken = [line for line in told.splitlines() if "port" in line and "clustering" not in line]
        assert spoken
        assert all(
            "ssl" in line or "https" in line or "/ssl" in line or "amqps" in line for line in spoken
        ), told
        assert command.main(["queue", *where, "--amqp-ca", str(stranger(tmp_path))]) == 2
        assert "not trusted" in capsys.readouterr().err
    finally:
        cluster.stop()


def stranger(folder: Path) -> Path:
    return Site.create(folder / "stranger", Wishes("s2", ("127.0.0.1",)), NOW).folder / "authority.pem"


def publish(port: int, site: Site, kit: str) -> None:
    """As a kit does, over TLS and with MQTT 3.1.1."""
    import paho.mqtt.client as paho  # noqa: PLC0415

    client = paho.Client(paho.CallbackAPIVersion.VERSION2, f"suasana-{kit}")
    client.connect_timeout = PATIENCE_S
    client.tls_set(str(site.folder / "authority.pem"))
    client.username_pw_set(kit, SECRET)
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.publish(f"suasana/{kit}/event", b"hello", qos=1).wait_for_publish(30)
    client.disconnect()
    client.loop_stop()
