"""An admin invites a kit from the page: with the site's own registrar, a kit that pairs, and who may not."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from dashboard.bus import Address
from dashboard.invitations import Registrar, draw, registrar_of
from dashboard.people import Account
from edge.broker.invitation import parse
from edge.pair.joining import PairError, pair
from edge.site import registrar as registrars
from edge.site.access import Member
from edge.site.door import RefusedError, listen
from edge.site.folder import Site, Wishes
from edge.site.registrar import Registrar as SiteRegistrar
from tests.conftest import free_port
from tests.dashboard.test_access import HASH, NOW, PEOPLE, Place
from tests.sites import DAY, running_registrar
from tests.sites import NOW as TODAY

PAGE = Member("teacher_page", "dashboard", invites=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("school") / "site"
    made = Site.create(folder, Wishes("sekolah-1", ("127.0.0.1",), registrar_port=free_port()), TODAY)
    made.add(PAGE, TODAY)
    made.add(Member("other_page", "dashboard"), TODAY)
    made.add(Member("old-kit", "kit"), TODAY)
    with running_registrar(made):
        yield made


def to_registrar(site: Site, name: str = PAGE.name) -> Registrar:
    folder = site.folder / "clients" / name
    port = site.register().registrar_port
    return Registrar(
        "127.0.0.1", port, *(str(folder / one) for one in ("ca.pem", "client.pem", "client.key"))
    )


@pytest.fixture
def place(site: Site, tmp_path: Path) -> Iterator[Place]:
    yield from furnished(Place(tmp_path / "history.sqlite3", to_registrar(site)))


def furnished(made: Place) -> Iterator[Place]:
    people = [*PEOPLE, Account("Citra", "admin", ("k1",))]
    made.people.add([(one, HASH) for one in people], NOW)
    yield made
    asyncio.run(made.feed.finish())


def test_an_admin_invites_a_kit_which_pairs(place: Place, tmp_path: Path) -> None:
    admin = place.log_in("Budi")
    answer = admin.post("/api/invitations", json={"kit": "kelas-1a"})
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    told = answer.json()
    invitation = parse(told["token"])
    assert told["code"] == draw(told["token"])
    assert {len(row) for row in told["code"]} == {len(told["code"])}
    state = admin.get("/api/invitations/kelas-1a").json()
    assert state["state"] == "waiting"
    assert 0 < state["left_s"] <= told["lasts_s"] == 600
    assert pair(invitation, tmp_path / "kit.toml").kit == "kelas-1a"
    assert admin.get("/api/invitations/kelas-1a").json()["state"] == "joined"
    assert admin.post("/api/invitations", json={"kit": "kelas-1a"}).json()["error"] == "invite_taken"
    assert admin.post("/api/invitations", json={"kit": "kelas-1a", "replaces": True}).status_code == 201
    noted = [(line["account"], line["deed"], line["kit"]) for line in place.people.log()]
    assert noted[:2] == [("Budi", "invited_anew", "kelas-1a"), ("Budi", "invited", "kelas-1a")]
    assert invitation.secret not in str(place.people.log()), "nobody finds it in the log"
    assert invitation.secret.encode() not in (tmp_path / "history.sqlite3").read_bytes()


def test_an_invitation_is_taken_back_and_one_replaces_another(place: Place, tmp_path: Path) -> None:
    admin = place.log_in("Budi")
    first, second = (
        parse(admin.post("/api/invitations", json={"kit": "kelas-1b"}).json()["token"]) for _ in range(2)
    )
    with pytest.raises(PairError, match="no such invitation"):
        pair(first, tmp_path / "kit.toml")
    assert admin.delete("/api/invitations/kelas-1b").json() == {"withdrawn": True}
    with pytest.raises(PairError):  # no such invitation, or nobody is invited any more and the door is closed
        pair(second, tmp_path / "kit.toml")
    assert admin.get("/api/invitations/kelas-1b").json()["state"] == "over"
    assert admin.get("/api/invitations/kelas-9").json()["state"] == "none"
    assert admin.delete("/api/invitations/kelas-1b").json() == {"withdrawn": False}
    assert place.deeds().count("invitation_withdrawn") == 1


def test_a_kit_that_is_invited_again_is_waited_for_again(place: Place, tmp_path: Path) -> None:
    """Though its first invitation was used, at the same door, which another kit keeps open."""
    admin = place.log_in("Budi")
    assert admin.post("/api/invitations", json={"kit": "kelas-2b"}).status_code == 201
    for number in range(2):
        told = admin.post("/api/invitations", json={"kit": "kelas-2a", "replaces": number > 0}).json()
        assert admin.get("/api/invitations/kelas-2a").json()["state"] == "waiting"
        pair(parse(told["token"]), tmp_path / "kit.toml")
        assert admin.get("/api/invitations/kelas-2a").json()["state"] == "joined"
    assert admin.get("/api/invitations/kelas-2b").json()["state"] == "waiting"


def test_only_an_admin_invites_and_only_to_rooms_of_its_own(place: Place) -> None:
    for name in ("Ani", "Tuti", "Rina"):
        somebody = place.log_in(name)
        assert somebody.post("/api/invitations", json={"kit": "k1"}).status_code == 403
        assert somebody.get("/api/invitations/k1").status_code == 403
        assert somebody.delete("/api/invitations/k1").status_code == 403
    citra = place.log_in("Citra")
    assert citra.post("/api/invitations", json={"kit": "k2"}).status_code == 404
    assert citra.post("/api/invitations", json={"kit": "k1"}).status_code == 201
    assert place.browser().post("/api/invitations", json={"kit": "k1"}).status_code == 401
    citra.headers["x-csrf-token"] = "guessed"
    assert citra.post("/api/invitations", json={"kit": "k1"}).status_code == 403


@pytest.mark.parametrize("kit", ["", "Kelas 1A", "teacher_page", "a/b", "+", "x" * 64, None, 7, ["k1"]])
def test_what_is_no_kits_name_is_refused_by_the_page(place: Place, kit: object) -> None:
    answer = place.log_in("Budi").post("/api/invitations", json={"kit": kit})
    assert (answer.status_code, answer.json()["error"]) == (400, "invite_name")


@pytest.mark.parametrize("name", ["other_page", "old-kit"])
def test_who_may_not_invite_is_refused_by_the_site(site: Site, tmp_path: Path, name: str) -> None:
    for place in furnished(Place(tmp_path / "history.sqlite3", to_registrar(site, name))):
        answer = place.log_in("Budi").post("/api/invitations", json={"kit": "k1"})
        assert (answer.status_code, answer.json()["error"]) == (403, "invite_refused")
        assert "invited" not in place.deeds()


def test_a_page_without_a_site_says_so(tmp_path: Path, site: Site) -> None:
    assert registrar_of(Address("127.0.0.1", 1883)) is None
    found = registrar_of(Address("10.0.0.1", 8883, ca_file="a", cert_file="b", key_file="c"), 9999)
    assert found == Registrar("10.0.0.1", 9999, "a", "b", "c")
    away = Registrar("127.0.0.1", free_port(), *[to_registrar(site).cert_file] * 3)
    for number, (registrar, status, word) in enumerate(
        [(None, 409, "invite_nowhere"), (away, 502, "invite_away")]
    ):
        for place in furnished(Place(tmp_path / f"{number}.sqlite3", registrar)):
            answer = place.log_in("Budi").post("/api/invitations", json={"kit": "k1"})
            assert (answer.status_code, answer.json()["error"]) == (status, word)


# ── The registrar's side ─────────────────────────────────────────────────────────────────────────────


def shown(name: str, site: Site) -> SimpleNamespace:
    member = site.register().member(name)
    assert member is not None
    return SimpleNamespace(name=name, serial=member.serial, until=TODAY + 1000 * DAY)


def test_a_page_of_some_rooms_invites_to_those_only_and_not_with_a_certificate_that_ran_out(
    tmp_path: Path,
) -> None:
    site = Site.create(tmp_path / "site", Wishes("s1", ("127.0.0.1",)), TODAY)
    site.add(Member("one_room", "dashboard", reads=("kelas-1a",), invites=True), TODAY)
    with SiteRegistrar(site, door_port=0, told=lambda _: None) as registrar:
        one: object = shown("one_room", site)
        assert parse(registrar.invite(one, "kelas-1a", TODAY))  # type: ignore[arg-type]
        with pytest.raises(RefusedError, match="other kits only"):
            registrar.invite(one, "kelas-1b", TODAY)  # type: ignore[arg-type]
        with pytest.raises(RefusedError, match="run out"):
            registrar.invite(one, "kelas-1a", TODAY + 1001 * DAY)  # type: ignore[arg-type]
        site.revoke("one_room", TODAY)
        with pytest.raises(RefusedError, match="was revoked"):
            registrar.invite(one, "kelas-1a", TODAY)  # type: ignore[arg-type]


def test_a_door_that_is_taken_and_too_many_guests_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site.create(tmp_path / "site", Wishes("s1", ("127.0.0.1",)), TODAY)
    site.add(PAGE, TODAY)
    page: object = shown(PAGE.name, site)
    with listen(0) as terminal:
        port = int(terminal.getsockname()[1])
        with SiteRegistrar(site, door_port=port, told=lambda _: None) as registrar:
            with pytest.raises(RefusedError) as caught:
                registrar.invite(page, "kelas-1a", TODAY)  # type: ignore[arg-type]
            assert caught.value.status == 503
    monkeypatch.setattr(registrars, "MOST_WAITING", 2)
    before = threading.active_count()
    with SiteRegistrar(site, door_port=0, told=lambda _: None) as registrar:
        for kit in ("a", "b"):
            registrar.invite(page, kit, TODAY)  # type: ignore[arg-type]
        with pytest.raises(RefusedError, match="too many"):
            registrar.invite(page, "c", TODAY)  # type: ignore[arg-type]
        assert threading.active_count() == before + 1, "one door for all of them"
    assert threading.active_count() == before, "and none afterwards"
