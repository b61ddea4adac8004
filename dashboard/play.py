"""The practice game: its page, its stream, its rounds, and the kit's mode. Nothing of it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import get_args

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from dashboard.access import Access, check_kit, read_json, sight_of
from dashboard.bus import Bus
from dashboard.feed import Feed, Full
from dashboard.live import check_online
from dashboard.pages import page
from dashboard.questions import NoAnswerError, Questions
from edge.events import Mode, Sense, topic
from edge.words import LABELS

LONGEST_ROUND = 1024
ROUND_ANSWER_S = 4.0
"""A kit begins a round at once or not at all."""


@dataclass
class Play:
    """The handlers."""

    access: Access
    feed: Feed
    bus: Bus
    questions: Questions

    def routes(self) -> list[BaseRoute]:
        """What the game asks for."""
        guarded = self.access.route
        return [
            Route("/practice", self.page),
            guarded("/api/practice/stream", self.stream, "play"),
            guarded("/api/kits/{kit}/practice", self.round, "play", methods=("POST",)),
            guarded("/api/kits/{kit}/mode", self.mode, "switch", methods=("POST",)),
            guarded("/api/kits/{kit}/learn", self.learn, "switch", methods=("POST",)),
            guarded("/api/kits/{kit}/forget", self.forget, "switch", methods=("POST",)),
        ]

    async def page(self, request: Request) -> Response:
        """The game, for whoever may play; the others go where they may be."""
        session = self.access.session(request)
        if session is None or not session.account.may("play"):
            return RedirectResponse("/", 303)
        return page("practice")

    async def stream(self, request: Request) -> Response:
        """The kits as ever, without any room's mood, and the readings of the one that plays."""
        kit = request.query_params.get("kit", "")
        if kit:
            check_kit(request, kit)
        try:
            self.feed.admit()
        except Full as error:
            raise HTTPException(503, "too many pages are open") from error
        if kit:
            await self.access.note_look(request, "played", kit)
        sight = replace(sight_of(request), mood=False, game=kit)
        headers = {"X-Accel-Buffering": "no"}
        return StreamingResponse(self.feed.stream(sight), media_type="text/event-stream", headers=headers)

    async def round(self, request: Request) -> Response:
        """Begin a round on the kit, or end it with 0 seconds; the answer carries the round's name."""
        kit = check_kit(request, request.path_params["kit"])
        wish = await read_json(request, LONGEST_ROUND)
        label, seconds, sense = wish.get("label", ""), wish.get("seconds"), wish.get("sense", "face")
        number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if not number or label not in ("", *LABELS) or sense not in get_args(Sense):
            raise HTTPException(400, "a round has a label, seconds, and face or voice as its sense")
        asked = {"label": label, "seconds": seconds, "sense": sense}
        answer = await self._ask(kit, "practice-round", asked)
        return JSONResponse({"round": answer.get("transaction")}, 201)

    async def mode(self, request: Request) -> Response:
        """Send the mode to the kit. The kit's ``info`` shows whether it obeyed."""
        kit = check_kit(request, request.path_params["kit"])
        mode = (await read_json(request, LONGEST_ROUND)).get("mode")
        if mode not in get_args(Mode):
            raise HTTPException(400, "mode is class or practice")
        check_online(self.feed, kit)
        if not await self.bus.publish(topic(kit, "set", "mode"), str(mode)):
            raise HTTPException(503, "the broker did not take the command")
        await self.access.note(request, "switched", kit, f"mode {mode}")
        return JSONResponse({"sent": True}, 202)

    async def learn(self, request: Request) -> Response:
        """An adult agrees that the kit learns from the rounds that follow, or takes that back."""
        kit = check_kit(request, request.path_params["kit"])
        consent = (await read_json(request, LONGEST_ROUND)).get("consent")
        if not isinstance(consent, bool):
            raise HTTPException(400, "consent is true or false")
        await self._ask(kit, "practice-learn", {"consent": consent})
        await self.access.note(request, "switched", kit, f"learning {'on' if consent else 'off'}")
        return JSONResponse({"consent": consent})

    async def forget(self, request: Request) -> Response:
        """Have the kit delete what it learned."""
        kit = check_kit(request, request.path_params["kit"])
        await self._ask(kit, "practice-forget", {})
        await self.access.note(request, "switched", kit, "learning forgotten")
        return JSONResponse({"forgotten": True})

    async def _ask(self, kit: str, verb: str, body: Mapping[str, object]) -> Mapping[str, object]:
        """What the kit answers, or why not."""
        check_online(self.feed, kit)
        try:
            answer = await self.questions.ask(kit, verb, body, timeout_s=ROUND_ANSWER_S)
        except NoAnswerError as error:
            raise HTTPException(504, str(error)) from error
        if answer.get("ok") is not True:
            raise HTTPException(409, str(answer.get("error", "the kit refused"))[:200])
        return answer
