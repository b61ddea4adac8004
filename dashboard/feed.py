"""Between the broker and the open pages: applies messages to the board, keeps the windows, tells every page.

Everything here runs on the event loop; only the history's file is used from its own single thread.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dashboard.board import Board, apply, phase, read_event, view, view_kit
from dashboard.bus import Message
from dashboard.history import DAY_S, History, HistoryError, Row, place
from edge.events import EventError, MoodWindow, split_topic

logger = logging.getLogger(__name__)

BEAT_S = 15.0
"""A stream that has nothing to tell says so this often, so that both ends notice a dead connection."""
KEEP_EVERY_S = 1.0
LOOK_EVERY_S = 5.0
"""How often kits are checked for having fallen silent."""
FORGET_EVERY_S = 3600.0
MOST_PAGES = 100
MOST_PENDING = 256
"""Notes that may wait for one slow page."""
MOST_UNKEPT = 20_000
"""Windows that may wait for the disk; when it stays full the oldest are given up."""


class Full(Exception):  # noqa: N818 -- read as: raise Full
    """As many pages are open as may be."""


class Page:
    """One open page: the notes that it has not taken yet."""

    def __init__(self) -> None:
        """Begin with everything."""
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

    def __init__(self, history: History, *, clock: Callable[[], float], retention_days: float) -> None:
        """Start empty. *clock* tells seconds since 1970."""
        self.board = Board()
        self.broker = False
        """Whether there is a connection to the broker."""
        self.refused: Counter[str] = Counter()
        """Messages that broke the contract, by the kind of breach."""
        self._history, self._clock, self._retention_s = history, clock, retention_days * DAY_S
        self._disk = ThreadPoolExecutor(1, "history")
        self._unkept: deque[Row] = deque(maxlen=MOST_UNKEPT)
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
        now = self._clock()
        try:
            kit, leaf = split_topic(message.topic)
            self.board = apply(self.board, message.topic, message.payload, now, retained=message.retained)
            if leaf == "event":
                event = read_event(kit, message.payload)
                if isinstance(event.data, MoodWindow):
                    row = Row(event, place(event, now))
                    self._unkept.append(row)
                    self._tell("window", {"kit": kit, **row.view()})
                return
        except EventError as error:
            self._refuse(message.topic, error)
            return
        if kit in self.board.kits:
            self._tell("kit", view_kit(self.board.kits[kit], now, self.board.limits))
            self._phases[kit] = self._phase(kit, now)
        else:
            self._phases.pop(kit, None)
            self._resync()

    def connect(self, connected: bool) -> None:
        """The connection to the broker came or went."""
        self.broker = connected
        self._tell("broker", {"connected": connected})

    def look(self) -> None:
        """Tell the pages about kits that fell silent or whose state grew old, which no message announces."""
        now = self._clock()
        for kit in self.board.kits:
            told = self._phase(kit, now)
            if self._phases.get(kit) != told:
                self._phases[kit] = told
                self._tell("kit", view_kit(self.board.kits[kit], now, self.board.limits))

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

    def snapshot(self) -> dict[str, Any]:
        """Everything a page needs to begin with, history apart."""
        now = self._clock()
        return {"now": now, "broker": {"connected": self.broker}, "kits": view(self.board, now)}

    async def stream(self) -> AsyncIterator[str]:
        """Server-sent events for one page: a snapshot, then news, and a beat when there is none.

        Raises:
            Full: too many pages are open; raised before the first item.
        """
        page = Page()
        self._pages.add(page)
        try:
            yield "retry: 2000\n\n"
            while not page.closed:
                notes = await page.take(BEAT_S)
                for note in notes:
                    yield _format("snapshot", self.snapshot()) if note is None else note
                if not notes:
                    yield ": beat\n" + _format("beat", {"now": self._clock()})
        finally:
            self._pages.discard(page)

    def admit(self) -> None:
        """Make sure that one more page may open.

        Raises:
            Full: there are too many.
        """
        if len(self._pages) >= MOST_PAGES:
            raise Full

    def _tell(self, name: str, value: dict[str, Any]) -> None:
        if self._pages:
            note = _format(name, value)
            for page in self._pages:
                page.put(note)

    def _resync(self) -> None:
        for page in self._pages:
            page.put(None)

    def close(self) -> None:
        """End all streams, so that the server can stop."""
        for page in self._pages:
            page.close()

    # ── The disk ─────────────────────────────────────────────────────────────────────────────────────

    async def windows(self, kit: str, minutes: float) -> list[dict[str, Any]]:
        """The windows of the last *minutes*, oldest first, those not yet on disk among them."""
        await self.keep()
        now = self._clock()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._disk, self._history.windows, kit, now - minutes * 60, now)

    async def keep(self) -> None:
        """Write what waits. A full disk costs history, never the page."""
        if not self._unkept:
            return
        rows = list(self._unkept)
        self._unkept.clear()
        try:
            await asyncio.get_running_loop().run_in_executor(self._disk, self._history.add, rows)
            self._disk_complaint = ""
        except HistoryError as error:
            self._unkept.extendleft(reversed(rows))
            if str(error) != self._disk_complaint:
                self._disk_complaint = str(error)
                logger.warning("history: %s", error)

    async def tend(self) -> None:
        """Keep, look and forget until cancelled."""
        loop = asyncio.get_running_loop()
        forget_due, look_due = loop.time(), loop.time()
        while True:
            await self.keep()
            if loop.time() >= look_due:
                look_due = loop.time() + LOOK_EVERY_S
                self.look()
            if loop.time() >= forget_due:
                forget_due = loop.time() + FORGET_EVERY_S
                await self._forget()
            await asyncio.sleep(KEEP_EVERY_S)

    async def _forget(self) -> None:
        try:
            before = self._clock() - self._retention_s
            await asyncio.get_running_loop().run_in_executor(self._disk, self._history.forget, before)
        except HistoryError as error:
            logger.warning("history: %s", error)

    async def finish(self) -> None:
        """Write the rest and close the file."""
        await self.keep()
        await asyncio.get_running_loop().run_in_executor(self._disk, self._history.close)
        self._disk.shutdown()


def _format(name: str, value: dict[str, Any]) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return f"event: {name}\ndata: {text}\n\n"
