"""Telling the network where a site's broker is, and finding it: multicast DNS (RFC 6762, RFC 6763).

What is heard here is a hint and proves nothing, since anybody may say anything: whoever follows it checks a
certificate. ``zeroconf`` is imported when somebody looks or tells.
"""

from __future__ import annotations

import ipaddress
import logging
import random
import re
import socket
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from edge.broker.certificates import CertificateError, read

if TYPE_CHECKING:
    from zeroconf import Zeroconf

Kind = Literal["broker", "door"]
SERVICES: Mapping[Kind, str] = {
    "broker": "_secure-mqtt._tcp.local.",
    "door": "_suasana-pair._tcp.local.",
}
"""The first is registered with IANA for MQTT over TLS; brokers of others answer to it, too."""
LOOK_S = 2.5
"""Answers come within a second; some networks lose the first question."""
RESOLVE_MS = 800
TRY_S = 3.0
"""Patience with each of several addresses."""
MOST_ADDRESSES = 8
SITE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class BeaconError(Exception):
    """Not found, or not one alone; one line tells what there is and what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something of a site is."""

    site: str
    address: str
    port: int
    fingerprint: str = ""
    """Of its authority, hexadecimal, as it says."""
    more: tuple[str, ...] = ()
    """Other addresses of the same: IPv6 beside IPv4."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """In the order in which they are to be tried."""
        return (self.address, *self.more)

    @property
    def shown(self) -> str:
        """For people."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.site} ({host}:{self.port})"


def look(
    kind: Kind,
    *,
    patience_s: float = LOOK_S,
    fingerprint: str = "",
    enough: Callable[[Collection[Place]], bool] = lambda _: False,
) -> list[Place]:
    """Everything of this *kind* that answers; with *fingerprint*, hexadecimal, only what begins so.

    *enough* ends the search early: it is asked again and again, with what was found.

    Raises:
        BeaconError: this machine cannot speak to its network.
    """
    from zeroconf import IPVersion, ServiceBrowser  # noqa: PLC0415

    found: dict[tuple[str, str, int], Place] = {}
    with _told_simply(), _asking() as zeroconf:
        heard: list[str] = []

        def hear(name: str, state_change: Any, **_rest: Any) -> None:
            if state_change.name != "Removed":
                heard.append(name)

        browser = ServiceBrowser(zeroconf, SERVICES[kind], handlers=[hear])
        deadline = time.monotonic() + patience_s
        try:
            while time.monotonic() < deadline:
                for name in heard[:]:
                    heard.remove(name)
                    info = zeroconf.get_service_info(SERVICES[kind], name, timeout=RESOLVE_MS)
                    place = _place(info, IPVersion.All) if info else None
                    if place and (not fingerprint or place.fingerprint.startswith(fingerprint)):
                        found[place.site, place.address, place.port] = place
                if enough(found.values()):
                    break
                time.sleep(0.05)
        finally:
            browser.cancel()
    return sorted(found.values(), key=lambda place: (place.site, place.address))


def find_broker(site: str, authority: bytes, *, leaving: Callable[[], bool] = lambda: False) -> Place:
    """The broker of *site*, as somebody says who knows its authority; one of them, should several say so.

    Whoever was lied to finds out when it connects, and draws again.

    Raises:
        BeaconError: nobody says so, or the authority is none.
    """
    try:
        fingerprint = read(authority).fingerprint.hex()
    except CertificateError as error:
        raise BeaconError(f"the certificate authority is {error}") from error

    def fits(place: Place) -> bool:
        return place.site == site and place.fingerprint == fingerprint

    found = look("broker", enough=lambda places: leaving() or any(map(fits, places)))
    ours = [place for place in found if fits(place)]
    if ours:
        return random.choice(ours)
    others = ", ".join(place.shown for place in found)
    raise BeaconError(
        f"nobody with this kit's authority says to be the broker of {site}"
        + (f"; there is {others}" if others else "; many school networks block such questions (multicast)")
    )


def choose(places: Iterable[Place], site: str, *, what: str, how: str) -> Place:
    """The one that is meant; never a guess.

    Args:
        places: what was found.
        site: its name, or empty for any.
        what: it is called, for the message.
        how: to say which one.

    Raises:
        BeaconError: none, or several.
    """
    known = list(places)
    fits = [place for place in known if place.site == site] if site else known
    if len(fits) == 1:
        return fits[0]
    listed = ", ".join(place.shown for place in fits or known)
    if fits:
        raise BeaconError(f"several {what}s answer: {listed}; which one? {how}")
    if known:
        raise BeaconError(f"no {what} of {site} answers; there is {listed}")
    raise BeaconError(
        f"no {what} answers in this network; many school networks block such questions (multicast): {how}"
    )


def reach(place: Place, timeout_s: float) -> socket.socket:
    """A connection to the first of its addresses that takes one.

    Raises:
        OSError: none does; why the first did not.
    """
    first, *others = place.addresses
    try:
        return socket.create_connection((first, place.port), timeout_s)
    except OSError:
        for address in others:
            with suppress(OSError):
                return socket.create_connection((address, place.port), timeout_s)
        raise


def reachable(place: Place, timeout_s: float = TRY_S) -> Place:
    """The same with the address in front that can be reached from here; unchanged if none can."""
    if not place.more:
        return place
    try:
        with reach(place, timeout_s) as link:
            first = str(link.getpeername()[0])
    except OSError:
        return place
    rest = tuple(address for address in place.addresses if address != first)
    return replace(place, address=first, more=rest)


@contextmanager
def announced(kind: Kind, place: Place) -> Iterator[None]:
    """Tell the network while the block lasts.

    Raises:
        BeaconError: this machine cannot tell its network anything.
    """
    from zeroconf import ServiceInfo  # noqa: PLC0415

    service = SERVICES[kind]
    info = ServiceInfo(
        service,
        f"{place.site}.{service}",
        port=place.port,
        parsed_addresses=list(place.addresses),
        properties={"site": place.site, "ca": place.fingerprint},
        server=f"{place.site}-{kind}.local.",
    )
    with _asking() as zeroconf:
        with _told_simply():
            zeroconf.register_service(info, allow_name_change=True)
        yield


def avahi(place: Place) -> str:
    """The same for Avahi, which most Linux machines run: a file for /etc/avahi/services."""
    kind = SERVICES["broker"].removesuffix(".local.")
    return f"""<?xml version="1.0" standalone='no'?>
<!DOCTYPE service-group SYSTEM "avahi-service.dtd">
<service-group>
  <name>{place.site}</name>
  <service>
    <type>{kind}</type>
    <port>{place.port}</port>
    <txt-record>site={place.site}</txt-record>
    <txt-record>ca={place.fingerprint}</txt-record>
  </service>
</service-group>
"""


@contextmanager
def _asking() -> Iterator[Zeroconf]:
    from zeroconf import IPVersion, Zeroconf  # noqa: PLC0415

    # It tells of every packet that a network does not take, with a traceback; what matters is raised.
    logging.getLogger("zeroconf").setLevel(logging.CRITICAL)
    with _told_simply():
        try:
            zeroconf = Zeroconf(ip_version=IPVersion.All)
        except (OSError, RuntimeError):  # somebody switched IPv6 off, or no interface has it
            zeroconf = Zeroconf(ip_version=IPVersion.V4Only)
    try:
        yield zeroconf
    finally:
        zeroconf.close()


@contextmanager
def _told_simply() -> Iterator[None]:
    """Whatever goes wrong in there is expected: a kit asks from its network thread, which must not end."""
    from zeroconf import Error  # noqa: PLC0415

    try:
        yield
    except (OSError, RuntimeError, Error) as error:  # RuntimeError: there is no interface at all
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise BeaconError(f"this machine cannot speak to its network: {reason}") from error


def _place(info: Any, version: Any) -> Place | None:
    """What an answer tells; None when it looks wrong."""

    def said(key: bytes) -> str:
        return (info.properties.get(key) or b"").decode("utf-8", "replace")

    site, addresses = said(b"site"), _in_order(info.parsed_addresses(version))
    if not SITE.fullmatch(site) or not info.port or not addresses:
        return None
    return Place(site, addresses[0], int(info.port), said(b"ca")[:64], tuple(addresses[1:]))


def _in_order(addresses: Iterable[str]) -> list[str]:
    """IPv4 first, which most schools have; a link-local one of IPv6 means nothing without its link."""
    found = sorted(map(ipaddress.ip_address, addresses), key=lambda one: one.version)
    return [str(one) for one in found if one.version == 4 or not one.is_link_local][:MOST_ADDRESSES]
