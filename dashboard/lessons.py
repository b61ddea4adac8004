"""Lessons, begun and ended by hand or by plan; the teacher's notes; and counts of "that was wrong"."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from dashboard.database import Database
from edge.events import KIT_NAME
from edge.words import LABELS, UNCERTAIN

HAND = "hand"
LONGEST_TITLE = 80
LONGEST_NOTE = 500
LONGEST_LESSON_S = 12 * 3600.0
"""A lesson that nobody ended ends by itself after so long."""
MOST_PLANS = 200
MOST_TOLD = 500
TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


class LessonError(ValueError):
    """No such lesson, plan or note can be; the message is a key of the page's texts."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Lessons that begin and end by themselves, every week."""

    id: str
    kit: str
    title: str
    days: tuple[int, ...]
    """0 is Monday."""
    starts: str
    """``07:30``, by the clock of the server's own place."""
    ends: str


@dataclass(frozen=True, slots=True)
class Lesson:
    """A stretch of time in one room."""

    id: str
    kit: str
    title: str
    starts: float
    """Seconds since 1970, as ``ends``."""
    ends: float | None
    origin: str
    """``hand``, or the id of its plan."""
    consent: bool
    """May be used for research."""


def check_plan(table: Mapping[str, Any]) -> Plan:
    """A plan from what somebody typed.

    Raises:
        LessonError: something in it cannot be.
    """
    days = table.get("days")
    if not isinstance(days, Sequence) or isinstance(days, str) or not days:
        raise LessonError("days")
    if any(type(day) is not int or not 0 <= day <= 6 for day in days):
        raise LessonError("days")
    starts, ends = str(table.get("starts")), str(table.get("ends"))
    if not TIME_OF_DAY.fullmatch(starts) or not TIME_OF_DAY.fullmatch(ends) or starts >= ends:
        raise LessonError("times")
    kit = str(table.get("kit"))
    if not KIT_NAME.fullmatch(kit):
        raise LessonError("kit")
    id = str(table.get("id") or "") or secrets.token_hex(6)
    return Plan(id[:40], kit, check_title(table.get("title")), tuple(sorted(set(days))), starts, ends)


def check_title(title: object) -> str:
    """What a lesson may be called.

    Raises:
        LessonError: too long, or no text.
    """
    if not isinstance(title, str) or len(title) > LONGEST_TITLE:
        raise LessonError("title")
    return " ".join(title.split())


def due(plans: Iterable[Plan], local: datetime) -> list[tuple[Plan, str, datetime, datetime]]:
    """The plans that should be going on at *local* time: the plan, its lesson's id, beginning and end."""
    found = []
    for plan in plans:
        starts, ends = (
            local.replace(hour=int(text[:2]), minute=int(text[3:]), second=0, microsecond=0)
            for text in (plan.starts, plan.ends)
        )
        if local.weekday() in plan.days and starts <= local < ends:
            found.append((plan, f"{plan.id}-{local:%Y%m%d}", starts, ends))
    return found


class Lessons:
    """Lessons, plans, notes and counts in a database. Every method may raise DatabaseError."""

    def __init__(self, database: Database) -> None:
        """Use *database*, which somebody else closes."""
        self._db = database
        found = database.ask("SELECT value FROM choices WHERE name = 'plans'")
        tables = json.loads(found[0][0]) if found else []
        self.plans: tuple[Plan, ...] = tuple(Plan(**{**one, "days": tuple(one["days"])}) for one in tables)

    # ── Lessons ──────────────────────────────────────────────────────────────────────────────────────

    def begin(self, kit: str, title: str, now: float) -> Lesson:
        """Begin a lesson by hand; the one that goes on in that room ends."""
        self._end_running(kit, now)
        lesson = Lesson(secrets.token_hex(8), kit, title, now, None, HAND, consent=False)
        self._insert(lesson)
        return lesson

    def end(self, id: str, now: float) -> None:
        """End a lesson that goes on."""
        self._db.change("UPDATE lessons SET ends = ? WHERE id = ? AND ends IS NULL", [(now, id)])

    def rename(self, id: str, title: str) -> None:
        """Call a lesson something else."""
        self._db.change("UPDATE lessons SET title = ? WHERE id = ?", [(title, id)])

    def consent(self, id: str, given: bool) -> None:
        """Mark a lesson as one that research may use, or no longer."""
        self._db.change("UPDATE lessons SET consent = ? WHERE id = ?", [(int(given), id)])

    def find(self, id: str) -> Lesson | None:
        """The lesson of that id."""
        found = self._select("WHERE id = ?", (id,))
        return found[0] if found else None

    def running(self, kit: str) -> Lesson | None:
        """The lesson that goes on in a room."""
        found = self._select("WHERE kit = ? AND ends IS NULL ORDER BY starts DESC", (kit,))
        return found[0] if found else None

    def between(self, kit: str, since: float, until: float, *, consented: bool = False) -> list[Lesson]:
        """Lessons that touch the time from *since* to *until*, oldest first."""
        only = " AND consent = 1" if consented else ""
        touching = f"WHERE kit = ? AND starts <= ? AND (ends IS NULL OR ends >= ?){only}"
        found = self._select(f"{touching} ORDER BY starts DESC LIMIT {MOST_TOLD}", (kit, until, since))
        return found[::-1]

    def consented_kits(self) -> list[str]:
        """Rooms of which there is a lesson that research may use."""
        return [
            row[0] for row in self._db.ask("SELECT DISTINCT kit FROM lessons WHERE consent = 1 ORDER BY kit")
        ]

    def tend(self, now: float) -> set[str]:
        """Begin and end what the plans want, and end what nobody ended. Returns the rooms that changed.

        A planned lesson that was ended by hand is not begun again that day; one that goes on by hand is left.
        """
        local = datetime.fromtimestamp(now).astimezone()
        changed = set()
        for lesson in self._select("WHERE ends IS NULL", ()):
            ends = self._planned_end(lesson)
            if now >= ends:
                self.end(lesson.id, ends)
                changed.add(lesson.kit)
        for plan, id, starts, _ends in due(self.plans, local):
            if self.find(id) is None and self.running(plan.kit) is None:
                self._insert(
                    Lesson(id, plan.kit, plan.title, starts.timestamp(), None, plan.id, consent=False)
                )
                changed.add(plan.kit)
        return changed

    def _planned_end(self, lesson: Lesson) -> float:
        latest = lesson.starts + LONGEST_LESSON_S
        plan = next((plan for plan in self.plans if plan.id == lesson.origin), None)
        if plan is None:
            return latest
        began = datetime.fromtimestamp(lesson.starts).astimezone()
        ends = began.replace(hour=int(plan.ends[:2]), minute=int(plan.ends[3:]), second=0, microsecond=0)
        return min(latest, (ends if ends > began else began + timedelta(seconds=1)).timestamp())

    def _end_running(self, kit: str, now: float) -> None:
        self._db.change("UPDATE lessons SET ends = ? WHERE kit = ? AND ends IS NULL", [(now, kit)])

    def _insert(self, lesson: Lesson) -> None:
        row = (*tuple(asdict(lesson).values())[:-1], int(lesson.consent))
        names = "id, kit, title, starts, ends, origin, consent"
        self._db.change(f"INSERT INTO lessons ({names}) VALUES (?, ?, ?, ?, ?, ?, ?)", [row])  # noqa: S608

    def _select(self, where: str, values: Sequence[Any]) -> list[Lesson]:
        found = self._db.ask(
            f"SELECT id, kit, title, starts, ends, origin, consent FROM lessons {where}",  # noqa: S608
            values,
        )
        return [
            Lesson(id, kit, title, starts, ends, origin, consent=bool(consent))
            for id, kit, title, starts, ends, origin, consent in found
        ]

    # ── Plans ────────────────────────────────────────────────────────────────────────────────────────

    def keep_plans(self, plans: Sequence[Plan]) -> None:
        """Replace all plans.

        Raises:
            LessonError: there are too many.
        """
        if len(plans) > MOST_PLANS:
            raise LessonError("too_many")
        text = json.dumps([asdict(plan) for plan in plans])
        self._db.change(
            "INSERT INTO choices (name, value) VALUES ('plans', ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            [(text,)],
        )
        self.plans = tuple(plans)

    # ── Notes and counts ─────────────────────────────────────────────────────────────────────────────

    def note(self, kit: str, at: float, account: str, text: object) -> None:
        """Put a note on the time line.

        Raises:
            LessonError: it is empty, too long or no text.
        """
        if not isinstance(text, str) or not text.strip() or len(text) > LONGEST_NOTE:
            raise LessonError("note")
        row = (secrets.token_hex(8), kit, at, account, text.strip())
        self._db.change("INSERT INTO notes (id, kit, at, account, text) VALUES (?, ?, ?, ?, ?)", [row])

    def forget_note(self, kit: str, id: str) -> None:
        """Take a note away."""
        self._db.change("DELETE FROM notes WHERE kit = ? AND id = ?", [(kit, id)])

    def notes(self, kit: str, since: float, until: float) -> list[dict[str, Any]]:
        """Notes of a room, oldest first."""
        found = self._db.ask(
            "SELECT id, at, account, text FROM notes WHERE kit = ? AND at BETWEEN ? AND ?"
            " ORDER BY at DESC LIMIT ?",
            (kit, since, until, MOST_TOLD),
        )
        return [dict(zip(("id", "at", "account", "text"), row, strict=True)) for row in reversed(found)]

    def wrong(self, kit: str, model: str, shown: object, meant: object) -> None:
        """Count that *shown* was on the page and a person saw *meant*. Nothing else is kept.

        Raises:
            LessonError: one of them is no label.
        """
        known = {*LABELS, UNCERTAIN}
        if shown not in known or meant not in known or shown == meant:
            raise LessonError("label")
        self._db.change(
            "INSERT INTO feedback (kit, model, shown, meant, times) VALUES (?, ?, ?, ?, 1)"
            " ON CONFLICT (kit, model, shown, meant) DO UPDATE SET times = feedback.times + 1",
            [(kit, model[:200], shown, meant)],
        )

    def counts(self, kit: str) -> list[dict[str, Any]]:
        """How often the page was wrong, by what it showed."""
        names = ("model", "shown", "meant", "times")
        found = self._db.ask(
            "SELECT model, shown, meant, times FROM feedback WHERE kit = ? ORDER BY times DESC, shown, meant",
            (kit,),
        )
        return [dict(zip(names, row, strict=True)) for row in found]
