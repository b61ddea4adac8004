# ruff: noqa: PT012 -- a run is left by the exception that it is about
"""A model on trial: confirmed by time and answers, given up by failures; time and boots are data."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.models import trial
from edge.models.shelf import MOST_STARTS, Record, Shelf
from edge.models.trial import HEALTHY_S, READINGS, TrialError, Trials
from edge.types import LABELS, ModelError, Observation, Presence, Scores, SettingsError, SinkError

NAME = "face-expression"


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """1.1.0 confirmed, 1.2.0 on trial."""
    shelf = Shelf(tmp_path / "models")
    put(shelf, "1.1.0")
    shelf.confirm(NAME, "1.1.0")
    put(shelf, "1.2.0")
    return shelf


def put(shelf: Shelf, version: str, name: str = NAME) -> None:
    with shelf.draft({"model.toml": version.encode()}) as draft:
        shelf.adopt(draft, name, version, over="1.0.0")


def reading(version: str = "1.2.0", name: str = NAME) -> Observation:
    scores = Scores(LABELS, (1.0, *[0.0] * (len(LABELS) - 1)), f"{name}@{version}")
    return Observation("face", 0.0, scores, 1.0)


def started(shelf: Shelf, boot: str = "monday") -> Trials:
    """As the kit does it: begin, load, and then the daemon enters."""
    trials = Trials(shelf, boot=boot)
    with trials.starting():
        trials.begin(NAME, "1.2.0")
    return trials


def answer(trials: Trials, count: int = READINGS) -> None:
    for _ in range(count):
        trials.count(reading())


def test_a_model_that_answers_for_ten_minutes_is_confirmed(shelf: Shelf) -> None:
    with started(shelf) as trials:
        assert trials.on_trial(NAME)
        assert not trials.tend(1000.0)
        answer(trials)
        assert not trials.tend(1000.0 + HEALTHY_S - 1)
        assert shelf.record(NAME).trial is not None
        assert trials.tend(1000.0 + HEALTHY_S), "the info topic changes"
        assert not trials.on_trial(NAME)
        assert not trials.tend(1000.0 + HEALTHY_S + 1)
    record = shelf.record(NAME)
    assert (record.current, record.previous, record.trial) == ("1.2.0", "1.1.0", None)
    assert not started(shelf).on_trial(NAME), "and stays so"


def test_in_an_empty_room_nothing_is_proved(shelf: Shelf) -> None:
    with started(shelf) as trials:
        trials.tend(0.0)
        trials.count(Presence(0.0, 5))
        for _ in range(READINGS):
            trials.count(reading("1.1.0"))
        answer(trials, READINGS - 1)
        assert not trials.tend(100 * HEALTHY_S)
        answer(trials, 1)
        assert trials.tend(100 * HEALTHY_S + 1)


def test_a_model_that_raises_ends_the_process_and_is_given_up(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    trials = started(shelf)
    with pytest.raises(TrialError, match="eats"), trials:
        trials.tend(0.0)
        with pytest.raises(ModelError), trials.watching(NAME):
            raise ModelError("the model eats something else")
        trials.tend(0.1)
    record = shelf.record(NAME)
    assert (record.current, record.failed, record.trial) == ("1.1.0", "1.2.0", None)
    assert "eats something else" in record.why
    assert "1.2.0 is given up" in caplog.text
    assert "is 1.1.0 again" in caplog.text
    assert started(shelf).instead_of(NAME) == "1.2.0", "the next start says so"
    assert started(shelf).instead_of(NAME, used="1.1.0") == "1.2.0"
    assert started(shelf).instead_of(NAME, used="1.3.0") == "", "newer software brought a newer one"


def test_a_model_that_is_not_on_trial_recovers_as_ever(shelf: Shelf) -> None:
    shelf.confirm(NAME, "1.2.0")
    with started(shelf) as trials:
        with pytest.raises(ModelError), trials.watching(NAME):
            raise ModelError("once")
        trials.tend(0.0)
    assert shelf.record(NAME).current == "1.2.0"


def test_a_bug_while_on_trial_counts_against_the_model(shelf: Shelf) -> None:
    trials = started(shelf)
    with pytest.raises(ZeroDivisionError), trials:
        trials.tend(0.0)
        raise ZeroDivisionError("division by zero")
    record = shelf.record(NAME)
    assert record.current == "1.1.0"
    assert record.why == "the program ended (ZeroDivisionError: division by zero)"


def test_a_broker_that_refuses_for_good_does_not_count_against_the_model(shelf: Shelf) -> None:
    with pytest.raises(SinkError), started(shelf):
        raise SinkError("not authorised")
    assert shelf.record(NAME).current == "1.2.0"
    assert started(shelf).on_trial(NAME)


def test_only_the_model_that_failed_is_given_up(shelf: Shelf) -> None:
    put(shelf, "2.0.0", "voice-tone")
    trials = started(shelf)
    trials.begin("voice-tone", "2.0.0")
    with pytest.raises(TrialError), trials:
        with pytest.raises(ModelError), trials.watching("voice-tone"):
            raise ModelError("deaf")
        trials.tend(0.0)
    assert shelf.record("voice-tone") == Record(failed="2.0.0", why="deaf", highest="2.0.0", over="1.0.0")
    assert shelf.record(NAME).current == "1.2.0"
    assert shelf.record(NAME).trial is not None


@pytest.mark.parametrize("interrupt", [None, KeyboardInterrupt, SystemExit])
def test_an_end_in_good_order_neither_confirms_nor_counts(
    shelf: Shelf, interrupt: type[BaseException] | None
) -> None:
    for _ in range(3 * MOST_STARTS):
        try:
            with started(shelf) as trials:
                trials.tend(0.0)
                if interrupt:
                    raise interrupt
        except (KeyboardInterrupt, SystemExit):
            pass
        assert shelf.record(NAME).trial is not None
    assert shelf.record(NAME).current == "1.2.0"


def test_a_process_that_was_killed_in_the_first_minutes_is_a_failure(shelf: Shelf) -> None:
    trials = started(shelf)
    trials.__enter__()  # and never leaves: kill -9, out of memory, a crash in a library
    trials.tend(0.0)
    again = started(shelf)
    assert not again.on_trial(NAME)
    assert again.instead_of(NAME) == "1.2.0"
    assert "without a word" in shelf.record(NAME).why


def test_power_cuts_count_only_when_they_pile_up(shelf: Shelf) -> None:
    for day in range(MOST_STARTS):
        trials = started(shelf, f"day {day}")
        assert trials.on_trial(NAME), day
        trials.__enter__()
    assert not started(shelf, "the day after").on_trial(NAME)
    assert f"{MOST_STARTS} starts were cut off" in shelf.record(NAME).why


def test_a_start_that_lasted_clears_earlier_power_cuts(shelf: Shelf) -> None:
    for day in range(3 * MOST_STARTS):
        trials = started(shelf, f"day {day}")
        assert trials.on_trial(NAME), day
        trials.__enter__()
        if day % 2:
            trials.tend(0.0)
            trials.tend(HEALTHY_S)  # nobody in the room, but it lasted
    assert shelf.record(NAME).current == "1.2.0"


def test_what_else_is_wrong_at_the_start_is_not_the_model_s_fault(shelf: Shelf) -> None:
    for _ in range(2 * MOST_STARTS):
        trials = Trials(shelf, boot="monday")
        with pytest.raises(SettingsError), trials.starting():
            assert trials.begin(NAME, "1.2.0")
            raise SettingsError("mqtt.password_file: no such file")
    assert shelf.record(NAME).current == "1.2.0"


def test_a_crash_while_it_is_loaded_is_known_at_the_next_start(shelf: Shelf) -> None:
    trials = Trials(shelf, boot="monday")
    trials.starting().__enter__()
    trials.begin(NAME, "1.2.0")  # and the library's own code ends the process here
    assert not Trials(shelf, boot="monday").begin(NAME, "1.2.0")
    assert shelf.record(NAME).current == "1.1.0"


def test_a_disk_that_refuses_means_that_nothing_is_tried(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise ModelError("No space left on device")

    monkeypatch.setattr(shelf, "begin", full)
    trials = Trials(shelf, boot="monday")
    assert not trials.begin(NAME, "1.2.0")
    assert trials.begin(NAME, "1.1.0")
    assert trials.instead_of(NAME) == "1.2.0"
    assert shelf.record(NAME).current == "1.2.0", "it may be tried another day"


def test_a_disk_that_refuses_later_does_not_stop_the_kit(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise ModelError("No space left on device")

    with started(shelf) as trials:
        for verb in ("confirm", "settle", "pause", "roll_back"):
            monkeypatch.setattr(shelf, verb, full)
        trials.tend(0.0)
        answer(trials)
        assert not trials.tend(HEALTHY_S)
    assert "cannot be remembered" in caplog.text


def test_another_version_that_was_installed_meanwhile_is_left_alone(shelf: Shelf) -> None:
    trials = started(shelf)
    with pytest.raises(ZeroDivisionError), trials:
        put(shelf, "1.3.0")
        raise ZeroDivisionError
    record = shelf.record(NAME)
    assert (record.current, record.previous) == ("1.3.0", "1.1.0")
    assert record.trial is not None


def test_the_next_installation_forgets_the_failure(shelf: Shelf) -> None:
    shelf.roll_back(NAME, version="1.2.0", why="broken")
    put(shelf, "1.3.0")
    assert shelf.record(NAME).failed == ""


def test_a_machine_without_boot_ids_counts_every_start_as_one_boot(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(trial, "BOOT_ID", tmp_path / "none")
    Trials(shelf).begin(NAME, "1.2.0")
    assert not Trials(shelf).begin(NAME, "1.2.0")
