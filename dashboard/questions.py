"""What the page asks a kit (``request/<verb>``), and the answer that belongs to it."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from edge.events import MAX_BYTES, topic

PATIENCE_S = 20.0
"""A doctor that looks at every device takes its time."""
MOST_OPEN = 50


class NoAnswerError(Exception):
    """The kit did not answer; the message says why in one line."""


class Questions:
    """Questions that wait for their answers."""

    def __init__(self, publish: Callable[[str, str], Awaitable[bool]]) -> None:
        """Ask through *publish*, which says whether the broker took it."""
        self._publish = publish
        self._open: dict[tuple[str, str, str], asyncio.Future[dict[str, Any]]] = {}

    async def ask(
        self, kit: str, verb: str, more: Mapping[str, Any] | None = None, *, timeout_s: float = PATIENCE_S
    ) -> dict[str, Any]:
        """The kit's answer; *more* goes with the question.

        Raises:
            NoAnswerError: there is none, or the broker did not take the question.
        """
        if len(self._open) >= MOST_OPEN:
            raise NoAnswerError("too many questions are waiting")
        key = (kit, verb, secrets.token_hex(8))
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._open[key] = answer
        try:
            body = json.dumps({"transaction": key[2], **(more or {})})
            if not await self._publish(topic(kit, "request", verb), body):
                raise NoAnswerError("the broker did not take the question")
            return await asyncio.wait_for(answer, timeout_s)
        except (asyncio.TimeoutError, TimeoutError) as error:
            raise NoAnswerError("the kit did not answer") from error
        finally:
            del self._open[key]

    def hear(self, kit: str, verb: str, payload: bytes) -> None:
        """An answer came; what nobody here asked for is left alone."""
        if not self._open or len(payload) > MAX_BYTES:
            return
        try:
            table = json.loads(payload)
        except (ValueError, RecursionError):
            return
        if isinstance(table, dict):
            waiting = self._open.get((kit, verb, str(table.get("transaction"))))
            if waiting is not None and not waiting.done():
                waiting.set_result(table)
