"""Who is asking, and whether they may: sessions by cookie, rights by role, a token against forgery."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dashboard.database import Disk
from dashboard.feed import Sight
from dashboard.people import SESSION_S, Account, People, Right, Session

Handler = Callable[[Request], Awaitable[Response]]

COOKIE = "suasana"
SAFE_COOKIE = "__Host-suasana"
"""Over TLS: the browser takes a cookie of this name from no other host and over nothing else."""
TOKEN = "x-csrf-token"  # noqa: S105 -- a header's name
LOOK_AGAIN_S = 3600.0
"""Looking is noted once per hour and account, or the log would drown in it."""
LONGEST_BODY = 16_384

DEMO = Session(Account("demo", "demo", ()), "", "", float("inf"))
"""Who everybody is without a login, which is possible on this machine only."""


class Access:
    """Finds out who asks."""

    def __init__(self, people: People, disk: Disk, *, clock: Callable[[], float], demo: bool) -> None:
        """Ask *people*; with *demo* everybody is DEMO."""
        self.people, self.clock, self.demo = people, clock, demo
        self._disk = disk
        self._looks: dict[tuple[str, str, str], float] = {}

    def session(self, request: Request) -> Session | None:
        """The session of a request."""
        if self.demo:
            return DEMO
        return self.people.session(request.cookies.get(cookie_name(request)), self.clock())

    def route(
        self, path: str, handler: Handler, *rights: Right, methods: tuple[str, ...] = ("GET",)
    ) -> Route:
        """A route for whoever has one of *rights*, or for everybody with a session when there are none."""

        async def answer(request: Request) -> Response:
            session = self.session(request)
            if session is None:
                raise HTTPException(401, "log in first")
            if rights and not any(session.account.may(right) for right in rights):
                raise HTTPException(403, "your role may not do this")
            if request.method not in {"GET", "HEAD"} and not self.demo:
                sent = request.headers.get(TOKEN, "")
                if not hmac.compare_digest(sent.encode(), session.csrf.encode()):
                    raise HTTPException(403, "the request does not carry the page's token")
            request.state.session = session
            return await handler(request)

        return Route(path, answer, methods=list(methods))

    async def note(self, request: Request, deed: str, kit: str = "", about: str = "") -> None:
        """Write into the audit log what the asker did."""
        account = request.state.session.account
        await self.write(account.name, account.role, deed, kit, about)

    async def write(self, account: str, role: str, deed: str, kit: str = "", about: str = "") -> None:
        """Write into the audit log."""
        await self._disk.run(self.people.note, self.clock(), account, role, deed, kit, about)

    async def note_look(self, request: Request, deed: str, kit: str = "") -> None:
        """Note that the asker looked at something, once an hour."""
        key = (request.state.session.account.name, deed, kit)
        now = self.clock()
        if now - self._looks.get(key, -LOOK_AGAIN_S) >= LOOK_AGAIN_S:
            self._looks[key] = now
            await self.note(request, deed, kit)


def account_of(request: Request) -> Account:
    """Who asks, on a route that Access made."""
    session: Session = request.state.session
    return session.account


def sight_of(request: Request) -> Sight:
    """What the asker's pages may be told."""
    session: Session = request.state.session
    return Sight(session.account.sees, session.account.may("live"), session.digest)


def check_kit(request: Request, kit: object) -> str:
    """The kit's name, if the asker may see it.

    Raises:
        HTTPException: 404, which does not tell whether there is such a kit.
    """
    if not isinstance(kit, str) or not kit or not account_of(request).sees(kit):
        raise HTTPException(404, "no such kit")
    return kit


def cookie_name(request: Request) -> str:
    """The session cookie's name, which depends on whether the connection is private."""
    return SAFE_COOKIE if request.url.scheme == "https" else COOKIE


def give_cookie(request: Request, answer: Response, token: str) -> None:
    """Let the browser keep the session: no script can read it, no other page makes the browser send it."""
    answer.set_cookie(
        cookie_name(request),
        token,
        max_age=int(SESSION_S),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


def take_cookie(request: Request, answer: Response) -> None:
    """Let the browser forget the session."""
    answer.delete_cookie(
        cookie_name(request), httponly=True, samesite="strict", secure=request.url.scheme == "https"
    )


async def read_json(request: Request, longest: int = LONGEST_BODY) -> dict[str, Any]:
    """The body as a JSON object.

    Raises:
        HTTPException: 415, 413 or 400.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "the body is application/json")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > longest:
            raise HTTPException(413, f"the body is longer than {longest} bytes")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "the body is not JSON") from error
    if not isinstance(value, dict):
        raise HTTPException(400, "the body is not a JSON object")
    return value
