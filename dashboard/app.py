"""The dashboard over HTTP: puts the parts together, which answer below ``/api``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from dashboard.access import Access
from dashboard.bus import Bus
from dashboard.cards import card_folders
from dashboard.choices import Desk
from dashboard.database import DatabaseError
from dashboard.entry import Entry
from dashboard.feed import Feed
from dashboard.guard import Guard
from dashboard.invitations import Invitations, Registrar
from dashboard.live import Live
from dashboard.office import Office
from dashboard.pages import STATIC
from dashboard.past import Past
from dashboard.people import Passwords, People
from dashboard.play import Play
from dashboard.questions import Questions
from dashboard.roster import Roster
from dashboard.rules import Rules
from dashboard.upkeep import Upkeep
from dashboard.watch import Watch


def make_app(
    feed: Feed,
    bus: Bus,
    people: People,
    desk: Desk,
    *,
    code: str,
    hosts: Collection[str] = (),
    demo: bool = False,
    passwords: Passwords | None = None,
    registrar: Registrar | None = None,
) -> Starlette:
    """The application; it starts and stops *bus* and *feed* with itself.

    Args:
        feed: what the pages are told.
        bus: where switches and questions are sent; calls feed.receive and feed.connect.
        people: who may log in.
        desk: what was chosen.
        code: what the first set-up asks for.
        hosts: names that the server may be reached by, besides localhost and addresses.
        demo: everybody is let in; under loopback addresses only.
        passwords: how passwords are hashed.
        registrar: of the site, where kits are invited; None invites nobody.
    """
    disk, passwords = feed.disk, passwords or Passwords()
    access = Access(people, disk, clock=feed.clock, demo=demo)
    questions = Questions(bus.publish)
    feed.answers = questions.hear
    watch = Watch(feed, bus.publish)
    roster = Roster(feed, bus, questions)
    entry = Entry(access, feed, disk, desk, passwords, code, lambda: feed.board)
    parts = (
        entry,
        Live(access, feed, bus, questions, card_folders()),
        Play(access, feed, bus, questions),
        Upkeep(access, feed, questions),
        Past(access, feed, disk),
        Office(access, feed, disk, desk, passwords),
        Rules(access, feed, watch),
        Invitations(access, registrar),
    )

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        bus.start()
        tending = [asyncio.create_task(work) for work in (feed.tend(), watch.tend(), roster.tend())]
        try:
            yield
        finally:
            for task in tending:
                task.cancel()
            await asyncio.gather(*tending, return_exceptions=True)
            await bus.stop()
            await feed.finish()

    return Starlette(
        routes=[
            *(route for part in parts for route in part.routes()),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[Middleware(Guard, hosts=hosts, loopback_only=demo)],
        exception_handlers={HTTPException: _tell_error, DatabaseError: _tell_trouble},
        lifespan=lifespan,
    )


async def _tell_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


async def _tell_trouble(_request: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"the database cannot be used: {error}"}, 503)
