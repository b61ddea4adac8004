"""The same daemon and the same page on every rung, each as its configuration in the repository has it."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from benchmarks.faults.stage import mosquitto as find_mosquitto
from benchmarks.scale.cluster import Cluster, Missing, find_postgres, find_rabbitmq
from benchmarks.scale.course import Course, Load, drained
from benchmarks.scale.faults import play
from benchmarks.scale.measure import Plan, perform
from benchmarks.scale.rungs import Rung, district, room, room_on_mosquitto, school
from benchmarks.scale.stage import Program, python
from benchmarks.scale.witness import Made, StreamWatcher, compare
from dashboard.district.queue import Intake, parse_broker
from tests.conftest import eventually

DAEMON = """
kit = "{kit}"
mode = "class"
state_dir = "{folder}"
[mqtt]
{mqtt}
[mood]
window_s = 1.0
[faces]
search_px = 320
max_fps = 2.0
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that brokers and databases find their files in after they gave up root."""
    with tempfile.TemporaryDirectory(prefix="suasana-rung-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def daemon(folder: Path, kit: str, mqtt: str) -> Program:
    """`suasana run` on a synthetic camera, its events printed too."""
    own = folder / "daemon"
    own.mkdir()
    config = own / "kit.toml"
    config.write_text(DAEMON.format(kit=kit, folder=own, mqtt=mqtt))
    camera = ("--camera", "pattern:?fps=2", "--microphone", "none", "--jsonl")
    return Program("daemon", python("edge", "run", "--config", str(config), *camera), own)


def made_by(program: Program) -> list[Made]:
    """What the daemon printed, as a ledger would have it."""
    found = []
    for line in program.log.read_text("utf-8", "replace").splitlines():
        if line.startswith('{"specversion"'):
            one = json.loads(line)
            key = (one["data"]["kit"], one["data"]["boot_id"], one["data"]["seq"])
            found.append(Made(key, one["type"] == "suasana.mood.v1", one["time"], 0.0))
    return found


def follow(rung: Rung, program: Program, kit: str) -> None:
    """A daemon's windows are shown, and stored once each."""
    with StreamWatcher(rung.page) as stream:
        program.start()
        try:
            eventually(lambda: sum(shown == kit for shown, _ in stream.seen) >= 2)
        finally:
            program.stop()
        made = made_by(program)
        drained(rung, made)
    stored = {key: times for key, times in rung.stored().items() if key[0] == kit}
    assert compare(made, stored, windows_only=rung.windows_only).holds
    assert len(made) >= 3


def test_room(open_folder):
    with room(open_folder) as rung:
        url = rung.simulate[1]
        follow(rung, daemon(open_folder, "kelas-1a", f'url = "{url}"'), "kelas-1a")


def test_room_on_mosquitto_as_the_package_configures_it(open_folder):
    if find_mosquitto() is None:
        pytest.skip("Mosquitto is not installed (Debian: mosquitto)")
    with room_on_mosquitto(open_folder, ["kelas-1a"]) as rung:
        port = rung.simulate[1].rpartition(":")[2]
        mqtt = f'url = "mqtt://kelas-1a@127.0.0.1:{port}"\npassword_file = "{open_folder}/password"'
        follow(rung, daemon(open_folder, "kelas-1a", mqtt), "kelas-1a")
        said: list[str] = []
        stranger = paho.Client(paho.CallbackAPIVersion.VERSION2)
        stranger.on_connect = lambda _client, _data, _flags, reason, _more: said.append(str(reason))
        stranger.connect("127.0.0.1", int(port))
        stranger.loop_start()
        eventually(lambda: said)
        stranger.loop_stop()
        assert said[0] == "Not authorized"


def test_school(open_folder):
    if find_mosquitto() is None:
        pytest.skip("Mosquitto is not installed (Debian: mosquitto)")
    kits = 30
    with school(open_folder, kits) as rung:
        with Course(rung, Load(kits, rate=1.0, connects=100.0)) as course:
            course.arrive()
            count = course.finish()
        assert (count["lost"], count["doubled"], count["unmade"]) == (0, 0, 0)
        assert count["made"] >= kits
        assert len({one.key[0] for one in course.ledger.made}) == kits


@pytest.mark.scale
def test_school_with_a_daemon_among_its_kits(open_folder):
    if find_mosquitto() is None:
        pytest.skip("Mosquitto is not installed (Debian: mosquitto)")
    with school(open_folder, 1) as rung:
        url, own = rung.simulate[1], open_folder / "site" / "clients" / "sim-0"
        mqtt = f'url = "{url}"\nca_file = "{own}/ca.pem"\n'
        mqtt += f'cert_file = "{own}/client.pem"\nkey_file = "{own}/client.key"'
        follow(rung, daemon(open_folder, "sim-0", mqtt), "sim-0")


def is_let(port: int, password: str, topic: str) -> bool:
    """Whether the page of site s0 may subscribe; RabbitMQ ends the connection of who may not."""
    said: list[bool] = []
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="page_s0-test", protocol=paho.MQTTv311)
    client.username_pw_set("page_s0", password)
    client.on_connect = lambda *_: client.subscribe(topic, 1)
    client.on_subscribe = lambda *_: said.append(True)
    client.on_disconnect = lambda *_: said.append(False)
    client.connect("127.0.0.1", port)
    client.loop_start()
    eventually(lambda: said)
    client.disconnect()
    client.loop_stop()
    return said[0]


@pytest.mark.scale
def test_district(open_folder):
    need_district()
    with district(open_folder, 12) as rung:
        _, cluster = rung.district
        mqtt = f'url = "mqtt://s0--k0@127.0.0.1:{cluster.mqtt_ports[1]}"\nprotocol = "3.1.1"\n'
        mqtt += f'password_file = "{open_folder}/password"'
        follow(rung, daemon(open_folder, "s0--k0", mqtt), "s0--k0")
        for topic in ("suasana/s1--k1/#", "suasana/#", "suasana/+/state"):
            assert not is_let(cluster.mqtt_ports[0], cluster.password, topic)
        assert is_let(cluster.mqtt_ports[0], cluster.password, "suasana/s0--k0/#")
        nothing_is_lost(rung)


def nothing_is_lost(rung: Rung, queues: int = 1) -> None:
    """Neither in calm nor in a storm, nor when a node, the database or an ingester is killed."""
    load = Load(12, rate=0.5, seconds=6.0, storms=1, storm_s=5.0)
    figures = perform(rung, Plan(load, step_s=0.0, queues=queues), lambda _what: None)
    killed = play(rung, load, lambda _what: None)
    scenes = [figures, *(scene for scene in killed.values() if isinstance(scene, dict))]
    for scene in scenes:
        assert not scene["count"]["lost"], scene
        assert not scene["count"]["doubled"], scene
    assert len(scenes) == 4


def need_district() -> None:
    """Skip where it cannot run."""
    try:
        find_rabbitmq()
        find_postgres()
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.mark.scale
def test_district_whose_events_share_three_queues(open_folder):
    need_district()
    with district(open_folder, 12, queues=3) as rung:
        nothing_is_lost(rung, queues=3)


@pytest.mark.scale
def test_queues_are_added_and_taken_away_while_events_flow(open_folder):
    need_district()
    cluster = Cluster(open_folder / "rabbitmq", size=1)
    try:
        cluster.start()
        broker = parse_broker(cluster.amqp, cluster.password)
        with closing(Intake(broker)) as admin, closing(Intake(broker)) as intake:
            admin.connect()
            sent = 0
            taken: set[str] = set()
            for queues in (1, 3, 2, 1):
                admin.declare(1, queues=queues)
                for _ in range(50):
                    admin._channel.basic_publish("amq.topic", f"suasana.k{sent}.event", b"{}")
                    sent += 1
                eventually(lambda: admin.waiting() == 50)
                shares = [name for name in admin._find() if admin._length(name)]
                assert len(shares) == queues, shares
                intake.connect()
                while len(taken) < sent:
                    found = intake.take(1000, 0.2, 5.0)
                    assert found, f"{sent - len(taken)} of {sent} are missing"
                    taken |= {message.topic for message in found}
                    intake.acknowledge(found)
                intake.close()
                assert admin.waiting() == 0
    finally:
        cluster.stop()


def test_what_is_lost_doubled_or_made_up_is_counted():
    made = [Made(("k", "b", seq), window=seq > 0, at="", closed=time.time()) for seq in range(4)]
    stored = {("k", "b", 0): 1, ("k", "b", 1): 2, ("k", "b", 9): 1}
    count = compare(made, stored, windows_only=False)
    assert (count.made, count.lost, count.doubled, count.unmade) == (4, 2, 1, 1)
    assert not count.holds
