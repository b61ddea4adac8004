"""Inviting a kit from the page: an admin is shown a token and its QR code, which the site's registrar makes.

This page has no key that could sign anything. It shows the registrar the certificate that it shows the
broker, and the registrar knows whether it may invite (``suasana site add-program --invites``). The token lets
one kit in, once, for minutes: it is handed to the browser that asked, and neither stored, cached nor logged.
"""

from __future__ import annotations

import asyncio
import http.client
import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from dashboard.access import Access, account_of, read_json
from dashboard.bus import Address
from edge import answers
from edge.answers import REGISTRAR_PORT
from edge.events import KIT_NAME

logger = logging.getLogger(__name__)

REASONS = {
    400: "invite_name",
    403: "invite_refused",
    409: "invite_taken",
    429: "invite_busy",
    503: "invite_busy",
}
"""Words of the page for what a registrar refuses."""
NOT_KEPT = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class Registrar:
    """The site's, on the broker's machine."""

    host: str
    port: int
    ca_file: str | None
    cert_file: str
    key_file: str

    def ask(self, method: str, path: str, table: Mapping[str, object] | None = None) -> dict[str, Any]:
        """What it answers. Waits for the network.

        Raises:
            HTTPException: it is away (502), or refuses, with a word of REASONS.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            context.load_cert_chain(self.cert_file, self.key_file)
            answer = answers.ask((self.host, self.port), context, method, path, table)
        except (OSError, http.client.HTTPException) as error:  # ssl.SSLError among them
            logger.warning("the site's registrar at %s:%d: %s", self.host, self.port, error)
            raise HTTPException(502, "invite_away") from error
        if answer.status != http.client.OK:
            logger.warning("the site's registrar: %s", answer.refusal)
            known = answer.status in REASONS
            raise HTTPException(answer.status if known else 502, REASONS.get(answer.status, "invite_away"))
        return answer.table


def registrar_of(address: Address, port: int = REGISTRAR_PORT) -> Registrar | None:
    """At the broker's host; None where this page comes to the broker without a certificate."""
    if not address.cert_file or not address.key_file:
        return None
    return Registrar(address.host, port, address.ca_file, address.cert_file, address.key_file)


@dataclass
class Invitations:
    """The handlers."""

    access: Access
    registrar: Registrar | None

    def routes(self) -> list[BaseRoute]:
        """What is asked about kits that are to join."""
        guarded = self.access.route
        return [
            guarded("/api/invitations", self.invite, "upkeep", methods=("POST",)),
            guarded("/api/invitations/{kit}", self.state, "upkeep"),
            guarded("/api/invitations/{kit}", self.withdraw, "upkeep", methods=("DELETE",)),
        ]

    async def invite(self, request: Request) -> Response:
        """A token for a kit, its QR code as rows of squares, and how long it holds."""
        table = await read_json(request)
        kit = self._kit(request, table.get("kit"))
        replaces = table.get("replaces") is True
        told = await self._ask("POST", "/invitations", {"kit": kit, "replaces": replaces})
        token = told.get("token")
        if not isinstance(token, str) or not isinstance(told.get("lasts_s"), int | float):
            raise HTTPException(502, "invite_away")
        await self.access.note(request, "invited_anew" if replaces else "invited", kit)
        answer = {"kit": kit, "token": token, "lasts_s": told["lasts_s"], "code": draw(token)}
        return JSONResponse(answer, 201, NOT_KEPT)

    async def state(self, request: Request) -> Response:
        """What became of it: ``none``, ``waiting``, ``joined`` or ``over``."""
        kit = self._kit(request, request.path_params["kit"])
        told = await self._ask("GET", f"/invitations/{kit}")
        return JSONResponse({"state": told.get("state"), "left_s": told.get("left_s")})

    async def withdraw(self, request: Request) -> Response:
        """Take it back."""
        kit = self._kit(request, request.path_params["kit"])
        told = await self._ask("DELETE", f"/invitations/{kit}")
        if told.get("withdrawn") is True:
            await self.access.note(request, "invitation_withdrawn", kit)
        return JSONResponse({"withdrawn": told.get("withdrawn") is True})

    async def _ask(self, method: str, path: str, table: Mapping[str, object] | None = None) -> dict[str, Any]:
        if self.registrar is None:
            raise HTTPException(409, "invite_nowhere")
        return await asyncio.to_thread(self.registrar.ask, method, path, table)

    def _kit(self, request: Request, kit: object) -> str:
        """A kit need not be known to be invited, but an admin of some rooms invites none of others."""
        if not isinstance(kit, str) or not KIT_NAME.fullmatch(kit):
            raise HTTPException(400, "invite_name")
        if not account_of(request).sees(kit):
            raise HTTPException(404, "no such kit")
        return kit


def draw(token: str) -> list[str]:
    """The QR code, a text of 0 and 1 for each row, without the quiet zone around it."""
    import segno  # noqa: PLC0415 -- for who invites only

    return ["".join("1" if dark else "0" for dark in row) for row in segno.make_qr(token, error="m").matrix]
