"""The doctor as a whole: processes of their own, a running kit, the report, the command line."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import doctor
from edge.__main__ import main
from edge.checks import CHECKS, Patient, apart, finding
from edge.outbox.look import look
from edge.settings import Camera, Settings
from edge.state import claim
from edge.types import SettingsError
from tests.conftest import ROOT, Subscriber, eventually, free_port
from tests.test_daemon import Running as Daemon
from tests.test_daemon import settings


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "kit.toml"
    path.write_text(
        f'kit = "k1"\nmode = "class"\nregion = "id"\nstate_dir = "{tmp_path}/state"\n'
        '[camera]\nuri = "pattern:"\n[microphone]\nuri = "pattern:"\n'
        f'[mqtt]\nurl = "mqtt://127.0.0.1:{free_port()}"\n'
    )
    return path


# ── Processes of their own ───────────────────────────────────────────────────────────────────────────


def test_a_check_apart_finds_what_it_finds_here(tmp_path: Path) -> None:
    patient = Patient(settings(tmp_path, camera=Camera("pattern:")))
    (item,) = [one for one in apart.Apart("camera", patient).findings() if one.id != "camera.other"]
    assert item.id == "camera.ok"
    assert item.values["size"] == "640x480"


@pytest.mark.parametrize(
    ("code", "id", "named"),
    [
        ("import os; os.kill(os.getpid(), 11)", "camera.crashed", "signal 11"),
        ("raise ValueError('a bug')", "camera.crashed", "a bug"),
        ("import time; time.sleep(600)", "camera.hung", "1"),
    ],
)
def test_a_driver_that_hangs_or_crashes_takes_only_its_check_with_it(
    monkeypatch, code: str, id: str, named: str
) -> None:
    monkeypatch.setattr(apart, "CODE", code)
    if id.endswith("hung"):
        monkeypatch.setattr(apart, "PATIENCE_S", 1.0)
    one = apart.Apart("camera", Patient(Settings()))
    (item,) = one.findings()
    assert item.id == id
    assert named in item.found("en")
    assert item.todo("id")
    assert one._process.wait(30) != 0, "nothing is left behind"


def test_a_child_takes_nothing_from_the_folder_it_starts_in(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('hijacked')")
    monkeypatch.chdir(tmp_path)
    assert [item.check for item in apart.Apart("microphone", Patient(settings(tmp_path))).findings()]


# ── A running kit ────────────────────────────────────────────────────────────────────────────────────


def test_a_running_kit_is_asked_and_not_disturbed(
    tmp_path: Path, broker: int, subscriber: Subscriber, monkeypatch
) -> None:
    path = tmp_path / "kit.toml"
    path.write_text(
        f'kit = "k1"\nmode = "class"\nstate_dir = "{tmp_path}"\n[camera]\nuri = "pattern:"\n'
        f'[microphone]\nuri = "none"\n[mqtt]\nurl = "mqtt://127.0.0.1:{broker}"\n'
    )
    with Daemon(settings(tmp_path, broker, camera=Camera("pattern:"))):
        eventually(lambda: subscriber.payloads("suasana/k1/source/camera/status")[-1:] == ["online"])
        patient = doctor.admit(path)
        assert patient.running is not None
        assert patient.running.sources["camera"] == "online"
        assert not patient.twin
        found = {item.id for item in doctor.examine(patient)}
        assert {"kit.ok", "camera.kit_online", "broker.heard_ok"} <= found
        opened = {"camera.ok", "camera.failed", "camera.absent"}
        assert not found & opened
    assert subscriber.payloads("suasana/k1/availability") == ["online", "stopped"], "it was never thrown out"
    assert doctor.admit(path).running is None


def test_a_kit_that_cannot_be_asked_is_known_by_its_claim(config: Path, tmp_path: Path) -> None:
    with claim.Claim(tmp_path / "state"):
        patient = doctor.admit(config)
        assert patient.running is not None
        assert patient.running.info is None
        found = {item.id for item in doctor.examine(patient)}
    assert {"kit.mute", "camera.kit_unknown", "microphone.kit_unknown", "broker.refused"} <= found
    assert doctor.admit(config).running is None


def test_a_kit_of_the_same_name_elsewhere_is_noticed(
    tmp_path: Path, broker: int, subscriber: Subscriber
) -> None:
    mine = tmp_path / "kit.toml"
    mine.write_text(
        f'kit = "k1"\nmode = "class"\nstate_dir = "{tmp_path}/mine"\n'
        f'[camera]\nuri = "pattern:"\n[mqtt]\nurl = "mqtt://127.0.0.1:{broker}"\n'
    )
    with Daemon(settings(tmp_path / "theirs", broker, camera=Camera("pattern:"))):
        eventually(lambda: subscriber.payloads("suasana/k1/availability") == ["online"])
        patient = doctor.admit(mine)
    assert patient.twin
    assert patient.running is None, "this machine's devices are free"


def test_a_kit_can_be_asked_over_mqtt(tmp_path: Path, broker: int, subscriber: Subscriber) -> None:
    answers = "suasana/k1/response/doctor"
    with Daemon(settings(tmp_path, broker, camera=Camera("pattern:"))):
        eventually(lambda: subscriber.payloads("suasana/k1/source/camera/status")[-1:] == ["online"])
        subscriber.client.publish("suasana/k1/request/doctor", '{"transaction": "t"}', qos=1)
        eventually(lambda: subscriber.payloads(answers))
    answer = json.loads(subscriber.payloads(answers)[0])
    assert answer["ok"]
    assert answer["transaction"] == "t"
    told = {item["id"]: item for item in answer["doctor"]}
    assert told["camera.kit_online"]["status"] == "ok"
    light = {name for name, check in CHECKS.items() if check.light}
    assert light <= {item["id"].partition(".")[0] for item in answer["doctor"]}
    for item in answer["doctor"]:
        assert set(item["found"]) == {"id", "en"}
        assert bool(item["todo"].get("id")) == (item["status"] in {"warning", "failure"})


# ── One daemon per folder ────────────────────────────────────────────────────────────────────────────


def test_a_second_daemon_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    assert claim.is_held(tmp_path) is False
    with claim.Claim(tmp_path):
        assert claim.is_held(tmp_path)
        with pytest.raises(SettingsError, match="another kit runs already"), claim.Claim(tmp_path):
            pass
        assert claim.is_held(tmp_path), "the refused one took nothing away"
    assert claim.is_held(tmp_path) is False


def test_a_folder_that_cannot_be_written_keeps_nobody_from_running(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with claim.Claim(blocked / "state"):
        assert claim.is_held(blocked / "state") is not True


# ── The outbox, from outside ─────────────────────────────────────────────────────────────────────────


def test_an_outbox_is_looked_at_without_being_touched(tmp_path: Path) -> None:
    kit = settings(tmp_path, free_port(), camera=Camera("pattern:?frames=40&speed=0"))
    with Daemon(kit) as running:
        eventually(lambda: not running.thread.is_alive())
    path = tmp_path / "outbox.db"
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    sight = look(path)
    assert sight is not None
    assert sight.waiting >= 2, "at least the session's beginning and end"
    assert not sight.trouble
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    data = bytearray(path.read_bytes())
    data[-200:] = b"\0" * 200
    path.write_bytes(data)
    damaged = look(path)
    assert damaged is not None
    assert damaged.trouble
    assert look(tmp_path / "none.db") is None


# ── The report ───────────────────────────────────────────────────────────────────────────────────────

FOUND = [
    finding("system.ok", board="Pi", os="Debian", python="3.13", software="suasana"),
    finding("system.memory", memory_mb=90),
    finding("power.weak"),
]


@pytest.fixture
def table() -> Iterator[doctor.Table]:
    return doctor.Table("id", width=80, colour=False)


def test_the_table_is_aligned_and_says_what_to_do(table: doctor.Table) -> None:
    lines = [line for item in FOUND for line in table.lines(item)]
    assert max(map(len, lines)) <= 80
    column = lines[0].index("Pi,")
    assert [line[:column].split() for line in lines[:2]] == [["Papan", "baik"], ["PERHATIAN"]]
    assert all(line[:column].strip() == "" or line[column - 1] == " " for line in lines)
    assert sum(line[column:].startswith("→ ") for line in lines) == 2
    assert table.summary(FOUND).startswith("Gagal: 1.")
    assert doctor.Table("en", width=80, colour=False).summary(FOUND[:2]) == "Usable. Worth a look: 1."
    assert doctor.Table("en", width=80, colour=False).summary(FOUND[:1]) == "All is well."


def test_colour_says_nothing_that_words_do_not(table: doctor.Table) -> None:
    coloured = doctor.Table("id", width=80, colour=True)
    plain = [line for item in FOUND for line in table.lines(item)]
    lines = [line for item in FOUND for line in coloured.lines(item)]
    assert lines != plain
    for code in (*doctor.COLOURS.values(), "0"):
        lines = [line.replace(f"\033[{code}m", "") for line in lines]
    assert lines == plain


@pytest.mark.parametrize(
    ("environment", "region", "language"),
    [
        ({"LANG": "id_ID.UTF-8"}, "", "id"),
        ({"LANG": "en_GB.UTF-8"}, "id", "en"),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "id_ID"}, "", "id"),
        ({"LANG": "de_DE.UTF-8"}, "id", "en"),
        ({}, "id", "id"),
        ({"LANG": "C.UTF-8"}, "id", "id"),
        ({"LANG": "C"}, "", "en"),
        ({}, "", "en"),
    ],
)
def test_the_language_is_that_of_the_terminal(
    environment: dict[str, str], region: str, language: str
) -> None:
    assert doctor.choose_language(environment, region) == language


# ── The command line ─────────────────────────────────────────────────────────────────────────────────


def ask(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge", "doctor", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)


def test_programs_get_json_and_an_exit_code(config: Path) -> None:
    done = ask("--config", config, "--json", "--language", "id")
    report = json.loads(done.stdout)
    assert done.returncode == 1, "there is no broker"
    assert report["ok"] is False
    assert {item["check"] for item in report["checks"]} == set(CHECKS)
    by_id = {item["id"]: item for item in report["checks"]}
    assert by_id["broker.refused"]["status"] == "failure"
    assert by_id["broker.refused"]["todo"].startswith("Jalankan")
    assert {"camera.ok", "microphone.ok", "models.ok", "weights.ok"} <= set(by_id)
    for item in report["checks"]:
        assert bool(item["todo"]) == (item["status"] in {"warning", "failure"})


def test_all_well_is_exit_code_0(config: Path, broker: int, capsys, monkeypatch) -> None:
    text = config.read_text()
    port = text.rpartition(":")[2].rstrip('"\n')
    config.write_text(text.replace(port, str(broker)))
    monkeypatch.setattr("edge.checks.clock.time_quality", lambda: "synced")
    monkeypatch.setattr("edge.checks.kit._unit", dict)
    monkeypatch.setattr("edge.vitals.temperature_c", lambda _path: 50.0)
    monkeypatch.setattr("edge.checks.power._flags", lambda _patient: 0)
    assert main(["doctor", "--config", str(config), "--language", "en"]) == 0, capsys.readouterr().out
    told = capsys.readouterr().out
    assert "FAILURE" not in told
    assert "The test message came back." in told


def test_settings_that_are_wrong_are_reported_and_the_rest_is_looked_at(config: Path) -> None:
    config.write_text("colour = 1\n")
    done = ask("--config", config, "--json", "--language", "en")
    by_id = {item["id"]: item for item in json.loads(done.stdout)["checks"]}
    assert done.returncode == 1
    assert "colour" in by_id["settings.refused"]["found"]
    assert by_id["camera.unknown"]["status"] == "skipped"
    assert "system.ok" in by_id


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--config", "none.toml"], "none.toml"),
        (["--language", "nl"], "nl"),
        (["--bundle", __file__], "there already"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], named: str, capsys) -> None:
    try:
        code = main(["doctor", *arguments])
    except SystemExit as error:
        code = error.code
    assert code == 2
    assert named in capsys.readouterr().err
