"""The choice itself: kept, shared with another process, safe when damaged."""

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from edge.state.switches import Switches
from tests.conftest import ROOT, eventually


def test_a_choice_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state" / "switches.json"
    switches = Switches(path)
    assert switches.allows("camera")
    assert switches.set("camera", "off")
    assert not switches.set("camera", "off"), "nothing changed"
    again = Switches(path)
    assert not again.allows("camera")
    assert again.allows("microphone")


def test_the_master_switch_overrules(tmp_path: Path) -> None:
    switches = Switches(tmp_path / "switches.json")
    switches.set("capture", "off")
    assert not switches.allows("camera")
    assert not switches.allows("microphone")
    switches.set("capture", "on")
    assert switches.allows("microphone")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"capture":"on"}', b'{"capture":"maybe","camera":"on","microphone":"on"}', b"\xff"],
)
def test_a_damaged_memory_keeps_everything_off(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "switches.json"
    path.write_bytes(content)
    switches = Switches(path)
    assert not switches.allows("camera")
    assert not switches.allows("microphone")


def test_off_is_obeyed_even_when_it_cannot_be_remembered(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    switches = Switches(blocked / "switches.json")
    switches.set("capture", "off")
    assert not switches.allows("camera")


def test_a_choice_of_another_process_is_taken_over(tmp_path: Path) -> None:
    mine, other = Switches(tmp_path / "switches.json"), Switches(tmp_path / "switches.json")
    assert not mine.refresh()
    other.set("camera", "off")
    assert mine.refresh()
    assert not mine.allows("camera")
    assert not mine.refresh(), "told once"
    mine.set("microphone", "off")
    other.set("capture", "off")
    assert (other.now.camera, other.now.microphone) == ("off", "off"), "one choice must not undo another"


def test_a_file_that_is_damaged_while_running_means_off(tmp_path: Path) -> None:
    path = tmp_path / "switches.json"
    switches = Switches(path)
    switches.set("camera", "on")
    path.write_text("{")
    assert switches.refresh()
    assert not switches.allows("microphone")


def test_taking_the_file_away_switches_nothing_on(tmp_path: Path) -> None:
    path = tmp_path / "switches.json"
    switches = Switches(path)
    switches.set("capture", "off")
    path.unlink()
    assert not switches.refresh()
    assert not switches.allows("camera")


def test_a_choice_is_on_the_disk_before_it_counts_as_remembered(tmp_path: Path, monkeypatch) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(fd: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file")
        fsync(fd)

    def replaced(path: Path, target: Path) -> Path:
        done.append("replace")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    Switches(tmp_path / "switches.json").set("capture", "off")
    assert done == ["file", "replace", "folder"]
    assert [path.name for path in tmp_path.iterdir()] == ["switches.json"]


def test_what_could_not_be_remembered_is_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    switches = Switches(folder / "switches.json")
    folder.write_text("in the way")
    assert switches.set("capture", "off")
    assert not switches.remembered
    folder.unlink()
    assert not switches.set("capture", "off"), "nothing changed but that it is kept now"
    assert switches.remembered
    assert not Switches(folder / "switches.json").allows("camera")


FLIP = """
import sys
from pathlib import Path
from edge.state.switches import Switches
switches = Switches(Path(sys.argv[1]))
while True:
    switches.set("camera", "off")
    switches.set("camera", "on")
"""


def test_a_process_that_is_killed_leaves_a_whole_choice(tmp_path: Path) -> None:
    path, random = tmp_path / "switches.json", Random(1)
    for _ in range(8):
        path.unlink(missing_ok=True)
        process = subprocess.Popen([sys.executable, "-c", FLIP, str(path)], cwd=ROOT)
        eventually(path.exists)
        for _ in range(random.randrange(30)):
            path.stat()
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert json.loads(path.read_text()) in (
            {"capture": "on", "camera": "off", "microphone": "on"},
            {"capture": "on", "camera": "on", "microphone": "on"},
        )
