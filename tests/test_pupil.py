"""What the kit gathers, learns, keeps and forgets in the practice game."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge import remote
from edge.contract.commands import Command
from edge.desk import Desk
from edge.events import Info, from_json
from edge.kit import Kit
from edge.models.choice import find_model
from edge.practice import adapt, learned, reference
from edge.practice.game import Example
from edge.practice.learned import Head, Learned
from edge.practice.pupil import FORGET_S, Pupil
from edge.settings import Classifier
from edge.types import LABELS, Look, Observation, Scores
from tests.test_daemon import settings as daemon_settings
from tests.test_practice import Notes

MODEL = find_model(Classifier("face-expression"))
FILES = {runtime: file.sha256 for runtime, file in MODEL.files.items()}
HEAD = Head(MODEL.id, FILES, dict.fromkeys(LABELS, 0.0) | {"neutral": -0.7}, 21, "2026-03-01T02:10:00.000Z")
DARK = np.array([-0.6, -0.6, -0.3, -0.5, 0.2, -0.4, 1.6])
"""What a dark room adds to every face's answer."""


def read_in_the_dark(label: str, seed: int) -> Scores:
    random = np.random.default_rng(seed)
    scores = random.normal(0, 0.8, len(LABELS)) + DARK
    scores[LABELS.index(label)] += 2.0
    return Scores(LABELS, tuple(np.exp(adapt.log_softmax(scores)).tolist()), MODEL.id)


def play(tell, rounds: int, *, start: float = 100.0, looks: int = 3) -> float:
    """Rounds of five seconds, label after label; *tell* gets each look. When the last one is over."""
    for turn in range(rounds):
        since = start + 5 * turn
        for look in range(looks):
            label = LABELS[turn % len(LABELS)]
            tell(Example("face", label, since, since + 1.5 + look, read_in_the_dark(label, turn)))
    return start + 5 * rounds


def date(at: float) -> str:
    return f"2026-03-01T02:{int(at) % 60:02}:00.000Z"


@pytest.fixture
def pupil(tmp_path: Path) -> Pupil:
    return Pupil(Learned(tmp_path / "learned.json"), {"face": MODEL})


# ── Gathering and learning ───────────────────────────────────────────────────────────────────────────


def test_nothing_is_gathered_before_an_adult_consents(pupil) -> None:
    play(pupil.hear, 40)
    assert not pupil.tend(400, None, date)
    assert pupil.progress == {}
    assert not pupil.learned.path.exists()


def test_a_dark_room_is_learned_from_once_there_are_rounds_enough(pupil) -> None:
    pupil.consent(100)
    counts = []
    for turn in range(35):
        label, since = LABELS[turn % len(LABELS)], 100.0 + 5 * turn
        for look in range(3):
            pupil.hear(Example("face", label, since, since + 1.5 + look, read_in_the_dark(label, turn)))
        assert pupil.tend(since + 6, None, date)
        if not pupil.progress:
            break
        counts.append((pupil.progress["face"].rounds, pupil.progress["face"].next_at))
    assert counts[:13] == [(turn, 14) for turn in range(1, 14)]
    head = pupil.learned.heads["face"]
    assert head.belongs(MODEL)
    assert head.offsets["neutral"] < -0.3
    assert head.rounds in adapt.ATTEMPTS


def test_the_round_that_is_on_waits_and_the_first_second_counts_only_where_there_is_no_other(pupil) -> None:
    pupil.consent(100)
    late, early = read_in_the_dark("happy", 0), read_in_the_dark("sad", 1)
    for since, ats in ((100.0, (0.2, 0.5, 2.0)), (110.0, (0.1, 0.3, 0.5, 0.7))):
        for at in ats:
            pupil.hear(Example("face", "happy", since, since + at, late if at > 1 else early))
    assert pupil.tend(102, 110.0, date)
    assert pupil.progress["face"].rounds == 1, "the other one is on"
    over = list(pupil._over(pupil._gathered["face"], None).values())
    assert [len(looks) for looks in over] == [1, 3]
    assert over[0][0] == pytest.approx(adapt.to_logs(late.probs))


def test_a_kit_that_finds_no_gain_gives_up_and_begins_anew_when_asked(pupil) -> None:
    pupil.consent(100)
    happy = Scores(LABELS, tuple(0.94 if label == "happy" else 0.01 for label in LABELS), MODEL.id)
    for turn in range(60):
        since = 100.0 + 5 * turn
        pupil.hear(Example("face", LABELS[turn % 7], since, since + 2, happy))
        pupil.tend(since + 6, None, date)
    progress = pupil.progress["face"]
    assert (progress.rounds, progress.refusal, progress.next_at) == (35, "not_shown", None)
    assert pupil.learned.heads == {}
    pupil.consent(500)
    assert (pupil.progress["face"].rounds, pupil.progress["face"].refusal) == (0, None)


def test_what_was_gathered_goes_with_the_consent_and_when_nobody_plays(pupil) -> None:
    pupil.consent(100)
    over = play(pupil.hear, 10)
    assert pupil.withdraw()
    assert not pupil.withdraw()
    pupil.consent(over)
    play(pupil.hear, 10, start=over)
    assert pupil.tend(over + 60, None, date)
    assert pupil.progress["face"].rounds == 10
    assert pupil.tend(over + 60 + FORGET_S, None, date)
    assert pupil.progress == {}


def test_a_model_without_a_reference_is_not_taught(tmp_path) -> None:
    other = Pupil(Learned(tmp_path / "learned.json"), {"face": replace(MODEL, name="somebody-elses")})
    assert other.teachable == ()
    assert reference.load(MODEL.name, LABELS[:-1]) is None


# ── The file ─────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_learned_survives_a_restart_and_belongs_to_these_weights_only(tmp_path) -> None:
    path = tmp_path / "deep" / "learned.json"
    Learned(path).keep("face", HEAD)
    assert Learned(path).heads == {"face": HEAD}
    assert HEAD.belongs(MODEL)
    assert not HEAD.belongs(replace(MODEL, version="9.9.9"))
    retrained = {name: replace(file, sha256="0" * 64) for name, file in MODEL.files.items()}
    assert not HEAD.belongs(replace(MODEL, files=retrained))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"format": 1, "heads": {"face": {}}}',
        '{"format": 2, "heads": {}}',
        json.dumps({"format": 1, "heads": {"face": {"model": "m", "files": {}, "offsets": {"sad": 99}}}}),
        json.dumps({"format": 1, "heads": {"face": 7}}),
        '{"format": 1, "heads": {"face": {"offsets": {"sad": NaN}, "model": "m", "files": {}}}}',
    ],
)
def test_a_damaged_file_is_set_aside_in_one_line_and_counts_as_nothing(tmp_path, caplog, text) -> None:
    path = tmp_path / "learned.json"
    path.write_text(text)
    assert Learned(path).heads == {}
    (line,) = caplog.messages
    assert "damaged" in line
    assert not path.exists()
    assert (tmp_path / "learned.json.damaged").read_text() == text
    assert Learned(path).heads == {}, "and the next start says nothing of it"
    assert len(caplog.messages) == 1


def test_to_forget_leaves_no_file_not_even_a_damaged_one(tmp_path) -> None:
    path = tmp_path / "learned.json"
    path.with_name("learned.json.damaged").write_text("{")
    kept = Learned(path)
    kept.keep("face", HEAD)
    assert kept.forget()
    assert list(tmp_path.iterdir()) == []
    assert not kept.forget()


def test_a_file_that_another_process_takes_away_is_forgotten_while_the_kit_runs(tmp_path) -> None:
    path = tmp_path / "learned.json"
    kept = Learned(path)
    kept.keep("face", HEAD)
    assert not kept.refresh()
    assert learned.delete(path)
    assert kept.refresh()
    assert kept.heads == {}


def test_a_disk_that_refuses_is_told_and_the_head_is_used_all_the_same(tmp_path, caplog) -> None:
    (tmp_path / "file").write_text("")
    kept = Learned(tmp_path / "file" / "learned.json")
    kept.keep("face", HEAD)
    assert kept.heads == {"face": HEAD}
    assert not kept.remembered
    assert not kept.refresh(), "what is only in memory is not lost by looking"
    assert "cannot be remembered" in caplog.text


# ── The kit ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def desk(tmp_path: Path):
    clock, notes = [100.0], Notes()
    kit = Kit(daemon_settings(tmp_path), stop=threading.Event())
    made = Desk(kit, [notes], clock=lambda: clock[0])
    made.begin()
    return made, kit, notes, clock


def ask(desk: Desk, kit: Kit, notes: Notes, verb: str, **payload: object) -> dict[str, object]:
    kit.commands.put(Command(f"request/{verb}", json.dumps(payload).encode()))
    desk.tend(100.0)
    return notes.said(f"response/{verb}")[-1]


def told(notes: Notes) -> Info:
    return from_json(Info, notes.kept["info"])


def test_consent_is_asked_for_by_name_and_in_practice_mode_only(desk) -> None:
    table, kit, notes, _ = desk
    refused = ask(table, kit, notes, "practice-learn", consent=True, transaction="a")
    assert "class mode" in str(refused["error"])
    kit.commands.put(Command("set/mode", b"practice"))
    for payload in ({}, {"consent": "yes"}, {"consent": 1}):
        refused = ask(table, kit, notes, "practice-learn", **payload, transaction="b")
        assert "an adult has to agree" in str(refused["error"])
        assert refused["transaction"] == "b"
    answer = ask(table, kit, notes, "practice-learn", consent=True, transaction="c")
    assert (answer["ok"], answer["transaction"]) == (True, "c")
    (learning,) = told(notes).learning
    assert (learning.sense, learning.rounds, learning.next_at) == ("face", 0, adapt.ATTEMPTS[0])
    kit.commands.put(Command("set/capture", b"off"))
    table.tend(100.0)
    assert told(notes).learning == ()


def test_the_kit_learns_from_rounds_reads_otherwise_and_forgets_and_writes_nothing_else(
    desk, tmp_path
) -> None:
    table, kit, notes, clock = desk
    state = kit.settings.state_folder
    kit.commands.put(Command("set/mode", b"practice"))
    ask(table, kit, notes, "practice-learn", consent=True)
    before = contents(state)
    for turn in range(35):
        since, label = clock[0], LABELS[turn % len(LABELS)]
        kit.commands.put(
            Command("request/practice-round", json.dumps({"label": label, "seconds": 4}).encode())
        )
        table.tend(clock[0])
        for look in range(3):
            clock[0] = since + 1.5 + look / 2
            scores = read_in_the_dark(label, turn)
            table.count(Look("face", clock[0], Observation("face", clock[0], scores, 1.0, 1), 1, scores))
        clock[0] = since + 5
        table.tend(clock[0])
        if told(notes).adapted:
            break
    (adapted,) = told(notes).adapted
    assert adapted.used
    assert told(notes).learning == ()
    after = contents(state)
    assert set(after) - set(before) == {"learned.json"}, "one file more"
    assert {name: after[name] for name in before} == before, "and no other one has changed"
    kept = json.loads(after["learned.json"])
    assert set(kept["heads"]["face"]) == {"model", "files", "offsets", "rounds", "made"}
    assert set(kept["heads"]["face"]["offsets"]) == set(LABELS)
    assert len(after["learned.json"]) < 1000, "there is no room for anything else"
    assert kit.eyes._reader.offsets == tuple(kept["heads"]["face"]["offsets"].values())
    again = Kit(kit.settings, stop=threading.Event())
    assert again.eyes._reader.offsets == kit.eyes._reader.offsets
    answer = ask(table, kit, notes, "practice-forget", transaction="f")
    assert answer["ok"]
    assert told(notes).adapted == ()
    assert kit.eyes._reader.offsets == ()
    assert contents(state) == before


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text("utf-8", "replace")
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_what_another_model_learned_is_kept_told_and_not_used(tmp_path) -> None:
    wanted = daemon_settings(tmp_path)
    Learned(wanted.state_folder / "learned.json").keep("face", replace(HEAD, model="face-expression@0.0.1"))
    kit = Kit(wanted, stop=threading.Event())
    assert kit.eyes._reader.offsets == ()
    (adapted,) = kit.info().adapted
    assert (adapted.model, adapted.used) == ("face-expression@0.0.1", False)
    assert (wanted.state_folder / "learned.json").exists()


def test_the_model_alone_is_what_teaches_even_while_a_head_is_used() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (1, len(LABELS))).astype(np.float32)
    plain, adapted = (MODEL.calibrate(logits, offsets)[0] for offsets in ((), (0, 0, 0, 0, 0, 0, -5.0)))
    assert adapted.probs[LABELS.index("neutral")] < plain.probs[LABELS.index("neutral")]
    shifted = adapt.to_logs(plain.probs) + np.array([0, 0, 0, 0, 0, 0, -5.0])
    assert adapt.log_softmax(shifted) == pytest.approx(adapt.to_logs(adapted.probs), abs=1e-6)


# ── The command line ─────────────────────────────────────────────────────────────────────────────────


def test_without_a_kit_the_command_line_deletes_the_file(tmp_path) -> None:
    wanted = daemon_settings(tmp_path)
    path = wanted.state_folder / "learned.json"
    Learned(path).keep("face", HEAD)
    outcome = remote.forget(wanted)
    assert (outcome.how, outcome.found) == ("file", True)
    assert not path.exists()
    assert not remote.forget(wanted).found
