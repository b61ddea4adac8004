"""A kit joins a site: invitations, the door, and everybody who should not get through it."""

import logging
import re
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import segno

from edge import settings
from edge.__main__ import main
from edge.broker import certificates
from edge.broker.invitation import Invitation, InvitationError, parse
from edge.pair import joining
from edge.pair.joining import PairError, describe_clock, pair
from edge.pair.sight import read_invitation
from edge.site.access import Member
from edge.site.authority import Authority
from edge.site.door import BURST, BURST_OF_ALL, MOST_SENDERS, Door, RefusedError, Server, listen
from edge.site.folder import Site, SiteError, Wishes
from edge.site.invite import Wishes as InviteWishes
from edge.site.invite import invite
from edge.types import EdgeError, SourceError
from tests.conftest import ROOT, eventually, free_port
from tests.sites import DAY, NOW, running_broker

KIT = Member("kelas-1a", "kit")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site.create(tmp_path / "site", Wishes("sekolah-1", ("127.0.0.1",), free_port()), NOW)


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    """The settings of a kit that was set up as the documentation says."""
    folder = tmp_path / "kit"
    folder.mkdir()
    return Path(shutil.copy(ROOT / "systemd" / "kit.toml", folder / "kit.toml"))


@contextmanager
def open_door(site: Site, door: Door | None = None) -> Iterator[tuple[Door, int]]:
    """A door that listens; nobody is invited yet."""
    door = door or Door(site, lasts_s=600, told=lambda _: None)
    keeper = door.invite(Member("keeps-it-open", "kit"), host="", port=1)
    with listen(0) as listener:
        server = Server(door, wall=lambda: NOW)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        eventually(lambda: server.started)
        try:
            yield door, int(listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(30)
    assert keeper.secret


# ── Invitations ──────────────────────────────────────────────────────────────────────────────────────

EXAMPLE = Invitation("192.168.1.20", 8884, bytes(range(16)), "ABCDEFGHIJKLMNOP")


@pytest.mark.parametrize("host", ["192.168.1.20", "gateway.local", "fd00::20", ""])
def test_an_invitation_survives_being_copied(host: str) -> None:
    one = Invitation(host, 8884, bytes(range(16)), "ABCDEFGHIJKLMNOP")
    assert parse(one.text) == one
    assert parse(f"  {one.text[:30].lower()}\n {one.text[30:].lower()}\n") == one
    assert segno.make_qr(one.text, error="m").mode == "alphanumeric"
    assert one.secret not in repr(one), "or it ends up in a log"


def test_a_slip_of_the_finger_is_noticed_everywhere() -> None:
    text = EXAMPLE.text
    for place, letter in enumerate(text):
        wrong = text[:place] + ("7" if letter != "7" else "2") + text[place + 1 :]
        for damaged in (wrong, text[:place], text[:place] + text[place + 1 :]):
            with pytest.raises(InvitationError):
                parse(damaged)


@pytest.mark.parametrize("text", ["", "hello", "SUASANA/2/x", "https://x/y", "SUASANA/1/////", "/" * 7, "\0"])
def test_what_is_no_invitation_is_told_so(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pair", text]) == 2
    told = capsys.readouterr().err
    assert "invitation" in told
    assert told.count("\n") == 1


def test_the_camera_reads_an_invitation(tmp_path: Path) -> None:
    code = segno.make_qr(EXAMPLE.text, error="m")
    code.save(str(tmp_path / "code.png"), scale=8)
    assert read_invitation(f"replay:{tmp_path / 'code.png'}?speed=0") == EXAMPLE
    segno.make_qr("https://elsewhere.example").save(str(tmp_path / "other.png"), scale=8)
    with pytest.raises(SourceError, match="a code was seen: not an invitation"):
        read_invitation(f"replay:{tmp_path / 'other.png'}?speed=0")


# ── The door, without a socket ───────────────────────────────────────────────────────────────────────


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def a_request() -> bytes:
    return certificates.make_request(certificates.make_key())


def status_of(call: Callable[[], object]) -> int:
    try:
        call()
    except RefusedError as refusal:
        return refusal.status
    return 200


def test_an_invitation_lets_one_key_in_once(site: Site) -> None:
    heard: list[str] = []
    door = Door(site, lasts_s=600, told=heard.append)
    secret = door.invite(KIT, host="", port=1).secret
    mine = a_request()
    first = door.join(secret, mine, sender="10.0.0.5", wall=NOW)
    assert first["kit"] == "kelas-1a"
    assert door.join(secret, mine, sender="10.0.0.5", wall=NOW) is first, "an answer may get lost"
    with pytest.raises(RefusedError, match="used already"):
        door.join(secret, a_request(), sender="10.0.0.6", wall=NOW)
    assert heard == [
        "kelas-1a joined from 10.0.0.5",
        "10.0.0.6 tried an invitation that was used, of kelas-1a",
    ]
    assert [member.name for member in site.register().members] == ["kelas-1a"]
    assert secret not in "".join(path.read_text("utf-8") for path in site.folder.rglob("*") if path.is_file())


def test_an_invitation_runs_out_by_the_sites_clock(site: Site) -> None:
    clock = Clock()
    door = Door(site, lasts_s=600, told=lambda _: None, clock=clock)
    secret = door.invite(KIT, host="", port=1).secret
    clock.now += 599.9
    assert door.waiting == ("kelas-1a",)
    clock.now += 0.1
    assert door.waiting == ()
    with pytest.raises(RefusedError, match="has run out"):
        door.join(secret, a_request(), sender="10.0.0.5", wall=NOW)
    assert site.register().members == ()


def test_a_bad_request_does_not_use_the_invitation_up(site: Site) -> None:
    door = Door(site, lasts_s=600, told=lambda _: None)
    secret = door.invite(KIT, host="", port=1).secret
    assert status_of(lambda: door.join(secret, b"nonsense", sender="10.0.0.5", wall=NOW)) == 400
    assert status_of(lambda: door.join(secret, a_request(), sender="10.0.0.5", wall=NOW)) == 200


def test_whoever_guesses_is_slowed_down_and_nobody_else_is(site: Site) -> None:
    clock = Clock()
    door = Door(site, lasts_s=600, told=lambda _: None, clock=clock)
    secret = door.invite(KIT, host="", port=1).secret

    def knock(word: str, sender: str) -> int:
        return status_of(lambda: door.join(word, a_request(), sender=sender, wall=NOW))

    assert [knock("WRONG", "10.0.0.6") for _ in range(BURST + 2)] == [403] * BURST + [429] * 2
    assert knock(secret, "10.0.0.6") == 429, "not even the right word gets through now"
    clock.now += 10
    assert [knock("WRONG", "10.0.0.6") for _ in range(2)] == [403, 429]
    assert door.waiting == ("kelas-1a",)
    assert knock(secret, "10.0.0.5") == 200


def test_many_addresses_are_slowed_down_together_and_take_no_memory(site: Site) -> None:
    clock = Clock()
    door = Door(site, lasts_s=600, told=lambda _: None, clock=clock)
    door.invite(KIT, host="", port=1)

    def knock(sender: str) -> int:
        return status_of(lambda: door.join("WRONG", b"", sender=sender, wall=NOW))

    answers = [knock(f"10.0.1.{number}") for number in range(BURST_OF_ALL + 20)]
    assert answers == [403] * BURST_OF_ALL + [429] * 20
    for number in range(3 * MOST_SENDERS):
        clock.now += 1
        knock(f"10.1.{number}")
    assert len(door._failures) <= MOST_SENDERS


def test_a_name_that_is_taken_is_not_given_twice(site: Site) -> None:
    old = site.add(KIT, NOW)
    door = Door(site, lasts_s=600, told=lambda _: None)
    with pytest.raises(SiteError, match="--replace"):
        door.invite(KIT, host="", port=1)
    secret = door.invite(KIT, host="", port=1, replaces=True).secret
    door.join(secret, a_request(), sender="10.0.0.5", wall=NOW)
    serial = certificates.read((old / "client.pem").read_bytes()).serial
    assert (serial, "kelas-1a") in site.register().revoked


# ── A kit joins ──────────────────────────────────────────────────────────────────────────────────────


def test_a_kit_joins_and_its_settings_say_so(site: Site, kit: Path) -> None:
    before = kit.read_text("utf-8")
    kit.chmod(0o640)
    with open_door(site) as (door, port):
        made = door.invite(KIT, host="127.0.0.1", port=port)
        paired = pair(made, kit)
        with pytest.raises(PairError, match="used already"):
            pair(made, kit)
    assert (paired.site, paired.kit, paired.url) == (
        "sekolah-1",
        "kelas-1a",
        f"mqtts://127.0.0.1:{site.register().port}",
    )
    wanted = settings.load(kit)
    assert (wanted.kit, wanted.mqtt.url) == ("kelas-1a", paired.url)
    certificates.check_client(wanted.mqtt.cert_file, wanted.mqtt.key_file)
    assert Path(wanted.mqtt.ca_file).read_bytes() == site.authority().certificate
    assert stat.S_IMODE(kit.stat().st_mode) == 0o640
    for path in Path(wanted.mqtt.key_file).parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    changed = {
        line.split(" = ")[0]
        for old, line in zip(before.splitlines(), kit.read_text("utf-8").splitlines(), strict=True)
        if old != line
    }
    assert changed == {"kit", "url", "ca_file", "cert_file", "key_file", "registrar_port"}, "comments stay"
    assert wanted.mqtt.registrar_port == site.register().registrar_port
    assert wanted.mqtt.cert_file == wanted.mqtt.key_file, "a renewal replaces both at one moment"


def test_a_kit_that_joins_anew_keeps_no_old_key(site: Site, kit: Path) -> None:
    kit.write_text('[mqtt]\nurl = "mqtt://k@10.0.0.1"\npassword_file = "/etc/suasana/mqtt.password"\n')
    for replaces in (False, True):
        with open_door(site) as (door, port):
            pair(door.invite(KIT, host="127.0.0.1", port=port, replaces=replaces), kit)
        site.revoke("keeps-it-open", NOW) if site.register().member("keeps-it-open") else None
    folders = [path for path in kit.parent.iterdir() if path.is_dir()]
    assert [str(path) for path in folders] == [str(Path(settings.load(kit).mqtt.key_file).parent)]
    assert settings.load(kit).mqtt.password_file == ""


@pytest.mark.parametrize("text", ["kit = 1\n", "no toml", 'unknown = "x"\n'])
def test_settings_that_are_wrong_are_not_touched(site: Site, kit: Path, text: str) -> None:
    kit.write_text(text)
    with pytest.raises(PairError, match="put that right first"):
        pair(EXAMPLE, kit)
    assert kit.read_text() == text


def test_a_disk_that_is_full_leaves_the_kit_as_it_was(
    site: Site, kit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = kit.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(kit))

    monkeypatch.setattr(joining.durable, "write", full)
    with open_door(site) as (door, port):
        made = door.invite(KIT, host="127.0.0.1", port=port)
        with pytest.raises(PairError, match="No space left"):
            pair(made, kit)
    assert kit.read_bytes() == before


# ── Whom a kit does not believe ──────────────────────────────────────────────────────────────────────


def test_another_authority_than_the_invitations_is_told_nothing(
    site: Site, kit: Path, tmp_path: Path
) -> None:
    before = kit.read_bytes()
    elsewhere = Site.create(tmp_path / "elsewhere", Wishes("sekolah-2", ("127.0.0.1",)), NOW)
    meant = Door(site, lasts_s=600).invite(KIT, host="", port=1)
    with open_door(elsewhere) as (door, port):
        with pytest.raises(PairError, match="another authority than the invitation tells"):
            pair(meant, kit, door=("127.0.0.1", port))
        assert door._failures == {}, "the secret was not said"
    assert kit.read_bytes() == before


def test_whoever_sits_in_between_hears_no_secret(site: Site, kit: Path, tmp_path: Path) -> None:
    """It shows the right authority, which is public, behind a certificate of its own."""
    thief = Authority.found("sekolah-1", NOW)
    key = certificates.make_key()
    (tmp_path / "thief.pem").write_bytes(thief.sign_broker(key, ["127.0.0.1"], NOW))
    (tmp_path / "thief.key").write_bytes(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "thief.pem", tmp_path / "thief.key")
    authority, heard = site.authority().certificate, b""

    def listen_in(server: socket.socket) -> None:
        nonlocal heard
        for _ in range(2):
            visitor, _ = server.accept()
            with visitor, suppress(OSError), context.wrap_socket(visitor, server_side=True) as secure:
                heard += secure.recv(4096)
                secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(authority) + authority)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=listen_in, args=(server,))
        thread.start()
        made = Door(site, lasts_s=600).invite(KIT, host="127.0.0.1", port=server.getsockname()[1])
        with pytest.raises(PairError, match="cannot prove who it is"):
            pair(made, kit)
        thread.join(30)
    assert heard.startswith(b"GET /authority")
    assert made.secret.encode() not in heard
    assert b"join" not in heard


def test_a_member_of_the_site_cannot_pose_as_its_door(site: Site, kit: Path) -> None:
    stolen = site.add(Member("kelas-9", "kit"), NOW)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(stolen / "client.pem", stolen / "client.key")
    made = Door(site, lasts_s=600).invite(KIT, host="127.0.0.1", port=1)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def pose() -> None:
            visitor, _ = server.accept()
            with visitor, suppress(OSError), context.wrap_socket(visitor, server_side=True):
                pass

        thread = threading.Thread(target=pose)
        thread.start()
        with pytest.raises(PairError, match="cannot prove who it is"):
            joining._join(
                "127.0.0.1", server.getsockname()[1], site.authority().certificate, {"secret": made.secret}
            )
        thread.join(30)


ANSWERS = [
    b"",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    b"\x00" * 200_000,
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_what_is_no_door_is_told_in_one_line(site: Site, kit: Path, answer: bytes) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(site.broker / "broker.pem", site.broker / "broker.key")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer_once() -> None:
            visitor, _ = server.accept()
            with visitor, suppress(OSError), context.wrap_socket(visitor, server_side=True) as secure:
                secure.recv(4096)
                secure.sendall(answer)

        thread = threading.Thread(target=answer_once)
        thread.start()
        with pytest.raises(PairError) as caught:
            pair(EXAMPLE, kit, door=("127.0.0.1", server.getsockname()[1]))
        thread.join(30)
    assert "\n" not in str(caught.value)


def test_nobody_there_is_told_in_one_line(kit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pair", EXAMPLE.text, "--address", "127.0.0.1:1", "--config", str(kit)]) == 2
    assert "no site waits there" in capsys.readouterr().err


# ── Clocks ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "off", [-NOW.timestamp() + 60, -86_400.0, 86_400.0, 30.0], ids=["1970", "-day", "+day", "30s"]
)
def test_a_kit_joins_whatever_its_clock_shows_and_says_so(site: Site, kit: Path, off: float) -> None:
    with open_door(site) as (door, port):
        made = door.invite(KIT, host="127.0.0.1", port=port)
        paired = pair(made, kit, clock=lambda: NOW.timestamp() + off)
    assert abs(paired.clock_ahead - timedelta(seconds=off)) < timedelta(seconds=1)
    assert paired.clock_is_off == (abs(off) > 60)
    said = describe_clock(paired, now=NOW.timestamp() + off)
    assert f"{NOW:%Y-%m-%d %H:%M}" in said
    assert f"{datetime.fromtimestamp(NOW.timestamp() + off, timezone.utc):%Y-%m-%d %H:%M}" in said


def test_a_clock_far_ahead_does_not_keep_a_kit_from_joining(tmp_path: Path, kit: Path) -> None:
    """To it everything of the site has run out: here it is the site that lives thirty years ago."""
    then = NOW - 30 * 365 * DAY
    site = Site.create(tmp_path / "site", Wishes("sekolah-1", ("127.0.0.1",)), then)
    with open_door(site) as (door, port):
        assert pair(door.invite(KIT, host="127.0.0.1", port=port), kit).kit == "kelas-1a"


def test_certificates_count_for_a_clock_that_woke_up_in_1970(site: Site) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    command = [openssl, "verify", "-CAfile", str(site.broker / "ca.pem")]
    good = subprocess.run(
        [*command, "-attime", "60", "-purpose", "sslserver", str(site.broker / "broker.pem")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert good.returncode == 0, good.stderr
    late = str(int((NOW + 800 * DAY).timestamp()))
    bad = subprocess.run(
        [*command, "-attime", late, str(site.broker / "broker.pem")], capture_output=True, check=False
    )
    assert bad.returncode != 0


# ── Noise ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_door_bears_nonsense(site: Site, kit: Path) -> None:
    trusting = ssl.create_default_context(cafile=str(site.broker / "ca.pem"))

    def send(port: int, data: bytes, *, secure: bool = True) -> bytes:
        plain = socket.create_connection(("127.0.0.1", port), 30)
        with trusting.wrap_socket(plain, server_hostname="127.0.0.1") if secure else plain as link:
            with suppress(OSError):
                link.sendall(data)
                return link.recv(4096)
            return b""

    def post(body: bytes, length: int | None = None) -> bytes:
        head = f"POST /join HTTP/1.1\r\nHost: x\r\nContent-Length: {length or len(body)}\r\n\r\n"
        return head.encode() + body

    deep = b"[" * 8000
    with open_door(site) as (door, port):
        for nonsense in (b"\x10\x12\x00\x04MQTT", b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)), b""):
            send(port, nonsense, secure=False) if nonsense else None
        for body in (b"", b"{", b"[]", b"null", deep, b'{"secret": 1, "request": []}', b"\xff\xfe"):
            assert b" 400 " in send(port, post(body)).split(b"\r\n")[0], body
        assert b" 413 " in send(port, post(b" " * 70_000))
        for path in (b"/", b"/site.json", b"/../authority.key", b"/join"):
            assert b" 40" in send(port, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        pair(door.invite(KIT, host="127.0.0.1", port=port), kit)


# ── The two commands ─────────────────────────────────────────────────────────────────────────────────


def test_from_the_invitation_to_the_broker(
    site: Site, kit: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told = ""

    def hear() -> str:
        nonlocal told
        told += capsys.readouterr().out
        return told

    codes: list[int] = []
    wishes = InviteWishes(("kelas-1a",), port=0, save=kit.parent / "code.png", announce=False)
    thread = threading.Thread(target=lambda: codes.append(invite(site, wishes)))
    with running_broker(site) as log:
        thread.start()
        eventually(lambda: "waiting for kelas-1a" in hear())
        token = re.search(r"SUASANA/\S+", told)
        assert token is not None
        code = main(
            ["--verbose", "pair", "--camera", f"replay:{kit.parent / 'code.png'}", "--config", str(kit)]
        )
        thread.join(30)
        output = capsys.readouterr()
        assert code == 0, output.err
        assert "a test message came back" in output.out
        assert codes == [0]
        assert main(["pair", token.group(), "--config", str(kit)]) == 2
        words = [parse(token.group()).secret, *secrets_of(site, kit)]
        everything = output.err + output.out + caplog.text + log.read_text("utf-8")
        assert not [word for word in words if word in everything]


def secrets_of(site: Site, kit: Path) -> Iterator[str]:
    """A line of every private key, none of which may turn up anywhere."""
    keys = [*site.folder.rglob("*.key"), *kit.parent.rglob("kit.pem")]
    assert len(keys) >= 3
    for path in keys:
        yield path.read_text("utf-8").partition("PRIVATE KEY-----\n")[2].splitlines()[0]


def test_an_invitation_that_nobody_takes_ends(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert invite(site, InviteWishes(("kelas-1a",), minutes=0.001, port=0, announce=False)) == 1
    assert "nobody came as kelas-1a" in capsys.readouterr().err


def test_a_port_that_is_taken_is_told(site: Site) -> None:
    with listen(0) as first, pytest.raises(EdgeError, match="door-port"):
        invite(site, InviteWishes(("kelas-1a",), port=first.getsockname()[1], announce=False))


def test_a_kit_that_tells_everything_tells_no_secret(site: Site, kit: Path) -> None:
    """The daemon with debug logging, paired, and with a password besides."""
    password = "hunter2-correct-horse"
    (kit.parent / "password").write_text(password)
    with running_broker(site) as log, open_door(site) as (door, port):
        made = door.invite(KIT, host="127.0.0.1", port=port)
        pair(made, kit)
        text = kit.read_text("utf-8")
        text = text.replace("mqtts://", "mqtts://kelas-1a@")
        text = text.replace('password_file = ""', f'password_file = "{kit.parent / "password"}"')
        kit.write_text(text.replace('state_dir = ""', f'state_dir = "{kit.parent / "state"}"'), "utf-8")
        assert settings.load(kit).mqtt.password_file
        command = [sys.executable, "-m", "edge", "--verbose", "run", "--config", str(kit), "--seconds", "2"]
        done = subprocess.run(
            [*command, "--camera", "pattern:", "--microphone", "none"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    told = done.stdout + done.stderr + log.read_text("utf-8")
    assert done.returncode == 0, told
    assert "connected to mqtts://127.0.0.1" in told
    assert "as suasana-kelas-1a" in told, "the broker's own log"
    assert [word for word in (password, made.secret, *secrets_of(site, kit)) if word in told] == []
