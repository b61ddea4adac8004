"""What happened: lessons, notes, weeks, exports and counts of "that was wrong"."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from dashboard.access import Access, account_of, check_kit, read_json
from dashboard.database import Disk
from dashboard.export import pack
from dashboard.feed import Feed
from dashboard.history import DAY_S, History
from dashboard.lessons import Lesson, LessonError, Lessons, check_plan, check_title
from dashboard.summary import by_day, summarise

LONGEST_LOOK_S = 400 * DAY_S
MOST_BODY = 60_000


@dataclass
class Past:
    """The handlers."""

    access: Access
    feed: Feed
    disk: Disk

    def routes(self) -> list[BaseRoute]:
        """What is asked about the past."""
        guarded = self.access.route
        return [
            guarded("/api/rooms", self.rooms, "past"),
            guarded("/api/past", self.past, "past"),
            guarded("/api/windows", self.windows, "past"),
            guarded("/api/export", self.export, "export"),
            guarded("/api/lessons", self.begin, "notes", methods=("POST",)),
            guarded("/api/lessons/{id}", self.change, "notes", methods=("POST",)),
            guarded("/api/notes", self.notes, "notes"),
            guarded("/api/notes", self.note, "notes", methods=("POST",)),
            guarded("/api/notes/{id}", self.forget_note, "notes", methods=("DELETE",)),
            guarded("/api/plans", self.plans, "notes"),
            guarded("/api/plans", self.keep_plans, "notes", methods=("PUT",)),
            guarded("/api/wrong", self.wrong, "notes", methods=("POST",)),
        ]

    @property
    def lessons(self) -> Lessons:
        """The feed's own."""
        return self.feed.lessons

    # ── Looking ──────────────────────────────────────────────────────────────────────────────────────

    async def rooms(self, request: Request) -> Response:
        """The rooms that the asker can look back on."""
        account = account_of(request)
        if account.may("live"):
            known = {*self.feed.board.kits, *await self.disk.run(self.feed.history.kits)}
        else:
            known = set(await self.disk.run(self.lessons.consented_kits))
        named = {kit: one.info.room for kit, one in self.feed.board.kits.items() if one.info}
        rooms = [{"kit": kit, "room": named.get(kit, "")} for kit in sorted(known) if account.sees(kit)]
        return JSONResponse({"rooms": rooms})

    async def past(self, request: Request) -> Response:
        """Lessons and days of a stretch of time, each summed up."""
        kit, since, until = self._stretch(request)
        await self.access.note_look(request, "looked_back", kit)
        lessons = await self._lessons(request, kit, since, until)
        own, now = account_of(request).may("live"), self.feed.clock()
        await self.feed.keep()
        told, days = await self.disk.run(_sum_up, self.feed.history, kit, (since, until), lessons, own, now)
        counts = await self.disk.run(self.lessons.counts, kit) if account_of(request).may("notes") else []
        return JSONResponse({"kit": kit, "lessons": told, "days": days, "counts": counts})

    async def windows(self, request: Request) -> Response:
        """The windows of a stretch of time, with the lessons and notes in it."""
        kit, since, until = self._stretch(request)
        lessons = await self._lessons(request, kit, since, until)
        windows = await self._windows(request, kit, since, until, lessons)
        notes = await self._notes(request, kit, since, until)
        told = {"windows": windows[-5000:], "notes": notes or [], "lessons": [asdict(one) for one in lessons]}
        return JSONResponse({"kit": kit} | told)

    async def export(self, request: Request) -> Response:
        """The zip of CSV files."""
        kit, since, until = self._stretch(request)
        lessons = await self._lessons(request, kit, since, until)
        notes = await self._notes(request, kit, since, until)
        own = account_of(request).may("live")
        await self.feed.keep()

        def work() -> bytes:
            windows = self.feed.history.stretch(kit, since, until)
            return pack(kit, (one for one in windows if own or _in_any(lessons, one)), lessons, notes)

        packed = await self.disk.run(work)
        await self.access.note(request, "exported", kit)
        headers = {
            "Content-Disposition": f'attachment; filename="suasana-{kit}.zip"',
            "Cache-Control": "no-store",
        }
        return Response(packed, media_type="application/zip", headers=headers)

    # ── Changing ─────────────────────────────────────────────────────────────────────────────────────

    async def begin(self, request: Request) -> Response:
        """Begin a lesson."""
        table = await read_json(request)
        kit = self._known_kit(request, table.get("kit"))
        try:
            title = check_title(table.get("title", ""))
        except LessonError as error:
            raise HTTPException(400, str(error)) from error
        lesson = await self.disk.run(self.lessons.begin, kit, title, self.feed.clock())
        self._tell(kit)
        return JSONResponse(asdict(lesson), 201)

    async def change(self, request: Request) -> Response:
        """End a lesson, rename it, or say whether research may use it."""
        table = await read_json(request)
        lesson = await self.disk.run(self.lessons.find, request.path_params["id"])
        if lesson is None or not account_of(request).sees(lesson.kit):
            raise HTTPException(404, "no such lesson")
        try:
            if "title" in table:
                await self.disk.run(self.lessons.rename, lesson.id, check_title(table["title"]))
        except LessonError as error:
            raise HTTPException(400, str(error)) from error
        if isinstance(table.get("consent"), bool):
            await self.disk.run(self.lessons.consent, lesson.id, table["consent"])
            deed = "consented" if table["consent"] else "consent_withdrawn"
            await self.access.note(request, deed, lesson.kit, lesson.title or lesson.id)
        if table.get("end") is True:
            await self.disk.run(self.lessons.end, lesson.id, self.feed.clock())
        self._tell(lesson.kit)
        return JSONResponse({"done": True})

    async def notes(self, request: Request) -> Response:
        """Notes, and the lesson that goes on."""
        kit, since, until = self._stretch(request)
        running = await self.disk.run(self.lessons.running, kit)
        notes = await self._notes(request, kit, since, until)
        return JSONResponse({"notes": notes, "running": asdict(running) if running else None})

    async def note(self, request: Request) -> Response:
        """Put a note on the time line, now or at another moment."""
        table = await read_json(request)
        kit = self._known_kit(request, table.get("kit"))
        now = self.feed.clock()
        at = table.get("at", now)
        if (
            isinstance(at, bool)
            or not isinstance(at, int | float)
            or not now - LONGEST_LOOK_S < at <= now + 60
        ):
            raise HTTPException(400, "at is a time in seconds since 1970, not in the future")
        try:
            await self.disk.run(
                self.lessons.note, kit, float(at), account_of(request).name, table.get("text")
            )
        except LessonError as error:
            raise HTTPException(400, str(error)) from error
        self._tell(kit)
        return JSONResponse({"done": True}, 201)

    async def forget_note(self, request: Request) -> Response:
        """Take a note away."""
        kit = check_kit(request, request.query_params.get("kit"))
        await self.disk.run(self.lessons.forget_note, kit, request.path_params["id"])
        self._tell(kit)
        return JSONResponse({"done": True})

    async def plans(self, request: Request) -> Response:
        """The plans of the rooms that the asker sees."""
        return JSONResponse(
            {"plans": [asdict(one) for one in self.lessons.plans if account_of(request).sees(one.kit)]}
        )

    async def keep_plans(self, request: Request) -> Response:
        """Replace the plans of the rooms that the asker sees; others' stay."""
        table = await read_json(request, MOST_BODY)
        account = account_of(request)
        wanted = table.get("plans")
        if not isinstance(wanted, list):
            raise HTTPException(400, "plans is a list")
        try:
            plans = [check_plan(one if isinstance(one, dict) else {}) for one in wanted]
            for plan in plans:
                check_kit(request, plan.kit)
            others = [plan for plan in self.lessons.plans if not account.sees(plan.kit)]
            await self.disk.run(self.lessons.keep_plans, [*others, *plans])
        except LessonError as error:
            raise HTTPException(400, str(error)) from error
        await self.access.note(request, "planned")
        return JSONResponse({"done": True})

    async def wrong(self, request: Request) -> Response:
        """Count that the page was wrong; nothing else is kept, neither when nor who said it."""
        table = await read_json(request)
        kit = self._known_kit(request, table.get("kit"))
        info = self.feed.board.kits[kit].info if kit in self.feed.board.kits else None
        model = ", ".join(one.id for one in info.models) if info else ""
        try:
            await self.disk.run(self.lessons.wrong, kit, model, table.get("shown"), table.get("meant"))
        except LessonError as error:
            raise HTTPException(400, str(error)) from error
        return JSONResponse({"done": True}, 201)

    # ── Parts ────────────────────────────────────────────────────────────────────────────────────────

    def _known_kit(self, request: Request, kit: object) -> str:
        name = check_kit(request, kit)
        if name not in self.feed.board.kits:
            raise HTTPException(404, "no such kit")
        return name

    def _tell(self, kit: str) -> None:
        self.feed.tell("lessons", {"kit": kit}, kit, mood=True)

    def _stretch(self, request: Request) -> tuple[str, float, float]:
        kit = check_kit(request, request.query_params.get("kit"))
        try:
            since, until = (float(request.query_params.get(name, "")) for name in ("since", "until"))
        except ValueError as error:
            raise HTTPException(400, "since and until are seconds since 1970") from error
        if not (math.isfinite(since) and math.isfinite(until)) or not 0 <= until - since <= LONGEST_LOOK_S:
            raise HTTPException(400, "since and until are at most 400 days apart, in this order")
        return kit, since, until

    async def _lessons(self, request: Request, kit: str, since: float, until: float) -> list[Lesson]:
        only = not account_of(request).may("live")
        return await self.disk.run(lambda: self.lessons.between(kit, since, until, consented=only))

    async def _windows(
        self, request: Request, kit: str, since: float, until: float, lessons: list[Lesson]
    ) -> list[dict[str, Any]]:
        """What the asker may read of it: everything, or what lies in lessons that were consented to."""
        windows = await self.feed.between(kit, since, until)
        if account_of(request).may("live"):
            return windows
        return [one for one in windows if _in_any(lessons, one)]

    async def _notes(
        self, request: Request, kit: str, since: float, until: float
    ) -> list[dict[str, Any]] | None:
        if not account_of(request).may("notes"):
            return None
        return await self.disk.run(self.lessons.notes, kit, since, until)


def _holds(lesson: Lesson, window: dict[str, Any]) -> bool:
    """Whether all of the window lies in the lesson: its edge may show what nobody agreed to."""
    begins = window["ends"] - window["window_s"]
    return lesson.starts <= begins and (lesson.ends is None or window["ends"] <= lesson.ends)


def _in_any(lessons: list[Lesson], window: dict[str, Any]) -> bool:
    return any(_holds(lesson, window) for lesson in lessons)


def _sum_up(  # noqa: PLR0917
    history: History,
    kit: str,
    span: tuple[float, float],
    lessons: list[Lesson],
    own: bool,
    now: float,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Lessons and days, each summed up; no more than a day and a half of windows in memory."""
    told = []
    for lesson in lessons:
        ends = now if lesson.ends is None else lesson.ends
        inside = [one for one in history.stretch(kit, lesson.starts, ends) if _holds(lesson, one)]
        told.append({**asdict(lesson), "summary": summarise(inside, max(0.0, ends - lesson.starts))})
    days: list[dict[str, Any]] = []
    first = datetime.fromtimestamp(span[0]).astimezone()
    starts = first.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    while starts.timestamp() <= span[1]:
        begin, end = starts.timestamp(), (starts + timedelta(days=1)).timestamp()
        found = history.stretch(kit, max(begin, span[0]), min(end + DAY_S / 2, span[1]))
        today = [one for one in found if begin <= one["ends"] - one["window_s"] / 2 < end]
        days += by_day(one for one in today if own or _in_any(lessons, one))
        starts += timedelta(days=1)
    return told, days
