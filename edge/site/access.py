"""Who may do what at a site's broker, in Mosquitto's words. Pure: members in, texts out."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from edge.events import BASE

Role = Literal["kit", "dashboard", "reader", "home-assistant"]
PROGRAM_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)+")
"""Kits have no underscore in their names, so no program can be mistaken for one, nor the other way round."""
ROUNDS = 101
"""Of PBKDF2, as `mosquitto_passwd` takes it: what is hashed is random, not thought up by somebody."""

KITS = f"""\
# Written by `suasana site`: changes made here are lost.
# A kit's user name is its own name. It writes below that, and reads its commands. `suasana switch` and
# `suasana doctor` are the same user, and hear there what the kit answers and what the broker keeps of it.
pattern write {BASE}/%u/#
pattern read {BASE}/%u/set/+
pattern read {BASE}/%u/request/+
pattern read {BASE}/%u/response/+
pattern read {BASE}/%u/availability
pattern read {BASE}/%u/source/+/status
# With [homeassistant] discovery: its own introduction, and when Home Assistant starts.
pattern write homeassistant/device/%u/config
pattern read homeassistant/status
"""


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who may connect."""

    name: str
    role: Role
    serial: str = ""
    """Of the certificate, hexadecimal; empty for somebody who comes with a password."""
    until: str = ""
    """When the certificate runs out, RFC 3339."""
    reads: tuple[str, ...] = ()
    """Kits that a program sees; empty for all of the site's."""
    password: str = ""
    """Hashed, as it stands in Mosquitto's file."""
    former: tuple[tuple[str, str], ...] = ()
    """Serials of certificates before the present one, and when they run out: they count until then."""
    invites: bool = False
    """A dashboard that may invite kits in the site's name."""

    @property
    def serials(self) -> tuple[str, ...]:
        """Of every certificate that counts, the present one first."""
        return (*((self.serial,) if self.serial else ()), *(serial for serial, _ in self.former))


def access_list(members: Iterable[Member], revoked: Iterable[str]) -> str:
    """Mosquitto's ``acl_file``. *revoked* are names of nobody who is a member now."""
    programs = [member for member in members if member.role != "kit"]
    blocks = [KITS]
    blocks += ["\n".join([f"user {one.name}", *_rights(one)]) + "\n" for one in programs]
    for name in sorted(set(revoked)):
        # Who is connected stays connected, but says and hears nothing more.
        blocks.append("\n".join(["# revoked", f"user {name}", *_nothing_of(name)]) + "\n")
    return "\n".join(blocks)


def password_lines(members: Iterable[Member]) -> str:
    """Mosquitto's ``password_file``."""
    return "".join(f"{one.name}:{one.password}\n" for one in members if one.password)


def hash_password(password: str, salt: bytes) -> str:
    """PBKDF2-HMAC-SHA512 in Mosquitto's form ``$7$rounds$salt$hash``."""
    made = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ROUNDS)
    return f"$7${ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(made).decode()}"


def _rights(program: Member) -> Iterator[str]:
    kits = program.reads or ("+",)
    if program.reads:
        yield from (f"topic read {BASE}/{kit}/#" for kit in kits)
    else:
        yield f"topic read {BASE}/#"
    if program.role == "dashboard":
        # Its alerts are events of the room's kit.
        yield from (
            f"topic write {BASE}/{kit}/{leaf}" for kit in kits for leaf in ("set/+", "request/+", "event")
        )
    if program.role == "home-assistant":
        switches = ("capture", "camera", "microphone")
        yield from (f"topic write {BASE}/{kit}/set/{leaf}" for kit in kits for leaf in switches)
        yield "topic read homeassistant/#"
        yield "topic write homeassistant/status"
    yield from _nothing_of(program.name)


def _nothing_of(name: str) -> Iterator[str]:
    """A denial counts more than the patterns for kits, which hold for every name."""
    yield f"topic deny {BASE}/{name}/#"
    yield f"topic deny homeassistant/device/{name}/config"
    yield "topic deny homeassistant/status" if not PROGRAM_NAME.fullmatch(name) else ""
