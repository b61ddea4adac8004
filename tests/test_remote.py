"""``suasana switch`` on a running kit, on a kit without a broker, and where it may not."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from edge import checks, remote
from edge.__main__ import main
from edge.settings import Camera, Mqtt
from edge.state.switches import Switches
from edge.types import SettingsError
from tests.conftest import ROOT, Subscriber, eventually, free_port, running_mosquitto
from tests.test_daemon import Running, settings
from tests.test_mqtt import with_password


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "kit.toml"
    path.write_text(
        f'kit = "k1"\nmode = "class"\nstate_dir = "{tmp_path}"\n'
        f'[mqtt]\nurl = "mqtt://127.0.0.1:{free_port()}"\n'
    )
    return path


def test_a_running_kit_obeys_and_has_closed_the_device(
    tmp_path: Path, broker: int, subscriber: Subscriber
) -> None:
    wanted = settings(tmp_path, broker, camera=Camera("pattern:"))
    status = "suasana/k1/source/camera/status"
    with Running(wanted) as running:
        eventually(lambda: subscriber.payloads(status)[-1:] == ["online"])
        for _ in range(2):
            outcome = remote.switch(wanted, "capture", "off")
            assert (outcome.how, outcome.capture.capture, outcome.still_open) == ("mqtt", "off", ())
            assert "camera" not in running.kit.devices
        outcome = remote.switch(wanted, "capture", "on")
        assert outcome.capture.capture == "on"
        eventually(lambda: subscriber.payloads(status)[-1:] == ["online"])


def test_a_device_that_does_not_close_is_told(
    tmp_path: Path, broker: int, subscriber: Subscriber, monkeypatch
) -> None:
    monkeypatch.setattr(remote, "RELEASED_S", 0.5)
    subscriber.client.publish("suasana/k1/source/camera/status", "online", qos=1, retain=True)
    capture = {"capture": "off", "camera": "on", "microphone": "on"}

    def answer(_client: object, _data: object, message: object) -> None:
        subscriber.client.publish(
            "suasana/k1/response/set", json.dumps({"ok": True, "capture": capture}), qos=1
        )

    subscriber.client.message_callback_add("suasana/k1/set/capture", answer)
    outcome = remote.switch(settings(tmp_path, broker), "capture", "off")
    assert outcome.still_open == ("camera", "microphone")


def test_without_a_broker_the_running_kit_notices_all_the_same(tmp_path: Path) -> None:
    wanted = settings(tmp_path, free_port(), camera=Camera("pattern:"))
    with Running(wanted) as running:
        eventually(lambda: "camera" in running.kit.devices)
        outcome = remote.switch(wanted, "camera", "off")
        assert outcome.how == "file"
        eventually(lambda: "camera" not in running.kit.devices)
        assert running.kit.info().capture.camera == "off"


def test_a_broker_without_a_kit_is_not_enough(tmp_path: Path, broker: int, monkeypatch) -> None:
    monkeypatch.setattr("edge.broker.visit.STEP_S", 1.0)
    outcome = remote.switch(settings(tmp_path, broker), "microphone", "off")
    assert outcome.how == "file"
    assert "no kit answers" in outcome.why
    assert not Switches(tmp_path / "switches.json").allows("microphone")


def test_the_command_line_flips_and_shows(config: Path, capsys) -> None:
    assert main(["switch", "camera", "off", "--config", str(config)]) == 0
    assert "camera      off" in capsys.readouterr().out
    assert main(["switch", "--config", str(config)]) == 0
    assert capsys.readouterr().out.split() == ["capture", "on", "camera", "off", "microphone", "on"]


@pytest.mark.parametrize(
    "arguments", [["switch", "camera"], ["switch", "lamp", "on"], ["switch", "camera", "maybe"]]
)
def test_what_cannot_be_switched_is_exit_code_2(arguments: list[str], capsys) -> None:
    try:
        code = main(arguments)
    except SystemExit as error:
        code = error.code
    assert code == 2
    assert arguments[1] in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    wanted = replace(settings(tmp_path, free_port()), state_dir=str(blocked))
    with pytest.raises(SettingsError, match="sudo"):
        remote.switch(wanted, "capture", "off")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write for another user")
def test_what_an_administrator_wrote_belongs_to_the_kit(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12345)
    Switches(tmp_path / "switches.json").set("camera", "off")
    assert (tmp_path / "switches.json").stat().st_uid == 12345


def test_a_password_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    wanted = settings(tmp_path, mqtt=Mqtt(password_file="/no/such/file"))
    outcome = remote.switch(wanted, "capture", "off")
    assert "/no/such/file" in outcome.why


def test_the_installed_broker_s_rules_let_the_answers_through(tmp_path: Path) -> None:
    password = tmp_path / "mqtt.password"
    password.write_text("right\n")
    rules = tmp_path / "suasana.acl"
    shutil.copyfile(ROOT / "systemd" / "mosquitto.acl", rules)
    rules.chmod(0o600)
    with running_mosquitto(tmp_path, *with_password(tmp_path, "k1", "right"), f"acl_file {rules}") as port:
        mqtt = Mqtt(f"mqtt://k1@127.0.0.1:{port}", password_file=str(password), protocol="3.1.1")
        wanted = settings(tmp_path, camera=Camera("pattern:"), mqtt=mqtt)
        with Running(wanted) as running:
            eventually(lambda: "camera" in running.kit.devices)
            eventually(lambda: remote.switch(wanted, "camera", "off").how == "mqtt")
            assert "camera" not in running.kit.devices
            found = {item.id for item in checks.examine("broker", checks.Patient(wanted))}
            assert "broker.heard_ok" in found
