"""The command line as a user meets it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edge.__main__ import main
from edge.models import weights
from edge.sources import Device
from edge.types import ModelError
from tests.conftest import ROOT, free_port


@pytest.mark.parametrize("command", ["demo", "run", "replay", "dashboard", "models", "devices"])
def test_every_command_has_help(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edge", command, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert "usage" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["run"], "--mode class"),
        (["run", "--config", "none.toml"], "none.toml"),
        (
            ["run", "--mode", "class", "--camera", "webcam:0", "--microphone", "none", "--seconds", "1"],
            "webcam",
        ),
        (["demo", "--camera", "0", "--video", "x.mp4"], "--video"),
        (["demo", "--video", "none.mp4"], "none.mp4"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(arguments: list[str], named: str, capsys) -> None:
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("suasana: ")
    assert named in line


def test_an_unknown_option_is_exit_code_2(capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["demo", "--colour"])
    assert caught.value.code == 2
    assert "--colour" in capsys.readouterr().err


def test_devices_are_listed_with_the_uri_for_the_settings(monkeypatch, capsys) -> None:
    monkeypatch.setattr("edge.sources.cameras_here", lambda: [Device("opencv:name=C920", "C920")])
    monkeypatch.setattr("edge.sources.microphones_here", list)
    assert main(["devices"]) == 0
    told = capsys.readouterr()
    assert told.out.split() == ["camera", "C920", "opencv:name=C920"]
    assert told.err.startswith("no microphone found: ")
    assert main(["devices", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"kind": "camera", "name": "C920", "uri": "opencv:name=C920"}
    ]


def test_models_are_listed_and_in_order(capsys) -> None:
    assert main(["models", "verify"]) == 0
    listed = capsys.readouterr().out
    assert "face-expression@" in listed
    assert "voice-tone@" in listed
    assert "silero-vad" in listed


def test_a_damaged_weights_file_is_refused(tmp_path: Path) -> None:
    good = weights.find("blazeface-back")
    (tmp_path / good.name).write_bytes(good.read_bytes()[:-1])
    with pytest.raises(ModelError, match="altered or torn"):
        weights.find("blazeface-back", folder=tmp_path)
    with pytest.raises(ModelError, match="models fetch"):
        weights.find("retinaface", folder=tmp_path)


def test_the_demo_runs_end_to_end_and_ends_by_itself() -> None:
    mqtt, page = free_port(), free_port()
    command = [sys.executable, "-m", "edge", "demo", "--seconds", "9", "--no-browser"]
    command += ["--mqtt-port", str(mqtt), "--port", str(page)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert f"http://127.0.0.1:{page}/" in done.stdout
    assert f"mqtt://127.0.0.1:{mqtt}" in done.stdout
    assert "a staged class" in done.stdout
    assert "mood " in done.stdout
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_told() -> None:
    command = [sys.executable, "-m", "edge", "demo", "--mqtt-port", "1", "--seconds", "1", "--no-browser"]
    import socket  # noqa: PLC0415

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command[command.index("1")] = str(taken.getsockname()[1])
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "is taken" in done.stderr
