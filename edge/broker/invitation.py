"""What an invited kit has to know, as text that people can copy and a QR code of moderate size.

    SUASANA/1/192.168.1.20/8884/<fingerprint>/<secret>/<check>

Capitals, digits and a few signs only: a QR code packs them as "alphanumeric" (ISO/IEC 18004), 5.5 bits each,
and base32 (RFC 4648) mixes up neither I and 1 nor O and 0. The place of the address is empty where the kit is
to look around for it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
from dataclasses import dataclass, field

FINGERPRINT_BYTES = 16
"""Of the SHA-256 of the authority's certificate. Another one that begins alike takes 2^128 attempts."""
SECRET_BYTES = 10
"""2^80 possibilities, for minutes, at a few attempts a minute."""
_HOST = re.compile(r"[a-z0-9]([a-z0-9.:-]{0,251}[a-z0-9])?")


class InvitationError(ValueError):
    """Not an invitation; one line says why."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """Where to go, whom to trust there, and the word that opens the door once."""

    host: str
    """Empty: look for it in the network."""
    port: int
    fingerprint: bytes
    """FINGERPRINT_BYTES of the authority's."""
    secret: str = field(repr=False)

    @property
    def text(self) -> str:
        """The token."""
        body = f"SUASANA/1/{self.host}/{self.port}/{_encode(self.fingerprint)}/{self.secret}".upper()
        return f"{body}/{_check(body)}"

    def trusts(self, fingerprint: bytes) -> bool:
        """Whether an authority with this fingerprint is the one that was meant."""
        return secrets.compare_digest(self.fingerprint, fingerprint[:FINGERPRINT_BYTES])


def make_secret() -> str:
    """A new one, from the system's source of chance."""
    return _encode(secrets.token_bytes(SECRET_BYTES))


def parse(text: str) -> Invitation:
    """An invitation from what somebody typed, pasted or held into the camera.

    Raises:
        InvitationError: it is none, it is not whole, or something in it was mistyped.
    """
    tidy = re.sub(r"\s+", "", text).upper()
    parts = tidy.split("/")
    if parts[0] != "SUASANA":
        raise InvitationError("not an invitation: they begin with SUASANA/")
    if len(parts) > 1 and parts[1] != "1":
        raise InvitationError("an invitation of another version: kit and site need the same software")
    if len(parts) != 7:
        raise InvitationError("the invitation is not whole")
    _, _, host, port, fingerprint, secret, check = parts
    if check != _check("/".join(parts[:-1])):
        raise InvitationError("the invitation was mistyped somewhere")
    known = _decode(fingerprint, FINGERPRINT_BYTES)
    _decode(secret, SECRET_BYTES)
    if host and not _HOST.fullmatch(host.lower()):
        raise InvitationError("the invitation's address is none")
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise InvitationError("the invitation's port is none")
    return Invitation(host.lower(), int(port), known, secret)


def _encode(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=")


def _decode(text: str, length: int) -> bytes:
    try:
        data = base64.b32decode(text + "=" * (-len(text) % 8))
    except binascii.Error as error:
        raise InvitationError("the invitation was mistyped somewhere") from error
    if len(data) != length:
        raise InvitationError("the invitation is not whole")
    return data


def _check(body: str) -> str:
    """Against slips of the finger, not against anybody: 20 bits."""
    return _encode(hashlib.sha256(body.encode()).digest()[:3])[:4]
