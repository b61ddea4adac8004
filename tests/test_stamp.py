import re

import pytest

from edge.events import Clock, Event, MoodWindow, parse_time
from edge.mood import Window
from edge.stamp import Stamp, time_quality

WINDOW = Window(100.0, 105.0, "happy", {"happy": 1.0}, 0.9, 6, None, 30, 0)


def test_a_window_gets_wall_time_by_its_distance_from_now() -> None:
    stamp = Stamp(
        "k", boot_id="b", wall=lambda: 1_000_000.0, monotonic=lambda: 106.0, quality=lambda: "synced"
    )
    event = stamp.window(WINDOW)
    assert event.at == "1970-01-12T13:46:39.000Z"
    assert isinstance(event.data, MoodWindow)
    assert event.data.start == "1970-01-12T13:46:34.000Z"
    assert event.data.window_s == 5


def test_a_boot_counts_without_gaps_and_never_repeats_an_id() -> None:
    first, second = Stamp("k"), Stamp("k")
    events = [stamp.window(WINDOW) for stamp in (first, second) for _ in range(3)]
    assert [event.seq for event in events] == [0, 1, 2, 0, 1, 2]
    assert len({event.id for event in events}) == 6


def test_the_kernel_answers_about_its_clock() -> None:
    assert time_quality() in ("synced", "unsynced")


class Clocks:
    """Both clocks of a machine, and whether the wall clock is disciplined."""

    def __init__(self) -> None:
        self.wall_s, self.mono_s, self.quality = 1_000_000.0, 50.0, "unsynced"

    def run(self, seconds: float) -> None:
        self.wall_s += seconds
        self.mono_s += seconds

    def stamp(self, **more: object) -> Stamp:
        return Stamp(
            "k",
            wall=lambda: self.wall_s,
            monotonic=lambda: self.mono_s,
            quality=lambda: self.quality,
            **{"mono_id": "m"} | more,
        )


@pytest.mark.parametrize("jump_s", [86_400.0, -86_400.0, 3.2e8, -3.2e8, 1e12, -1e12, 1.0])
def test_a_jump_of_the_clock_is_told_once_and_breaks_nothing(jump_s: float) -> None:
    clocks = Clocks()
    stamp = clocks.stamp()
    assert stamp.look() is None
    clocks.run(10)
    assert stamp.look() is None
    clocks.wall_s += jump_s
    assert stamp.look() is None, "not more than once a second"
    clocks.run(1)
    assert stamp.look() == Clock("stepped", jump_s)
    event = stamp.event(Clock("stepped", jump_s), at=clocks.mono_s)
    assert Event.from_json(event.to_json()) == event
    clocks.run(1)
    assert stamp.look() is None


def test_slewing_is_no_jump() -> None:
    clocks = Clocks()
    stamp = clocks.stamp()
    for _ in range(1000):
        clocks.run(5)
        clocks.wall_s += 0.002
        assert stamp.look() is None


def test_gaining_and_losing_the_time_is_told() -> None:
    clocks = Clocks()
    stamp = clocks.stamp()
    clocks.run(2)
    clocks.quality, clocks.wall_s = "synced", clocks.wall_s + 5000
    assert stamp.look() == Clock("synced", 5000.0)
    clocks.run(2)
    clocks.quality = "unsynced"
    assert stamp.look() == Clock("unsynced", 0.0)


def test_what_came_before_the_time_was_known_can_be_placed_afterwards_even_by_another_daemon() -> None:
    clocks = Clocks()
    early = clocks.stamp().window(Window(40.0, 45.0, None, {}, 0.0, 0, "nobody", 0, 0))
    written = early.to_json()
    clocks.run(600)
    second = clocks.stamp()
    clocks.run(5)
    clocks.wall_s, clocks.quality = 1_772_413_200.0, "synced"
    known = second.event(second.look(), at=clocks.mono_s)
    assert early.to_json() == written
    assert (early.mono_id, early.time_quality, known.time_quality) == (known.mono_id, "unsynced", "synced")
    placed = parse_time(known.at) - (known.mono_s - early.mono_s)
    assert placed == pytest.approx(1_772_413_200.0 - (655.0 - 45.0), abs=0.01)


def test_a_recording_has_no_steady_clock() -> None:
    event = Clocks().stamp(mono_id="").window(WINDOW)
    assert (event.mono_s, event.mono_id) == (None, "")


def test_the_machine_names_its_start() -> None:
    assert re.fullmatch("[0-9a-f]{12}", Stamp("k").window(WINDOW).mono_id)
