"""Between the broker and the open pages: applies messages to the board, keeps the windows, tells every page.

Everything here runs on the event loop; only the database is used from its own single thread.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from typing import Any

from dashboard.board import Board, apply, phase, read_event, view, view_kit
from dashboard.bus import Message
from dashboard.clocks import Anchor, Clocks, read_anchor
from dashboard.database import DatabaseError, Disk
from dashboard.history import DAY_S, History, Row, locate
from dashboard.lessons import Lessons
from edge.events import Event, EventError, MoodWindow, Practice, from_json, split_topic

logger = logging.getLogger(__name__)

BEAT_S = 15.0
"""A stream that has nothing to tell says so this often, so that both ends notice a dead connection."""
KEEP_EVERY_S = 1.0
LOOK_EVERY_S = 5.0
"""How often kits are checked for having fallen silent."""
FORGET_EVERY_S = 3600.0
MOST_PAGES = 400
MOST_PENDING = 256
"""Notes that may wait for one slow page."""
MOST_UNKEPT = 20_000
"""Windows that may wait for the disk; when it stays full the oldest are given up."""


class Full(Exception):  # noqa: N818 -- read as: raise Full
    """As many pages are open as may be."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What one page may be told."""

    sees: Callable[[str], bool] = lambda _kit: True
    """Whether a kit is shown at all."""
    mood: bool = True
    """Whether what the room looks and sounds like is shown."""
    session: str = ""
    """The digest of the session that opened the page."""
    game: str = ""
    """The kit whose practice game this page plays."""


ALL = Sight()


class Page:
    """One open page: the notes that it has not taken yet."""

    def __init__(self, sight: Sight = ALL) -> None:
        """Begin with everything that *sight* allows."""
        self.sight = sight
        self._notes: deque[str | None] = deque([None])
        self._news = asyncio.Event()
        self._news.set()
        self.closed = False

    def put(self, note: str | None) -> None:
        """Add a note; None stands for a snapshot, which a page that lags gets in place of all it missed."""
        if len(self._notes) >= MOST_PENDING:
            self._notes.clear()
            note = None
        self._notes.append(note)
        self._news.set()

    def close(self) -> None:
        """End the stream once it wakes."""
        self.closed = True
        self._news.set()

    async def take(self, timeout_s: float) -> list[str | None]:
        """What there is, waiting for it up to *timeout_s*; empty when nothing came."""
        try:
            await asyncio.wait_for(self._news.wait(), timeout_s)
        except (asyncio.TimeoutError, TimeoutError):
            return []
        self._news.clear()
        notes = list(self._notes)
        self._notes.clear()
        return notes


class Feed:
    """The board, its history and its pages."""

    def __init__(
        self, disk: Disk, *, clock: Callable[[], float], retention_days: Callable[[], float]
    ) -> None:
        """Start empty. *clock* tells seconds since 1970, *retention_days* how long anything is kept."""
        self.disk, self.clock = disk, clock
        self.history, self.lessons = History(disk.database), Lessons(disk.database)
        self.clocks = Clocks(disk.database)
        self.listeners: list[Callable[[str, Row], None]] = []
        """Who else hears of every window, with the kit's name."""
        self.lookers: list[Callable[[], None]] = []
        """Who else looks every few seconds at what no message announces."""
        self.answers: Callable[[str, str, bytes], None] | None = None
        """Who hears what kits answer: kit, verb, payload."""
        self.board = Board()
        self.broker = False
        """Whether there is a connection to the broker."""
        self.refused: Counter[str] = Counter()
        """Messages that broke the contract, by the kind of breach."""
        self._retention_days = retention_days
        self._unkept: deque[Row] = deque(maxlen=MOST_UNKEPT)
        self._anchors: dict[tuple[str, str], Anchor] = {}
        """Clocks that windows on the disk have yet to be placed by."""
        self._pages: set[Page] = set()
        self._phases: dict[str, tuple[str, bool]] = {}
        self._disk_complaint = ""

    @property
    def pages(self) -> int:
        """How many pages are open."""
        return len(self._pages)

    # ── From the broker ──────────────────────────────────────────────────────────────────────────────

    def receive(self, message: Message) -> None:
        """Apply one message; a bad one is counted and told in the log once per kind."""
        now = self.clock()
        try:
            kit, leaf = split_topic(message.topic)
            if leaf.startswith("response/"):
                if self.answers is not None:
                    self.answers(kit, leaf.removeprefix("response/"), message.payload)
                return
            if leaf == "practice":
                self._play(kit, message)
                return
            self.board = apply(self.board, message.topic, message.payload, now, retained=message.retained)
            if leaf == "event":
                self._receive_event(read_event(kit, message.payload), now)
                return
        except EventError as error:
            self._refuse(message.topic, error)
            return
        if kit in self.board.kits:
            self._tell_kit(kit, now)
            self._phases[kit] = self._phase(kit, now)
        else:
            self._phases.pop(kit, None)
            self._resync()

    def _receive_event(self, event: Event, now: float) -> None:
        if isinstance(event.data, MoodWindow):
            row = locate(event, now, self.clocks.time_of(event))
            self._unkept.append(row)
            self.tell("window", {"kit": event.kit, **row.view()}, event.kit, mood=True)
            for listen in self.listeners:
                listen(event.kit, row)
        elif (anchor := read_anchor(event, now)) is not None:
            self.clocks.learn(anchor)
            self._anchors[anchor.kit, anchor.mono_id] = anchor

    def _play(self, kit: str, message: Message) -> None:
        """Pass a reading of the practice game on to whoever plays it. It is held nowhere."""
        reading = from_json(Practice, message.payload)
        if message.retained:
            raise EventError("a retained reading")
        players = [page for page in self._pages if page.sight.game == kit and page.sight.sees(kit)]
        if players:
            note = _format("practice", asdict(reading))
            for page in players:
                page.put(note)

    def connect(self, connected: bool) -> None:
        """The connection to the broker came or went."""
        self.broker = connected
        self.tell("broker", {"connected": connected})

    def look(self) -> None:
        """Tell the pages about kits that fell silent or whose state grew old, which no message announces."""
        now = self.clock()
        for kit in self.board.kits:
            told = self._phase(kit, now)
            if self._phases.get(kit) != told:
                self._phases[kit] = told
                self._tell_kit(kit, now)

    def _phase(self, kit: str, now: float) -> tuple[str, bool]:
        shown = view_kit(self.board.kits[kit], now, self.board.limits)
        return phase(self.board.kits[kit], now, self.board.limits), bool(shown["fresh"])

    def _refuse(self, topic: str, error: EventError) -> None:
        kind = topic.split("/", 2)[-1][:40] if topic.count("/") >= 2 else "topic"
        if (
            len(self.refused) < 100 or kind in self.refused
        ):  # the sender chooses the topics, so count few kinds
            self.refused[kind] += 1
            if self.refused[kind] == 1:
                logger.warning("refused %s: %s; more of this kind are only counted", topic[:120], error)

    # ── To the pages ─────────────────────────────────────────────────────────────────────────────────

    def snapshot(self, sight: Sight = ALL) -> dict[str, Any]:
        """Everything a page needs to begin with, history apart."""
        now = self.clock()
        kits = [one for one in view(self.board, now) if sight.sees(one["kit"])]
        if not sight.mood:
            kits = [_without_mood(one) for one in kits]
        return {"now": now, "broker": {"connected": self.broker}, "kits": kits}

    async def stream(self, sight: Sight = ALL) -> AsyncIterator[str]:
        """Server-sent events for one page: a snapshot, then news, and a beat when there is none."""
        page = Page(sight)
        self._pages.add(page)
        try:
            yield "retry: 2000\n\n"
            while not page.closed:
                notes = await page.take(BEAT_S)
                for note in notes:
                    yield _format("snapshot", self.snapshot(sight)) if note is None else note
                if not notes:
                    yield ": beat\n" + _format("beat", {"now": self.clock()})
        finally:
            self._pages.discard(page)

    def admit(self) -> None:
        """Make sure that one more page may open.

        Raises:
            Full: there are too many.
        """
        if len(self._pages) >= MOST_PAGES:
            raise Full

    def tell(self, name: str, value: dict[str, Any], kit: str | None = None, *, mood: bool = False) -> None:
        """Tell every page whose sight allows it; *mood* says that it is the class's data."""
        if not self._pages:
            return
        note = _format(name, value)
        for page in self._pages:
            if (kit is None or page.sight.sees(kit)) and (page.sight.mood or not mood):
                page.put(note)

    def _tell_kit(self, kit: str, now: float) -> None:
        if not self._pages:
            return
        value = view_kit(self.board.kits[kit], now, self.board.limits)
        notes = {True: _format("kit", value), False: _format("kit", _without_mood(value))}
        for page in self._pages:
            if page.sight.sees(kit):
                page.put(notes[page.sight.mood])

    def _resync(self) -> None:
        for page in self._pages:
            page.put(None)

    def close(self, sessions: set[str] | None = None) -> None:
        """End the streams of these sessions, or all of them, so that the server can stop."""
        for page in self._pages:
            if sessions is None or page.sight.session in sessions:
                page.close()

    # ── The disk ─────────────────────────────────────────────────────────────────────────────────────

    async def windows(self, kit: str, minutes: float) -> list[dict[str, Any]]:
        """The windows of the last *minutes*, oldest first, those not yet on disk among them."""
        now = self.clock()
        return await self.between(kit, now - minutes * 60, now)

    async def between(self, kit: str, since: float, until: float, **most: int) -> list[dict[str, Any]]:
        """The windows from *since* to *until* (seconds since 1970), oldest first."""
        await self.keep()
        return await self.disk.run(lambda: self.history.windows(kit, since, until, **most))

    async def keep(self) -> None:
        """Write what waits. A full disk costs history, never the page."""
        if not self._unkept and not self._anchors:
            return
        rows, anchors = list(self._unkept), self._anchors
        self._unkept.clear()
        self._anchors = {}
        try:
            await self.disk.run(self.history.add, rows)
            rows = []
            for key, anchor in list(anchors.items()):
                if await self.disk.run(self.clocks.keep, anchor):
                    self.tell("placed", {"kit": anchor.kit}, anchor.kit, mood=True)
                del anchors[key]
            self._disk_complaint = ""
        except DatabaseError as error:
            self._unkept.extendleft(reversed(rows))
            self._anchors = anchors | self._anchors
            self._complain(error)

    async def wipe(self, kit: str) -> None:
        """Forget everything about a room, what waits for the disk too.

        Raises:
            DatabaseError: it is still there.
        """
        self._unkept = deque((row for row in self._unkept if row.event.kit != kit), MOST_UNKEPT)
        self._anchors = {key: anchor for key, anchor in self._anchors.items() if key[0] != kit}
        self.clocks.forget(kit)
        await self.disk.run(self.history.wipe, kit)
        self.tell("wiped", {"kit": kit}, kit)

    async def tend(self) -> None:
        """Keep, look, follow the plans and forget until cancelled."""
        loop = asyncio.get_running_loop()
        forget_due, look_due = loop.time(), loop.time()
        while True:
            await self.keep()
            if loop.time() >= look_due:
                look_due = loop.time() + LOOK_EVERY_S
                self.look()
                for look in self.lookers:
                    look()
                await self._follow_plans()
            if loop.time() >= forget_due:
                forget_due = loop.time() + FORGET_EVERY_S
                await self.forget()
            await asyncio.sleep(KEEP_EVERY_S)

    async def _follow_plans(self) -> None:
        try:
            for kit in await self.disk.run(self.lessons.tend, self.clock()):
                self.tell("lessons", {"kit": kit}, kit, mood=True)
        except DatabaseError as error:
            self._complain(error)

    async def forget(self) -> None:
        """Delete what is older than anybody wants it kept."""
        await self.keep()
        before = self.clock() - self._retention_days() * DAY_S
        try:
            await self.disk.run(self.history.forget, before)
        except DatabaseError as error:
            self._complain(error)

    def _complain(self, error: DatabaseError) -> None:
        """Once per trouble."""
        if str(error) != self._disk_complaint:
            self._disk_complaint = str(error)
            logger.warning("history: %s", error)

    async def finish(self) -> None:
        """Write the rest and close the database."""
        await self.keep()
        await self.disk.close()


def _without_mood(kit: dict[str, Any]) -> dict[str, Any]:
    """What somebody may know of a kit who may not know the class's mood."""
    return kit | {"state": None, "state_at": None, "fresh": False}


def _format(name: str, value: dict[str, Any]) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return f"event: {name}\ndata: {text}\n\n"
