"""The door of a site: a small HTTPS server that is open while somebody is invited, and no longer.

    GET  /authority    the site's certificate authority, PEM; public
    POST /join         {"secret", "request"} -> {"site", "kit", "port", "registrar", "certificate", "now"}

A kit first takes the authority and compares it with the fingerprint in its invitation; only then does it
speak to the same address again, now verified, and says the secret. Who sits in between hears nothing of use.

``Door`` decides, and is free of sockets; time is passed in. Invitations live in the memory of one process:
none is left on a disk, and when the process ends, so do they.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import math
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edge.broker import certificates
from edge.broker.certificates import CertificateError
from edge.broker.invitation import FINGERPRINT_BYTES, Invitation, make_secret
from edge.site.access import Member
from edge.site.folder import Site, SiteError

logger = logging.getLogger(__name__)

BURST, REFILL_S = 5, 10.0
"""Wrong secrets at once from one address, and another one each so many seconds."""
BURST_OF_ALL, REFILL_OF_ALL_S = 50, 1.0
"""The same for everybody together: addresses are cheap."""
MOST_SENDERS = 1000
LONGEST_BYTES = 8192
"""Of a request to join."""
PATIENCE_S = 10.0
"""For the whole of a request's body."""


Fate = Literal["waiting", "joined", "over"]


class RefusedError(Exception):
    """Not let in; ``status`` is HTTP's, the text is for the kit's owner."""

    def __init__(self, status: int, reason: str, *, wait_s: int = 0) -> None:
        super().__init__(reason)
        self.status, self.reason, self.wait_s = status, reason, wait_s


@dataclass(slots=True)
class Guest:
    """An invitation that was given out."""

    member: Member
    until: float
    """Monotonic seconds."""
    replaces: bool = False
    answer: dict[str, object] = field(default_factory=dict)
    """What it was told when it joined; empty before."""
    request: bytes = b""
    """Its own, once it joined."""


class Door:
    """Who is invited, and what comes of each knock."""

    def __init__(
        self,
        site: Site,
        *,
        lasts_s: float,
        told: Callable[[str], None] = logger.warning,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Closed to everybody yet. *lasts_s*: of each invitation. *told*: what its owner should know."""
        self.site = site
        self._lasts_s, self._told, self._clock = lasts_s, told, clock
        self._guests: dict[bytes, Guest] = {}
        self._failures: dict[str, tuple[float, float]] = {}
        self._all = (0.0, 0.0)
        self._lock = threading.Lock()
        self.fingerprint = certificates.read(site.authority().certificate).fingerprint

    def invite(self, member: Member, *, host: str, port: int, replaces: bool = False) -> Invitation:
        """A new invitation. Nobody joins under a name that is taken, unless *replaces*.

        Raises:
            SiteError: the name is taken or none.
        """
        self.site.check_new(member, replaces=replaces)
        secret = make_secret()
        with self._lock:
            self._guests[_hash(secret)] = Guest(member, self._clock() + self._lasts_s, replaces)
        return Invitation(host, port, self.fingerprint[:FINGERPRINT_BYTES], secret)

    def withdraw(self, name: str) -> bool:
        """Take back what *name* was invited with and did not use; False when there was nothing."""
        with self._lock:
            unused = [key for key, one in self._guests.items() if one.member.name == name and not one.answer]
            for key in unused:
                del self._guests[key]
            return bool(unused)

    def fate(self, secret: str) -> Fate:
        """What became of one invitation."""
        with self._lock:
            guest = self._guests.get(_hash(secret))
        if guest is None:
            return "over"
        if guest.answer:
            return "joined"
        return "waiting" if self._clock() < guest.until else "over"

    @property
    def waiting(self) -> tuple[str, ...]:
        """Who may still come."""
        now = self._clock()
        with self._lock:
            guests = list(self._guests.values())
        return tuple(one.member.name for one in guests if not one.answer and now < one.until)

    @property
    def joined(self) -> tuple[str, ...]:
        """Who came."""
        with self._lock:
            return tuple(one.member.name for one in self._guests.values() if one.answer)

    def join(self, secret: str, request: bytes, *, sender: str, wall: datetime) -> dict[str, object]:
        """What a kit is told that knows a secret; the same again to the same key, should an answer get lost.

        Raises:
            RefusedError: too many attempts, no such invitation, run out, used, or a bad request.
        """
        with self._lock:
            now = self._clock()
            if wait := self._wait(sender, now):
                raise RefusedError(429, f"too many attempts; again in {wait} s", wait_s=wait)
            guest = self._guests.get(_hash(secret))
            if guest is None:
                self._fail(sender, now)
                raise RefusedError(403, "no such invitation")
            if guest.answer and certificates.same_key(guest.request, request):
                return guest.answer
            if guest.answer:
                self._told(f"{sender} tried an invitation that was used, of {guest.member.name}")
                raise RefusedError(409, "the invitation was used already; ask for another one")
            if now >= guest.until:
                raise RefusedError(410, "the invitation has run out; ask for another one")
            guest.answer = self._admit(guest, request, wall)
            guest.request = request
            self._told(f"{guest.member.name} joined from {sender}")
            return guest.answer

    def _admit(self, guest: Guest, request: bytes, wall: datetime) -> dict[str, object]:
        try:
            made = self.site.enrol(guest.member, request, wall, replaces=guest.replaces)
        except CertificateError as error:
            raise RefusedError(400, str(error)) from error
        except SiteError as error:
            self._told(f"{guest.member.name} could not join: {error}")
            raise RefusedError(500, "the site could not sign; its own terminal says why") from error
        register = self.site.register()
        return {
            "site": register.name,
            "kit": guest.member.name,
            "port": register.port,
            "registrar": register.registrar_port,
            "certificate": made.certificate.decode(),
        }

    def _wait(self, sender: str, now: float) -> int:
        """Whole seconds until *sender* may try again."""
        own, at = self._failures.get(sender, (0.0, now))
        everybody, since = self._all
        over = max(
            (own - (now - at) / REFILL_S - BURST + 1) * REFILL_S,
            (everybody - (now - since) / REFILL_OF_ALL_S - BURST_OF_ALL + 1) * REFILL_OF_ALL_S,
        )
        return math.ceil(over) if over > 0 else 0

    def _fail(self, sender: str, now: float) -> None:
        own, at = self._failures.pop(sender, (0.0, now))
        if len(self._failures) >= MOST_SENDERS:
            self._failures.pop(next(iter(self._failures)))
        self._failures[sender] = (max(0.0, own - (now - at) / REFILL_S) + 1, now)
        everybody, since = self._all
        self._all = (max(0.0, everybody - (now - since) / REFILL_OF_ALL_S) + 1, now)
        self._told(f"{sender} tried a secret that nobody was given")


def application(
    door: Door, authority: bytes, *, wall: Callable[[], datetime], changed: Callable[[], None]
) -> Starlette:
    """The two requests. *changed* is called after somebody joined."""

    async def show(_request: Request) -> Response:
        return Response(authority, media_type="application/x-pem-file")

    async def join(request: Request) -> Response:
        sender = request.client.host.removeprefix("::ffff:") if request.client else ""
        try:
            secret, asked = await asyncio.wait_for(_read_join(request), PATIENCE_S)
            at = wall()
            told = await asyncio.to_thread(door.join, secret, asked, sender=sender, wall=at)
        except RefusedError as refusal:
            headers = {"Retry-After": str(refusal.wait_s)} if refusal.wait_s else {}
            return JSONResponse({"error": refusal.reason}, refusal.status, headers)
        except asyncio.TimeoutError:
            return JSONResponse({"error": "too slow"}, 408)
        changed()
        return JSONResponse({**told, "now": at.timestamp()})

    return Starlette(routes=[Route("/authority", show), Route("/join", join, methods=["POST"])])


class Server(uvicorn.Server):
    """Open until everybody came, or nobody may any more."""

    def __init__(self, door: Door, *, wall: Callable[[], datetime]) -> None:
        """Serve *door* under the broker's certificate."""
        site = door.site
        authority = site.authority().certificate
        app = application(door, authority, wall=wall, changed=self._look)
        super().__init__(
            uvicorn.Config(
                app,
                log_level="critical",
                access_log=False,
                server_header=False,
                lifespan="off",
                proxy_headers=False,  # or who knocks could say that it is somebody else
                limit_concurrency=100,
                timeout_keep_alive=5,
                timeout_graceful_shutdown=5,
                ssl_certfile=site.broker / "broker.pem",
                ssl_keyfile=site.broker / "broker.key",
            )
        )
        self.door = door

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second."""
        self._look()
        return await super().on_tick(counter)

    def _look(self) -> None:
        if not self.door.waiting:
            self.should_exit = True


def listen(
    port: int, *, what: str = "is another invitation open? --door-port takes another"
) -> socket.socket:
    """A socket that hears both kinds of address; *what* is asked should the port be taken.

    Raises:
        SiteError: the port is taken.
    """
    try:
        if socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(("", port))
    except OSError as error:
        raise SiteError(f"port {port}: {error.strerror}; {what}") from error


async def read_table(request: Request) -> dict[str, object]:
    """The body as a JSON object.

    Raises:
        RefusedError: too long, or none.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_BYTES:
            raise RefusedError(413, "too long")
    try:
        table = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, "not a JSON object") from error
    if not isinstance(table, dict):
        raise RefusedError(400, "not a JSON object")
    return table


async def _read_join(request: Request) -> tuple[str, bytes]:
    table = await read_table(request)
    secret, asked = table.get("secret"), table.get("request")
    if not isinstance(secret, str) or not isinstance(asked, str):
        raise RefusedError(400, "not a request to join")
    return secret.strip().upper(), asked.encode()


def _hash(secret: str) -> bytes:
    """Looked up by this, so that how long it takes tells nothing about the secret."""
    return hashlib.sha256(secret.encode()).digest()
