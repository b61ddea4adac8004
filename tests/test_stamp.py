from edge.events import MoodWindow
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
