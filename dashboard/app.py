"""The teacher's page over HTTP: one page, its stream, its history and its switches."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, get_args

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from dashboard.board import phase
from dashboard.bus import Bus
from dashboard.feed import Feed, Full
from dashboard.guard import Guard
from edge.events import Switch, topic

STATIC = Path(__file__).parent / "static"
SWITCHES = ("capture", "camera", "microphone")
LONGEST_BODY = 1024
LONGEST_MINUTES = 240


def make_app(feed: Feed, bus: Bus, *, hosts: Collection[str] = ()) -> Starlette:
    """The application; it starts and stops *bus* and *feed* with itself.

    Args:
        feed: what the pages are told.
        bus: where switches are sent; calls feed.receive and feed.connect.
        hosts: names that the server may be reached by, besides localhost and addresses.
    """
    routes = _Routes(feed, bus)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        bus.start()
        tending = asyncio.create_task(feed.tend())
        try:
            yield
        finally:
            tending.cancel()
            with suppress(asyncio.CancelledError):
                await tending
            await bus.stop()
            await feed.finish()

    return Starlette(
        routes=[
            Route("/", routes.page),
            Route("/healthz", routes.healthz),
            Route("/api/kits", routes.kits),
            Route("/api/history", routes.history),
            Route("/api/stream", routes.stream),
            Route("/api/kits/{kit}/switch", routes.switch, methods=["POST"]),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[Middleware(Guard, hosts=hosts)],
        exception_handlers={HTTPException: _tell_error},
        lifespan=lifespan,
    )


class _Routes:
    """The handlers, with what they share."""

    def __init__(self, feed: Feed, bus: Bus) -> None:
        self._feed, self._bus = feed, bus

    async def page(self, _request: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    async def healthz(self, _request: Request) -> Response:
        feed = self._feed
        counts = {"kits": len(feed.board.kits), "pages": feed.pages}
        losses = {"refused": feed.refused.total(), "lost": self._bus.lost}
        return JSONResponse({"ok": True, "broker": feed.broker} | counts | losses)

    async def kits(self, _request: Request) -> Response:
        return JSONResponse(self._feed.snapshot())

    async def history(self, request: Request) -> Response:
        kit = request.query_params.get("kit", "")
        text = request.query_params.get("minutes", "40")
        if kit not in self._feed.board.kits:
            raise HTTPException(404, "no such kit")
        if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= LONGEST_MINUTES:
            raise HTTPException(400, f"minutes is a whole number from 1 to {LONGEST_MINUTES}")
        windows = await self._feed.windows(kit, int(text))
        return JSONResponse({"kit": kit, "minutes": int(text), "windows": windows})

    async def stream(self, _request: Request) -> Response:
        try:
            self._feed.admit()
        except Full as error:
            raise HTTPException(503, "too many pages are open") from error
        headers = {"X-Accel-Buffering": "no"}  # a proxy that collects would hold the news back
        return StreamingResponse(self._feed.stream(), media_type="text/event-stream", headers=headers)

    async def switch(self, request: Request) -> Response:
        """Send one switch to the kit. The kit's ``info`` shows whether it obeyed."""
        kit = request.path_params["kit"]
        command = await _read_json(request)
        name, value = str(command.get("name")), str(command.get("value"))
        if name not in SWITCHES or value not in get_args(Switch):
            raise HTTPException(400, f"name is one of {', '.join(SWITCHES)}; value is on or off")
        board = self._feed.board.kits.get(kit)
        if board is None:
            raise HTTPException(404, "no such kit")
        if not self._feed.broker:
            raise HTTPException(503, "there is no connection to the broker")
        if phase(board, self._feed.snapshot()["now"], self._feed.board.limits) not in {"online", "silent"}:
            raise HTTPException(409, "the kit is not online")
        if not await self._bus.publish(topic(kit, "set", name), value):
            raise HTTPException(503, "the broker did not take the command")
        return JSONResponse({"sent": True}, 202)


async def _read_json(request: Request) -> dict[str, Any]:
    """The body as a JSON object.

    Raises:
        HTTPException: 415, 413 or 400.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "the body is application/json")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_BODY:
            raise HTTPException(413, f"the body is longer than {LONGEST_BODY} bytes")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "the body is not JSON") from error
    if not isinstance(value, dict):
        raise HTTPException(400, "the body is not a JSON object")
    return value


async def _tell_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)
