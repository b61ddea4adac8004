from dataclasses import replace
from pathlib import Path

import pytest

from edge.settings import Mood, Settings, build, check_mode, load
from edge.types import SettingsError
from edge.words import LABELS

EXAMPLE = Path(__file__).parent.parent / "systemd" / "kit.toml"


def test_the_defaults_are_what_the_design_says() -> None:
    settings = Settings()
    assert (settings.mood.window_s, settings.mood.min_people) == (5.0, 5)
    assert settings.mode == "", "class mode has to be asked for by name"


def test_the_example_is_complete_and_valid() -> None:
    settings = load(EXAMPLE)
    assert settings.mode == "class"
    text = EXAMPLE.read_text("utf-8")
    for section in ("camera", "microphone", "faces", "expression", "tone", "mood", "mqtt", "outbox"):
        assert f"[{section}]" in text


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ({"colour": "green"}, "colour"),
        ({"mood": {"windows": 5}}, "mood.windows"),
        ({"mood": 5}, "mood"),
        ({"mood": {"window_s": "5"}}, "mood.window_s"),
        ({"mood": {"window_s": True}}, "mood.window_s"),
        ({"mood": {"window_s": 0.0}}, "mood.window_s"),
        ({"mood": {"min_people": 2.5}}, "mood.min_people"),
        ({"mood": {"view": ["joy"]}}, "mood.view"),
        ({"mood": {"view": []}}, "mood.view"),
        ({"faces": {"detector": "haar"}}, "faces.detector"),
        ({"kit": "Kit One"}, "kit"),
        ({"kit": "a/b"}, "kit"),
        ({"mode": "spy"}, "mode"),
        ({"mqtt": {"protocol": "4"}}, "mqtt.protocol"),
        ({"expression": {"threads": 0}}, "expression.threads"),
        ({"outbox": {"keep": "tape"}}, "outbox.keep"),
        ({"outbox": {"max_events": 1}}, "outbox.max_events"),
        ({"outbox": {"commit_s": -1}}, "outbox.commit_s"),
    ],
)
def test_a_wrong_setting_is_named(table, named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        build(table)


def test_whole_numbers_are_numbers() -> None:
    assert build({"mood": {"window_s": 10}}).mood.window_s == 10.0


@pytest.mark.parametrize("content", [b"[mood\n", b"\xff\xfe", b"mood = 1"])
def test_a_torn_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "kit.toml"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"kit\.toml"):
        load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file"):
        load(tmp_path / "none.toml")


def test_class_mode_has_to_be_asked_for() -> None:
    with pytest.raises(SettingsError, match="--mode class"):
        check_mode(Settings())
    check_mode(Settings(mode="class"))


@pytest.mark.parametrize("region", ["eu", "EU"])
def test_the_eu_refuses_class_mode(region: str) -> None:
    with pytest.raises(SettingsError, match="AI Act"):
        check_mode(Settings(mode="class", region=region))


def test_one_person_is_not_a_room() -> None:
    with pytest.raises(SettingsError, match="min_people"):
        check_mode(replace(Settings(mode="class"), mood=Mood(min_people=1)))


def test_the_host_names_a_kit_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "Raspi_4.local")
    assert Settings().kit_name == "raspi-4-local"
    assert Settings(kit="k7").kit_name == "k7"


def test_the_view_keeps_to_the_labels() -> None:
    assert Settings().mood.view == LABELS
