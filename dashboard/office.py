"""Who may do what, how long anything is kept, the audit log, and wiping a room."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from dashboard.access import Access, account_of, check_kit, read_json
from dashboard.choices import ChoiceError, Desk, check_choices
from dashboard.database import Disk
from dashboard.feed import Feed
from dashboard.people import Passwords, PeopleError, check_account, check_password
from edge.events import KIT_NAME


@dataclass
class Office:
    """The handlers."""

    access: Access
    feed: Feed
    disk: Disk
    desk: Desk
    passwords: Passwords

    def routes(self) -> list[BaseRoute]:
        """What is asked about people and settings."""
        guarded = self.access.route
        return [
            guarded("/api/accounts", self.accounts, "people"),
            guarded("/api/accounts", self.add, "people", methods=("POST",)),
            guarded("/api/accounts/{name}", self.reset, "people", methods=("POST",)),
            guarded("/api/accounts/{name}", self.remove, "people", methods=("DELETE",)),
            guarded("/api/choices", self.choices),
            guarded("/api/choices", self.choose, "settings", methods=("POST",)),
            guarded("/api/audit", self.audit, "audit"),
            guarded("/api/wipe", self.wipe, "wipe", methods=("POST",)),
        ]

    async def accounts(self, _request: Request) -> Response:
        """Everybody, without anything secret."""
        people = sorted(self.access.people.accounts.values(), key=lambda one: (one.role, one.name.casefold()))
        return JSONResponse({"accounts": [asdict(one) for one in people]})

    async def add(self, request: Request) -> Response:
        """Make an account."""
        table = await read_json(request)
        name, password = " ".join(str(table.get("name", "")).split()), str(table.get("password", ""))
        kits = table.get("kits", [])
        if not isinstance(kits, list) or not all(
            isinstance(kit, str) and KIT_NAME.fullmatch(kit) for kit in kits
        ):
            raise HTTPException(400, "kits")
        try:
            account = check_account(name, str(table.get("role")), kits)
            check_password(name, password)
            hash = await asyncio.to_thread(self.passwords.hash, password)
            await self.disk.run(self.access.people.add, [(account, hash)], self.access.clock())
        except PeopleError as error:
            raise HTTPException(400, str(error)) from error
        await self.access.note(request, "account_made", about=f"{account.name} ({account.role})")
        return JSONResponse({"done": True}, 201)

    async def reset(self, request: Request) -> Response:
        """Give an account a new password; its sessions end."""
        name = self._known(request)
        password = str((await read_json(request)).get("password", ""))
        try:
            check_password(name, password)
        except PeopleError as error:
            raise HTTPException(400, str(error)) from error
        hash = await asyncio.to_thread(self.passwords.hash, password)
        await self.disk.run(self.access.people.set_hash, name, hash)
        self.feed.close(set(await self.disk.run(self.access.people.end_sessions, name)))
        await self.access.note(request, "account_reset", about=name)
        return JSONResponse({"done": True})

    async def remove(self, request: Request) -> Response:
        """Take an account away."""
        name = self._known(request)
        try:
            ended = await self.disk.run(self.access.people.remove, name)
        except PeopleError as error:
            raise HTTPException(400, str(error)) from error
        self.feed.close(set(ended))
        await self.access.note(request, "account_removed", about=name)
        return JSONResponse({"done": True})

    async def choices(self, _request: Request) -> Response:
        """What was chosen."""
        return JSONResponse(asdict(self.desk.now))

    async def choose(self, request: Request) -> Response:
        """Choose anew; a shorter retention holds at once."""
        table = await read_json(request)
        before = self.desk.now
        try:
            choices = check_choices(table, before)
        except ChoiceError as error:
            raise HTTPException(400, str(error)) from error
        await self.disk.run(self.desk.set, choices)
        changed = [name for name, value in asdict(choices).items() if asdict(before)[name] != value]
        await self.access.note(request, "chose", about=", ".join(changed))
        if choices.retention_days < before.retention_days:
            await self.feed.forget()
        return JSONResponse(asdict(choices))

    async def audit(self, request: Request) -> Response:
        """The newest lines of the log, or those before one."""
        text = request.query_params.get("before", "")
        if text and not (text.isascii() and text.isdigit() and len(text) < 16):
            raise HTTPException(400, "before is the number of a line")
        lines = await self.disk.run(self.access.people.log, int(text) if text else None)
        account = account_of(request)
        return JSONResponse({"lines": [one for one in lines if not one["kit"] or account.sees(one["kit"])]})

    async def wipe(self, request: Request) -> Response:
        """Delete everything about a room."""
        kit = check_kit(request, (await read_json(request)).get("kit"))
        await self.feed.wipe(kit)
        await self.access.note(request, "wiped", kit)
        return JSONResponse({"done": True})

    def _known(self, request: Request) -> str:
        name = str(request.path_params["name"])
        if name not in self.access.people.accounts:
            raise HTTPException(404, "no such account")
        return name
