"""What happens now: the kits, their stream, their switches, and what they answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from dashboard.access import Access, account_of, check_kit, read_json, sight_of
from dashboard.board import phase
from dashboard.bus import Bus
from dashboard.cards import find_card
from dashboard.feed import Feed, Full
from dashboard.questions import NoAnswerError, Questions
from edge.events import Switch, topic

SWITCHES = ("capture", "camera", "microphone")
LONGEST_SWITCH = 1024
LONGEST_MINUTES = 240


@dataclass
class Live:
    """The handlers."""

    access: Access
    feed: Feed
    bus: Bus
    questions: Questions
    cards: tuple[Path, ...]

    def routes(self) -> list[BaseRoute]:
        """What is asked about now."""
        guarded = self.access.route
        return [
            Route("/healthz", self.healthz),
            guarded("/api/kits", self.kits, "live", "kits"),
            guarded("/api/stream", self.stream, "live", "kits"),
            guarded("/api/history", self.history, "live"),
            guarded("/api/kits/{kit}/switch", self.switch, "switch", methods=("POST",)),
            guarded("/api/kits/{kit}/doctor", self.doctor, "kits", methods=("POST",)),
            guarded("/api/cards/{name}", self.card),
        ]

    async def healthz(self, _request: Request) -> Response:
        """Counts only: whoever watches the server has no session."""
        feed = self.feed
        counts = {"kits": len(feed.board.kits), "pages": feed.pages}
        losses = {"refused": feed.refused.total(), "lost": self.bus.lost}
        return JSONResponse({"ok": True, "broker": feed.broker} | counts | losses)

    async def kits(self, request: Request) -> Response:
        """A snapshot."""
        return JSONResponse(self.feed.snapshot(sight_of(request)))

    async def stream(self, request: Request) -> Response:
        """A snapshot and then the news."""
        try:
            self.feed.admit()
        except Full as error:
            raise HTTPException(503, "too many pages are open") from error
        if account_of(request).may("live"):
            await self.access.note_look(request, "looked")
        headers = {"X-Accel-Buffering": "no"}  # a proxy that collects would hold the news back
        notes = self.feed.stream(sight_of(request))
        return StreamingResponse(notes, media_type="text/event-stream", headers=headers)

    async def history(self, request: Request) -> Response:
        """The windows of the last minutes."""
        kit = check_kit(request, request.query_params.get("kit"))
        text = request.query_params.get("minutes", "40")
        if kit not in self.feed.board.kits:
            raise HTTPException(404, "no such kit")
        if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= LONGEST_MINUTES:
            raise HTTPException(400, f"minutes is a whole number from 1 to {LONGEST_MINUTES}")
        windows = await self.feed.windows(kit, int(text))
        return JSONResponse({"kit": kit, "minutes": int(text), "windows": windows})

    async def switch(self, request: Request) -> Response:
        """Send one switch to the kit. The kit's ``info`` shows whether it obeyed."""
        kit = check_kit(request, request.path_params["kit"])
        command = await read_json(request, LONGEST_SWITCH)
        name, value = str(command.get("name")), str(command.get("value"))
        if name not in SWITCHES or value not in get_args(Switch):
            raise HTTPException(400, f"name is one of {', '.join(SWITCHES)}; value is on or off")
        self._check_online(kit)
        if not await self.bus.publish(topic(kit, "set", name), value):
            raise HTTPException(503, "the broker did not take the command")
        await self.access.note(request, "switched", kit, f"{name} {value}")
        return JSONResponse({"sent": True}, 202)

    async def doctor(self, request: Request) -> Response:
        """Ask the kit's doctor."""
        kit = check_kit(request, request.path_params["kit"])
        self._check_online(kit)
        try:
            answer = await self.questions.ask(kit, "doctor")
        except NoAnswerError as error:
            raise HTTPException(504, str(error)) from error
        await self.access.note(request, "examined", kit)
        return JSONResponse(answer)

    async def card(self, request: Request) -> Response:
        """A model's card, where this machine has the model too."""
        text = find_card(self.cards, request.path_params["name"])
        if text is None:
            raise HTTPException(404, "no card of that model here")
        return PlainTextResponse(text)

    def _check_online(self, kit: str) -> None:
        check_online(self.feed, kit)


def check_online(feed: Feed, kit: str) -> None:
    """Refuse what only a kit can do that is there.

    Raises:
        HTTPException: 404, 503 or 409.
    """
    board: Any = feed.board.kits.get(kit)
    if board is None:
        raise HTTPException(404, "no such kit")
    if not feed.broker:
        raise HTTPException(503, "there is no connection to the broker")
    if phase(board, feed.clock(), feed.board.limits) not in {"online", "silent"}:
        raise HTTPException(409, "the kit is not online")
