"""A kit's settings and models: looked at by whoever sees the kit, changed by an admin. The kit decides."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from dashboard.access import Access, check_kit, read_json
from dashboard.feed import Feed
from dashboard.live import check_online
from dashboard.questions import NoAnswerError, Questions

MOST_BYTES = 32 * 1024 * 1024
"""Of a model package: what a kit takes."""
PART_BYTES = 24 * 1024
TRIED_S = 240.0
"""The kit tries what it is given before it answers."""
FETCHED_S = 30.0
"""A server that says nothing for so long is given up."""
BINARY = "application/octet-stream"


class _Straight(urllib.request.HTTPRedirectHandler):
    """An address that leads to another one is not followed: nobody typed that one."""

    def redirect_request(self, *_arguments: Any) -> None:
        return None


def fetch(url: str) -> bytes:
    """The bytes at an ``http:`` or ``https:`` address; the kit judges whether they are a model.

    Raises:
        HTTPException: they cannot be had.
    """
    if not url.startswith(("http://", "https://")):
        raise HTTPException(400, "url")
    try:
        opener = urllib.request.build_opener(_Straight)
        with opener.open(url, timeout=FETCHED_S) as answer:
            data: bytes = answer.read(MOST_BYTES + 1)
    except (OSError, ValueError, urllib.error.URLError) as error:
        raise HTTPException(502, "fetch") from error
    if len(data) > MOST_BYTES:
        raise HTTPException(413, "package_size")
    return data


@dataclass
class Upkeep:
    """The handlers."""

    access: Access
    feed: Feed
    questions: Questions

    def routes(self) -> list[BaseRoute]:
        """What is asked about a kit's settings and models."""
        guarded = self.access.route
        return [
            guarded("/api/kits/{kit}/settings", self.settings, "kits"),
            guarded("/api/kits/{kit}/settings", self.change, "upkeep", methods=("POST",)),
            guarded("/api/kits/{kit}/models", self.models, "kits"),
            guarded("/api/kits/{kit}/models", self.install, "upkeep", methods=("POST",)),
            guarded("/api/kits/{kit}/rollback", self.roll_back, "upkeep", methods=("POST",)),
        ]

    async def settings(self, request: Request) -> Response:
        """What can be changed, as the kit describes it."""
        return JSONResponse(await self._ask(self._kit(request), "settings"))

    async def change(self, request: Request) -> Response:
        """Change settings. The kit's answer says whether it took them, and if not, why."""
        kit = self._kit(request)
        changes = (await read_json(request)).get("changes")
        if not isinstance(changes, dict) or not all(
            isinstance(value, str) for pair in changes.items() for value in pair
        ):
            raise HTTPException(400, "changes")
        answer = await self._ask(kit, "settings-change", {"changes": changes}, timeout_s=TRIED_S)
        if answer.get("ok") is True and answer.get("begins_anew"):
            told = ", ".join(f"{name} = {value}" for name, value in sorted(changes.items()))
            await self.access.note(request, "tuned", kit, told[:200])
        return JSONResponse(answer)

    async def models(self, request: Request) -> Response:
        """The models in use, with their cards."""
        return JSONResponse(await self._ask(self._kit(request), "models"))

    async def install(self, request: Request) -> Response:
        """Hand a signed package to the kit: the body itself, or what lies at an address."""
        kit = self._kit(request)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() == BINARY:
            data = await _read(request)
        else:
            data = await asyncio.to_thread(fetch, str((await read_json(request)).get("url", "")))
        answer = await self._send(kit, data)
        if answer.get("ok") is True:
            await self.access.note(request, "model_installed", kit, hashlib.sha256(data).hexdigest()[:16])
        return JSONResponse(answer)

    async def roll_back(self, request: Request) -> Response:
        """Return to the model before."""
        kit = self._kit(request)
        name = str((await read_json(request)).get("name", ""))
        answer = await self._ask(kit, "model-rollback", {"name": name})
        if answer.get("ok") is True:
            await self.access.note(request, "model_rolled_back", kit, name[:60])
        return JSONResponse(answer)

    async def _send(self, kit: str, data: bytes) -> dict[str, Any]:
        """In parts, each after the answer to the one before; the last answer, or the first refusal."""
        if not data:
            raise HTTPException(400, "package_size")
        whole = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        answer: dict[str, Any] = {}
        for at in range(0, len(data), PART_BYTES):
            part = base64.b64encode(data[at : at + PART_BYTES]).decode()
            answer = await self._ask(kit, "model-part", whole | {"at": at, "data": part}, timeout_s=TRIED_S)
            if answer.get("ok") is not True:
                break
            self.feed.tell("parcel", {"kit": kit, "have": answer.get("have"), "size": len(data)}, kit)
        return answer

    async def _ask(
        self, kit: str, verb: str, table: Mapping[str, Any] | None = None, **patience: float
    ) -> dict[str, Any]:
        try:
            return await self.questions.ask(kit, verb, table, **patience)
        except NoAnswerError as error:
            raise HTTPException(504, str(error)) from error

    def _kit(self, request: Request) -> str:
        kit = check_kit(request, request.path_params["kit"])
        check_online(self.feed, kit)
        return kit


async def _read(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise HTTPException(413, "package_size")
    return bytes(body)
