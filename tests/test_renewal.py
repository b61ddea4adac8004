"""A kit's certificate is renewed in time, and at no moment has the kit none that counts."""

import http.client
import json
import shutil
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from edge.__main__ import main
from edge.broker import certificates, visit
from edge.broker.beacon import Place
from edge.broker.certificates import Certificate
from edge.pair import renewal
from edge.pair.renewal import RenewalError, renew
from edge.site import folder
from edge.site.access import Member
from edge.site.door import RefusedError
from edge.site.folder import Register, Site, SiteError, Wishes
from edge.site.registrar import judge
from tests.conftest import eventually, free_port
from tests.sites import DAY, NOW, Client, running_broker, running_registrar, turned_away

KIT = Member("kelas-1a", "kit")
DAYS = 90
"""How long certificates last here: renewed with 30 left, and heard until 90 after their end."""


def found(path: Path, at: datetime, *, days: int = DAYS) -> Site:
    wishes = Wishes("sekolah-1", ("127.0.0.1",), free_port(), registrar_port=free_port(), kit_days=days)
    return Site.create(path / "site", wishes, at)


def pair_by_hand(site: Site, kit: Path, at: datetime) -> Path:
    """A kit that joined then, with settings as `suasana pair` writes them; the file with its certificate."""
    made = site.add(KIT, at)
    path = kit / "kit.pem"
    certificates.write_private(path, (made / "client.pem").read_bytes() + (made / "client.key").read_bytes())
    shutil.copy(made / "ca.pem", kit / "ca.pem")
    register = site.register()
    (kit / "kit.toml").write_text(
        f'kit = "{KIT.name}"\n[mqtt]\nurl = "mqtts://127.0.0.1:{register.port}"\nca_file = "{kit}/ca.pem"\n'
        f'cert_file = "{path}"\nkey_file = "{path}"\nregistrar_port = {register.registrar_port}\n'
    )
    return path


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    made = tmp_path / "kit"
    made.mkdir()
    return made


def lets_in(site: Site, pem: bytes, place: Path) -> bool:
    """Whether the broker takes this certificate with its key."""
    place.mkdir(exist_ok=True)
    for name in ("client.pem", "client.key"):
        certificates.write_private(place / name, pem)
    shutil.copy(site.folder / "authority.pem", place / "ca.pem")
    return not turned_away(Client(site.register().port, place))


# ── In good time ─────────────────────────────────────────────────────────────────────────────────────


def test_a_kit_gets_another_certificate_and_key_and_the_old_one_counts_until_its_end(
    tmp_path: Path, kit: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    then = NOW - 61 * DAY
    site = found(tmp_path, then)
    path = pair_by_hand(site, kit, then)
    path.chmod(0o640)
    old = path.read_bytes()
    with running_broker(site) as log, running_registrar(site):
        assert main(["pair", "--renew", "--config", str(kit / "kit.toml")]) == 0
        assert f"another certificate, valid until {NOW + DAYS * DAY:%Y-%m-%d}" in capsys.readouterr().out
        new = path.read_bytes()
        assert not certificates.belong_together(new, old), "a key of its own"
        assert certificates.read(new).name == "kelas-1a"
        assert (path.stat().st_mode & 0o777, list(kit.glob("*.next"))) == (0o640, [])
        assert lets_in(site, old, tmp_path / "old")
        assert lets_in(site, new, tmp_path / "new")
        assert not renew(kit / "kit.toml").renewed, "it has just been renewed"
        assert path.read_bytes() == new
        site.revoke("kelas-1a", NOW)
        eventually(lambda: not lets_in(site, new, tmp_path / "new"))
        assert not lets_in(site, old, tmp_path / "old"), "all of them are revoked together"
        with pytest.raises(RenewalError, match="the certificate was revoked; an invitation"):
            renew(kit / "kit.toml")
        assert path.read_bytes() == new
        key = new.decode().partition("PRIVATE KEY-----\n")[2].splitlines()[0]
        assert key not in log.read_text("utf-8") + "".join(capsys.readouterr())


def test_a_kit_that_lay_in_a_cupboard_comes_back_by_itself(tmp_path: Path, kit: Path) -> None:
    then = NOW - 170 * DAY
    site = found(tmp_path, then)
    path = pair_by_hand(site, kit, then)
    with running_broker(site), running_registrar(site):
        assert not lets_in(site, path.read_bytes(), tmp_path / "old"), "80 days over"
        assert renew(kit / "kit.toml").renewed
        assert lets_in(site, path.read_bytes(), tmp_path / "new")


def test_a_site_that_is_away_costs_attempts_only(tmp_path: Path, kit: Path) -> None:
    then = NOW - 61 * DAY
    site = found(tmp_path, then)
    path = pair_by_hand(site, kit, then)
    old = path.read_bytes()
    for _ in range(3):
        with pytest.raises(RenewalError, match=r"registrar at 127\.0\.0\.1:\d+ does not answer"):
            renew(kit / "kit.toml")
        assert path.read_bytes() == old
    with running_registrar(site), pytest.raises(RenewalError, match="waits until the broker is there"):
        renew(kit / "kit.toml")
    assert path.read_bytes() == old, "a certificate that nobody tried is not used"
    with running_broker(site):  # and no registrar: what was signed lies there
        assert renew(kit / "kit.toml").renewed
        assert lets_in(site, path.read_bytes(), tmp_path / "new")
    assert site.register().member("kelas-1a") is not None


def test_a_kit_with_a_clock_that_is_wrong_by_decades_gets_its_certificate(tmp_path: Path, kit: Path) -> None:
    """Here the site lives thirty years ago, so that to this machine all of it has run out."""
    then = NOW - 30 * 365 * DAY
    site = found(tmp_path, then)
    path = pair_by_hand(site, kit, then)
    old = path.read_bytes()
    with running_broker(site), running_registrar(site, wall=lambda: then + 70 * DAY):
        with pytest.raises(RenewalError, match="waits until the broker is there: certificate has expired"):
            renew(kit / "kit.toml")  # MQTT asks the clock, and the broker is not at fault
        assert path.read_bytes() == old
        waiting = (kit / "kit.pem.next").read_bytes()
        assert certificates.read(waiting).until > certificates.read(old).until
    with running_broker(site), running_registrar(site, wall=lambda: then + 10 * DAY), suppress(RenewalError):
        renew(kit / "kit.toml")
    assert (kit / "kit.pem.next").read_bytes() == waiting, "it waits for as long as it has to"


# ── Nothing is lost on the way ───────────────────────────────────────────────────────────────────────


def test_an_answer_that_is_lost_is_asked_for_again_with_the_same_key(
    tmp_path: Path, kit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    then = NOW - 61 * DAY
    site = found(tmp_path, then)
    path = pair_by_hand(site, kit, then)
    old, right = path.read_bytes(), renewal._Registrar.ask

    def lose(self: object, method: str, where: str, *rest: object) -> dict[str, object]:
        said = right(self, method, where, *rest)  # type: ignore[arg-type]
        if method == "POST":
            raise RenewalError("the site's registrar does not answer (timed out)")
        return said

    with running_broker(site), running_registrar(site):
        monkeypatch.setattr(renewal._Registrar, "ask", lose)
        keys = []
        for _ in range(3):
            with pytest.raises(RenewalError, match="timed out"):
                renew(kit / "kit.toml")
            keys.append((kit / "kit.pem.next").read_bytes())
            assert path.read_bytes() == old
        assert len(set(keys)) == 1
        assert lets_in(site, old, tmp_path / "old")
        monkeypatch.setattr(renewal._Registrar, "ask", right)
        assert renew(kit / "kit.toml").renewed
        assert certificates.belong_together(path.read_bytes(), keys[0])
        assert lets_in(site, old, tmp_path / "old"), "nothing was taken from it"
        member = site.register().member("kelas-1a")
        assert member is not None
        assert len(member.serials) == 5


class PowerCutError(BaseException):
    """Nothing catches it, as nothing catches a power cut."""


@pytest.mark.parametrize("cut", range(6))
def test_a_power_cut_at_any_moment_leaves_one_that_counts(
    tmp_path: Path, kit: Path, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    """Every change of the disk that a renewal makes is the last one once."""
    then = NOW - 61 * DAY
    site = found(tmp_path, then)
    path = pair_by_hand(site, kit, then)
    left = [cut]
    right = Path.replace

    def cut_before_or_after(self: Path, target: Path) -> Path:
        """Between the draft and its name, or right after."""
        if self.parent != kit:
            return right(self, target)
        left[0] -= 1
        if left[0] == -1:
            raise PowerCutError
        moved = right(self, target)
        left[0] -= 1
        if left[0] == -1:
            raise PowerCutError
        return moved

    with running_broker(site), running_registrar(site):
        monkeypatch.setattr(Path, "replace", cut_before_or_after)
        with pytest.raises(PowerCutError):
            renew(kit / "kit.toml")
        monkeypatch.setattr(Path, "replace", right)
        certificates.check_client(str(path), str(path))
        assert lets_in(site, path.read_bytes(), tmp_path / "after")
        renew(kit / "kit.toml")
        assert certificates.read(path.read_bytes()).until > NOW + 80 * DAY
        assert lets_in(site, path.read_bytes(), tmp_path / "again")


def test_a_certificate_that_the_broker_does_not_take_is_thrown_away(tmp_path: Path, kit: Path) -> None:
    then = NOW - 61 * DAY
    site = found(tmp_path, then)
    path = pair_by_hand(site, kit, then)
    old, key = path.read_bytes(), certificates.make_key()
    over = site.authority().sign_client("kelas-1a", certificates.make_request(key), NOW, lasts=-DAY)
    certificates.write_private(kit / "kit.pem.next", over + key)
    with running_broker(site), running_registrar(site):
        with pytest.raises(RenewalError, match="the broker does not take the new certificate"):
            renew(kit / "kit.toml")
        assert path.read_bytes() == old
        assert renew(kit / "kit.toml").renewed, "and the next attempt asks anew"


def test_what_a_torn_disk_left_beside_it_does_not_matter(tmp_path: Path, kit: Path) -> None:
    then = NOW - 61 * DAY
    site = found(tmp_path, then)
    pair_by_hand(site, kit, then)
    for rubbish in (b"", b"\x00" * 5000, b"-----BEGIN CERTIFICATE-----\n"):
        (kit / "kit.pem.next").write_bytes(rubbish)
        assert not renewal._is_whole(kit / "kit.pem.next")
        assert renewal._key_of(kit / "kit.pem.next") is None
    with running_broker(site), running_registrar(site):
        assert renew(kit / "kit.toml").renewed


def test_two_at_once_renew_once(tmp_path: Path, kit: Path) -> None:
    then = NOW - 61 * DAY
    site = found(tmp_path, then)
    pair_by_hand(site, kit, then)
    done: list[bool] = []
    with running_broker(site), running_registrar(site):
        threads = [
            threading.Thread(target=lambda: done.append(renew(kit / "kit.toml").renewed)) for _ in range(2)
        ]
        for one in threads:
            one.start()
        for one in threads:
            one.join(60)
    assert sorted(done) == [False, True]


def test_an_answer_that_makes_no_sense_changes_nothing(
    tmp_path: Path, kit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    then = NOW - 61 * DAY
    site = found(tmp_path, then)
    path = pair_by_hand(site, kit, then)
    old, other = path.read_bytes(), a_request()
    authority = site.authority()
    foreign = Site.create(tmp_path / "elsewhere", Wishes("sekolah-2"), NOW).authority()
    lies: list[Callable[[bytes], object]] = [
        lambda _: None,
        lambda _: 7,
        lambda _: "x",
        lambda _: authority.sign_client("kelas-1a", other, NOW).decode(),
        lambda request: authority.sign_client("kelas-1b", request, NOW).decode(),
        lambda request: foreign.sign_client("kelas-1a", request, NOW).decode(),
        lambda request: authority.sign_client("kelas-1a", request, NOW, lasts=DAY).decode(),
    ]
    for lie in lies:

        def answer(
            _self: object,
            method: str,
            _where: str,
            table: dict[str, str] | None = None,
            lie: Callable[[bytes], object] = lie,
        ) -> object:
            return {"due": True} if table is None else {"certificate": lie(table["request"].encode())}

        monkeypatch.setattr(renewal._Registrar, "ask", answer)
        with pytest.raises(RenewalError, match="does not make sense"):
            renew(kit / "kit.toml")
        assert path.read_bytes() == old


# ── Settings ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_kit_without_a_registrar_is_left_alone(kit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (kit / "kit.toml").write_text('[mqtt]\nurl = "mqtt://127.0.0.1"\n')
    assert main(["pair", "--renew", "--config", str(kit / "kit.toml")]) == 0
    assert "no site renews" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("key_file", 'key_file = "/elsewhere.key"'), "two files"),
        (("cert_file", 'cert_file = "/none.pem"\nkey_file = "/none.pem"'), "No such file"),
        (("registrar_port", "registrar_port = 70000"), "registrar_port must be"),
        (("ca_file", 'ca_file = "/none.pem"'), "No such file"),
    ],
)
def test_settings_that_do_not_do_cost_one_line(
    tmp_path: Path, kit: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], said: str
) -> None:
    site = found(tmp_path, NOW)
    pair_by_hand(site, kit, NOW)
    path = kit / "kit.toml"
    names = {line.split(" = ")[0] for line in change[1].splitlines()}
    kept = [line for line in path.read_text().splitlines() if line.split(" = ")[0] not in names]
    path.write_text("\n".join([*kept, change[1], ""]))
    assert main(["pair", "--renew", "--config", str(path)]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_a_renewal_takes_no_invitation(kit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pair", "SUASANA/1/x", "--renew", "--config", str(kit / "kit.toml")]) == 2
    assert "--renew asks the site" in capsys.readouterr().err


def test_a_kit_that_looks_for_its_broker_finds_the_registrar_there(
    tmp_path: Path, kit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    then = NOW - 61 * DAY
    site = found(tmp_path, then)
    pair_by_hand(site, kit, then)
    path = kit / "kit.toml"
    path.write_text(
        path.read_text().replace(f"mqtts://127.0.0.1:{site.register().port}", "discover://sekolah-1")
    )
    place = Place("sekolah-1", "127.0.0.1", site.register().port)
    monkeypatch.setattr(visit, "find_broker", lambda *_, **__: place)
    with running_broker(site), running_registrar(site):
        assert renew(path).renewed
        path.write_text(path.read_text().replace("discover://sekolah-1", "discover://sekolah-2"))
        with pytest.raises(RenewalError, match="to be this kit's site"):
            renew(path)


# ── What the site decides ────────────────────────────────────────────────────────────────────────────


def a_register(**changes: object) -> Register:
    member = Member("kelas-1a", "kit", serial="aa", former=(("bb", (NOW - DAY).isoformat()),))
    register = Register("s1", ("10.0.0.1",), 8883, members=(member,), revoked=(("cc", "kelas-1a"),))
    return replace(register, kit_days=DAYS, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("serial", "left", "due"),
    [("aa", 90, False), ("aa", 30, False), ("aa", 29.9, True), ("aa", -90, True), ("bb", -1, True)],
)
def test_it_is_time_when_less_than_a_third_is_left(serial: str, left: float, due: bool) -> None:
    shown = Certificate("kelas-1a", serial, NOW + left * DAY)
    assert judge(a_register(), shown, NOW + 7000 * DAY, NOW).due == due


def test_nothing_is_renewed_that_the_authority_would_not_outlive() -> None:
    shown = Certificate("kelas-1a", "aa", NOW + 10 * DAY)
    assert judge(a_register(), shown, NOW + 12 * DAY, NOW).due
    assert not judge(a_register(), shown, NOW + 10 * DAY, NOW).due, "another one would be as short"


@pytest.mark.parametrize(
    ("serial", "left", "changed", "said"),
    [
        ("cc", 50, NOW, "was revoked"),
        ("dd", 50, NOW, "is no member's"),
        ("aa", -91, NOW, "ran out too long ago"),
        ("aa", 10, NOW + 2 * DAY, "the site's clock is behind"),
    ],
)
def test_whom_the_registrar_does_not_hear(serial: str, left: int, changed: datetime, said: str) -> None:
    register = a_register(changed=changed.isoformat())
    with pytest.raises(RefusedError) as caught:
        judge(register, Certificate("kelas-1a", serial, NOW + left * DAY), NOW + 7000 * DAY, NOW)
    assert said in caught.value.reason


def test_a_site_whose_clock_fell_back_signs_nothing_that_would_be_over_at_once(
    tmp_path: Path, kit: Path
) -> None:
    then = NOW - 61 * DAY
    site = found(tmp_path, then)
    path = pair_by_hand(site, kit, then)
    old = path.read_bytes()
    with running_broker(site):
        with (
            running_registrar(site, wall=lambda: then - 9000 * DAY),
            pytest.raises(RenewalError, match="the site's clock is behind"),
        ):
            renew(kit / "kit.toml")
        with (
            running_registrar(site, wall=lambda: NOW + 9000 * DAY),
            pytest.raises(RenewalError, match="ran out too long ago"),
        ):
            renew(kit / "kit.toml")
        assert path.read_bytes() == old
        with running_registrar(site):
            assert renew(kit / "kit.toml").renewed, "once somebody set it"


def test_who_asks_without_end_is_stopped_and_keeps_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "MOST_CERTIFICATES", 3)
    site = found(tmp_path, NOW)
    site.add(KIT, NOW)
    for _ in range(3):
        site.prolong(site.register().members[0].serial, a_request(), NOW)
    with pytest.raises(SiteError, match="too many certificates"):
        site.prolong(site.register().members[0].serial, a_request(), NOW)
    assert len(site.register().members[0].serials) == 4
    late = NOW + 91 * DAY
    site.prolong(site.register().members[0].serial, a_request(), late)
    assert len(site.register().members[0].serials) == 2, "what has run out is forgotten"


def a_request() -> bytes:
    return certificates.make_request(certificates.make_key())


# ── At its port ──────────────────────────────────────────────────────────────────────────────────────


def speaker(site: Site, shown: Path | None) -> Callable[..., tuple[int, dict[str, object]]]:
    """Somebody who speaks to the registrar, with the certificate in the folder *shown*, or with none."""
    context = ssl.create_default_context(cafile=str(site.folder / "authority.pem"))
    if shown is not None:
        context.load_cert_chain(shown / "client.pem", shown / "client.key")
    port = site.register().registrar_port

    def ask(method: str, path: str, body: bytes | None = None, **more: str) -> tuple[int, dict[str, object]]:
        link = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)
        try:
            link.request(method, path, body, more)
            answer = link.getresponse()
            text = answer.read()
        finally:
            link.close()
        return answer.status, json.loads(text) if text.startswith(b"{") else {}

    return ask


def test_only_members_speak_to_the_registrar(tmp_path: Path) -> None:
    site = found(tmp_path, NOW)
    elsewhere = Site.create(tmp_path / "elsewhere", Wishes("sekolah-1", ("127.0.0.1",)), NOW)
    ours, foreign = site.add(KIT, NOW), elsewhere.add(KIT, NOW)
    with running_registrar(site):
        ask = speaker(site, ours)
        status, told = ask("GET", "/standing")
        assert (status, told["due"]) == (200, False)
        request = json.dumps({"request": a_request().decode()}).encode()
        assert ask("POST", "/certificate", request)[0] == 409, "it is too early"
        for stranger in (None, foreign):
            with pytest.raises(OSError):
                speaker(site, stranger)("GET", "/standing")
    assert len(site.register().members[0].serials) == 1


def test_a_member_gets_no_other_name_than_its_own_and_nonsense_is_borne(tmp_path: Path) -> None:
    then = NOW - 61 * DAY
    site = found(tmp_path, then)
    ours = site.add(KIT, then)
    site.add(Member("teacher_page", "dashboard"), then)
    boast = json.dumps({"request": a_request().decode(), "name": "teacher_page", "kit": "teacher_page"})
    with running_registrar(site):
        ask = speaker(site, ours)
        for nonsense in (
            b"",
            b"{",
            b"[]",
            b"null",
            b"[" * 8000,
            b'{"request": 1}',
            b'{"request": "x"}',
            b"\xff",
        ):
            assert ask("POST", "/certificate", nonsense)[0] == 400, nonsense
        assert ask("POST", "/certificate", b" " * 70_000)[0] == 413
        assert ask("GET", "/authority.key")[0] == 404
        status, told = ask("POST", "/certificate", boast.encode(), **{"X-Forwarded-For": "10.0.0.1"})
    assert status == 200
    assert certificates.read(str(told["certificate"]).encode()).name == "kelas-1a"


def test_a_renewed_certificate_of_the_broker_is_shown_by_the_registrar(tmp_path: Path) -> None:
    site = found(tmp_path, NOW)
    ours = site.add(KIT, NOW)
    with running_registrar(site) as office:
        ask = speaker(site, ours)
        assert ask("GET", "/standing")[0] == 200
        site.renew(NOW, anyway=True)
        office.look()
        assert ask("GET", "/standing")[0] == 200
        shown = ssl.get_server_certificate(("127.0.0.1", site.register().registrar_port))
    assert certificates.read(shown.encode()).serial == site.certificate().serial
