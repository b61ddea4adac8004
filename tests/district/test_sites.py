"""A site sees its own: at the database by its role, at the broker by its user."""

import base64
import hashlib
import json
import re
from contextlib import closing
from dataclasses import replace

import psycopg
import pytest

from dashboard.clocks import Anchor, Clocks
from dashboard.database import open_database
from dashboard.district.sites import SiteError, check_kit, check_site, definitions, hash_password, site_of
from dashboard.district.sorting import sort
from dashboard.district.store import Store
from dashboard.history import History, Row
from edge.events import Event
from tests.district.conftest import NOW, as_role, message, rows


@pytest.fixture
def two_sites(url):
    """Sites a and a-b, a room each; the address of the database."""
    with closing(Store(url, clock=lambda: NOW)) as store:
        store.connect()
        for site in ("a", "a-b"):
            store.add_site(site, None)
            store.add_site(site, "again")
        told = [message(f"{site}--k1", seq, NOW - seq) for site in ("a", "a-b") for seq in range(3)]
        store.write(sort(told, NOW, 30))
    return url


def test_the_page_of_a_site_reads_its_own_windows_and_no_others(two_sites):
    database = open_database(as_role(two_sites, "site_a"))
    with closing(database):
        assert database.shared
        history = History(database)
        assert history.kits() == ["a--k1"]
        assert [row["ends"] for row in history.windows("a--k1", 0, NOW)] == [NOW - 2, NOW - 1, NOW]
        assert history.windows("a-b--k1", 0, NOW) == []
        assert database.ask("SELECT DISTINCT kit FROM suasana.windows") == [("a--k1",)]


def test_the_page_cannot_delete_change_or_add_what_is_anothers(two_sites):
    database = open_database(as_role(two_sites, "site_a"))
    with closing(database):
        history = History(database)
        history.wipe("a-b--k1")
        assert history.forget(NOW + 1) == 3, "its own three only"
        assert history.add([Row(Event.from_json(message("a--k1", 9, NOW).body), NOW)]) == 0
    assert rows(two_sites, "SELECT DISTINCT kit FROM suasana.windows") == [("a-b--k1",)]


FORBIDDEN = (
    "INSERT INTO suasana.kits (kit, site) VALUES ('a--x', 'a')",
    "UPDATE suasana.windows SET people = 0",
    "SELECT * FROM suasana.refused",
    "SELECT suasana.drop_days(current_date)",
    'SELECT * FROM "site_a-b".windows',
    'SELECT * FROM "site_a-b".accounts',
    "SELECT * FROM suasana.windows_undated",
    'SET ROLE "site_a-b"',
    "ALTER TABLE suasana.windows DISABLE ROW LEVEL SECURITY",
)


def test_what_a_site_may_not(two_sites):
    for site in ("site_a", "site_a-b"):
        open_database(as_role(two_sites, site)).close()
    with psycopg.connect(as_role(two_sites, "site_a"), autocommit=True) as db:
        for sql in FORBIDDEN:
            with pytest.raises(psycopg.Error, match=r"permission denied|must be owner"):
                db.execute(sql)


def test_what_is_the_pages_own_is_apart_too(two_sites):
    for site in ("site_a", "site_a-b"):
        with closing(open_database(as_role(two_sites, site))) as database:
            database.change("INSERT INTO choices VALUES (?, ?)", [("name", site)])
            assert database.ask("SELECT value FROM choices") == [(site,)]


def test_the_first_two_hyphens_end_a_sites_name():
    assert site_of("sdn-3--kelas-1a") == "sdn-3"
    assert site_of("a--b--c") == "a"
    assert site_of("kelas-1a") == ""


@pytest.mark.parametrize("site", ["", "a--b", "-a", "a-", "A", "a_b", "x" * 41, "a.b"])
def test_a_name_that_no_site_can_have(site):
    with pytest.raises(SiteError):
        check_site(site)


@pytest.mark.parametrize("kit", ["kelas-1a", "a--B", "--a", "a_b--c"])
def test_a_name_that_no_kit_of_a_site_can_have(kit):
    with pytest.raises(SiteError):
        check_kit(kit)


def test_what_the_broker_is_told_lets_each_of_them_do_its_own_only():
    hashed = hash_password("secret", b"salt")
    assert base64.b64decode(hashed) == b"salt" + hashlib.sha256(b"saltsecret").digest()
    made = definitions({"a--k1": hashed}, {"a": hashed})
    topics = {entry["user"]: entry for entry in made["topic_permissions"]}
    kit, page = topics["a--k1"], topics["page_a"]

    def may(entry, deed, topic):
        return bool(re.search(entry[deed], topic))

    assert may(kit, "write", "suasana.a--k1.event")
    assert may(kit, "read", "suasana.a--k1.set.*")
    assert not may(kit, "write", "suasana.a--k12.event")
    assert not may(kit, "read", "suasana.*.event")
    assert may(page, "read", "suasana.a--k7.#")
    assert not may(page, "read", "suasana.*.state")
    assert not may(page, "read", "suasana.#")
    assert not may(page, "read", "suasana.a-b--k1.state")
    assert may(page, "write", "suasana.a--k1.set.capture")
    assert not may(page, "write", "suasana.a--k1.state")
    assert not may(page, "write", "suasana.a-b--k1.set.capture")


def test_a_page_places_its_own_undated_windows_and_finds_them(two_sites):
    told = []
    for site in ("a", "a-b"):
        one = message(f"{site}--k1", 7, 1000.0, time_quality="unsynced")
        table = json.loads(one.body)
        table["data"] |= {"mono_s": 50.0, "mono_id": "m1"}
        told.append(replace(one, body=json.dumps(table).encode()))
    with closing(Store(two_sites, clock=lambda: NOW)) as store:
        store.connect()
        store.write(sort(told, NOW, 30))
    with closing(open_database(as_role(two_sites, "site_a"))) as database:
        clocks = Clocks(database)
        assert clocks.keep(Anchor("a--k1", "m1", NOW - 150, NOW)) == 1
        assert clocks.keep(Anchor("a-b--k1", "m1", NOW - 150, NOW)) == 0, "another site's"
        assert [row["ends"] for row in History(database).windows("a--k1", NOW - 101, NOW - 99)] == [NOW - 100]
        assert len(History(database).windows("a--k1", 0, 1e12)) == 4
    assert rows(two_sites, "SELECT site, dated FROM suasana.windows WHERE seq = 7 ORDER BY 1") == [
        ("a", 1),
        ("a-b", 0),
    ]
