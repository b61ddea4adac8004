import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from dashboard.history import MOST_ROWS, History, HistoryError, Row, place
from edge.events import Event, EventError
from tests.dashboard.kits import event, suppressed

NOW = 1_790_000_000.0


def row(seq: int, at: float, *, kit: str = "k1", **changes: object) -> Row:
    read = Event.from_json(json.dumps(event(kit, seq, at, **changes)))
    return Row(read, place(read, NOW))


@pytest.fixture
def history(tmp_path: Path):
    kept = History(tmp_path / "deep" / "history.sqlite3")
    yield kept
    kept.close()


def test_windows_come_back_in_order_and_as_the_page_reads_them(history):
    rows = [row(2, NOW - 5), row(1, NOW - 10, **suppressed("nobody", 0))]
    assert history.add(rows) == 2
    assert history.windows("k1", NOW - 60, NOW) == [rows[1].view(), rows[0].view()]


def test_what_is_told_twice_is_kept_once(history):
    assert history.add([row(1, NOW - 5), row(1, NOW - 5)]) == 1
    assert history.add([row(1, NOW - 5)]) == 0
    same_place = row(1, NOW - 5)
    renamed = Row(
        Event.from_json(same_place.event.to_json().replace("k1-b1-1", "another-id")), same_place.ends
    )
    assert history.add([renamed]) == 0, (
        "a new id does not make a new window of the same place in the sequence"
    )
    assert len(history.windows("k1", 0, NOW)) == 1


def test_kits_and_boots_are_told_apart(history):
    assert history.add([row(1, NOW), row(1, NOW, kit="k2"), row(1, NOW, boot_id="b2")]) == 3
    assert len(history.windows("k1", 0, NOW)) == 2
    assert len(history.windows("k2", 0, NOW)) == 1


def test_only_the_time_asked_for_is_told(history):
    history.add([row(seq, NOW - 60 * seq) for seq in range(10)])
    assert len(history.windows("k1", NOW - 300, NOW)) == 6


def test_an_answer_is_bounded_and_keeps_the_newest(history):
    one = row(0, NOW).event
    history.add([Row(replace(one, id=str(seq), seq=seq), NOW - seq) for seq in range(MOST_ROWS + 50)])
    told = history.windows("k1", 0, NOW)
    assert len(told) == MOST_ROWS
    assert told[-1]["ends"] == NOW


def test_old_windows_are_forgotten(history):
    history.add([row(1, NOW - 86_400 * 31), row(2, NOW - 60)])
    assert history.forget(NOW - 86_400 * 30) == 1
    assert len(history.windows("k1", 0, NOW)) == 1


def test_it_outlives_the_process(tmp_path):
    path = tmp_path / "history.sqlite3"
    first = History(path)
    first.add([row(1, NOW - 5)])
    first.close()
    second = History(path)
    assert len(second.windows("k1", 0, NOW)) == 1
    second.close()


def test_a_file_that_is_no_database_is_told_in_one_line(tmp_path):
    path = tmp_path / "history.sqlite3"
    path.write_bytes(b"this is no database, but long enough to be mistaken for one" * 20)
    with pytest.raises(HistoryError, match=r"history\.sqlite3: file is not a database"):
        History(path)


def test_a_file_of_a_newer_version_is_left_alone(tmp_path):
    path = tmp_path / "history.sqlite3"
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(HistoryError, match="newer version"):
        History(path)


def test_a_folder_that_cannot_be_made_is_told_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HistoryError, match="file"):
        History(tmp_path / "file" / "history.sqlite3")


@pytest.mark.parametrize(
    ("at", "changes", "expected"),
    [
        (NOW - 100, {}, NOW - 100),
        (NOW + 100, {}, NOW),
        (NOW - 9e6, {"time_quality": "unsynced"}, NOW),
        (NOW - 100, {"time_quality": "unsynced", "replayed": True}, NOW - 100),
    ],
)
def test_an_event_is_placed_by_the_best_clock_there_is(at, changes, expected):
    assert row(1, at, **changes).ends == pytest.approx(expected, abs=0.01)


def test_a_session_is_no_window(history):
    table = event("k1", 1, NOW) | {"type": "suasana.session.v1"}
    table["data"] |= {"phase": "start", "reason": "boot"}
    with pytest.raises(EventError, match="only mood windows"):
        history.add([Row(Event.from_json(json.dumps(table)), NOW)])
