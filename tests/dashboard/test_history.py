import json
import sqlite3
from dataclasses import replace

import pytest

from dashboard.clocks import Anchor, Clocks, read_anchor
from dashboard.database import DatabaseError, open_database
from dashboard.history import DAY_S, MOST_ROWS, History, Row, locate
from edge.events import Event, EventError
from tests.dashboard.kits import clock_event, event, suppressed

NOW = 1_790_000_000.0


def row(seq: int, at: float, *, kit: str = "k1", **changes: object) -> Row:
    read = Event.from_json(json.dumps(event(kit, seq, at, **changes)))
    return locate(read, NOW)


@pytest.fixture
def history(database) -> History:
    return History(database)


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


def test_a_long_stretch_comes_whole_in_order_and_once(history):
    rows = [row(seq, NOW - 3600 * (60 - seq)) for seq in range(61)]
    history.add(rows)
    told = list(history.stretch("k1", NOW - 3600 * 60, NOW))
    assert told == [one.view() for one in rows]


def test_old_windows_are_forgotten(history):
    history.add([row(1, NOW - 86_400 * 31), row(2, NOW - 60)])
    assert history.forget(NOW - 86_400 * 30) == 1
    assert len(history.windows("k1", 0, NOW)) == 1


def test_nothing_is_forgotten_before_its_time_is_known(database):
    """A kit without any saved time says 1970 until its clock event comes; the clean-up comes every hour."""
    history, clocks = History(database), Clocks(database)
    own = {"time_quality": "unsynced", "replayed": True, "mono_s": 100.0, "mono_id": "m1"}
    history.add([row(1, 100.0, **own), row(2, 105.0, **own | {"mono_s": None}), row(3, NOW - 31 * DAY_S)])
    assert history.forget(NOW - 30 * DAY_S) == 1, "the third, whose kit knew the time"
    known = anchor(NOW, 160.0)
    assert known is not None
    assert clocks.keep(known) == 1
    assert [one["ends"] for one in history.windows("k1", NOW - 100, NOW)] == pytest.approx([NOW - 60])
    assert history.forget(NOW) == 1, "the first, placed and old by now"
    assert history.windows("k1", 0, NOW + 1), "the second has no steady clock; it came just now"
    assert history.forget(NOW + 1) == 1, "and is kept no longer than anything that came then"


def test_it_outlives_the_process(tmp_path):
    path = tmp_path / "history.sqlite3"
    first = open_database(path)
    History(first).add([row(1, NOW - 5)])
    first.close()
    second = open_database(path)
    assert len(History(second).windows("k1", 0, NOW)) == 1
    second.close()


def test_a_file_of_the_first_version_is_taken_over(tmp_path):
    path = tmp_path / "history.sqlite3"
    old = sqlite3.connect(path)
    old.executescript(
        "CREATE TABLE windows (id TEXT PRIMARY KEY, kit TEXT NOT NULL, boot_id TEXT NOT NULL,"
        " seq INTEGER NOT NULL, ends REAL NOT NULL, window_s REAL NOT NULL, mood TEXT, suppressed TEXT,"
        " confidence REAL NOT NULL, people INTEGER NOT NULL, shares TEXT NOT NULL,"
        " UNIQUE (kit, boot_id, seq)) WITHOUT ROWID; PRAGMA user_version = 1;"
    )
    old.execute(
        "INSERT INTO windows VALUES ('a','k1','b',1,?,5,'happy',NULL,0.8,6,'{\"happy\":1.0}')", (NOW,)
    )
    old.commit()
    old.close()
    new = open_database(path)
    assert [one["mood"] for one in History(new).windows("k1", 0, NOW)] == ["happy"]
    assert History(new).add([row(1, NOW)]) == 1
    new.close()


def test_a_file_of_the_version_before_gets_the_new_columns(tmp_path):
    path = tmp_path / "history.sqlite3"
    open_database(path).close()
    old = sqlite3.connect(path)
    old.execute("DROP INDEX windows_undated")
    for name in ("mono_s", "mono_id", "dated", "came"):
        old.execute(f"ALTER TABLE windows DROP COLUMN {name}")
    old.execute("INSERT INTO windows VALUES ('a','k1','b',1,?,5,'sad',NULL,0.8,6,'{\"sad\":1.0}')", (NOW,))
    old.execute("PRAGMA user_version = 2")
    old.commit()
    old.close()
    new = open_database(path)
    assert [one["mood"] for one in History(new).windows("k1", 0, NOW)] == ["sad"]
    assert History(new).add([unsynced(2, 100.0)]) == 1
    new.close()


def unsynced(seq: int, mono_s: float, *, kit: str = "k1", mono_id: str = "m1", **changes: object) -> Row:
    """A window of a kit that thinks it is last month."""
    own = {"time_quality": "unsynced", "mono_s": mono_s, "mono_id": mono_id}
    return row(seq, NOW - 30 * DAY_S + mono_s, kit=kit, replayed=True, **own, **changes)


def anchor(at: float, mono_s: float, **changes: object) -> Anchor | None:
    return read_anchor(Event.from_json(json.dumps(clock_event("k1", 99, at, mono_s, **changes))), NOW)


def test_windows_that_nobody_could_date_are_placed_once_the_kit_knows_the_time(database):
    history, clocks = History(database), Clocks(database)
    others = [unsynced(1, 100.0, kit="k2"), unsynced(3, 100.0, mono_id="m0"), row(4, NOW - 40)]
    history.add([unsynced(1, 100.0), unsynced(2, 105.0), *others])
    before = history.windows("k2", 0, NOW), history.windows("k1", 0, NOW)[:1]
    known = anchor(NOW, 160.0)
    assert known is not None
    assert clocks.keep(known) == 2
    assert clocks.keep(known) == 0, "the same news again changes nothing"
    placed = [one["ends"] for one in history.windows("k1", NOW - 100, NOW)]
    assert placed == pytest.approx([NOW - 60, NOW - 55, NOW - 40])
    assert (history.windows("k2", 0, NOW), history.windows("k1", 0, NOW)[:1]) == before


def test_what_is_known_of_a_clock_outlives_the_process_and_dates_what_comes_later(database):
    known = anchor(NOW, 160.0)
    assert known is not None
    Clocks(database).keep(known)
    later = unsynced(7, 150.0).event
    assert locate(later, NOW, Clocks(database).time_of(later)).ends == pytest.approx(NOW - 10)
    other = unsynced(7, 150.0, mono_id="m0").event
    assert Clocks(database).time_of(other) is None
    History(database).wipe("k1")
    assert Clocks(database).time_of(later) is None


def test_a_clock_that_is_not_to_be_trusted_places_nothing():
    assert anchor(NOW, 160.0, time_quality="unsynced") is None
    ahead = anchor(NOW + 3600, 160.0)
    assert ahead is not None
    assert ahead.ahead_s + 160.0 == pytest.approx(NOW), "nothing lies in the future"
    assert read_anchor(row(1, NOW).event, NOW) is None


def test_a_wiped_room_is_gone_from_the_disk_too_and_others_stay(tmp_path):
    path = tmp_path / "history.sqlite3"
    database = open_database(path)
    history = History(database)
    history.add([row(1, NOW), row(2, NOW, kit="k-secret-room")])
    history.wipe("k-secret-room")
    assert history.kits() == ["k1"]
    database.close()
    assert not [file for file in tmp_path.iterdir() if b"k-secret-room" in file.read_bytes()]


def test_a_file_that_is_no_database_is_told_in_one_line(tmp_path):
    path = tmp_path / "history.sqlite3"
    path.write_bytes(b"this is no database, but long enough to be mistaken for one" * 20)
    with pytest.raises(DatabaseError, match=r"history\.sqlite3: file is not a database"):
        open_database(path)


def test_a_file_of_a_newer_version_is_left_alone(tmp_path):
    path = tmp_path / "history.sqlite3"
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(DatabaseError, match="newer version"):
        open_database(path)


def test_a_folder_that_cannot_be_made_is_told_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseError, match="file"):
        open_database(tmp_path / "file" / "history.sqlite3")


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
