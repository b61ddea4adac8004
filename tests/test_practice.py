"""The practice game on the kit: what is read when, how it stands to what was asked, which mode is on."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.contract.commands import Command
from edge.desk import Desk
from edge.events import EventError, Info, Practice, State, from_json
from edge.expression import ExpressionReader
from edge.faces import FaceFinder
from edge.flow import Mailbox
from edge.gaze import Gaze
from edge.kit import Kit
from edge.load import Effort
from edge.models import weights
from edge.models.choice import find_model
from edge.practice.closeup import CloseUp
from edge.practice.game import Example, Game, Round, Rules, nearest
from edge.runtimes import load
from edge.settings import Camera, Classifier, Microphone, Settings, check_mode
from edge.sinks import Lines
from edge.state.modes import ChosenMode
from edge.types import LABELS, Box, Frame, Look, Observation, Scores
from tests.conftest import Subscriber, eventually
from tests.test_daemon import Running
from tests.test_daemon import settings as daemon_settings

TOPIC = "suasana/k1/practice"


def scores(**parts: float) -> Scores:
    """What is not named gets an equal part of the rest."""
    rest = (1 - sum(parts.values())) / (len(LABELS) - len(parts))
    return Scores(LABELS, tuple(parts.get(label, rest) for label in LABELS), "m@1")


def look(at: float, track: int = 1, people: int = 1, **parts: float) -> Look:
    reading = Observation("face", at, scores(**parts), 1.0, track) if parts else None
    return Look("face", at, reading, people, reading.scores if reading else None)


def game(label: str = "happy", until: float = 10.0, **rules: float) -> Game:
    made = Game(replace(Rules(), **rules))
    made.begin(Round("r1", label, "face", 0.0, until))
    return made


# ── Readings ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("parts", "label", "match"),
    [
        ({"happy": 0.9}, "happy", "like"),
        ({"happy": 0.4, "sad": 0.3}, "uncertain", "partly"),
        ({"happy": 0.25, "sad": 0.6}, "sad", "partly"),
        ({"happy": 0.05, "sad": 0.8}, "sad", "other"),
    ],
)
def test_a_face_is_like_what_was_asked_for_or_partly_or_other(parts, label, match) -> None:
    reading = game().read(look(1.0, **parts))
    assert reading is not None
    assert (reading.label, reading.match) == (label, match)
    assert reading.confidence == (0.0 if label == "uncertain" else pytest.approx(parts[label], abs=1e-3))


def test_without_anything_asked_for_nothing_is_matched_and_nobody_is_no_label() -> None:
    free = game("")
    reading = free.read(look(1.0, happy=0.9))
    assert reading is not None
    assert (reading.label, reading.match, reading.held_s) == ("happy", None, 0.0)
    nobody = free.read(look(1.1, people=0))
    assert nobody is not None
    assert (nobody.label, nobody.confidence, nobody.people) == (None, 0.0, 0)


def test_how_long_it_was_like_that_is_counted_by_the_frames_and_not_across_faces() -> None:
    played = game(time_constant_s=0.0)
    held = []
    for at, parts in ((0.0, 0.9), (0.1, 0.9), (0.2, 0.9), (0.3, 0.02), (0.4, 0.9), (0.5, 0.9)):
        reading = played.read(look(at, happy=parts))
        assert reading is not None
        held.append(reading.held_s)
    assert held == pytest.approx([0.0, 0.1, 0.2, 0.0, 0.0, 0.1], abs=2e-3)


def test_one_blink_does_not_flip_a_face_but_another_face_begins_anew() -> None:
    played = game()
    for step in range(6):
        played.read(look(step / 10, happy=0.9))
    blink = played.read(look(0.6, sad=0.9))
    other = played.read(look(0.7, track=2, sad=0.9))
    assert blink is not None
    assert other is not None
    assert (blink.label, other.label) == ("happy", "sad")


@given(st.lists(st.tuples(st.floats(-5, 25), st.floats(0, 1)), max_size=30))
def test_whatever_comes_when_only_the_round_that_is_on_is_read(looks: list[tuple[float, float]]) -> None:
    played = game(until=10.0)
    for at, happy in looks:
        reading = played.read(look(at, happy=happy))
        assert (reading is not None) == (0.0 <= at < 10.0)
        if reading is not None:
            assert 0 <= reading.confidence <= 1
            assert reading.held_s >= 0
    assert not played.tend(9.9)
    assert played.tend(10.0)
    assert played.read(look(5.0, happy=0.9)) is None, "it is over, and forgotten"


def test_a_round_for_the_voice_takes_no_face_and_each_sentence_stands_for_itself() -> None:
    played = Game(Rules(certain={"face": 0.5, "voice": 0.6}))
    played.begin(Round("r1", "sad", "voice", 0.0, 10.0))
    assert played.read(look(1.0, sad=0.9)) is None
    for at, part, match in ((2.0, 0.62, "like"), (4.0, 0.1, "other"), (6.0, 0.3, "partly")):
        heard = Look("voice", at, Observation("voice", at, scores(sad=part), 1.0))
        reading = played.read(heard)
        assert reading is not None
        assert reading.match == match


def test_what_was_read_while_something_was_asked_for_is_handed_on_and_only_then() -> None:
    seen: list[Example] = []
    played = game("sad")
    played.tap = seen.append
    played.read(look(1.0, happy=0.9))
    played.read(look(1.1, people=0))
    played.begin(Round("r2", "", "face", 1.2, 5.0))
    played.read(look(2.0, happy=0.9))
    (one,) = seen
    assert (one.sense, one.asked, one.since, one.at) == ("face", "sad", 0.0, 1.0)
    assert one.plain.best[0] == "happy"


def test_the_nearest_face_is_read_and_two_alike_do_not_take_turns() -> None:
    assert nearest([], 1) is None
    assert nearest([(1, 0.2), (2, 0.3)], None) == 1
    assert nearest([(1, 0.25), (2, 0.3)], 1) == 0, "not clearly nearer"
    assert nearest([(1, 0.2), (2, 0.3)], 1) == 1
    assert nearest([(2, 0.1)], 1) == 0


# ── One face, close up ───────────────────────────────────────────────────────────────────────────────


def close_up(detect: Callable[..., list[tuple[Box, float]]], **effort: float) -> CloseUp:
    model = find_model(Classifier("face-expression"))
    finder = FaceFinder(detect, margin=0.1, random=__import__("random").Random(1))
    gaze = Gaze(finder, replace(Effort(10, 480, 10), **effort))
    return CloseUp(gaze, ExpressionReader(model, load(model)))


def frame(at: float) -> Frame:
    return Frame("test", 0, at, np.random.default_rng(3).integers(0, 255, (240, 320, 3), np.uint8))


def test_of_several_faces_one_is_read_and_a_tiny_one_not_at_all() -> None:
    near, far, tiny = Box(0.1, 0.1, 0.4, 0.5), Box(0.6, 0.1, 0.2, 0.3), Box(0.5, 0.5, 0.02, 0.03)
    found = close_up(lambda _image: [(far, 0.9), (near, 0.8)])(frame(0.0))
    assert found is not None
    assert found.people == 2
    assert found.reading is not None
    assert found.plain == found.reading.scores
    assert found.reading.scores.labels == LABELS
    small = close_up(lambda _image: [(tiny, 0.9)])(frame(0.0))
    assert small is None or small.reading is None
    nobody = close_up(lambda _image: [])(frame(0.0))
    assert nobody is not None
    assert (nobody.reading, nobody.people) == (None, 0)


@pytest.mark.parametrize("look_s", [0.02, 0.1, 0.2])
def test_the_answer_comes_within_300_ms_of_the_frame_on_a_board_whose_look_takes_200(look_s) -> None:
    """Time is data: a camera of 30 frames a second, the real mailbox, and eyes that take *look_s*."""
    clock, shot = [0.0], [0]
    box: Mailbox[Frame] = Mailbox(1)

    def deliver() -> None:
        while shot[0] / 30 <= clock[0]:
            box.put(frame(shot[0] / 30))
            shot[0] += 1

    def detect(_image: object) -> list[tuple[Box, float]]:
        clock[0] += look_s
        return [(Box(0.2, 0.2, 0.4, 0.5), 0.9)]

    eyes, played, ages, reads = close_up(detect), game(), [], []
    while clock[0] < 3:
        deliver()
        taken = box.get(timeout_s=0)
        found = eyes(taken) if taken is not None else None
        if found is not None and played.read(found) is not None:
            ages.append(clock[0] - found.at)
            reads.append(clock[0])
        clock[0] += 0.001
    assert max(ages) < 0.3
    assert max(after - before for before, after in pairwise(reads)) < 0.3
    assert len(reads) > 10


# ── The desk ─────────────────────────────────────────────────────────────────────────────────────────


class Notes(Lines):
    """What the desk says."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.kept: dict[str, str] = {}
        self.events: list[object] = []

    def tell(self, leaf: str, payload: str, *, qos: int = 0, to: Command | None = None) -> None:
        self.told.append((leaf, payload))

    def retain(self, leaf: str, payload: str) -> None:
        self.kept[leaf] = payload

    def publish(self, event: object) -> None:
        self.events.append(event)

    def said(self, leaf: str) -> list[dict[str, object]]:
        return [json.loads(payload) for name, payload in self.told if name == leaf]


@pytest.fixture
def desk(tmp_path: Path) -> tuple[Desk, Kit, Notes, list[float]]:
    clock, notes = [100.0], Notes()
    kit = Kit(daemon_settings(tmp_path), stop=threading.Event())
    made = Desk(kit, [notes], clock=lambda: clock[0])
    made.begin()
    return made, kit, notes, clock


def obey(desk: Desk, kit: Kit, at: float, leaf: str, payload: str) -> None:
    kit.commands.put(Command(leaf, payload.encode()))
    desk.tend(at)


ROUND = '{"transaction": "a", "label": "happy", "seconds": 5}'


def test_a_reading_says_how_old_its_frame_was_and_a_round_ends_by_itself(desk) -> None:
    table, kit, notes, clock = desk
    obey(table, kit, 100.0, "set/mode", "practice")
    obey(table, kit, 100.0, "request/practice-round", ROUND)
    assert notes.said("response/practice-round") == [{"ok": True, "transaction": "a"}]
    assert kit.round is not None
    clock[0] = 101.18
    table.count(look(101.0, happy=0.9))
    (told,) = notes.said("practice")
    assert told["age_s"] == pytest.approx(0.18)
    assert (told["round"], told["asked"], told["match"]) == ("a", "happy", "like")
    assert told["left_s"] == pytest.approx(3.82)
    table.tend(105.0)
    assert kit.round is None
    table.count(look(104.0, happy=0.9))
    assert len(notes.said("practice")) == 1


def test_no_room_is_read_in_practice_mode_and_nothing_goes_through_the_outbox(desk) -> None:
    table, kit, notes, clock = desk
    assert [type(event.data).__name__ for event in notes.events] == ["Session"]
    obey(table, kit, 100.0, "set/mode", "practice")
    state = from_json(State, notes.kept["state"])
    assert (state.mood, state.suppressed) == (None, "capture_off")
    assert from_json(Info, notes.kept["info"]).mode == "practice"
    before = len(notes.events)
    obey(table, kit, 100.0, "request/practice-round", ROUND)
    for step in range(200):
        clock[0] = 100 + step / 10
        table.count(look(clock[0], happy=0.9))
        table.count(Observation("face", clock[0], scores(happy=0.9), 1.0, 1))
        table.tend(clock[0])
    assert len(notes.events) == before == 2
    assert from_json(State, notes.kept["state"]) == state
    obey(table, kit, clock[0], "set/mode", "class")
    assert [event.data.phase for event in notes.events] == ["start", "end", "start"]
    assert from_json(Info, notes.kept["info"]).mode == "class"


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        ('{"transaction": "a", "label": "joy", "seconds": 5}', "label is empty or one of"),
        ('{"transaction": "a", "label": "surprise", "seconds": 5, "sense": "voice"}', "for the voice"),
        ('{"transaction": "a", "seconds": 500}', "120 seconds at most"),
        ('{"transaction": "a", "seconds": -1}', "below 0"),
        ('{"transaction": "a", "seconds": 5, "sense": "nose"}', "sense"),
        ('{"transaction": "a", "seconds": 5, "sense": "voice"}', "no microphone"),
        ('{"transaction": "a"}', "seconds is missing"),
    ],
)
def test_a_round_that_cannot_be_played_is_refused_with_its_transaction(desk, payload, why) -> None:
    table, kit, notes, _ = desk
    obey(table, kit, 100.0, "set/mode", "practice")
    obey(table, kit, 100.0, "request/practice-round", payload)
    (answer,) = notes.said("response/practice-round")
    assert not answer["ok"]
    assert answer["transaction"] == "a"
    assert why in str(answer["error"])
    assert kit.round is None


def test_a_round_needs_practice_mode_and_a_camera_that_is_on_and_ends_with_it(desk) -> None:
    table, kit, notes, _ = desk
    obey(table, kit, 100.0, "request/practice-round", ROUND)
    assert "class mode" in str(notes.said("response/practice-round")[-1]["error"])
    obey(table, kit, 100.0, "set/mode", "practice")
    obey(table, kit, 100.0, "request/practice-round", ROUND)
    assert kit.round is not None
    obey(table, kit, 100.0, "set/camera", "off")
    assert kit.round is None
    obey(table, kit, 100.0, "request/practice-round", ROUND)
    assert "switched off" in str(notes.said("response/practice-round")[-1]["error"])
    obey(table, kit, 100.0, "set/camera", "on")
    obey(table, kit, 100.0, "request/practice-round", ROUND)
    assert kit.round is not None
    obey(table, kit, 100.0, "request/practice-round", '{"seconds": 0}')
    assert kit.round is None


# ── The mode ─────────────────────────────────────────────────────────────────────────────────────────


def test_class_mode_cannot_be_had_over_the_network_where_the_settings_do_not_ask_for_it(tmp_path) -> None:
    path = tmp_path / "mode.json"
    mode = ChosenMode(path, "practice")
    with pytest.raises(EventError, match="asked for by name"):
        mode.set("class")
    assert mode.now == "practice"
    path.write_text('{"mode": "class"}')
    assert ChosenMode(path, "practice").now == "practice", "nor by an older choice"


def test_the_mode_survives_a_power_cut_and_a_damaged_file_means_practice(tmp_path) -> None:
    path = tmp_path / "deep" / "mode.json"
    mode = ChosenMode(path, "class")
    assert mode.now == "class"
    assert mode.set("practice")
    assert not mode.set("practice")
    assert ChosenMode(path, "class").now == "practice"
    for torn in ("", "[]", '{"mode": "nap"}', '{"mode"'):
        path.write_text(torn)
        assert ChosenMode(path, "class").now == "practice"


def test_a_disk_that_refuses_is_told_and_the_mode_is_taken_all_the_same(tmp_path, caplog) -> None:
    mode = ChosenMode(tmp_path / "file" / "mode.json", "class")
    (tmp_path / "file").write_text("")
    assert mode.set("practice")
    assert mode.now == "practice"
    assert not mode.remembered
    assert "cannot be remembered" in caplog.text


def test_practice_may_be_played_where_classes_may_not_be_watched() -> None:
    check_mode(Settings(mode="practice", region="eu"))


# ── The whole kit ────────────────────────────────────────────────────────────────────────────────────


def test_a_staged_portrait_is_read_over_a_real_broker_and_only_while_a_round_is_on(
    tmp_path: Path, broker: int, subscriber: Subscriber
) -> None:
    wanted = daemon_settings(tmp_path, broker, mode="practice", camera=Camera(f"scene:{weights.FOLDER}"))
    with Running(wanted):
        eventually(lambda: subscriber.payloads("suasana/k1/source/camera/status")[-1:] == ["online"])
        subscriber.client.publish("suasana/k1/request/practice-round", ROUND, qos=1)
        eventually(lambda: len(subscriber.payloads(TOPIC)) >= 5)
        subscriber.client.publish("suasana/k1/set/mode", "class", qos=1)
        eventually(lambda: subscriber.payloads("suasana/k1/response/set"))
    told = [from_json(Practice, payload) for payload in subscriber.payloads(TOPIC)]
    assert {one.round for one in told} == {"a"}
    assert all(one.people > 1 for one in told), "eight sit there; one is read"
    assert any(one.label is not None for one in told)
    assert not any(retained for name, _, retained in subscriber.messages if name == TOPIC)
    assert "asked for by name" in subscriber.payloads("suasana/k1/response/set")[0]
    assert subscriber.payloads("suasana/k1/event") == []
    assert not list(tmp_path.glob("*practice*")), "nothing is kept"


def test_a_sentence_is_heard_in_a_round_for_the_voice_and_not_before(
    tmp_path: Path, broker: int, subscriber: Subscriber
) -> None:
    sound = Microphone("pattern:")
    wanted = daemon_settings(tmp_path, broker, mode="practice", camera=Camera("none"), microphone=sound)
    with Running(wanted) as running:
        eventually(lambda: subscriber.payloads("suasana/k1/source/microphone/status")[-1:] == ["online"])
        heard = Look("voice", 0.0, Observation("voice", 0.0, scores(happy=0.9), 1.0))
        running.kit.observations.put(heard)
        asked = '{"transaction": "v", "label": "happy", "seconds": 60, "sense": "voice"}'
        subscriber.client.publish("suasana/k1/request/practice-round", asked, qos=1)
        eventually(lambda: running.kit.round is not None)
        at = running.kit.round.since if running.kit.round is not None else 0.0
        running.kit.observations.put(replace(heard, at=at))
        eventually(lambda: subscriber.payloads(TOPIC))
    (told,) = [from_json(Practice, payload) for payload in subscriber.payloads(TOPIC)]
    assert (told.sense, told.match, told.people) == ("voice", "like", 0)
