"""Who is there: the kits that a district's page may hear, and who they are where the broker does not tell.

A broker with one school on it is asked for every kit. A district's refuses that, so a page asks for each
kit of its site by name; the history knows them, since the ingesters write down whoever tells something. And
RabbitMQ gives retained messages only to who subscribes to their very topic on the very node: a kit that is
heard and has not introduced itself is asked for its ``info``.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from dashboard.board import phase
from dashboard.bus import Bus, Message
from dashboard.database import DatabaseError
from dashboard.feed import Feed
from dashboard.questions import NoAnswerError, Questions
from edge.events import topic

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
ASK_AGAIN_S = 60.0
AT_ONCE = 20
ANSWER_S = 5.0


@dataclass
class Roster:
    """Looks every few seconds; everything runs on the event loop."""

    feed: Feed
    bus: Bus
    questions: Questions
    _asked: dict[str, float] = field(default_factory=dict)
    _complaint: str = ""

    async def tend(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Once."""
        if self.feed.disk.database.shared:
            try:
                self.bus.hear(await self.feed.disk.run(self.feed.history.kits))
                self._complaint = ""
            except DatabaseError as error:
                if str(error) != self._complaint:
                    self._complaint = str(error)
                    logger.warning("roster: %s", error)
        await asyncio.gather(*(self._ask(kit) for kit in self._strangers()))

    def _strangers(self) -> Iterable[str]:
        """Kits that are heard, have not introduced themselves, and were not asked lately."""
        now, board = self.feed.clock(), self.feed.board
        known = {kit for kit, one in board.kits.items() if one.info is not None}
        self._asked = {kit: at for kit, at in self._asked.items() if kit not in known}
        strangers = [
            kit
            for kit, one in board.kits.items()
            if one.info is None and one.heard_at is not None and phase(one, now, board.limits) == "online"
        ]
        due = [kit for kit in strangers if now - self._asked.get(kit, 0.0) > ASK_AGAIN_S]
        return due[:AT_ONCE]

    async def _ask(self, kit: str) -> None:
        self._asked[kit] = self.feed.clock()
        try:
            answer = await self.questions.ask(kit, "info", timeout_s=ANSWER_S)
        except NoAnswerError:
            return
        if isinstance(answer.get("info"), dict):
            body = json.dumps(answer["info"]).encode()
            self.feed.receive(Message(topic(kit, "info"), body, retained=False))
