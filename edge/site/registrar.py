"""A site's registrar: open all the time, to members only, each known by its certificate.

    GET    /standing            whether it is time for another certificate
    POST   /certificate         {"request"} -> {"certificate"}: another one, for a new key
    POST   /invitations         {"kit", "replaces"} -> {"token", "lasts_s"}: of a dashboard that may invite
    GET    /invitations/{kit}   what became of it
    DELETE /invitations/{kit}   takes it back

Whether a certificate ends soon is judged here, by the site's clock: a kit's own may show any year. One that
has run out is still heard here, though no longer at the broker, for as long again as it lasted, so that a kit
comes back from a long holiday by itself. A revoked one never is.

``Registrar`` decides, and is free of sockets; time is passed in.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from edge.answers import DOOR_PORT
from edge.broker import certificates
from edge.broker.certificates import Certificate, CertificateError
from edge.broker.invitation import Invitation
from edge.site.access import Member
from edge.site.authority import DAY
from edge.site.door import PATIENCE_S, Door, Fate, RefusedError, Server, listen, read_table
from edge.site.folder import Register, Site, SiteError, utc_now

logger = logging.getLogger(__name__)

DUE = 1 / 3
"""Of its lifetime is left: then a certificate is renewed."""
MOST_WAITING = 50
"""Invitations at a time."""
REMEMBERED_S = 3600.0
"""What became of an invitation, after its end."""
LOOK_S = 60.0
"""How often the broker's certificate, which this serves too, is looked at."""

Handler = Callable[[Request], Awaitable[Response]]
State = Fate | Literal["none"]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a member's certificate stands."""

    member: Member
    due: bool
    """Whether another one should be asked for."""
    until: datetime


@dataclass(frozen=True, slots=True)
class Invited:
    """An invitation that a program asked for."""

    invitation: Invitation
    door: Door
    until: float
    """Monotonic seconds."""


def judge(register: Register, presented: Certificate, authority_until: datetime, now: datetime) -> Standing:
    """How the certificate that somebody showed stands. Pure.

    Raises:
        RefusedError: it was revoked, is nobody's, ran out too long ago; or this machine's clock stands before
            the site's last change, so that what it signed might be over as soon as somebody sets it.
    """
    member = register.holder(presented.serial)
    if member is None:
        known = any(serial == presented.serial for serial, _ in register.revoked)
        what = "was revoked" if known else "is no member's here"
        raise RefusedError(403, f"the certificate {what}; an invitation makes another one")
    if register.changed and now < datetime.fromisoformat(register.changed) - DAY:
        raise RefusedError(503, "the site's clock is behind; nothing is signed until somebody sets it")
    lasts = register.kit_days * DAY
    if now - presented.until > lasts:
        raise RefusedError(403, "the certificate ran out too long ago; an invitation makes another one")
    gains = min(now + lasts, authority_until) - presented.until > DAY
    return Standing(member, gains and presented.until - now < lasts * DUE, presented.until)


class Registrar:
    """Who asks, and what comes of it."""

    def __init__(
        self,
        site: Site,
        *,
        lasts_s: float = 600.0,
        door_port: int = DOOR_PORT,
        told: Callable[[str], None] = logger.warning,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """For *site*. Invitations hold for *lasts_s*; meanwhile a door is open on *door_port*."""
        self.site = site
        self.lasts_s, self._door_port, self._told, self._clock = lasts_s, door_port, told, clock
        self._authority_until = certificates.read(site.authority().certificate).until
        self._doors = ExitStack()
        self._door: Door | None = None
        self._server: Server | None = None
        self._listener: socket.socket | None = None
        self._invited: dict[str, Invited] = {}
        """By kit, the last of each."""
        self._lock = threading.Lock()

    def __enter__(self) -> Registrar:
        return self

    def __exit__(self, *_: object) -> None:
        """Take every invitation back."""
        if self._server is not None:
            self._server.should_exit = True
        self._doors.close()

    # ── Certificates ─────────────────────────────────────────────────────────────────────────────────

    def standing(self, presented: Certificate, wall: datetime) -> Standing:
        """How the asker's certificate stands.

        Raises:
            RefusedError: see ``judge``.
        """
        return judge(self.site.register(), presented, self._authority_until, wall)

    def certify(self, presented: Certificate, request: bytes, wall: datetime) -> bytes:
        """Another certificate for a member whose own ends soon; the old one counts until then.

        Raises:
            RefusedError: it does not end soon, see ``judge``, or the request does not do.
        """
        standing = self.standing(presented, wall)
        if not standing.due:
            raise RefusedError(409, f"valid until {presented.until:%Y-%m-%d}: too early for another one")
        try:
            made = self.site.prolong(presented.serial, request, wall)
        except CertificateError as error:
            raise RefusedError(400, str(error)) from error
        except SiteError as error:
            self._told(f"{standing.member.name} got no other certificate: {error}")
            raise RefusedError(500, "the site could not sign; its own log says why") from error
        until = certificates.read(made.certificate).until
        self._told(f"{standing.member.name} has another certificate, until {until:%Y-%m-%d}")
        return made.certificate

    # ── Invitations ──────────────────────────────────────────────────────────────────────────────────

    def invite(self, presented: Certificate, kit: str, wall: datetime, *, replaces: bool = False) -> str:
        """A token for *kit*; one that waits is void from now on.

        Raises:
            RefusedError: the asker may not, the name does not do or is taken, or too many wait.
        """
        inviter = self._inviter(presented, kit, wall)
        member = Member(kit, "kit")
        try:
            self.site.check_new(member, replaces=replaces)
        except SiteError as error:
            taken = self.site.register().member(kit) is not None
            raise RefusedError(409 if taken else 400, str(error)) from error
        with self._lock:
            door = self._open_door()
            if len(door.waiting) >= MOST_WAITING:
                raise RefusedError(429, "too many invitations wait")
            door.withdraw(kit)
            host = self.site.register().hosts[0]
            made = door.invite(member, host=host, port=self._door_port, replaces=replaces)
            try:
                port = self._serve_door(door)
            except SiteError as error:
                door.withdraw(kit)
                raise RefusedError(503, str(error)) from error
            self._remember(kit, door, made)
        self._told(f"{kit} was invited by {inviter.name}")
        return replace(made, port=port).text

    def state(self, presented: Certificate, kit: str, wall: datetime) -> tuple[State, float]:
        """What became of the invitation of *kit*, and how many seconds it still holds.

        Raises:
            RefusedError: the asker may not invite this kit.
        """
        self._inviter(presented, kit, wall)
        with self._lock:
            one = self._invited.get(kit)
        if one is None:
            return "none", 0.0
        fate = one.door.fate(one.invitation.secret)
        return fate, one.until - self._clock() if fate == "waiting" else 0.0

    def withdraw(self, presented: Certificate, kit: str, wall: datetime) -> bool:
        """Take the invitation of *kit* back; False when none waited.

        Raises:
            RefusedError: the asker may not invite this kit.
        """
        inviter = self._inviter(presented, kit, wall)
        with self._lock:
            one = self._invited.get(kit)
            gone = one is not None and one.door.withdraw(kit)
        if gone:
            self._told(f"{kit}: the invitation was taken back by {inviter.name}")
        return gone

    def _inviter(self, presented: Certificate, kit: str, wall: datetime) -> Member:
        member = self.standing(presented, wall).member
        if presented.until <= wall:
            raise RefusedError(403, "the certificate has run out")
        if not member.invites:
            raise RefusedError(403, "this program may not invite; `site add-program --invites` lets it")
        if member.reads and kit not in member.reads:
            raise RefusedError(403, "this program sees other kits only")
        return member

    def _remember(self, kit: str, door: Door, invitation: Invitation) -> None:
        now = self._clock()
        fresh = {name: one for name, one in self._invited.items() if now < one.until + REMEMBERED_S}
        self._invited = {**fresh, kit: Invited(invitation, door, now + self.lasts_s)}

    def _open_door(self) -> Door:
        """The door that is open, or another one once nobody is awaited."""
        if self._door is None or not self._door.waiting:
            self._door = Door(self.site, lasts_s=self.lasts_s, told=self._told, clock=self._clock)
        return self._door

    def _serve_door(self, door: Door) -> int:
        """See that *door* is open; on which port.

        Raises:
            SiteError: the port is taken, for `suasana site invite` may be running.
        """
        if self._server is None or self._server.door is not door or self._server.should_exit:
            self._doors.close()  # the one before has closed, or is about to
            self._listener = self._doors.enter_context(listen(self._door_port))
            server = self._server = Server(door, wall=utc_now)
            thread = threading.Thread(target=server.run, kwargs={"sockets": [self._listener]}, daemon=True)
            thread.start()
            self._doors.callback(thread.join, PATIENCE_S)
        assert self._listener is not None
        return int(self._listener.getsockname()[1])


# ── Over TLS ─────────────────────────────────────────────────────────────────────────────────────────


class Known(H11Protocol):
    """A connection whose requests carry the certificate of whoever sends them."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """TLS has been agreed upon, and the authority of the certificate was checked."""
        super().connection_made(transport)
        der = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        presented, app = certificates.read(ssl.DER_cert_to_PEM_cert(der).encode()), self.app

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "presented": presented}, receive, send)

        self.app = answer


def application(registrar: Registrar, *, wall: Callable[[], datetime] = utc_now) -> Starlette:
    """The requests, for connections that are ``Known``."""

    def told(work: Callable[[Certificate, Request, dict[str, Any]], dict[str, Any]]) -> Handler:
        async def handle(request: Request) -> Response:
            try:
                body = (
                    await asyncio.wait_for(read_table(request), PATIENCE_S)
                    if request.method == "POST"
                    else {}
                )
                answer = await asyncio.to_thread(work, request.scope["presented"], request, body)
            except RefusedError as refusal:
                return JSONResponse({"error": refusal.reason}, refusal.status)
            except asyncio.TimeoutError:
                return JSONResponse({"error": "too slow"}, 408)
            except SiteError as error:
                logger.warning("%s", error)
                return JSONResponse({"error": "the site's folder cannot be used; its own log says why"}, 500)
            return JSONResponse(answer)

        return handle

    def standing(presented: Certificate, _request: Request, _body: dict[str, Any]) -> dict[str, Any]:
        now = wall()
        found = registrar.standing(presented, now)
        return {"due": found.due, "until": found.until.timestamp(), "now": now.timestamp()}

    def certify(presented: Certificate, _request: Request, body: dict[str, Any]) -> dict[str, Any]:
        asked = body.get("request")
        if not isinstance(asked, str):
            raise RefusedError(400, "no request for a certificate")
        return {"certificate": registrar.certify(presented, asked.encode(), wall()).decode()}

    def invite(presented: Certificate, _request: Request, body: dict[str, Any]) -> dict[str, Any]:
        kit, replaces = body.get("kit"), body.get("replaces", False)
        if not isinstance(kit, str) or not isinstance(replaces, bool):
            raise RefusedError(400, "no kit's name")
        token = registrar.invite(presented, kit, wall(), replaces=replaces)
        return {"token": token, "lasts_s": registrar.lasts_s}

    def state(presented: Certificate, request: Request, _body: dict[str, Any]) -> dict[str, Any]:
        found, left_s = registrar.state(presented, request.path_params["kit"], wall())
        return {"state": found, "left_s": left_s}

    def withdraw(presented: Certificate, request: Request, _body: dict[str, Any]) -> dict[str, Any]:
        return {"withdrawn": registrar.withdraw(presented, request.path_params["kit"], wall())}

    return Starlette(
        routes=[
            Route("/standing", told(standing)),
            Route("/certificate", told(certify), methods=["POST"]),
            Route("/invitations", told(invite), methods=["POST"]),
            Route("/invitations/{kit}", told(state), methods=["GET"]),
            Route("/invitations/{kit}", told(withdraw), methods=["DELETE"]),
        ]
    )


class Office(uvicorn.Server):
    """Serves a registrar under the broker's certificate, to whoever shows one of the site's."""

    def __init__(self, registrar: Registrar, *, wall: Callable[[], datetime] = utc_now) -> None:
        """Prepare the site's files.

        Raises:
            SiteError: they cannot be read.
        """
        self._broker = registrar.site.broker
        config = uvicorn.Config(
            application(registrar, wall=wall),
            http=Known,
            log_level="critical",
            access_log=False,
            server_header=False,
            lifespan="off",
            proxy_headers=False,
            limit_concurrency=200,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=5,
            ssl_certfile=self._broker / "broker.pem",
            ssl_keyfile=self._broker / "broker.key",
            ssl_ca_certs=str(self._broker / "ca.pem"),
            ssl_cert_reqs=ssl.CERT_REQUIRED,
        )
        try:
            config.load()
        except OSError as error:
            raise SiteError(f"{self._broker}: {error.strerror or error}; sudo may help") from error
        assert config.ssl is not None
        config.ssl.verify_flags |= certificates.NO_CHECK_TIME  # ``judge`` looks at the time
        super().__init__(config)
        self._seen, self._look_at = self._stamp(), 0.0

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second; a renewed certificate of the broker is shown to whoever comes next."""
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + LOOK_S
            self.look()
        return await super().on_tick(counter)

    def look(self) -> None:
        """Take the broker's certificate anew if it has changed."""
        stamp = self._stamp()
        if stamp == self._seen or self.config.ssl is None:
            return
        try:
            self.config.ssl.load_cert_chain(self._broker / "broker.pem", self._broker / "broker.key")
        except OSError as error:  # one of two files is new yet; the old pair stays until the next look
            logger.warning("the broker's certificate: %s", error)
        else:
            self._seen = stamp

    def _stamp(self) -> tuple[int, ...]:
        found = (self._broker / name for name in ("broker.pem", "broker.key"))
        return tuple(path.stat().st_mtime_ns for path in found if path.exists())


def serve(site: Site, *, door_port: int, lasts_s: float) -> int:
    """Until SIGINT or SIGTERM.

    Raises:
        SiteError: the port is taken, or the site's files cannot be read.
    """
    register = site.register()
    with ExitStack() as stack:
        registrar = stack.enter_context(Registrar(site, lasts_s=lasts_s, door_port=door_port, told=_tell))
        office = Office(registrar)
        listener = stack.enter_context(listen(register.registrar_port, what="is another registrar running?"))
        _tell(f"{register.name}: members get certificates on port {register.registrar_port}")
        office.run(sockets=[listener])
    return 0


def _tell(line: str) -> None:
    print(line, flush=True)
