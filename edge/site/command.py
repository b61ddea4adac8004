"""``suasana site``: founds a site, lets kits and programs in and out, keeps its certificates fresh."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from edge import numbers
from edge.answers import DOOR_PORT, REGISTRAR_PORT
from edge.types import EdgeError

if TYPE_CHECKING:
    from edge.site.folder import Site

ROLES = {
    "dashboard": "hears every kit, switches them, adds alerts",
    "reader": "hears every kit and says nothing",
    "home-assistant": "hears every kit, switches them, says when it starts",
}


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command and its verbs; nothing else is imported until one of them runs."""
    text = "a school's broker: its own certificate authority, and who may connect"
    site = commands.add_parser("site", help=text, description=text)
    verbs = site.add_subparsers(title="verbs", metavar="VERB", required=True)

    create = _verb(
        verbs, "create", "found a site: authority, broker's certificate, configuration", create_site
    )
    create.add_argument("--name", required=True, help="of the site: sekolah-1")
    create.add_argument("--host", action="append", default=[], metavar="NAME", help=HOST_HELP)
    create.add_argument(
        "--port", type=numbers.port, default=8883, help="for certificates (default: %(default)s)"
    )
    create.add_argument(
        "--password-port",
        type=numbers.port,
        metavar="PORT",
        help="let programs without a certificate in here, with a random password each (default: nowhere)",
    )
    create.add_argument(
        "--registrar-port",
        type=numbers.port,
        default=REGISTRAR_PORT,
        metavar="PORT",
        help="where kits renew their certificates (default: %(default)s)",
    )
    create.add_argument(
        "--kit-days",
        type=numbers.whole(60, 3650, "number of days"),
        default=1825,
        metavar="N",
        help="how long a kit's certificate lasts; 60 or more (default: %(default)s)",
    )

    kit = _verb(
        verbs, "add-kit", "make a kit's key and certificate here, for who cannot use `pair`", add_kits
    )
    kit.add_argument("names", nargs="+", metavar="NAME", help="of a kit: kelas-1a")
    kit.add_argument("--replace", action="store_true", help="make the certificate that it has worthless")

    program = _verb(verbs, "add-program", "let a dashboard or another program in", add_program)
    program.add_argument("name", metavar="NAME", help="with an underscore: teacher_page")
    program.add_argument("--role", choices=list(ROLES), required=True, help=_roles())
    program.add_argument(
        "--kit", action="append", default=[], metavar="NAME", help="only this one; repeat it"
    )
    program.add_argument("--password", action="store_true", help="a password instead of a certificate")
    program.add_argument(
        "--invites", action="store_true", help="a dashboard on which an admin may invite kits"
    )
    program.add_argument("--replace", action="store_true", help="make what it has worthless")

    invite = _verb(verbs, "invite", "let kits pair: a QR code and a token, for minutes", invite_kits)
    invite.add_argument("names", nargs="+", metavar="NAME", help="of a kit: kelas-1a")
    _add_door(invite)
    invite.add_argument("--host", default="", help="for the invitation (default: the site's first)")
    invite.add_argument(
        "--anywhere", action="store_true", help="no address in the invitation: the kit looks for this site"
    )
    invite.add_argument("--save", type=Path, metavar="FILE", help="the QR code as .png or .svg, too")
    invite.add_argument(
        "--replace", action="store_true", help="for a kit that joins anew: what it had is worthless"
    )

    registrar = _verb(
        verbs,
        "registrar",
        "renew kits' certificates, and invite kits from a dashboard, until it is ended",
        run_registrar,
    )
    _add_door(registrar)

    revoke = _verb(verbs, "revoke", "nobody of this name gets in any more", revoke_member)
    revoke.add_argument("name", metavar="NAME")

    renew = _verb(
        verbs, "renew", "another certificate for the broker, if the old one ends soon", renew_broker
    )
    renew.add_argument("--host", action="append", default=[], metavar="NAME", help=HOST_HELP)
    renew.add_argument("--now", action="store_true", help="however long the old one is valid")

    _verb(
        verbs,
        "announce",
        "tell the network where the broker is; with Avahi, DIR/avahi.service does",
        announce_broker,
    )
    _verb(verbs, "show", "members, certificates and when they run out", show_site)


PROGRAM_DAYS = 90
"""Holidays are long, and somebody has to carry a program's certificate over."""
HOST_HELP = "name or address that kits reach the broker by; repeat it (default: this machine's)"


def create_site(site: Site, arguments: argparse.Namespace, now: datetime) -> int:
    """``suasana site create``."""
    from edge.site.folder import Wishes  # noqa: PLC0415 -- cryptography takes its time

    wishes = Wishes(
        arguments.name,
        tuple(arguments.host),
        arguments.port,
        arguments.password_port,
        arguments.registrar_port,
        arguments.kit_days,
    )
    made = site.create(site.folder, wishes, now)
    register = made.register()
    print(f"{register.name}: {', '.join(register.hosts)}; port {register.port}")
    print(f"start it:    mosquitto -c {made.broker}/mosquitto.conf")
    print(f"and with it: suasana site registrar {made.folder}   (renews certificates)")
    print(f"keep safe:   {made.folder}/authority.key signs everything; a copy belongs into a safe")
    return 0


def add_kits(site: Site, arguments: argparse.Namespace, now: datetime) -> int:
    """``suasana site add-kit``."""
    from edge.site.access import Member  # noqa: PLC0415

    for name in arguments.names:
        print(site.add(Member(name, "kit"), now, replaces=arguments.replace))
    return 0


def add_program(site: Site, arguments: argparse.Namespace, now: datetime) -> int:
    """``suasana site add-program``."""
    from edge.site.access import Member  # noqa: PLC0415

    member = Member(arguments.name, arguments.role, reads=tuple(arguments.kit), invites=arguments.invites)
    if arguments.invites and (arguments.role != "dashboard" or arguments.password):
        raise EdgeError("--invites is for --role dashboard, which shows a certificate")
    if arguments.password:
        print(site.add_by_password(member, now, replaces=arguments.replace))
    else:
        print(site.add(member, now, replaces=arguments.replace))
    _tell(site)
    return 0


def invite_kits(site: Site, arguments: argparse.Namespace, _now: datetime) -> int:
    """``suasana site invite``."""
    from edge.site.invite import Wishes, invite  # noqa: PLC0415

    return invite(
        site,
        Wishes(
            tuple(dict.fromkeys(arguments.names)),
            arguments.minutes,
            arguments.door_port,
            arguments.host,
            arguments.anywhere,
            arguments.replace,
            arguments.save,
        ),
    )


def run_registrar(site: Site, arguments: argparse.Namespace, _now: datetime) -> int:
    """``suasana site registrar``."""
    from edge.site.registrar import serve  # noqa: PLC0415

    return serve(site, door_port=arguments.door_port, lasts_s=arguments.minutes * 60)


def revoke_member(site: Site, arguments: argparse.Namespace, now: datetime) -> int:
    """``suasana site revoke``."""
    site.revoke(arguments.name, now)
    _tell(site)
    return 0


def renew_broker(site: Site, arguments: argparse.Namespace, now: datetime) -> int:
    """``suasana site renew``; what nobody renews by itself is told each time."""
    for member in site.register().members:
        if member.role != "kit" and member.until:
            left = (datetime.fromisoformat(member.until) - now).days
            if left < PROGRAM_DAYS:
                print(f"{member.name}: runs out in {left} days; `site add-program --replace` makes another")
    until = site.renew(now, hosts=arguments.host, anyway=arguments.now)
    if until is None:
        print(f"valid until {site.certificate().until:%Y-%m-%d}; left as it is")
        return 0
    print(f"valid until {until:%Y-%m-%d}")
    _tell(site)
    return 0


def announce_broker(site: Site, _arguments: argparse.Namespace, _now: datetime) -> int:
    """``suasana site announce``."""
    from edge.site.invite import announce  # noqa: PLC0415
    from edge.supervisor import stop_flag  # noqa: PLC0415

    return announce(site, stop_flag())


def show_site(site: Site, _arguments: argparse.Namespace, now: datetime) -> int:
    """``suasana site show``."""
    register, ours = site.register(), site.certificate()
    print(f"{register.name}: {', '.join(register.hosts)}; port {register.port}")
    print(f"{'broker':<20} {'':<15} until {ours.until:%Y-%m-%d}, {(ours.until - now).days} days")
    for member in sorted(register.members, key=lambda one: (one.role, one.name)):
        if member.serial:
            until = datetime.fromisoformat(member.until)
            ends = f"until {until:%Y-%m-%d}, {(until - now).days} days"
        else:
            ends = "password"
        kits = f"; {', '.join(member.reads)}" if member.reads else ""
        kits += "; invites kits" if member.invites else ""
        print(f"{member.name:<20} {member.role:<15} {ends}{kits}")
    for _, name in register.revoked:
        print(f"{name:<20} revoked")
    return 0


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    work: Callable[[Site, argparse.Namespace, datetime], int],
) -> argparse.ArgumentParser:
    def run(arguments: argparse.Namespace) -> int:
        try:
            from edge.site.folder import Site, utc_now  # noqa: PLC0415
        except ImportError as error:
            raise EdgeError(f"a site needs the Python package {error.name}") from error
        return work(Site(arguments.folder.absolute()), arguments, utc_now())

    verb = verbs.add_parser(name, help=text, description=text)
    verb.add_argument("folder", type=Path, metavar="DIR", help="the site's folder")
    verb.set_defaults(run=run)
    return verb


def _add_door(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--minutes",
        type=numbers.minutes,
        default=10.0,
        metavar="N",
        help="how long an invitation holds (default: %(default)g)",
    )
    verb.add_argument(
        "--door-port",
        type=numbers.port,
        default=DOOR_PORT,
        metavar="PORT",
        help="open meanwhile (default: %(default)s)",
    )


def _tell(site: Site) -> None:
    if not site.tell_broker():
        print(
            "no broker of this site runs here under a user that we may signal; it reads this when it starts"
        )


def _roles() -> str:
    return "; ".join(f"{role}: {what}" for role, what in ROLES.items())
