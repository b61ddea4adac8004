"""Who may talk to the server, by host and by origin; and what the browser may do with the answer."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
"""``Permissions-Policy``: the page shows what the kit's camera does; it never asks for the teacher's own."""


class Guard:
    """Middleware: refuses strangers' requests and puts HEADERS on every answer."""

    def __init__(self, app: ASGIApp, *, hosts: Collection[str] = (), loopback_only: bool = False) -> None:
        """Guard *app*.

        Args:
            app: what answers.
            hosts: the names, besides localhost, that it is reached by.
            loopback_only: it is reached by localhost and loopback addresses only, so that a proxy in front
                of a server without a login lets nobody in.
        """
        self._app = app
        self._loopback_only = loopback_only
        hosts = () if loopback_only else hosts
        self._hosts = {"localhost", *(host.lower() for host in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a refused request at once and pass on any other."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        refusal = self._refuse(scope["method"], Headers(scope=scope))
        if refusal:
            await JSONResponse({"error": refusal}, 403)(scope, receive, send_guarded)
        else:
            await self._app(scope, receive, send_guarded)

    def _refuse(self, method: str, headers: Headers) -> str:
        """Why this request is refused, or nothing.

        A page elsewhere can make a browser send us requests: under a host name of its own (DNS rebinding),
        which Host tells, or across origins, which Sec-Fetch-Site and Origin tell. Programs send neither.
        """
        host = headers.get("host", "")
        if not self._is_ours(host):
            return "this host name is not ours; start the dashboard with --allow-host NAME"
        if method in {"GET", "HEAD"}:
            return ""
        if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            return "requests from other pages are refused"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return "requests from other pages are refused"
        return ""

    def _is_ours(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        if name in self._hosts:
            return True
        try:
            address = ipaddress.ip_address(name.partition("%")[0])
        except ValueError:
            return False
        # An address is no name, so no name server can have led here.
        return address.is_loopback or not self._loopback_only
