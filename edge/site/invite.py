"""``suasana site invite``: invitations as text and QR code, and the door open until the kits came."""

from __future__ import annotations

import io
import ipaddress
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import segno

from edge.answers import DOOR_PORT
from edge.broker.beacon import BeaconError, Place, announced
from edge.broker.invitation import Invitation
from edge.site.access import Member
from edge.site.door import Door, Server, listen
from edge.site.folder import Site, SiteError, utc_now

LIGHT = "\x1b[97;40m"
"""White blocks on black, whatever colours a terminal likes."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """Whom to invite and how."""

    kits: tuple[str, ...]
    minutes: float = 10.0
    port: int = DOOR_PORT
    host: str = ""
    """In the invitation; empty takes the first of the site's."""
    anywhere: bool = False
    """An invitation without an address: the kit looks around."""
    replaces: bool = False
    save: Path | None = None
    """Where to put the QR code, too: .png or .svg."""
    announce: bool = True
    """Tell the network, for kits that look around."""


def invite(site: Site, wishes: Wishes) -> int:
    """Hold the door open; 0 when everybody came, 1 when time ran out.

    Raises:
        SiteError: a name does not do, or the port is taken.
    """
    register = site.register()
    door = Door(site, lasts_s=wishes.minutes * 60, told=lambda line: print(line, flush=True))
    host = wishes.host or register.hosts[0]
    if wishes.save and (len(wishes.kits) > 1 or wishes.save.suffix not in {".png", ".svg"}):
        raise SiteError(f"{wishes.save}: one kit's invitation goes into one .png or .svg")
    with ExitStack() as stack:
        listener = stack.enter_context(listen(wishes.port))
        port, (address, *more) = int(listener.getsockname()[1]), addresses_of(register.hosts)
        for kit in wishes.kits:
            told = "" if wishes.anywhere else host
            made = door.invite(Member(kit, "kit"), host=told, port=port, replaces=wishes.replaces)
            show(kit, made, wishes)
        print(
            f"waiting for {', '.join(wishes.kits)}, {wishes.minutes:g} minutes; Ctrl-C takes it back",
            flush=True,
        )
        if wishes.announce:
            here = Place(register.name, address, port, door.fingerprint.hex(), tuple(more))
            with suppress(BeaconError):  # most kits know the address
                stack.enter_context(announced("door", here))
        Server(door, wall=utc_now).run(sockets=[listener])
    missing = [kit for kit in wishes.kits if kit not in door.joined]
    if missing:
        print(f"nobody came as {', '.join(missing)}; the invitation is void", file=sys.stderr)
    return 1 if missing else 0


def show(kit: str, invitation: Invitation, wishes: Wishes) -> None:
    """On the terminal, and into a file if that was asked for."""
    code = segno.make_qr(invitation.text, error="m")
    if wishes.save:
        try:
            code.save(str(wishes.save), scale=8)
        except OSError as error:
            raise SiteError(f"{wishes.save}: {error.strerror}") from error
        wishes.save.chmod(0o600)
    drawn = io.StringIO()
    code.terminal(drawn, compact=True)
    before, after = (LIGHT, "\x1b[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{kit}\n")
    print("\n".join(f"{before}{line}{after}" for line in drawn.getvalue().splitlines()))
    print(f"\nsuasana pair {invitation.text}\n", flush=True)


def announce(site: Site, stop: threading.Event) -> int:
    """Tell the network where the broker is, until *stop*.

    Raises:
        SiteError: it cannot be told.
    """
    register, fingerprint = site.register(), site.fingerprint().hex()
    address, *more = addresses_of(register.hosts)
    place = Place(register.name, address, register.port, fingerprint, tuple(more))
    try:
        with announced("broker", place):
            print(f"telling the network: {place.shown}; Ctrl-C ends it", flush=True)
            stop.wait()
    except BeaconError as error:
        raise SiteError(str(error)) from error
    return 0


def addresses_of(hosts: Sequence[str]) -> tuple[str, ...]:
    """Those that are numbers, for a beacon tells no names; loopback ones only where there are no others."""
    found = []
    for host in hosts:
        with suppress(ValueError):
            found.append(ipaddress.ip_address(host))
    told = [one for one in found if not one.is_loopback] or found
    return tuple(str(one) for one in sorted(told, key=lambda one: one.version)) or ("127.0.0.1",)
