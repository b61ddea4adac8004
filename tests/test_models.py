"""Installed models as a user and a kit meet them: the commands, a real daemon, a real kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from edge.__main__ import main
from edge.events import Info, from_json
from edge.expression import ExpressionReader
from edge.models import download, trial
from edge.models.choice import shelf_of
from edge.models.shelf import Shelf
from edge.models.trial import TrialError
from edge.settings import Camera, Faces, Settings, load
from edge.types import ModelError
from tests.conftest import ROOT, Subscriber, eventually
from tests.packages import KEY, SHIPPED, install_on, package_of
from tests.test_daemon import Running, settings

NAME = "face-expression"
NEAR = Faces(detector="blazeface")
"""Finds the staged faces with less work than the other detector."""


def infos(subscriber: Subscriber) -> list[Info]:
    return [from_json(Info, payload) for payload in subscriber.payloads("suasana/k1/info") if payload]


def on_trial(tmp_path: Path, wanted: Settings) -> Shelf:
    shelf = shelf_of(wanted)
    install_on(shelf, package_of(tmp_path, name=NAME, version="79.0.0"))
    return shelf


def test_a_new_model_is_used_told_and_confirmed(
    tmp_path: Path, broker: int, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = settings(tmp_path, broker, faces=NEAR)
    shelf = on_trial(tmp_path, wanted)
    monkeypatch.setattr(trial, "READINGS", 1)
    with Running(wanted):
        eventually(lambda: infos(subscriber))  # before that the trial must not end
        monkeypatch.setattr(trial, "HEALTHY_S", 0.0)
        eventually(lambda: infos(subscriber) and not infos(subscriber)[-1].models[0].trial)
    first, last = infos(subscriber)[0].models[0], infos(subscriber)[-1].models[0]
    assert (first.id, first.trial) == ("face-expression@79.0.0", True)
    assert (last.id, last.trial, last.instead_of) == ("face-expression@79.0.0", False, "")
    assert shelf.record(NAME).trial is None


def test_a_model_that_fails_in_the_room_ends_the_daemon_and_the_next_start_uses_the_one_before(
    tmp_path: Path, broker: int, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = settings(tmp_path, broker, faces=NEAR)
    on_trial(tmp_path, wanted)
    right = ExpressionReader.__call__

    def read(reader: ExpressionReader, faces: list[object]) -> object:
        if faces and reader.model.version == "79.0.0":
            raise ModelError("the model eats something else")
        return right(reader, faces)  # type: ignore[arg-type]

    monkeypatch.setattr(ExpressionReader, "__call__", read)
    broken = Running(wanted)
    with pytest.raises(TrialError, match="eats something else"), broken:
        eventually(lambda: not broken.thread.is_alive())
    with Running(wanted):
        eventually(lambda: infos(subscriber)[-1].models[0].instead_of == "79.0.0")
    assert infos(subscriber)[-1].models[0].id == f"face-expression@{SHIPPED[NAME]}"


def test_a_daemon_that_is_killed_while_it_tries_a_model_comes_back_with_the_one_before(
    tmp_path: Path, broker: int, subscriber: Subscriber
) -> None:
    wanted = settings(tmp_path, broker, camera=Camera("pattern:"))
    shelf = on_trial(tmp_path, wanted)
    config = tmp_path / "kit.toml"
    config.write_text(f'kit = "k1"\nstate_dir = "{tmp_path}"\n')
    command = [sys.executable, "-m", "edge", "run", "--mode", "class", "--config", str(config)]
    command += ["--camera", "pattern:", "--microphone", "none", "--mqtt", f"mqtt://127.0.0.1:{broker}"]
    for version in ("79.0.0", SHIPPED[NAME]):
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        try:
            eventually(lambda version=version: told(subscriber, version))
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    assert infos(subscriber)[-1].models[0].instead_of == "79.0.0"
    assert "without a word" in shelf.record(NAME).why


def told(subscriber: Subscriber, version: str) -> bool:
    return bool(infos(subscriber)) and infos(subscriber)[-1].models[0].id == f"{NAME}@{version}"


def test_a_model_that_was_damaged_on_the_card_gives_way(
    tmp_path: Path, broker: int, subscriber: Subscriber
) -> None:
    wanted = settings(tmp_path, broker, camera=Camera("pattern:"))
    shelf = on_trial(tmp_path, wanted)
    shelf.confirm(NAME, "79.0.0")
    (shelf.place(NAME, "79.0.0") / "model.int8.tflite").write_bytes(b"")
    with Running(wanted):
        eventually(lambda: infos(subscriber))
    (model,) = infos(subscriber)[-1].models
    assert (model.id, model.instead_of) == (f"face-expression@{SHIPPED[NAME]}", "79.0.0")
    assert shelf.record(NAME).current == "79.0.0", "a bad read is no reason to forget it"


# ── Commands ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "kit.toml"
    path.write_text(f'state_dir = "{tmp_path / "state"}"\n[updates]\ntrusted_keys = ["{KEY}"]\n')
    return path


def run(*arguments: object) -> int:
    return main(["models", *map(str, arguments)])


def test_install_list_verify_and_roll_back(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.models.install.SLOWEST", 1e9)  # a busy machine is no slow model
    package = tmp_path / "new.suasana"
    package.write_bytes(package_of(tmp_path, version="71.2.0"))
    assert run("install", "--config", config, package) == 0
    told = capsys.readouterr().out
    assert "signed by sekolah" in told
    assert "tflite: golden answers as they should be" in told
    assert "onnx: golden answers as they should be" in told
    assert "voice-tone@71.2.0 is installed, on trial" in told
    assert run("verify", "--config", config) == 0
    listed = capsys.readouterr().out
    assert f"voice-tone@{SHIPPED['voice-tone']}  tone  tflite, onnx  shipped, not in use" in listed
    assert "voice-tone@71.2.0  tone  tflite, onnx  on trial" in listed
    assert run("rollback", "--config", config) == 0
    assert "voice-tone: the shipped model is used from the next start" in capsys.readouterr().out
    assert run("list", "--config", config) == 0
    assert f"voice-tone@{SHIPPED['voice-tone']}  tone  tflite, onnx  shipped  " in capsys.readouterr().out


def test_what_was_given_up_is_listed_with_its_reason(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf = shelf_of(load(config))
    install_on(shelf, package_of(tmp_path))
    shelf.roll_back("voice-tone", version="71.2.0", why="it is\ndeaf")
    assert run("list", "--config", config) == 0
    assert "voice-tone@71.2.0  given up: it is deaf" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["install", "none.suasana"], "no such file"),
        (["install", "ftp://example.org/x"], "only files, http and https"),
        (["install", str(ROOT / "README.md")], "not a signed model package"),
        (["install", "/dev/zero"], "no such file"),
        (["install", "http://127.0.0.1:1/x?token=secret"], "http://127.0.0.1:1/x: "),
        (["rollback"], "no model is installed here"),
        (["rollback", "../../etc"], "nothing to roll back"),
    ],
)
def test_what_is_wrong_is_one_line(
    config: Path, arguments: list[str], named: str, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    monkeypatch.setattr(download, "fetch", partial(download.fetch, wait=lambda _: None))
    assert run(arguments[0], "--config", config, *arguments[1:]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert named in line
    assert "secret" not in line


def test_verify_judges_the_signature_and_the_files_again(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf = shelf_of(load(config))
    install_on(shelf, package_of(tmp_path))
    card = shelf.place("voice-tone", "71.2.0") / "MODEL_CARD.md"
    whole = card.read_bytes()
    card.write_bytes(whole + b" ")
    assert run("verify", "--config", config) == 2
    assert "MODEL_CARD.md: altered since it was installed" in capsys.readouterr().err
    card.write_bytes(whole)
    config.write_text(f'state_dir = "{tmp_path / "state"}"\n[updates]\nkeys_dir = "{tmp_path}"\n')
    assert run("verify", "--config", config) == 2
    assert "no key is trusted here" in capsys.readouterr().err


def test_several_installed_models_have_to_be_told_apart(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf = shelf_of(load(config))
    install_on(shelf, package_of(tmp_path))
    install_on(shelf, package_of(tmp_path, name=NAME, version="79.0.0"))
    assert run("rollback", "--config", config) == 2
    assert "say which model: face-expression or voice-tone" in capsys.readouterr().err
    assert run("rollback", "--config", config, NAME) == 0
