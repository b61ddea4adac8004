from dataclasses import replace

import pytest
from argon2 import PasswordHasher

from dashboard.attempts import PER_NAME, PER_SENDER, Attempts
from dashboard.choices import ChoiceError, Choices, Desk, check_choices
from dashboard.database import DatabaseError
from dashboard.people import (
    RIGHTS,
    SESSION_S,
    Account,
    Passwords,
    People,
    PeopleError,
    check_account,
    check_password,
)

NOW = 1_790_000_000.0
QUICK = Passwords(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
ANI = Account("Bu Ani", "teacher", ("k1",))
BUDI = Account("Budi", "admin", ())


@pytest.fixture
def people(database) -> People:
    return People(database)


def test_accounts_outlive_the_process_and_are_found_however_written(people, database):
    people.add([(ANI, "hash of Ani"), (BUDI, "hash of Budi")], NOW)
    again = People(database)
    assert again.accounts == {"Bu Ani": replace(ANI, made_at=NOW), "Budi": replace(BUDI, made_at=NOW)}
    assert again.find("bu ani").sees("k1")
    assert not again.find("bu ani").sees("k2")
    assert again.hash_of("Budi") == "hash of Budi"


def test_a_name_is_taken_once_and_the_first_accounts_are_made_once(people):
    people.add([(ANI, "x")], NOW)
    with pytest.raises(PeopleError, match="name_taken"):
        people.add([(replace(ANI, name="BU ANI"), "x")], NOW)
    with pytest.raises(PeopleError, match="name_taken"):
        people.add([(BUDI, "x"), (replace(BUDI, name="budi"), "x")], NOW)
    with pytest.raises(PeopleError, match="set_up"):
        people.add([(BUDI, "x")], NOW, first=True)
    assert list(people.accounts) == ["Bu Ani"]


def test_the_last_admin_stays_and_others_go_with_their_sessions(people, database):
    people.add([(ANI, "x"), (BUDI, "x")], NOW)
    token, session = people.begin(people.accounts["Bu Ani"], NOW)
    with pytest.raises(PeopleError, match="last_admin"):
        people.remove("Budi")
    assert people.remove("Bu Ani") == [session.digest]
    assert people.session(token, NOW) is None
    assert People(database).session(token, NOW) is None


def test_a_session_lasts_a_school_day_and_its_token_is_kept_nowhere(people, database):
    people.add([(ANI, "x")], NOW)
    token, session = people.begin(people.accounts["Bu Ani"], NOW)
    again = People(database)
    assert again.session(token, NOW + SESSION_S).account.name == "Bu Ani"
    assert again.session(token, NOW + SESSION_S + 1) is None
    assert again.session(token + "x", NOW) is None
    assert again.session(None, NOW) is None
    assert all(token not in str(row) for row in database.ask("SELECT * FROM sessions"))
    again.end(session.digest)
    assert People(database).session(token, NOW) is None


def test_the_audit_log_only_grows(people, database):
    for number in range(3):
        people.note(NOW + number, "Bu Ani", "teacher", "exported", "k1", f"{number} windows")
    assert [line["seq"] for line in people.log()] == [3, 2, 1]
    assert [line["about"] for line in people.log(before=3, most=1)] == ["1 windows"]
    for sql in ("UPDATE audit SET account = 'nobody'", "DELETE FROM audit"):
        with pytest.raises(DatabaseError, match="the audit log only grows"):
            database.change(sql)
    assert len(people.log()) == 3


@pytest.mark.parametrize(
    ("name", "password", "trouble"),
    [
        ("Bu Ani", "short", "password_length"),
        ("Bu Ani", "x" * 201, "password_length"),
        ("Bu Ani", "Password123", "password_common"),
        ("Bu Ani", "aaaaaaaaaaaa", "password_common"),
        ("Bu Ani", "bu ani 2026", "password_common"),
    ],
)
def test_passwords_that_are_guessed_first_are_refused(name, password, trouble):
    with pytest.raises(PeopleError, match=trouble):
        check_password(name, password)


def test_a_password_of_a_few_words_will_do():
    check_password("Bu Ani", "payung biru di sawah")


@pytest.mark.parametrize(
    ("name", "role"), [("", "teacher"), ("<b>", "teacher"), ("x" * 41, "teacher"), ("Ani", "demo")]
)
def test_nobody_is_called_so(name, role):
    with pytest.raises(PeopleError):
        check_account(name, role, ())


def test_passwords_are_told_apart_and_nobody_has_none():
    hash = QUICK.hash("payung biru di sawah")
    assert hash.startswith("$argon2id$")
    assert QUICK.fits(hash, "payung biru di sawah")
    assert not QUICK.fits(hash, "payung hijau di sawah")
    assert not QUICK.fits(None, "payung biru di sawah")
    assert not QUICK.fits("damaged", "payung biru di sawah")
    assert Passwords().is_old(hash), "weaker than today's parameters"


def test_roles_see_what_they_should():
    assert not {"live", "past", "export", "notes"} & RIGHTS["admin"]
    assert RIGHTS["researcher"] == {"past", "export"}
    assert not {"people", "settings"} & RIGHTS["teacher"]


# ── Attempts ─────────────────────────────────────────────────────────────────────────────────────────


def test_who_fails_too_often_waits_and_others_do_not():
    attempts = Attempts()
    for _ in range(PER_NAME.burst):
        assert attempts.wait_s("10.0.0.9", "Ani", NOW) == 0
        attempts.fail("10.0.0.9", "ANI", NOW)
    assert attempts.wait_s("10.0.0.9", "ani", NOW) == PER_NAME.refill_s
    assert attempts.wait_s("10.0.0.7", "ani", NOW) == 0, "a stranger cannot shut a teacher out"
    assert attempts.wait_s("10.0.0.9", "ani", NOW + PER_NAME.refill_s) == 0
    attempts.forgive("10.0.0.9", "Ani")
    assert attempts.wait_s("10.0.0.9", "Ani", NOW) == 0


def test_trying_many_names_is_no_way_round():
    attempts = Attempts()
    for number in range(PER_SENDER.burst):
        attempts.fail("10.0.0.9", f"name-{number}", NOW)
    assert attempts.wait_s("10.0.0.9", "another", NOW) > 0


def test_a_flood_of_senders_is_bounded():
    attempts = Attempts()
    for number in range(11_000):
        attempts.fail(str(number), "x", NOW)
    assert len(attempts._buckets) <= 10_000


# ── Choices ──────────────────────────────────────────────────────────────────────────────────────────


def test_choices_outlive_the_process(database):
    desk = Desk(database, Choices(retention_days=14))
    assert desk.now.retention_days == 14
    desk.set(check_choices({"language": "en", "rooms": {"k1": " Mawar ", "k2": ""}}, desk.now))
    again = Desk(database, Choices())
    assert again.now == Choices(language="en", rooms={"k1": "Mawar"}, retention_days=14)


@pytest.mark.parametrize(
    "table",
    [
        {"language": "fr"},
        {"notice": 3},
        {"notice": "x" * 4001},
        {"rooms": []},
        {"rooms": {"K 1": "x"}},
        {"rooms": {"k1": 1}},
        {"retention_days": 0},
        {"retention_days": True},
        {"retention_days": float("nan")},
        {"consent": "yes"},
    ],
)
def test_choices_that_cannot_be_are_refused(table):
    with pytest.raises(ChoiceError):
        check_choices(table, Choices())
