import csv
import io
import json
import zipfile
from dataclasses import replace
from datetime import datetime

import pytest

from dashboard.export import CODEBOOK, pack
from dashboard.history import History, Row
from dashboard.lessons import LONGEST_LESSON_S, Lesson, LessonError, Lessons, Plan, check_plan, due
from dashboard.summary import by_day, summarise
from edge.events import Event
from tests.dashboard.kits import event, suppressed

NOW = 1_790_000_000.0
PLAN = Plan("p1", "k1", "Pagi", (0, 1, 2, 3, 4), "07:30", "09:00")
MONDAY = datetime(2026, 3, 2, 8, 0).astimezone()


@pytest.fixture
def lessons(database) -> Lessons:
    return Lessons(database)


def at(hour: int, minute: int = 0, day: int = 2) -> float:
    return datetime(2026, 3, day, hour, minute).astimezone().timestamp()


# ── Lessons ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_lesson_begins_and_ends_by_hand_and_a_new_one_ends_the_old(lessons):
    first = lessons.begin("k1", "Menggambar", NOW)
    other = lessons.begin("k2", "", NOW)
    second = lessons.begin("k1", "Bernyanyi", NOW + 60)
    assert lessons.find(first.id).ends == NOW + 60
    assert lessons.running("k1") == second
    assert lessons.running("k2") == other
    lessons.end(second.id, NOW + 120)
    lessons.end(second.id, NOW + 999)
    assert lessons.find(second.id).ends == NOW + 120
    assert [one.id for one in lessons.between("k1", NOW, NOW + 200)] == [first.id, second.id]
    assert lessons.between("k1", NOW + 61, NOW + 100) == [replace(second, ends=NOW + 120)]


def test_research_sees_only_what_was_released_and_a_release_can_be_withdrawn(lessons):
    lesson = lessons.begin("k1", "", NOW)
    lessons.begin("k1", "", NOW + 60)
    lessons.consent(lesson.id, True)
    assert [one.id for one in lessons.between("k1", NOW, NOW + 99, consented=True)] == [lesson.id]
    assert lessons.consented_kits() == ["k1"]
    lessons.consent(lesson.id, False)
    assert lessons.between("k1", NOW, NOW + 99, consented=True) == []


def test_plans_begin_and_end_lessons(lessons, database):
    lessons.keep_plans([PLAN])
    assert lessons.tend(at(7, 29)) == set()
    assert lessons.tend(at(7, 31)) == {"k1"}
    assert lessons.tend(at(7, 32)) == set()
    again = Lessons(database)
    assert again.plans == (PLAN,)
    assert (again.running("k1").title, again.running("k1").starts) == ("Pagi", at(7, 30))
    assert again.tend(at(9, 0)) == {"k1"}
    (lesson,) = again.between("k1", 0, at(23))
    assert lesson.ends == at(9)


def test_a_planned_lesson_that_was_ended_by_hand_stays_ended_that_day(lessons):
    lessons.keep_plans([PLAN])
    lessons.tend(at(7, 31))
    lessons.end(lessons.running("k1").id, at(8))
    assert lessons.tend(at(8, 1)) == set()
    assert lessons.tend(at(8, 1, day=3)) == {"k1"}


def test_a_lesson_by_hand_is_left_alone_by_plans_but_not_for_ever(lessons):
    lessons.keep_plans([PLAN])
    mine = lessons.begin("k1", "Mine", at(7))
    assert lessons.tend(at(8)) == set()
    assert lessons.running("k1") == mine
    assert lessons.tend(at(7) + LONGEST_LESSON_S) == {"k1"}


def test_a_server_that_slept_through_the_end_ends_the_lesson_where_it_belonged(lessons):
    lessons.keep_plans([PLAN])
    lessons.tend(at(8))
    lessons.tend(at(15, day=3))
    assert [one.ends for one in lessons.between("k1", 0, at(23, day=9))] == [at(9)]


def test_plans_are_due_on_their_days_until_their_end():
    assert [id for _, id, _, _ in due([PLAN], MONDAY)] == ["p1-20260302"]
    assert due([PLAN], MONDAY.replace(hour=9)) == []
    assert due([PLAN], MONDAY.replace(day=1)) == []


@pytest.mark.parametrize(
    "change",
    [
        {"days": []},
        {"days": [7]},
        {"days": [True]},
        {"days": "12"},
        {"starts": "9:00"},
        {"starts": "25:00"},
        {"ends": "07:30"},
        {"kit": "K 1"},
        {"title": "x" * 81},
        {"title": None},
    ],
)
def test_plans_that_cannot_be_are_refused(change):
    table = {"kit": "k1", "title": "", "days": [0], "starts": "07:30", "ends": "09:00"}
    check_plan(table)
    with pytest.raises(LessonError):
        check_plan(table | change)


def test_notes_lie_on_the_time_line_and_can_be_taken_away(lessons):
    lessons.note("k1", NOW, "Ani", " Hujan ")
    lessons.note("k1", NOW - 60, "Ani", "Mulai")
    lessons.note("k2", NOW, "Ani", "elsewhere")
    told = lessons.notes("k1", NOW - 99, NOW)
    assert [(one["at"], one["text"]) for one in told] == [(NOW - 60, "Mulai"), (NOW, "Hujan")]
    lessons.forget_note("k2", told[0]["id"])
    lessons.forget_note("k1", told[1]["id"])
    assert [one["text"] for one in lessons.notes("k1", 0, NOW)] == ["Mulai"]
    for text in ("", "  ", "x" * 501, 3, None):
        with pytest.raises(LessonError):
            lessons.note("k1", NOW, "Ani", text)


def test_that_was_wrong_is_a_count_and_nothing_else(lessons, database):
    for _ in range(3):
        lessons.wrong("k1", "face@1", "happy", "neutral")
    lessons.wrong("k1", "face@1", "happy", "sad")
    assert [(one["meant"], one["times"]) for one in lessons.counts("k1")] == [("neutral", 3), ("sad", 1)]
    rows = database.ask("SELECT * FROM feedback ORDER BY times DESC")
    assert rows[0] == ("k1", "face@1", "happy", "neutral", 3)
    for shown, meant in (("happy", "happy"), ("happy", "Ani"), (None, "sad"), (["happy"], "sad")):
        with pytest.raises((LessonError, TypeError)):
            lessons.wrong("k1", "face@1", shown, meant)


def test_what_is_older_than_the_retention_goes_and_counts_stay(lessons, database):
    lessons.begin("k1", "old", NOW - 100)
    lessons.note("k1", NOW - 100, "Ani", "old")
    lessons.wrong("k1", "face@1", "happy", "sad")
    History(database).forget(NOW)
    assert lessons.between("k1", 0, NOW) == []
    assert lessons.notes("k1", 0, NOW) == []
    assert lessons.counts("k1") != []


# ── Summaries and exports ────────────────────────────────────────────────────────────────────────────


def window(ends: float, **changes: object) -> dict:
    return Row(Event.from_json(json.dumps(event("k1", 1, ends, **changes))), ends).view()


def test_a_summary_counts_what_was_not_read():
    windows = [
        window(NOW, shares={"happy": 0.5, "sad": 0.5}),
        window(NOW + 5, shares={"happy": 1.0}),
        window(NOW + 10, **suppressed("nobody", 0)),
    ]
    told = summarise(windows, span_s=20)
    assert told["shares"] == pytest.approx({"happy": 0.75, "sad": 0.25})
    assert (told["mood"], told["read"], told["windows"]) == ("happy", 0.5, 3)
    assert told["unread"] == pytest.approx({"nobody": 0.25, "gap": 0.25})


def test_nothing_sums_up_to_nothing():
    assert summarise([], 60) | {"windows": 0} == {
        "windows": 0,
        "read": 0.0,
        "shares": {},
        "mood": None,
        "people": 0.0,
        "confidence": 0.0,
        "unread": {"gap": 1.0},
    }
    assert summarise([])["unread"] == {}


def test_days_are_those_of_the_place():
    told = by_day([window(at(8)), window(at(9)), window(at(8, day=3))])
    assert [(one["day"], one["windows"]) for one in told] == [("2026-03-02", 2), ("2026-03-03", 1)]


def test_the_export_is_what_its_codebook_says_and_no_formula():
    lesson = Lesson("l1", "k1", '=HYPERLINK("x")', NOW, NOW + 60, "hand", consent=True)
    notes = [{"at": NOW, "text": "+1 anak, „baru“"}]
    packed = pack("k1", [window(NOW + 10), window(NOW + 99, **suppressed("nobody", 0))], [lesson], notes)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        tables = {
            name.removesuffix(".csv"): list(csv.reader(io.StringIO(archive.read(name).decode("utf-8-sig"))))
            for name in archive.namelist()
        }
    assert set(tables) == {"windows", "lessons", "codebook", "notes"}
    for name in ("windows", "lessons", "notes"):
        assert tables[name][0] == [column for file, column, *_ in CODEBOOK if file == name]
    first, second = (dict(zip(tables["windows"][0], row, strict=True)) for row in tables["windows"][1:])
    assert (first["share_happy"], first["mood"], first["lesson"]) == ("0.5500", "happy", "l1")
    assert (second["suppressed"], second["share_happy"], second["lesson"]) == ("nobody", "", "")
    assert tables["lessons"][1][1].startswith("'=")
    assert tables["notes"][1][1] == "'+1 anak, „baru“"
    with zipfile.ZipFile(io.BytesIO(pack("k1", [], [], None))) as archive:
        assert "notes.csv" not in archive.namelist()
