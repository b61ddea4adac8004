"""A site on disk. One folder, one lock; what the broker may read is a folder of its own within.

authority.key     signs everything; never leaves this machine        0600
authority.pem     what everybody trusts
site.json         names, addresses, members, revoked certificates    0600
clients/NAME/     of who was not paired: certificate, key, authority  0700
mosquitto/        mosquitto.conf, access list, certificates, revocations; its owner is the broker's user
avahi.service     tells the network where the broker is, copied into /etc/avahi/services
"""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta, timezone
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from edge.answers import REGISTRAR_PORT
from edge.broker import certificates
from edge.broker.beacon import Place, avahi
from edge.events import KIT_NAME
from edge.site.access import PROGRAM_NAME, Member, access_list, hash_password, password_lines
from edge.site.authority import CLIENT, DAY, Authority
from edge.types import EdgeError

RENEW = 60 * DAY
"""A broker's certificate that is valid for longer is left alone."""
BROKER_USER = "mosquitto"
INSTALLED, UNIT = Path("/var/lib/suasana-site"), "suasana-site.service"
"""The site that the package's service runs."""
KIT_DAYS = CLIENT // DAY
GLOBAL, PASSING = 0x00, 0x01 | 0x08 | 0x20 | 0x40
"""Linux's scope of routed addresses; temporary, double, deprecated and tentative ones."""
MOST_CERTIFICATES = 100
"""Of one member: somebody asks for another one again and again."""
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?")


class SiteError(EdgeError):
    """Something about a site is not as it has to be; one line."""


@dataclass(frozen=True, slots=True)
class Register:
    """What ``site.json`` holds."""

    name: str
    hosts: tuple[str, ...]
    """Names and addresses that the broker is reached by; the first is the one that kits are told."""
    port: int
    password_port: int | None = None
    """Where programs without a certificate come in; None is nowhere."""
    members: tuple[Member, ...] = ()
    revoked: tuple[tuple[str, str], ...] = ()
    """Serial and name of certificates that count no more."""
    registrar_port: int = REGISTRAR_PORT
    """Where members get their next certificate; ``suasana site registrar`` listens there."""
    kit_days: int = KIT_DAYS
    """How long a kit's certificate lasts."""
    changed: str = ""
    """When this was written last, by this machine's clock, RFC 3339."""

    def holder(self, serial: str) -> Member | None:
        """Whose certificate this is; nobody's once it was revoked."""
        return next((one for one in self.members if serial in one.serials), None)

    def member(self, name: str) -> Member | None:
        """Who has this name."""
        return next((one for one in self.members if one.name == name), None)

    def with_member(self, member: Member) -> Register:
        """*member* instead of who had the name before, whose certificate counts no more."""
        return replace(self.without(member.name), members=(*self.without(member.name).members, member))

    def without(self, name: str) -> Register:
        """Nobody has this name any more."""
        gone = self.member(name)
        left = tuple(one for one in self.members if one.name != name)
        serials = gone.serials if gone is not None else ()
        return replace(self, members=left, revoked=(*self.revoked, *((serial, name) for serial in serials)))


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a new member needs."""

    member: Member
    certificate: bytes
    authority: bytes


@dataclass(frozen=True, slots=True)
class Wishes:
    """How to found a site."""

    name: str
    hosts: tuple[str, ...] = ()
    """Empty takes this machine's."""
    port: int = 8883
    password_port: int | None = None
    registrar_port: int = REGISTRAR_PORT
    kit_days: int = KIT_DAYS


@dataclass(frozen=True, slots=True)
class Site:
    """A site's folder; everything is read from it anew, for two commands may work on it."""

    folder: Path
    reload: bool = field(default=True, compare=False)
    """Tell a running broker of every change."""

    @property
    def broker(self) -> Path:
        """What Mosquitto reads."""
        return self.folder / "mosquitto"

    @classmethod
    def create(cls, folder: Path, wishes: Wishes, now: datetime) -> Site:
        """Found a site.

        Raises:
            SiteError: a bad name, or something lies there already.
        """
        if not KIT_NAME.fullmatch(wishes.name):
            raise SiteError(f"{wishes.name}: a site's name has lower-case letters, digits and hyphens")
        hosts = tuple(dict.fromkeys((*(wishes.hosts or own_hosts()), wishes.name, "localhost", "127.0.0.1")))
        for host in hosts:
            if not HOST.fullmatch(host):
                raise SiteError(f"{host}: neither a host's name nor an address")
        if folder.exists() and any(folder.iterdir()):
            raise SiteError(f"{folder}: is there already; a new authority would lock every kit out")
        site = cls(folder)
        with _told_simply(folder):
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            for inner, mode in (("clients", 0o700), ("mosquitto", 0o750)):
                (folder / inner).mkdir(mode=mode)
            (site.broker / "data").mkdir(mode=0o700)
            (site.broker / "local.d").mkdir(mode=0o750)
            authority = Authority.found(wishes.name, now)
            certificates.write_private(folder / "authority.key", authority.key)
            (folder / "authority.pem").write_bytes(authority.certificate)
            register = Register(
                wishes.name,
                hosts,
                wishes.port,
                wishes.password_port,
                registrar_port=wishes.registrar_port,
                kit_days=wishes.kit_days,
            )
            site._certify_broker(authority, register, now)
            site._write(register, authority, now)
        return site

    def register(self) -> Register:
        """The site's names and members.

        Raises:
            SiteError: no site lies here, or it cannot be read.
        """
        path = self.folder / "site.json"
        try:
            found = json.loads(path.read_text("utf-8"))
            members = tuple(_member(one) for one in found.pop("members"))
            hosts, revoked = (
                tuple(found.pop("hosts")),
                tuple((one, name) for one, name in found.pop("revoked")),
            )
            return Register(**found, hosts=hosts, members=members, revoked=revoked)
        except FileNotFoundError:
            raise SiteError(
                f"{self.folder}: no site; `suasana site create {self.folder}` makes one"
            ) from None
        except OSError as error:
            raise SiteError(f"{path}: {error.strerror}; sudo may help") from error
        except (ValueError, KeyError, TypeError) as error:
            raise SiteError(f"{path}: damaged ({error})") from error

    def authority(self) -> Authority:
        """Who signs.

        Raises:
            SiteError: the key cannot be read, or others may read it too.
        """
        key = self.folder / "authority.key"
        try:
            if open_to := certificates.exposed(key):
                raise SiteError(f"{key}: {open_to}")
            return Authority(key.read_bytes(), (self.folder / "authority.pem").read_bytes())
        except OSError as error:
            raise SiteError(f"{error.filename}: {error.strerror}; sudo may help") from error

    def check_new(self, member: Member, *, replaces: bool = False) -> None:
        """See that *member* could be enrolled.

        Raises:
            SiteError: the name is taken, or fits no member of this kind.
        """
        _check_new(self.register(), member, replaces=replaces)

    def enrol(self, member: Member, request: bytes, now: datetime, *, replaces: bool = False) -> Credentials:
        """Sign a new member's key.

        Raises:
            SiteError: the name is taken, or fits no member of this kind.
            CertificateError: the request does not do.
        """
        with self._changing() as (register, authority):
            _check_new(register, member, replaces=replaces)
            signed = authority.sign_client(member.name, request, now, lasts=_lasting(register, member))
            told = certificates.read(signed)
            member = replace(member, serial=told.serial, until=told.until.isoformat())
            self._write(register.with_member(member), authority, now)
        return Credentials(member, signed, authority.certificate)

    def prolong(self, serial: str, request: bytes, now: datetime) -> Credentials:
        """Sign another key of whoever holds the certificate *serial*, which counts as before.

        Nothing is taken from a member here: the answer may get lost, and then it has the old one to ask again
        with. All of its certificates are revoked together.

        Raises:
            SiteError: nobody holds it, or too many were made.
            CertificateError: the request does not do.
        """
        with self._changing() as (register, authority):
            member = register.holder(serial)
            if member is None:
                raise SiteError("nobody at this site holds this certificate")
            living = tuple(
                (old, until) for old, until in member.former if datetime.fromisoformat(until) > now
            )
            if len(living) >= MOST_CERTIFICATES:
                raise SiteError(f"{member.name}: too many certificates; `site invite --replace` ends them")
            signed = authority.sign_client(member.name, request, now, lasts=_lasting(register, member))
            told = certificates.read(signed)
            # What it asked with stays known when it ran out, for its answer may be on the way.
            kept = tuple(one for one in member.former if one in living or one[0] == serial)
            renewed = replace(
                member,
                serial=told.serial,
                until=told.until.isoformat(),
                former=((member.serial, member.until), *kept),
            )
            others = tuple(renewed if one is member else one for one in register.members)
            self._write(replace(register, members=others), authority, now)
        return Credentials(renewed, signed, authority.certificate)

    def add(self, member: Member, now: datetime, *, replaces: bool = False) -> Path:
        """Make key and certificate here, for who cannot be paired; the folder that holds them."""
        key = certificates.make_key()
        made = self.enrol(member, certificates.make_request(key), now, replaces=replaces)
        folder = self.folder / "clients" / member.name
        with _told_simply(folder):
            folder.mkdir(mode=0o700, exist_ok=True)
            certificates.write_private(folder / "client.key", key)
            (folder / "client.pem").write_bytes(made.certificate)
            (folder / "ca.pem").write_bytes(made.authority)
        return folder

    def add_by_password(self, member: Member, now: datetime, *, replaces: bool = False) -> str:
        """Let a program in that can show no certificate; the password, which is kept nowhere else.

        Raises:
            SiteError: this site has no port for passwords.
        """
        password = secrets.token_urlsafe(24)
        with self._changing() as (register, authority):
            if register.password_port is None:
                raise SiteError(
                    "this site takes no passwords; `site create --password-port` makes one that does"
                )
            _check_new(register, member, replaces=replaces)
            hashed = hash_password(password, secrets.token_bytes(12))
            self._write(register.with_member(replace(member, password=hashed)), authority, now)
        return password

    def revoke(self, name: str, now: datetime) -> None:
        """Nobody called *name* gets in again, and who is in falls silent at once.

        Raises:
            SiteError: nobody has that name.
        """
        with self._changing() as (register, authority):
            if register.member(name) is None:
                known = ", ".join(sorted(one.name for one in register.members)) or "nobody"
                raise SiteError(f"{name}: no member of this site; there is {known}")
            self._write(register.without(name), authority, now)
        shutil.rmtree(self.folder / "clients" / name, ignore_errors=True)

    def renew(self, now: datetime, *, hosts: Sequence[str] = (), anyway: bool = False) -> datetime | None:
        """Another certificate for the broker when the old one ends soon or *hosts* are new; until when."""
        with self._changing() as (found, authority):
            register = found
            ours = certificates.read((self.broker / "broker.pem").read_bytes())
            if hosts:
                for host in hosts:
                    if not HOST.fullmatch(host):
                        raise SiteError(f"{host}: neither a host's name nor an address")
                kept = (register.name, "localhost", "127.0.0.1")
                register = replace(register, hosts=tuple(dict.fromkeys((*hosts, *kept))))
            if not anyway and ours.until - now > RENEW and set(ours.hosts) == set(register.hosts):
                return None
            until = self._certify_broker(authority, register, now)
            self._write(register, authority, now)
        return until

    def certificate(self) -> certificates.Certificate:
        """The broker's.

        Raises:
            SiteError: it cannot be read.
        """
        path = self.broker / "broker.pem"
        try:
            return certificates.read(path.read_bytes())
        except OSError as error:
            raise SiteError(f"{path}: {error.strerror}; sudo may help") from error

    def fingerprint(self) -> bytes:
        """SHA-256 of the authority, which needs no key.

        Raises:
            SiteError: it cannot be read.
        """
        path = self.folder / "authority.pem"
        try:
            return certificates.read(path.read_bytes()).fingerprint
        except OSError as error:
            raise SiteError(f"{path}: {error.strerror}; sudo may help") from error

    def tell_broker(self) -> bool:
        """Have a running Mosquitto read its files anew; False when none runs, or it is not ours to tell."""
        try:
            pid = int((self.broker / "data" / "pid").read_text("ascii"))
            if b"mosquitto" not in Path(f"/proc/{pid}/cmdline").read_bytes():
                return False
            os.kill(pid, signal.SIGHUP)
        except (OSError, ValueError):
            return self._tell_through_manager()
        return True

    def _tell_through_manager(self) -> bool:
        """From a service that sees no other processes: by the service manager, which knows its broker."""
        if self.folder != INSTALLED or not Path("/run/systemd/system").exists():
            return False
        command = ["systemctl", "reload", UNIT]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603

    @contextmanager
    def _changing(self) -> Iterator[tuple[Register, Authority]]:
        """One command at a time."""
        self.register()  # says what is wrong with the folder, if something is
        with _told_simply(self.folder), (self.folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self.register(), self.authority()
        if self.reload:
            self.tell_broker()

    def _certify_broker(self, authority: Authority, register: Register, now: datetime) -> datetime:
        key = certificates.make_key()
        signed = authority.sign_broker(key, register.hosts, now)
        certificates.write_private(self.broker / "broker.key", key)
        _put(self.broker / "broker.pem", signed)
        return certificates.read(signed).until

    def _write(self, register: Register, authority: Authority, now: datetime) -> None:
        """The register, and every file that follows from it."""
        register = replace(register, changed=now.isoformat())
        members = {one.name for one in register.members}
        revoked = [name for _, name in register.revoked if name not in members]
        texts = {
            "mosquitto.conf": _configuration(self.broker, register),
            "acl": access_list(register.members, revoked),
            "passwords": password_lines(register.members),
        }
        for name, text in texts.items():
            _put(self.broker / name, text.encode())
        place = Place(
            register.name, "", register.port, certificates.read(authority.certificate).fingerprint.hex()
        )
        (self.folder / "avahi.service").write_text(avahi(place), "utf-8")
        _put(self.broker / "ca.pem", authority.certificate)
        _put(self.broker / "revoked.pem", authority.revoke([one for one, _ in register.revoked], now))
        self._give_to_broker()
        table = json.dumps(asdict(register), ensure_ascii=False, indent=1) + "\n"
        certificates.write_private(self.folder / "site.json", table.encode())

    def _give_to_broker(self) -> None:
        """Mosquitto gives up root's rights before it reads its files."""
        if os.geteuid() != 0:
            return
        try:
            user = pwd.getpwnam(BROKER_USER)
        except KeyError:
            return
        # The folder itself stays root's: what the broker's user could put there, root would trust later.
        os.chown(self.broker, 0, user.pw_gid)
        for path in self.broker.iterdir():
            own = 0 if path.name == "local.d" else user.pw_uid
            os.chown(path, own, user.pw_gid, follow_symlinks=False)


def own_hosts() -> tuple[str, ...]:
    """This machine's names and the address that others reach it by."""
    host = socket.gethostname().split(".")[0].lower()
    hosts = [f"{host}.local", host]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; the kernel only chooses a way (RFC 5737 address)
            hosts.insert(0, str(probe.getsockname()[0]))
        except OSError:
            pass
    with suppress(OSError):
        hosts += steady_addresses(Path("/proc/net/if_inet6").read_text("ascii"))
    return tuple(hosts)


def steady_addresses(table: str) -> list[str]:
    """The IPv6 addresses in Linux's ``if_inet6`` that others reach this machine by, now and next week.

    Not those that change by the day so that nobody is recognised (RFC 8981), for a certificate holds them.
    """
    found = []
    for line in table.splitlines():
        number, _, _, scope, flags, _ = line.split()
        if int(scope, 16) == GLOBAL and not int(flags, 16) & PASSING:
            found.append(str(ipaddress.IPv6Address(bytes.fromhex(number))))
    return sorted(found)


def _member(table: dict[str, Any]) -> Member:
    """As it stands in ``site.json``, whose lists are tuples here."""
    reads, former = table.get("reads", ()), table.get("former", ())
    return Member(
        **{**table, "reads": tuple(reads), "former": tuple((serial, until) for serial, until in former)}
    )


def _lasting(register: Register, member: Member) -> timedelta:
    return register.kit_days * DAY if member.role == "kit" else CLIENT


def _check_new(register: Register, member: Member, *, replaces: bool) -> None:
    kit = member.role == "kit"
    if not (KIT_NAME if kit else PROGRAM_NAME).fullmatch(member.name):
        rule = (
            "a kit's name has lower-case letters, digits and hyphens"
            if kit
            else "a program's name has an underscore, as no kit's has, and lower-case letters: teacher_page"
        )
        raise SiteError(f"{member.name}: {rule}")
    for name in member.reads:
        if not KIT_NAME.fullmatch(name):
            raise SiteError(f"{name}: no kit's name")
    if register.member(member.name) is not None and not replaces:
        raise SiteError(
            f"{member.name}: is a member already; --replace makes the certificate it has worthless"
        )


def _configuration(folder: Path, register: Register) -> str:
    """Mosquitto's, from the template beside this file."""
    ways = []
    if register.password_port is not None:
        ways = [
            "",
            "# For programs that cannot show a certificate; still TLS, and a random password each.",
            f"password_file {folder}/passwords",
            f"listener {register.password_port}",
            *(
                f"{key} {folder}/{file}"
                for key, file in (("certfile", "broker.pem"), ("keyfile", "broker.key"))
            ),
            "",
        ]
    template = Template((files("edge.site") / "mosquitto.conf").read_text("utf-8"))
    return template.substitute(
        name=register.name, folder=folder, port=register.port, passwords="\n".join(ways)
    )


def _put(path: Path, data: bytes) -> None:
    """In one piece, for the broker and its user only."""
    certificates.write_private(path, data)


@contextmanager
def _told_simply(where: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SiteError(f"{error.filename or where}: {error.strerror or error}; sudo may help") from error


def utc_now() -> datetime:
    """The one clock of a site's commands."""
    return datetime.now(timezone.utc)
