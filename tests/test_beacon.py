"""Finding a site's broker in the network: what is heard is a hint, and never a guess."""

import logging
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import zeroconf

from edge.broker import beacon
from edge.broker.beacon import (
    BeaconError,
    Place,
    announced,
    avahi,
    choose,
    find_broker,
    look,
    reach,
    reachable,
)
from edge.broker.certificates import read
from edge.broker.invitation import Invitation
from edge.broker.visit import Visit, VisitError, broker_address
from edge.pair import joining
from edge.pair.joining import PairError, pair
from edge.sinks import Access, open_sink
from edge.site.authority import Authority
from edge.site.folder import steady_addresses
from edge.site.invite import addresses_of
from tests.sites import NOW, Running, running_site
from tests.test_sinks import event, tend_until

AUTHORITY = Authority.found("sekolah-1", NOW).certificate
OURS = read(AUTHORITY).fingerprint.hex()
HERE = Place("sekolah-1", "10.0.0.1", 8883, OURS)
LIAR = Place("sekolah-1", "10.0.0.66", 8883, "00" * 32)
OTHER = Place("sekolah-2", "10.0.0.2", 8883, "11" * 32)


def test_one_is_taken_several_are_asked_about_and_none_is_told() -> None:
    assert choose([HERE], "", what="broker", how="say so") == HERE
    assert choose([HERE, OTHER], "sekolah-2", what="broker", how="say so") == OTHER
    with pytest.raises(BeaconError) as several:
        choose([HERE, OTHER], "", what="broker", how="give --address")
    assert str(several.value) == (
        "several brokers answer: sekolah-1 (10.0.0.1:8883), sekolah-2 (10.0.0.2:8883); which one? "
        "give --address"
    )
    with pytest.raises(BeaconError, match="no broker of sekolah-3 answers; there is sekolah-1"):
        choose([HERE], "sekolah-3", what="broker", how="say so")
    with pytest.raises(BeaconError, match=r"no broker answers in this network; .* give --address"):
        choose([], "", what="broker", how="give --address")


def test_a_broker_is_looked_for_by_its_authority(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = [LIAR, HERE, OTHER]
    monkeypatch.setattr(beacon, "look", lambda *_, **__: heard)
    assert find_broker("sekolah-1", AUTHORITY) == HERE
    heard = [LIAR, OTHER]
    with pytest.raises(BeaconError, match="there is sekolah-1"):
        find_broker("sekolah-1", AUTHORITY)
    heard = []
    with pytest.raises(BeaconError, match="multicast"):
        find_broker("sekolah-1", AUTHORITY)
    with pytest.raises(BeaconError, match="not a certificate"):
        find_broker("sekolah-1", b"")


@pytest.mark.parametrize(
    "trouble",
    [OSError(19, "No such device"), zeroconf.EventLoopBlocked(), RuntimeError("No interfaces to listen on")],
)
def test_a_network_that_cannot_be_asked_is_one_expected_error(
    monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    """A kit asks from its network thread; anything else would end that for good."""

    def fail(*_: object, **__: object) -> None:
        raise trouble

    monkeypatch.setattr(zeroconf, "ServiceBrowser", fail)
    with pytest.raises(BeaconError, match="cannot speak to its network"):
        look("broker")


def test_several_doors_for_one_invitation_are_a_question(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    invitation = Invitation("", 8884, bytes.fromhex(OURS)[:16], "ABCDEFGHIJKLMNOP")
    doors = [HERE, replace(HERE, address="10.0.0.66")]
    monkeypatch.setattr(joining, "look", lambda *_, **__: doors)
    with pytest.raises(PairError, match=r"10\.0\.0\.1:8883.*10\.0\.0\.66:8883.*which one\? give --address"):
        pair(invitation, tmp_path / "kit.toml")
    doors = []
    with pytest.raises(PairError, match=r"no site that invites this kit answers.*give --address"):
        pair(invitation, tmp_path / "kit.toml")
    assert not (tmp_path / "kit.toml").exists()


def test_avahi_is_told_the_same() -> None:
    service = ET.fromstring(avahi(HERE)).find("service")
    assert service is not None
    assert [one.text for one in service] == ["_secure-mqtt._tcp", "8883", "site=sekolah-1", f"ca={OURS}"]


def test_addresses_are_tried_in_their_order_and_the_one_that_answers_is_taken() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        port = int(server.getsockname()[1])
        both = Place("s1", "127.0.0.1", port, more=("::1",))
        with reach(both, 5) as link:
            assert link.getpeername()[0] == "::1", "nobody listens on the other"
        assert reachable(both) == Place("s1", "::1", port, more=("127.0.0.1",))
    with pytest.raises(ConnectionRefusedError):
        reach(both, 5)
    assert reachable(both) == both
    assert replace(both, address="fd00::1").shown == f"s1 ([fd00::1]:{port})"


def test_what_is_told_is_put_into_an_order_that_can_be_used() -> None:
    told = ["fe80::1", "fd00::2", "10.0.0.1", "169.254.3.4", "2001:db8::1"]
    assert beacon._in_order(told) == ["10.0.0.1", "169.254.3.4", "fd00::2", "2001:db8::1"]
    assert len(beacon._in_order([f"10.0.0.{number}" for number in range(200)])) == beacon.MOST_ADDRESSES


def test_a_site_tells_both_kinds_of_its_addresses_and_no_loopback_one() -> None:
    hosts = ("fd00::20", "gateway.local", "192.168.1.20", "sekolah-1", "localhost", "127.0.0.1")
    assert addresses_of(hosts) == ("192.168.1.20", "fd00::20")
    assert addresses_of(("gateway.local", "127.0.0.1")) == ("127.0.0.1",)
    assert addresses_of(("gateway.local",)) == ("127.0.0.1",)


def test_an_address_that_changes_by_the_day_is_in_no_certificate() -> None:
    table = """\
fe8000000000000000fc00fffe000001 04 40 20 80     eth0
00000000000000000000000000000001 01 80 10 80       lo
20010db8000000000000000000000011 04 40 00 01     eth0
20010db8000000000000000000000012 04 40 00 60     eth0
20010db8000000000000000000000013 04 40 00 00     eth0
fd000000000000000000000000000002 04 40 00 82     eth0
"""
    assert steady_addresses(table) == ["2001:db8::13", "fd00::2"]


# ── In a real network: this machine's ────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A site that tells the network where its broker is, beside a liar and a neighbour."""
    with running_site(tmp_path_factory.mktemp("beacon") / "site", "sekolah-uji") as running:
        place = Place("sekolah-uji", "127.0.0.1", running.port, running.site.fingerprint().hex())
        try:
            with announced("broker", place):
                if not look("broker", enough=lambda found: place in found):
                    pytest.skip("this machine hears no multicast DNS")
                yield running
        except BeaconError as error:
            pytest.skip(str(error))


def test_a_kit_finds_its_broker_and_believes_the_certificate_only(
    school: Running, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    folder = school.site.folder / "clients" / "kit-1"
    school.join("kit-1")
    files = {
        key: str(folder / name)
        for key, name in (("ca_file", "ca.pem"), ("cert_file", "client.pem"), ("key_file", "client.key"))
    }
    with open_sink("discover://sekolah-uji", kit="kit-1", access=Access(**files)) as sink:
        sink.publish(event(0))
        tend_until(sink, lambda: sink.waiting == 0)
    assert "connected to discover://sekolah-uji" in caplog.text
    found = broker_address("discover://sekolah-uji", password_file="", **files)
    with Visit(found, kit="kit-1") as visit:
        visit.listen("response/doctor")
        visit.say("response/doctor", "hello")
        assert visit.hear("response/doctor") == "hello"
    monkeypatch.setattr(beacon, "look", lambda *_, **__: [])
    nobody = broker_address("discover://sekolah-lain", password_file="", **files)
    with pytest.raises(VisitError) as caught, Visit(nobody, kit="kit-1"):
        pass
    assert (caught.value.stage, caught.value.cause) == ("name", "unfound")


def test_a_broker_of_ipv6_only_is_found_and_spoken_to(school: Running) -> None:
    """Told and asked over IPv4 and IPv6; what is told has no IPv4 address."""
    folder = school.site.folder / "clients" / "kit-6"
    school.join("kit-6")
    files = (str(folder / name) for name in ("ca.pem", "client.pem", "client.key"))
    ca_file, cert_file, key_file = files
    place = Place("sekolah-enam", "::1", school.port, school.site.fingerprint().hex())
    school.site.renew(NOW, hosts=["127.0.0.1", "sekolah-enam"])
    access = Access(ca_file=ca_file, cert_file=cert_file, key_file=key_file)
    with announced("broker", place):
        if place not in look("broker", enough=lambda places: place in places):
            pytest.skip("this machine has no IPv6")
        with open_sink("discover://sekolah-enam", kit="kit-6", access=access) as sink:
            sink.publish(event(0))
            tend_until(sink, lambda: sink.waiting == 0)


def test_somebody_who_speaks_ipv6_only_hears_it_too(school: Running) -> None:
    place = Place("sekolah-uji6", "10.0.0.1", school.port, "ab" * 32, ("fd00::20",))
    service = beacon.SERVICES["broker"]
    with announced("broker", place):
        try:
            six = zeroconf.Zeroconf(ip_version=zeroconf.IPVersion.V6Only)
        except OSError as error:
            pytest.skip(f"this machine has no IPv6: {error}")
        try:
            told = six.get_service_info(service, f"{place.site}.{service}", timeout=5000)
        finally:
            six.close()
    if told is None:
        pytest.skip("this machine hears no multicast over IPv6")
    assert told.parsed_addresses(zeroconf.IPVersion.All) == ["10.0.0.1", "fd00::20"]


@pytest.mark.parametrize("refuses", [False, True])
@pytest.mark.parametrize(
    "trouble", [OSError(97, "Address family not supported"), RuntimeError("Address family without interface")]
)
def test_a_machine_without_ipv6_looks_with_what_it_has(
    monkeypatch: pytest.MonkeyPatch, trouble: Exception, refuses: bool
) -> None:
    asked: list[object] = []

    class Zeroconf:
        def __init__(self, ip_version: object) -> None:
            asked.append(ip_version)
            if refuses or ip_version is zeroconf.IPVersion.All:
                raise trouble

        def close(self) -> None:
            pass

    monkeypatch.setattr(zeroconf, "Zeroconf", Zeroconf)
    if refuses:
        with (
            pytest.raises(BeaconError, match="cannot speak to its network: Address family"),
            beacon._asking(),
        ):
            pass
    else:
        with beacon._asking():
            pass
    assert asked == [zeroconf.IPVersion.All, zeroconf.IPVersion.V4Only]


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # paho leaves the socket to Python
def test_who_is_found_and_is_somebody_else_is_not_believed(
    school: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The broker of the right authority, under a name that its certificate does not have."""
    caplog.set_level(logging.INFO)
    place = Place("sekolah-9", "127.0.0.1", school.port, school.site.fingerprint().hex())
    monkeypatch.setattr(beacon, "look", lambda *_, **__: [place])
    access = Access(ca_file=str(school.site.folder / "authority.pem"))
    with open_sink("discover://sekolah-9", kit="kit-1", access=access) as sink:
        tend_until(sink, lambda: "mismatch" in caplog.text)


@pytest.mark.parametrize("uri", ["discover://", "discover://user@s1", "discover://s1:8883", "discover://s1"])
def test_looking_around_needs_a_name_and_an_authority(uri: str) -> None:
    access = Access(ca_file="" if uri == "discover://s1" else "/etc/ca.pem")
    with pytest.raises(ValueError, match="discover:"):
        open_sink(uri, kit="k1", access=access)
