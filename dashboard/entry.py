"""The way in: the first set-up, logging in and out, one's own password, and the pages themselves."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from dashboard.access import Access, account_of, give_cookie, read_json, take_cookie
from dashboard.attempts import Attempts
from dashboard.board import Board
from dashboard.choices import ChoiceError, Choices, Desk, check_choices
from dashboard.database import Disk
from dashboard.feed import Feed
from dashboard.pages import STATIC, page
from dashboard.people import (
    LONGEST_PASSWORD,
    RIGHTS,
    Account,
    Passwords,
    PeopleError,
    check_account,
    check_password,
)

CODE_LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
SETUP = "setup"
"""The name that wrong set-up codes are counted under."""


def make_code() -> str:
    """A code for the first set-up; whoever started the server reads it there."""
    return "".join(secrets.choice(CODE_LETTERS) for _ in range(10))


@dataclass
class Entry:
    """The handlers."""

    access: Access
    feed: Feed
    disk: Disk
    desk: Desk
    passwords: Passwords
    code: str
    board: Callable[[], Board]

    def __post_init__(self) -> None:
        """Nobody has failed yet."""
        self._attempts = Attempts()
        self._hashing = asyncio.Semaphore(1)  # one hash takes 64 MiB

    def routes(self) -> list[BaseRoute]:
        """The pages and their requests."""
        return [
            Route("/", self.page),
            Route("/login", self.login_page),
            Route("/setup", self.setup_page),
            Route("/sw.js", self.worker),
            Route("/manifest.webmanifest", self.manifest),
            Route("/api/welcome", self.welcome),
            Route("/api/setup/rooms", self.setup_rooms, methods=["POST"]),
            Route("/api/setup", self.set_up, methods=["POST"]),
            Route("/api/login", self.log_in, methods=["POST"]),
            self.access.route("/api/me", self.me),
            self.access.route("/api/logout", self.log_out, methods=("POST",)),
            self.access.route("/api/password", self.change_password, methods=("POST",)),
        ]

    # ── Pages ────────────────────────────────────────────────────────────────────────────────────────

    async def page(self, request: Request) -> Response:
        """The dashboard, or the way to it."""
        if self.access.session(request) is None:
            return RedirectResponse("/login" if self.access.people.accounts else "/setup", 303)
        return page("index")

    async def login_page(self, request: Request) -> Response:
        """The login, where there is somebody who could."""
        if self.access.session(request) is not None:
            return RedirectResponse("/", 303)
        if not self.access.people.accounts:
            return RedirectResponse("/setup", 303)
        return page("door", title="Masuk · Suasana", script="login.js")

    async def setup_page(self, _request: Request) -> Response:
        """The first set-up, as long as nobody did it."""
        if self.access.people.accounts or self.access.demo:
            return RedirectResponse("/", 303)
        return page("door", title="Penyiapan · Suasana", script="setup.js")

    async def worker(self, _request: Request) -> Response:
        """The service worker; it lies at the top because it may only serve what lies below it."""
        return FileResponse(STATIC / "worker.js", media_type="text/javascript")

    async def manifest(self, _request: Request) -> Response:
        """What a phone reads to put the page on its screen."""
        return FileResponse(STATIC / "manifest.webmanifest", media_type="application/manifest+json")

    # ── Requests ─────────────────────────────────────────────────────────────────────────────────────

    async def welcome(self, _request: Request) -> Response:
        """What somebody may know before the login."""
        return JSONResponse({"language": self.desk.now.language, "set_up": bool(self.access.people.accounts)})

    async def me(self, request: Request) -> Response:
        """Who the asker is, and the token that changes have to carry."""
        account = account_of(request)
        choices = self.desk.now
        return JSONResponse(
            {
                "name": account.name,
                "role": account.role,
                "rights": sorted(RIGHTS[account.role]),
                "kits": list(account.kits),
                "csrf": request.state.session.csrf,
                "demo": self.access.demo,
                "notice": choices.notice,
                "rooms": {kit: room for kit, room in choices.rooms.items() if account.sees(kit)},
                "retention_days": choices.retention_days,
            }
        )

    async def setup_rooms(self, request: Request) -> Response:
        """The kits that were heard so far, for somebody with the set-up code."""
        self._check_code(request, await read_json(request))
        kits = self.board().kits.values()
        rooms = [{"kit": one.kit, "room": one.info.room if one.info else ""} for one in kits]
        return JSONResponse({"rooms": rooms, "language": self.desk.now.language})

    async def set_up(self, request: Request) -> Response:
        """Keep the choices and make the first two accounts; the teacher or admin then logs in."""
        table = await read_json(request)
        self._check_code(request, table)
        try:
            choices = _check_consent(check_choices(table, self.desk.now))
            people = [self._read_person(table.get(role), role) for role in ("admin", "teacher")]
            hashes = [await self._hash(password) for _, password in people]
            accounts = [(account, hash) for (account, _), hash in zip(people, hashes, strict=True)]
            now = self.access.clock()
            await self.disk.run(lambda: self.access.people.add(accounts, now, first=True))
        except (ChoiceError, PeopleError) as error:
            raise HTTPException(400, str(error)) from error
        await self.disk.run(self.desk.set, choices)
        await self.access.write(people[0][0].name, "admin", "set_up")
        return JSONResponse({"done": True}, 201)

    async def log_in(self, request: Request) -> Response:
        """Begin a session.

        Raises:
            HTTPException: 401 for a wrong name or password, which are not told apart; 429 after too many.
        """
        table = await read_json(request)
        name, password = str(table.get("name", "")), str(table.get("password", ""))[: LONGEST_PASSWORD + 1]
        sender = _sender(request)
        self._check_wait(sender, name)
        self._attempts.fail(
            sender, name, self.access.clock()
        )  # taken back below: trying twice at once counts twice
        account = self.access.people.find(name)
        hash = self.access.people.hash_of(account.name) if account else None
        async with self._hashing:
            fits = await asyncio.to_thread(self.passwords.fits, hash, password)
        if account is None or hash is None or not fits:
            if account is not None:
                await self.access.write(account.name, account.role, "login_refused", about=sender)
            raise HTTPException(401, "name or password is wrong")
        self._attempts.forgive(sender, name)
        if self.passwords.is_old(hash):
            await self.disk.run(self.access.people.set_hash, account.name, await self._hash(password))
        token, _ = await self.disk.run(self.access.people.begin, account, self.access.clock())
        await self.access.write(account.name, account.role, "login", about=sender)
        answer = JSONResponse({"done": True})
        give_cookie(request, answer, token)
        return answer

    async def log_out(self, request: Request) -> Response:
        """End the session, here and for good."""
        session = request.state.session
        if session.digest:
            await self.disk.run(self.access.people.end, session.digest)
            self.feed.close({session.digest})
            await self.access.note(request, "logout")
        answer = JSONResponse({"done": True}, headers={"Clear-Site-Data": '"storage"'})
        take_cookie(request, answer)
        return answer

    async def change_password(self, request: Request) -> Response:
        """Give oneself a new password; every session of the account ends."""
        table = await read_json(request)
        account = account_of(request)
        old, new = str(table.get("old", "")), str(table.get("new", ""))
        hash = self.access.people.hash_of(account.name)
        self._check_wait(_sender(request), account.name)
        async with self._hashing:
            fits = await asyncio.to_thread(self.passwords.fits, hash, old[: LONGEST_PASSWORD + 1])
        if not fits:
            self._attempts.fail(_sender(request), account.name, self.access.clock())
            raise HTTPException(400, "password_wrong")
        try:
            check_password(account.name, new)
        except PeopleError as error:
            raise HTTPException(400, str(error)) from error
        await self.disk.run(self.access.people.set_hash, account.name, await self._hash(new))
        ended = await self.disk.run(self.access.people.end_sessions, account.name)
        self.feed.close(set(ended))
        await self.access.note(request, "password")
        return JSONResponse({"done": True})

    # ── Parts ────────────────────────────────────────────────────────────────────────────────────────

    def _check_code(self, request: Request, table: dict[str, Any]) -> None:
        if self.access.people.accounts or self.access.demo:
            raise HTTPException(409, "the set-up is done")
        sender = _sender(request)
        self._check_wait(sender, SETUP)
        if not hmac.compare_digest(str(table.get("code", "")).upper().encode(), self.code.encode()):
            self._attempts.fail(sender, SETUP, self.access.clock())
            raise HTTPException(403, "code")

    def _check_wait(self, sender: str, name: str) -> None:
        wait_s = self._attempts.wait_s(sender, name, self.access.clock())
        if wait_s:
            raise HTTPException(429, "too many attempts", headers={"Retry-After": str(wait_s)})

    async def _hash(self, password: str) -> str:
        async with self._hashing:
            return await asyncio.to_thread(self.passwords.hash, password)

    def _read_person(self, table: object, role: str) -> tuple[Account, str]:
        if not isinstance(table, dict):
            raise PeopleError("name")
        name, password = " ".join(str(table.get("name", "")).split()), str(table.get("password", ""))
        account = check_account(name, role, ())
        check_password(name, password)
        return account, password


def _check_consent(choices: Choices) -> Choices:
    """A dashboard is not set up for people who were not asked."""
    if not choices.consent:
        raise ChoiceError("consent")
    return choices


def _sender(request: Request) -> str:
    return request.client.host if request.client else "?"
