"""The district's history on a real PostgreSQL: days, retention, what is written twice, what goes aside."""

import json
import threading
from contextlib import closing
from datetime import date

import psycopg
import pytest

from dashboard.database import DatabaseError
from dashboard.district.sorting import UNDATED, Message, sort
from dashboard.district.store import VIEW, Store, Written
from tests.district.conftest import DAY_S, NOW, as_role, message, other, rows

COUNT = "SELECT count(*), count(DISTINCT (kit, boot_id, seq)) FROM suasana.windows"


@pytest.fixture
def store(url):
    with closing(Store(as_role(url, "suasana_ingest"), clock=lambda: NOW)) as store:
        store.connect()
        yield store


def write(store, *messages, now=NOW) -> Written:
    return store.write(sort(messages, now, keep_days=30))


def test_the_same_events_again_change_nothing(store, url):
    told = [message(f"a--k{kit}", seq, NOW - 60 + seq) for kit in range(3) for seq in range(10)]
    assert write(store, *told) == Written(stored=30)
    late = [
        Message(one.tag, one.topic, one.body.replace(b'"replayed": false', b'"replayed": true'))
        for one in told
    ]
    assert write(store, *late, *late[:5], now=NOW + 3 * DAY_S) == Written(known=35)
    assert rows(url, COUNT) == [(30, 30)]


def test_an_undated_event_stays_one_on_whatever_day_it_is_told(store, url):
    """Its place in time is its arrival, which is another one each time; its partition must not be."""
    told = message("a--k1", 0, 1000.0, time_quality="unsynced")
    assert write(store, told).stored == 1
    assert write(store, told, now=NOW + 2 * DAY_S) == Written(known=1)
    assert rows(url, "SELECT day, ends FROM suasana.windows") == [(UNDATED, NOW)]


def test_a_clock_places_what_was_undated_whichever_comes_first(store, url):
    steady = {"mono_id": "m1", "time_quality": "unsynced"}
    before = message("a--k1", 0, 1000.0, **steady)
    table = json.loads(before.body)
    table["data"] |= {"mono_s": 50.0, "mono_id": "m1"}
    before = Message(1, before.topic, json.dumps(table).encode())
    table["data"]["seq"] = 5
    table["data"]["mono_s"] = 70.0
    after = Message(2, before.topic, json.dumps(table).encode())
    clock = other(
        "a--k1",
        1,
        NOW - 10,
        "suasana.clock.v1",
        {"reason": "synced", "step_s": 0.0},
        mono_s=100.0,
        mono_id="m1",
    )
    write(store, before)
    assert rows(url, "SELECT dated FROM suasana.windows") == [(0,)]
    write(store, clock)
    write(store, after)
    placed = rows(url, "SELECT seq, ends, dated FROM suasana.windows ORDER BY seq")
    assert placed == [(0, NOW - 60, 1), (5, NOW - 40, 1)]


def test_two_ingesters_that_write_the_same_neither_double_nor_deadlock(url):
    told = [message(f"a--k{kit}", seq, NOW - seq) for kit in range(20) for seq in range(20)]
    written = []

    def work(order):
        with closing(Store(as_role(url, "suasana_ingest"), clock=lambda: NOW)) as store:
            store.connect()
            written.extend(write(store, *order[start : start + 100]) for start in range(0, len(told), 100))

    threads = [
        threading.Thread(target=work, args=(order,)) for order in (told, told[::-1], told[::2] + told[1::2])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = sum(written, Written())
    assert (total.stored, total.known) == (400, 800)
    assert rows(url, COUNT) == [(400, 400)]


def test_days_are_made_when_events_need_them_and_dropped_when_they_are_old(store, url):
    def days():
        found = rows(url, "SELECT relname FROM pg_class WHERE relname ~ '^windows_2[0-9]{7}$' ORDER BY 1")
        return [name.removeprefix("windows_") for (name,) in found]

    ahead = days()
    write(store, *(message("a--k1", seq, NOW - 20 * DAY_S + seq * DAY_S) for seq in range(15)))
    assert len(days()) == len(ahead) + 15
    assert store.tend(10.5) == 2 * 10, "windows and happenings of ten days"
    assert rows(url, "SELECT count(*), min(ends) FROM suasana.windows") == [(5, NOW - 10 * DAY_S)]
    assert store.tend(10.5) == 0


def test_what_is_older_than_anything_kept_is_counted_and_not_stored(store, url):
    assert write(store, message("a--k1", 0, NOW - 31 * DAY_S)) == Written(expired=1)
    assert rows(url, COUNT) == [(0, 0)]


def test_retention_takes_undated_windows_too(store, url):
    write(store, message("a--k1", 0, 1000.0, time_quality="unsynced"), now=NOW - 40 * DAY_S)
    write(store, message("a--k1", 1, 1005.0, time_quality="unsynced"))
    store.tend(30)
    assert rows(url, "SELECT seq FROM suasana.windows") == [(1,)]


def test_nothing_is_dropped_before_its_time_is_known(store, url):
    """What waited in the outbox of a kit without any saved time says 1970."""
    late = {"time_quality": "unsynced", "replayed": True}
    write(store, message("a--k1", 0, 1000.0, **late), now=NOW - 40 * DAY_S)
    write(store, message("a--k1", 1, 1005.0, **late))
    session = {"phase": "start", "reason": "boot"}
    write(store, other("a--k1", 2, 1005.0, "suasana.session.v1", session, **late))
    assert rows(url, "SELECT DISTINCT ends < 2000 FROM suasana.windows") == [(True,)]
    store.tend(30)
    assert rows(url, "SELECT seq FROM suasana.windows") == [(1,)]
    assert rows(url, "SELECT seq, at FROM suasana.happenings") == [(2, NOW)]


def test_setting_up_again_completes_what_an_older_version_made(url):
    with closing(Store(url, clock=lambda: NOW)) as owner:
        owner.connect()
        owner.add_site("a", None)
        with psycopg.connect(url) as old:
            old.execute("DROP VIEW site_a.windows")
            old.execute("ALTER TABLE suasana.windows DROP COLUMN came")
            columns = VIEW.partition("SELECT ")[2].replace(", came", "")
            old.execute(f"CREATE VIEW site_a.windows AS SELECT {columns}")
        owner.set_up()
    assert rows(url, "SELECT came FROM site_a.windows") == []


@pytest.mark.parametrize(
    ("topic", "body", "reason"),
    [
        ("suasana/a--k1/event", b"{", "payload is not JSON"),
        ("suasana/a--k1/event", b"\xff\xfe", "payload is not JSON"),
        ("suasana/a--k1/event", b"[" * 60_000, "payload is not JSON"),
        ("suasana/a--k1/event", b"x" * 70_000, "longer than"),
        ("suasana/a--k1/state", b"{}", "not an event's topic"),
        ("elsewhere/x", b"{}", "not a topic of a kit"),
        ("suasana/b--k1/event", None, "an event of 'a--k1' on the topic of 'b--k1'"),
    ],
)
def test_poison_goes_aside_and_the_rest_is_stored(store, url, topic, body, reason):
    good = [message("a--k1", seq, NOW) for seq in range(2)]
    bad = Message(9, topic, message("a--k1", 9, NOW).body if body is None else body)
    assert write(store, good[0], bad, good[1]) == Written(stored=2, refused=1)
    assert write(store, bad) == Written(refused=1)
    ((found, kept, size, times),) = rows(url, "SELECT reason, body, bytes, times FROM suasana.refused")
    assert reason in found
    assert (bytes(kept), size, times) == (bad.body[:4096], len(bad.body), 2)


@pytest.mark.parametrize("text", ["\0", "\ud800"])
def test_characters_that_no_database_takes_go_aside(store, url, text):
    table = json.loads(message("a--k1", 0, NOW).body)
    table["data"]["boot_id"] = f"b{text}"
    bad = Message(1, "suasana/a--k1/event", json.dumps(table).encode())
    assert write(store, bad, message("a--k1", 1, NOW)) == Written(stored=1, refused=1)


def test_a_row_that_only_the_database_refuses_goes_aside_by_itself(store, url):
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("ALTER TABLE suasana.windows ADD CONSTRAINT odd CHECK (people <> 13)")
    told = [message("a--k1", seq, NOW, people=13 if seq == 3 else 8) for seq in range(6)]
    assert write(store, *told) == Written(stored=5, refused=1)
    assert "odd" in rows(url, "SELECT reason FROM suasana.refused")[0][0]


def test_every_number_of_a_boot_is_kept_windows_or_not(store, url):
    session = other(
        "a--k1", 0, NOW, "suasana.session.v1", {"phase": "start", "reason": "boot", "previous": None}
    )
    write(store, session, message("a--k1", 1, NOW))
    both = "SELECT seq FROM suasana.windows UNION ALL SELECT seq FROM suasana.happenings ORDER BY 1"
    assert rows(url, both) == [(0,), (1,)]
    assert rows(url, "SELECT type FROM suasana.happenings") == [("suasana.session.v1",)]


def test_a_database_that_is_away_is_told_in_one_line_and_comes_back(url, server):
    store = Store("postgresql://suasana_ingest@127.0.0.1:1/postgres", clock=lambda: NOW)
    with pytest.raises(DatabaseError, match=r"^PostgreSQL: [^\n]+$"):
        store.connect()
    with closing(Store(as_role(url, "suasana_ingest"), clock=lambda: NOW)) as again:
        again.connect()
        rows(
            server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'suasana_ingest'"
        )
        with pytest.raises(DatabaseError):
            write(again, message("a--k1", 0, NOW))
        again.connect()
        assert write(again, message("a--k1", 0, NOW)).stored == 1


def test_the_day_is_the_events_own():
    batch = sort([message("a--k1", 0, NOW)], NOW, 30)
    assert batch.days == {date(2026, 5, 28)}
    assert sort([message("a--k1", 0, NOW + 2 * DAY_S)], NOW, 30).days == {UNDATED}, "a kit from the future"


def test_a_day_that_somebody_else_dropped_is_made_again(store, url):
    write(store, message("a--k1", 0, NOW - 5 * DAY_S))
    rows(url, "SELECT suasana.drop_days('2026-05-27')")
    assert write(store, message("a--k1", 1, NOW - 5 * DAY_S)) == Written(stored=1)
