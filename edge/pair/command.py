"""``suasana pair``: asks for the invitation, joins, and sees whether the broker lets this kit in."""

from __future__ import annotations

import argparse
import getpass
import ipaddress
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edge.types import EdgeError

if TYPE_CHECKING:
    from edge.broker.invitation import Invitation
    from edge.pair.joining import Paired

SERVICES = ("suasana.service", "suasana-renew.service")
DROP_INS = Path("/etc/systemd/system")
DROP_IN = "broker.conf"
UNIT = Path("/usr/lib/systemd/system/suasana.service")
NEIGHBOURS = "224.0.0.251 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 169.254.0.0/16 ff02::fb fc00::/7 fe80::/10"
"""Multicast DNS, and the networks that it can lead to."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command; nothing else is imported until it runs."""
    text = "join a site's broker with an invitation (`suasana site invite` there)"
    pair = commands.add_parser("pair", help=text, description=text)
    pair.add_argument("token", nargs="?", metavar="TOKEN", help="SUASANA/1/…; asked for when it is left out")
    pair.add_argument(
        "--camera",
        nargs="?",
        const="",
        metavar="URI",
        help="read the QR code with the kit's camera, or with this one",
    )
    pair.add_argument(
        "--address", metavar="HOST[:PORT]", help="of the machine that invites, instead of the invitation's"
    )
    pair.add_argument(
        "--discover",
        action="store_true",
        help="look for the broker at every connection: it moves",
    )
    pair.add_argument(
        "--renew",
        action="store_true",
        help="no invitation: another certificate, if the one it has ends soon",
    )
    pair.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="settings to write (default: /etc/suasana/kit.toml where there is one, else kit.toml here)",
    )
    pair.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Pair; 1 when that went well but the broker does not let the kit in."""
    from edge.pair.joining import describe_clock, pair  # noqa: PLC0415 -- each command pays for its own
    from edge.remote import INSTALLED  # noqa: PLC0415

    settings = arguments.config or (INSTALLED if INSTALLED.exists() else Path("kit.toml"))
    if arguments.renew:
        return _renew(arguments, settings)
    invitation = _invitation(arguments, settings)
    door = _door(arguments.address, invitation.port) if arguments.address else None
    paired = pair(invitation, settings, door=door, discover=arguments.discover)
    print(f"{paired.kit} joined {paired.site}: {paired.url}")
    print(f"written to {paired.settings}")
    if paired.clock_is_off:
        print(f"suasana: {describe_clock(paired, now=time.time())}", file=sys.stderr)
    let_in = _try_broker(settings)
    if settings.absolute() == INSTALLED and UNIT.exists():
        _widen_sandbox(paired)
        print("now:  sudo systemctl daemon-reload && sudo systemctl restart suasana")
    return 0 if let_in else 1


def _renew(arguments: argparse.Namespace, settings: Path) -> int:
    """What a timer does daily; the daemon takes the new one up by a reload."""
    from edge.pair.renewal import renew  # noqa: PLC0415
    from edge.remote import INSTALLED  # noqa: PLC0415

    if arguments.token or arguments.camera is not None or arguments.address or arguments.discover:
        raise EdgeError("--renew asks the site that this kit is paired with; it takes --config only")
    done = renew(settings)
    print(done.shown)
    if done.renewed and settings.absolute() == INSTALLED and UNIT.exists():
        command = ["systemctl", "--no-block", "try-reload-or-restart", SERVICES[0]]
        subprocess.run(command, check=False)  # noqa: S603 -- what failed there stands in the journal
    return 0


def _invitation(arguments: argparse.Namespace, settings: Path) -> Invitation:
    from edge.broker.invitation import InvitationError, parse  # noqa: PLC0415

    if arguments.camera is not None:
        from edge.pair.sight import read_invitation  # noqa: PLC0415
        from edge.settings import Settings, load  # noqa: PLC0415
        from edge.sources import as_camera_uri  # noqa: PLC0415

        own = load(settings) if settings.exists() else Settings()
        uri = as_camera_uri(arguments.camera) if arguments.camera else own.camera.uri
        print(f"looking with {uri}: hold the invitation before it", file=sys.stderr)
        return read_invitation(uri)
    text = arguments.token
    if text is None:
        if not sys.stdin.isatty():
            raise EdgeError("give the invitation's TOKEN, or --camera to read its QR code")
        text = getpass.getpass("invitation (not shown): ")
    try:
        return parse(text)
    except InvitationError as error:
        raise EdgeError(str(error)) from error


def _door(text: str, port: int) -> tuple[str, int]:
    """``host``, ``host:port``, ``[v6]:port`` or a bare v6 address."""
    host, colon, number = text.rpartition(":")
    if colon and (":" not in host or host.endswith("]")) and number.isdigit():
        return host.strip("[]"), int(number)
    return text.strip("[]"), port


def _try_broker(settings: Path) -> bool:
    """All the way there and back, for an acknowledgement alone proves nothing in MQTT 3.1.1."""
    from edge import checks  # noqa: PLC0415
    from edge.settings import load  # noqa: PLC0415

    found = list(checks.examine("broker", checks.Patient(load(settings), settings)))
    bad = [item for item in found if item.status not in {"ok", "skipped"}]
    for item in bad:
        print(f"suasana: {item.found('en')} {item.todo('en')}", file=sys.stderr)
    if not bad:
        print("the broker lets it in, and a test message came back")
    return not bad


def _widen_sandbox(paired: Paired) -> None:
    """The service reaches this machine only; its broker is elsewhere now."""
    if paired.url.startswith("discover://"):
        allowed = NEIGHBOURS
    elif ipaddress.ip_address(paired.address).is_loopback:
        return
    else:
        allowed = paired.address
    for service in SERVICES:
        path = DROP_INS / f"{service}.d" / DROP_IN
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"# Written by `suasana pair`.\n[Service]\nIPAddressAllow={allowed}\n", "utf-8")
        except OSError as error:
            raise EdgeError(f"{path}: {error.strerror}; sudo may help") from error
