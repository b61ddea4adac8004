from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.mood import RoomMood, Rules, Window
from edge.types import LABELS, VOICE_LABELS, Observation, Presence, Scores


def scores(label: str, prob: float, labels: Sequence[str] = LABELS) -> Scores:
    rest = (1 - prob) / (len(labels) - 1)
    return Scores(tuple(labels), tuple(prob if name == label else rest for name in labels), "test@0")


def face(at: float, track: int, label: str, prob: float = 0.9, weight: float = 1.0) -> Observation:
    return Observation("face", at, scores(label, prob), weight, track)


def voice(at: float, label: str, prob: float = 0.9, weight: float = 1.0) -> Observation:
    return Observation("voice", at, scores(label, prob, VOICE_LABELS), weight)


def crowd(labels: Iterable[str], *, start: float = 0.0, seconds: float = 5.0) -> list[Observation | Presence]:
    """Each label is one face that is read five times a second."""
    items: list[Observation | Presence] = []
    people = list(labels)
    for step in range(int(seconds * 5)):
        at = start + step / 5
        items.append(Presence(at, len(people)))
        items += [face(at, track, label) for track, label in enumerate(people)]
    return items


def windows(items: Iterable[Observation | Presence], until: float, **rules: object) -> list[Window]:
    mood = RoomMood(Rules(**rules), start=0.0)  # type: ignore[arg-type]
    for item in items:
        mood.add(item)
    return list(mood.close(until))


def test_six_of_eight_happy_is_a_happy_room() -> None:
    (window,) = windows(crowd(["happy"] * 6 + ["sad"] * 2), 6.0)
    assert window.mood == "happy"
    assert window.shares["happy"] == pytest.approx(0.75)
    assert window.shares["sad"] == pytest.approx(0.25)
    assert window.people == 8
    assert window.confidence == pytest.approx(0.9)
    assert window.suppressed is None


def test_five_faces_read_out_of_step_are_five_people() -> None:
    """Seen in every look, read every other second: some have three readings in the window, some two."""
    items: list[Observation | Presence] = []
    for step in range(25):
        items.append(Presence(step / 5, 5, tuple(range(5))))
        items += [face(step / 5, track, "happy") for track in range(5) if step % 10 == track + track // 2]
    (window,) = windows(items, 6.0)
    assert window.face_readings < 15
    assert (window.mood, window.suppressed) == ("happy", None)


def test_a_face_that_left_counts_for_the_part_that_it_was_seen() -> None:
    items: list[Observation | Presence] = []
    for step in range(25):
        there = tuple(range(6)) if step < 5 else tuple(range(4))
        items.append(Presence(step / 5, 5, there))
        items += [face(step / 5, track, "happy") for track in there]
    (window,) = windows(items, 6.0)
    assert window.suppressed == "too_few_people", "four and two fifths"


def test_a_group_below_the_minimum_says_nothing_but_why() -> None:
    (window,) = windows(crowd(["happy"] * 4), 6.0)
    assert (window.suppressed, window.mood, window.shares, window.people) == ("too_few_people", None, {}, 4)


def test_an_empty_room_is_nobody() -> None:
    (window,) = windows([Presence(at / 5, 0) for at in range(25)], 6.0)
    assert window.suppressed == "nobody"


def test_one_readable_face_in_a_crowd_is_not_the_room() -> None:
    items: list[Observation | Presence] = [Presence(at / 5, 9) for at in range(25)]
    items += [face(at / 5, 1, "sad") for at in range(25)]
    (window,) = windows(items, 6.0)
    assert window.suppressed == "too_few_people"


def test_a_track_that_breaks_does_not_make_a_second_person() -> None:
    whole = crowd(["happy"] * 4)
    broken = [
        Observation("face", item.at, item.scores, 1.0, 100 + int(item.at))
        if isinstance(item, Observation) and item.track == 0
        else item
        for item in whole
    ]
    (window,) = windows(broken, 6.0)
    assert window.suppressed == "too_few_people", "five pieces of one track and three others are four people"


def test_a_face_counts_once_however_often_it_is_read() -> None:
    items = crowd(["happy"] * 3 + ["sad"] * 3)
    twice = items + [item for item in items if isinstance(item, Observation) and item.track < 6]
    (once,), (again,) = windows(items, 6.0), windows(sorted(twice, key=lambda i: i.at), 6.0)
    assert once.shares == again.shares


def test_a_weak_reading_is_uncertain() -> None:
    items = [face(at / 5, track, "fear", 0.3) for at in range(25) for track in range(6)]
    (window,) = windows([*items, *(Presence(at / 5, 6) for at in range(25))], 6.0)
    assert window.mood == "uncertain"
    assert window.shares["uncertain"] == 1
    assert window.confidence == 0


@pytest.mark.parametrize(("label", "share"), [("sad", 0.0), ("happy", 0.25)])
def test_a_negative_tone_needs_more_to_be_claimed(label: str, share: float) -> None:
    items = [*crowd(["neutral"] * 6), *(voice(at, label, 0.7) for at in (1.0, 2.0, 3.0))]
    (window,) = windows(sorted(items, key=lambda item: item.at), 6.0, negative_voice=0.8)
    assert window.shares[label] == pytest.approx(share)
    (window,) = windows(sorted(items, key=lambda item: item.at), 6.0)
    assert window.shares[label] == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("spoken", "claimed"),
    [
        ([(1.0, "sad")], False),
        ([(1.0, "sad"), (2.0, "sad")], True),
        ([(1.0, "sad"), (2.0, "angry")], False),
        ([(1.0, "sad"), (1.5, "neutral"), (2.0, "sad")], False),
        ([(1.0, "happy")], True),
    ],
)
def test_a_negative_tone_counts_when_the_next_utterance_agrees(
    spoken: list[tuple[float, str]], claimed: bool
) -> None:
    items = [*crowd(["neutral"] * 6), *(voice(at, label) for at, label in spoken)]
    (window,) = windows(sorted(items, key=lambda item: item.at), 6.0)
    assert any(window.shares[label] > 0 for _, label in spoken if label != "neutral") == claimed


def test_two_negative_tones_far_apart_do_not_confirm_each_other() -> None:
    items = [*crowd(["neutral"] * 6, seconds=25.0), voice(1.0, "sad"), voice(21.0, "sad")]
    found = windows(sorted(items, key=lambda item: item.at), 26.0)
    assert all(window.shares["sad"] == 0 for window in found)
    found = windows(sorted(items, key=lambda item: item.at), 26.0, negative_again_s=0.0)
    assert found[0].shares["sad"] > 0


def test_a_blink_does_not_flip_a_face() -> None:
    items = crowd(["neutral"] * 6)
    items = [
        face(i.at, i.track, "surprise", 0.9) if isinstance(i, Observation) and i.at == 2.0 else i
        for i in items
    ]
    (window,) = windows(items, 6.0)
    assert window.shares["neutral"] == 1


def test_the_voice_gets_at_most_its_weight() -> None:
    faces = crowd(["neutral"] * 6)
    (window,) = windows([*faces, voice(1, "angry"), voice(3, "angry")], 6.0, voice_weight=0.25)
    assert window.shares["angry"] == pytest.approx(0.25)
    assert window.mood == "neutral"
    assert window.voice_readings == 2


def test_a_voice_that_claims_nothing_changes_nothing() -> None:
    faces = crowd(["neutral"] * 6)
    (silent,), (unsure,) = windows(faces, 6.0), windows([*faces, voice(1, "angry", 0.3)], 6.0)
    assert silent.shares == unsure.shares


def test_talking_makes_nobody_less_surprised() -> None:
    (window,) = windows([*crowd(["surprise"] * 6), voice(1, "happy"), voice(2, "happy")], 6.0)
    assert window.shares["surprise"] == 1


def test_voice_alone_speaks_only_where_no_group_is_asked_for() -> None:
    said: list[Observation | Presence] = [voice(1, "happy")]
    assert windows(said, 6.0)[0].suppressed == "nobody"
    (window,) = windows(said, 6.0, min_people=0)
    assert window.mood == "happy"


def test_the_view_of_three_classes_names_no_other() -> None:
    (window,) = windows(crowd(["happy"] * 3 + ["angry"] * 3), 6.0, view=("fear", "happy", "sad"))
    assert set(window.shares) == {"fear", "happy", "sad", "uncertain"}
    assert window.shares["uncertain"] == pytest.approx(0.5)


def test_a_window_waits_for_late_readings() -> None:
    mood = RoomMood(Rules(grace_s=1.0), start=0.0)
    assert list(mood.close(5.9)) == []
    for item in crowd(["happy"] * 6):
        mood.add(item)
    (window,) = mood.close(6.0)
    assert window.mood == "happy"
    mood.add(face(4.9, 1, "sad"))
    assert [w.start for w in mood.close(11.0)] == [5.0], "what comes after the close is left out"


def test_windows_follow_without_a_gap() -> None:
    spans = [(window.start, window.end) for window in windows(crowd(["sad"] * 5, seconds=15), 16.0)]
    assert spans == [(0, 5), (5, 10), (10, 15)]


def test_a_long_pause_is_not_told_window_by_window() -> None:
    assert len(windows([], 10_000.0)) <= RoomMood.LONGEST_SILENCE


def test_a_recording_ends_with_what_it_holds_and_nothing_more() -> None:
    mood = RoomMood(Rules(), start=0.0)
    for item in crowd(["happy"] * 6, seconds=7):
        mood.add(item)
    assert [(window.start, window.mood) for window in mood.finish(7.0)] == [(0, "happy"), (5, "happy")]
    empty = RoomMood(Rules(), start=0.0)
    assert [window.start for window in empty.finish(12.0)] == [0, 5]


def test_the_room_keeps_its_mood_until_another_leads_clearly() -> None:
    first = crowd(["happy"] * 5 + ["sad"] * 5)
    second = crowd(["happy"] * 5 + ["sad"] * 6, start=5.0)
    third = crowd(["happy"] * 3 + ["sad"] * 8, start=10.0)
    moods = [w.mood for w in windows([*first[:-5], *second, *third], 16.0, time_constant_s=0)]
    assert moods[1] == moods[0]
    assert moods[2] == "sad"


@settings(max_examples=60, deadline=None)
@given(
    faces=st.lists(
        st.tuples(
            st.floats(0, 20), st.integers(0, 8), st.sampled_from(LABELS), st.floats(0.15, 1), st.floats(0, 1)
        ),
        max_size=60,
    ),
    voices=st.lists(
        st.tuples(st.floats(0, 20), st.sampled_from(VOICE_LABELS), st.floats(0.2, 1), st.floats(0, 1))
    ),
)
def test_whatever_comes_shares_sum_to_one_or_are_empty(faces, voices) -> None:
    items: list[Observation | Presence] = [face(*entry) for entry in faces]
    items += [voice(*entry) for entry in voices]
    items += [Presence(entry[0], 6) for entry in faces]
    for window in windows(items, 30.0, min_people=1):
        if window.suppressed:
            assert window.shares == {}
            assert window.mood is None
        else:
            assert sum(window.shares.values()) == pytest.approx(1, abs=1e-9)
            assert all(share >= 0 for share in window.shares.values())
            assert 0 <= window.confidence <= 1


def test_a_window_closes_at_once_when_all_is_in_and_waits_when_not() -> None:
    mood = RoomMood(Rules(grace_s=1.0), start=0.0)
    for item in crowd(["happy"] * 6):
        mood.add(item)
    assert not list(mood.close(5.1, complete_to=4.9))
    (window,) = mood.close(5.1, complete_to=5.05)
    assert (window.mood, window.end) == ("happy", 5.0)
    assert mood.due == 10.0
    assert not list(mood.close(5.2, complete_to=1e9)), "what is not over is not closed, whatever is promised"


def test_the_first_window_ends_soon_after_the_first_observation() -> None:
    mood = RoomMood(Rules(first_s=2.0), start=100.0)
    for item in crowd(["happy"] * 6, start=100.7, seconds=7.5):
        mood.add(item)
    first, second = mood.close(107.7, complete_to=107.7)
    assert (first.start, first.end) == (100.0, pytest.approx(102.7))
    assert (second.start, second.end) == (pytest.approx(102.7), pytest.approx(107.7))
    assert first.mood == second.mood == "happy"


def test_the_first_window_is_no_longer_than_others() -> None:
    mood = RoomMood(Rules(first_s=2.0), start=100.0)
    assert not list(mood.close(104.9, complete_to=104.9))
    mood.add(Presence(104.9, 0))
    (window,) = mood.close(105.0, complete_to=105.0)
    assert (window.start, window.end, window.suppressed) == (100.0, 105.0, "nobody")


def test_faces_from_before_the_start_neither_count_nor_end_the_first_window() -> None:
    """A picture may be older than the session: its camera was open while the models were loaded."""
    mood = RoomMood(Rules(first_s=2.0), start=100.0)
    mood.add(Presence(88.7, 6))
    mood.add(face(99.9, 1, "happy"))
    assert not list(mood.close(104.9, complete_to=104.9))
    (window,) = mood.close(105.0, complete_to=105.0)
    assert (window.start, window.end, window.suppressed) == (100.0, 105.0, "nobody")


def test_an_utterance_that_is_known_late_counts_in_the_next_window() -> None:
    mood = RoomMood(Rules(min_people=0), start=0.0)
    assert len(list(mood.close(5.1, complete_to=5.1))) == 1
    mood.add(voice(4.9, "happy"))
    mood.add(face(4.9, 1, "sad"))
    (window,) = mood.close(10.1, complete_to=10.1)
    assert (window.voice_readings, window.face_readings) == (1, 0)
