"""Settings changed from the page: what may be, what is kept, and when a change is taken back."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edge.settings import Mood, Settings, load
from edge.tuning import FILE, HEALTHY_S, KNOBS, MOST_STARTS, Tuned, describe, over, plan
from edge.types import SettingsError
from tests.conftest import ROOT

BASE = Settings(kit="k1", room="Kelas 1A", mode="class")


def tuned(folder: Path, *, boot: str = "b1", base: Settings = BASE) -> Tuned:
    return Tuned(replace(base, state_dir=str(folder)), boot=boot)


def changed(folder: Path, changes: dict[str, str], *online: str) -> Tuned:
    """After a change, as the start that follows it finds it."""
    first = tuned(folder)
    assert first.propose(plan(first.base, first.record.now, changes), online)
    second = tuned(folder)
    second.begin()
    return second


def test_every_knob_is_a_setting_of_the_file_and_takes_what_the_file_says() -> None:
    settings = replace(load(ROOT / "systemd" / "kit.toml"), mode="class")
    for one in describe(settings, settings):
        assert one.value == one.usual
        assert over(settings, {one.name: one.value}) == settings, one.name
        for limit in (one.least, one.most):
            if limit is not None:
                over(settings, {one.name: f"{limit:g}"})


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("mood.min_people", "1", "must be 2 to 100"),
        ("mood.min_people", "2.5", "must be a whole number"),
        ("mood.min_people", "-5", "must be 2 to 100"),
        ("mood.window_s", "nan", "must be 1 to 60"),
        ("mood.window_s", "1e999", "must be 1 to 60"),
        ("mood.window_s", "five", "must be a number"),
        ("room", "x" * 81, "at most 80"),
        ("room", "two\nlines", "at most 80"),
        ("faces.detector", "yunet", "one of"),
        ("mood.view", "happy,angry", "one of"),
        *(
            (name, "x", "in the kit's own file only")
            for name in ("mqtt.url", "mqtt.password_file", "updates.remote", "updates.trusted_keys", "mode")
        ),
        *(
            (name, "x", "in the kit's own file only")
            for name in ("region", "camera.uri", "kit", "", "state_dir")
        ),
    ],
)
def test_what_a_kit_must_not_be_told_from_afar_is_refused(name: str, text: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        plan(BASE, {}, {"room": "Kelas 2B", name: text})


def test_mode_region_and_credentials_are_no_knobs() -> None:
    secret = ("mqtt", "updates", "panel", "outbox", "homeassistant", "kit", "mode", "region", "state_dir")
    assert not [name for name in KNOBS if name.split(".")[0] in secret or name.endswith(".uri")]


def test_a_change_goes_over_the_file_and_an_empty_text_takes_it_back() -> None:
    changes = plan(BASE, {}, {"mood.min_people": " 8 ", "mood.view": "happy,sad,fear", "room": "Kelas 2B"})
    settings = over(BASE, changes)
    assert (settings.mood.min_people, settings.mood.view) == (8, ("happy", "sad", "fear"))
    assert settings.room == "Kelas 2B"
    assert plan(BASE, changes, {"mood.min_people": "", "room": "Kelas 1A"}) == {"mood.view": "happy,sad,fear"}
    assert plan(BASE, changes, {"mood.min_people": "8"}) == changes, "the same again changes nothing"


def test_what_was_changed_survives_a_power_cut_and_proves_itself(tmp_path: Path) -> None:
    one = changed(tmp_path, {"mood.min_people": "8"}, "camera")
    assert one.settings.mood.min_people == 8
    assert one.record.trial is not None
    two = tuned(tmp_path, boot="b2")  # the power was cut: another boot
    two.begin()
    assert two.settings.mood.min_people == 8
    assert not two.tend(0.0, {"camera": "recovering"}), "it has its time"
    assert not two.tend(HEALTHY_S, {"camera": "online"})
    assert two.record.trial is None
    assert tuned(tmp_path, boot="b2").settings.mood.min_people == 8


def test_a_start_that_ends_without_a_word_brings_back_what_was_before(tmp_path: Path) -> None:
    changed(tmp_path, {"faces.search_px": "640"})
    again = tuned(tmp_path)  # the same boot, and nobody said goodbye
    again.begin()
    assert again.settings == again.base
    assert again.record.failed == {"faces.search_px": "640"}
    assert "without a word" in again.record.why


def test_a_start_that_says_goodbye_counts_for_nothing(tmp_path: Path) -> None:
    changed(tmp_path, {"faces.search_px": "640"}).pause()
    again = tuned(tmp_path)
    again.begin()
    assert again.settings.faces.search_px == 640


def test_too_many_power_cuts_in_the_first_minute_are_too_many(tmp_path: Path) -> None:
    changed(tmp_path, {"faces.search_px": "640"})
    for number in range(2, MOST_STARTS + 2):
        start = tuned(tmp_path, boot=f"b{number}")
        start.begin()
    assert start.settings == start.base
    assert f"{MOST_STARTS} starts" in start.record.why


def test_a_camera_that_does_not_come_back_takes_the_change_with_it(tmp_path: Path) -> None:
    one = changed(tmp_path, {"faces.max_fps": "10", "room": "Kelas 2B"}, "camera", "microphone")
    assert not one.tend(100.0, {"camera": "online", "microphone": "recovering"})
    assert one.tend(100.0 + HEALTHY_S, {"camera": "online", "microphone": "recovering"})
    assert one.settings == one.base
    assert one.record.why == "the microphone did not come back"
    assert not one.tend(101.0 + HEALTHY_S, {"camera": "online", "microphone": "recovering"}), "once"


def test_a_source_that_was_switched_off_meanwhile_is_no_fault_of_the_change(tmp_path: Path) -> None:
    one = changed(tmp_path, {"faces.max_fps": "10"}, "camera")
    one.tend(0.0, {})
    assert not one.tend(HEALTHY_S, {})
    assert one.settings.faces.max_fps == 10


def test_a_change_that_a_later_file_does_not_fit_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    changed(tmp_path, {"room": "Kelas 2B"})
    record = json.loads((tmp_path / FILE).read_text("utf-8"))
    (tmp_path / FILE).write_text(json.dumps(record | {"now": {"mood.min_people": "1"}}), "utf-8")
    later = tuned(tmp_path, base=replace(BASE, mood=Mood(min_people=6)))
    assert later.settings == later.base
    assert "left out" in caplog.text


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"now": 7}', '{"now": {}, "before": {}, "trial": 1}', "\0"]
)
def test_a_damaged_record_means_the_file(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FILE).write_text(text, "utf-8")
    one = tuned(tmp_path)
    one.begin()
    assert one.settings == one.base
    assert "not readable" in caplog.text


def test_a_disk_that_refuses_keeps_the_old_settings(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("", "utf-8")
    one = tuned(blocked / "below")
    assert not one.propose({"room": "Kelas 2B"}, ())
    assert one.settings == one.base
