"""The same daemon and the same page on every rung, each as its configuration in the repository has it."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from benchmarks.faults.stage import mosquitto as find_mosquitto
from benchmarks.scale.cluster import Missing, find_postgres, find_rabbitmq
from benchmarks.scale.faults import play
from benchmarks.scale.rungs import Load, Rung, district, drained, perform, room, school, simulator
from benchmarks.scale.stage import Program, python
from benchmarks.scale.witness import Made, StreamWatcher, compare, read_ledger
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


def test_school(open_folder):
    if find_mosquitto() is None:
        pytest.skip("Mosquitto is not installed (Debian: mosquitto)")
    kits = 30
    with school(open_folder, kits) as rung:
        crowd = simulator(rung, Load(kits, rate=1.0, seconds=3.0, connects=100.0))
        crowd.start()
        assert crowd.wait(240) == 0, crowd.log.read_text()
        made = read_ledger(open_folder / "simulate.ledger")
        drained(rung, made)
        count = compare(made, rung.stored(), windows_only=True)
        assert count.holds, count
        assert len({one.key[0] for one in made}) == kits
        assert count.made > kits


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
    try:
        find_rabbitmq()
        find_postgres()
    except Missing as missing:
        pytest.skip(str(missing))
    with district(open_folder, 12) as rung:
        _, cluster = rung.district
        mqtt = f'url = "mqtt://s0--k0@127.0.0.1:{cluster.mqtt_ports[1]}"\nprotocol = "3.1.1"\n'
        mqtt += f'password_file = "{open_folder}/password"'
        follow(rung, daemon(open_folder, "s0--k0", mqtt), "s0--k0")
        for topic in ("suasana/s1--k1/#", "suasana/#", "suasana/+/state"):
            assert not is_let(cluster.mqtt_ports[0], cluster.password, topic)
        assert is_let(cluster.mqtt_ports[0], cluster.password, "suasana/s0--k0/#")
        load = Load(12, rate=0.5, seconds=10.0)
        figures = perform(rung, load, lambda _what: None)
        assert not figures["count"]["lost"]
        assert not figures["count"]["doubled"]
        killed = play(rung, load, lambda _what: None)
        for scene in (scene for scene in killed.values() if isinstance(scene, dict)):
            assert not scene["count"]["lost"], scene
            assert not scene["count"]["doubled"], scene


def test_what_is_lost_doubled_or_made_up_is_counted():
    made = [Made(("k", "b", seq), window=seq > 0, at="", closed=time.time()) for seq in range(4)]
    stored = {("k", "b", 0): 1, ("k", "b", 1): 2, ("k", "b", 9): 1}
    count = compare(made, stored, windows_only=False)
    assert (count.made, count.lost, count.doubled, count.unmade) == (4, 2, 1, 1)
    assert not count.holds
