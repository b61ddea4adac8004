from pathlib import Path

import pytest

from edge.switches import Switches


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
