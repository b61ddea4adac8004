"""A site: its files, its certificates, and what its Mosquitto lets whom do."""

import asyncio
import json
import socket
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from dashboard.__main__ import main as page
from dashboard.bus import Bus, parse_address
from edge import checks
from edge.__main__ import main
from edge.broker import certificates
from edge.broker.certificates import CertificateError
from edge.checks import Patient
from edge.settings import Mqtt, Settings
from edge.site.access import Member, hash_password
from edge.site.authority import Authority
from edge.site.folder import Site, SiteError, Wishes
from edge.types import SettingsError
from tests.conftest import eventually, free_port
from tests.sites import DAY, NOW, Client, Running, running_broker, running_site, turned_away


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_site(tmp_path_factory.mktemp("school") / "site") as running:
        yield running


# ── The folder ───────────────────────────────────────────────────────────────────────────────────────


def test_nothing_private_is_open_to_others(tmp_path: Path) -> None:
    site = Site.create(tmp_path / "site", Wishes("sekolah-1"), NOW)
    site.add(Member("kelas-1a", "kit"), NOW)
    private = [site.folder / "authority.key", site.folder / "site.json", *site.folder.rglob("*.key")]
    private += [site.broker / "acl", site.broker / "passwords"]
    assert len(private) == 7
    for path in private:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE((site.folder / "clients").stat().st_mode) == 0o700
    assert "PRIVATE" not in (site.folder / "site.json").read_text("utf-8")


def test_an_authority_whose_key_everybody_reads_signs_nothing(tmp_path: Path) -> None:
    site = Site.create(tmp_path / "site", Wishes("sekolah-1"), NOW)
    (site.folder / "authority.key").chmod(0o644)
    with pytest.raises(SiteError, match="chmod 600"):
        site.add(Member("kelas-1a", "kit"), NOW)
    assert site.register().members == ()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create", "{new}", "--name", "Sekolah 1"], "lower-case"),
        (["create", "{new}", "--name", "s1", "--host", "a b"], "neither"),
        (["create", "{site}", "--name", "s1"], "there already"),
        (["show", "{new}"], "no site"),
        (["add-kit", "{site}", "teacher_page"], "kit's name"),
        (["add-kit", "{site}", "kelas-1a"], "--replace"),
        (["add-program", "{site}", "dashboard", "--role", "reader"], "underscore"),
        (["add-program", "{site}", "a_b", "--role", "reader", "--kit", "#"], "no kit's name"),
        (["add-program", "{site}", "a_b", "--role", "reader", "--password"], "--password-port"),
        (["add-program", "{site}", "a_b", "--role", "reader", "--invites"], "--role dashboard"),
        (["revoke", "{site}", "kelas-9"], "kelas-1a"),
    ],
)
def test_a_wrong_wish_costs_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    site = Site.create(tmp_path / "site", Wishes("sekolah-1"), NOW)
    site.add(Member("kelas-1a", "kit"), NOW)
    before = (site.folder / "site.json").read_bytes()
    filled = [one.format(site=site.folder, new=tmp_path / "new") for one in arguments]
    assert main(["site", *filled]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert (site.folder / "site.json").read_bytes() == before


def test_what_was_founded_and_who_may_invite_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = str(tmp_path / "site")
    with pytest.raises(SystemExit):
        main(["site", "create", where, "--name", "sekolah-1", "--kit-days", "59"])
    assert "59" in capsys.readouterr().err
    options = ["--kit-days", "60", "--registrar-port", "9886", "--host", "10.0.0.1"]
    assert main(["site", "create", where, "--name", "sekolah-1", *options]) == 0
    assert f"suasana site registrar {where}" in capsys.readouterr().out
    assert main(["site", "add-kit", where, "kelas-1a"]) == 0
    assert main(["site", "add-program", where, "teacher_page", "--role", "dashboard", "--invites"]) == 0
    capsys.readouterr()
    assert main(["site", "show", where]) == 0
    told = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "59 days" in told["kelas-1a"] or "60 days" in told["kelas-1a"]
    assert told["teacher_page"].endswith("; invites kits")
    register = Site(tmp_path / "site").register()
    assert (register.kit_days, register.registrar_port) == (60, 9886)


def test_a_programs_certificate_that_ends_soon_is_told_by_the_weekly_renewal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    then = NOW - 1740 * DAY
    site = Site.create(tmp_path / "site", Wishes("sekolah-1"), then)
    for member in (Member("old_page", "dashboard"), Member("kelas-1a", "kit")):
        site.add(member, then)
    site.add(Member("new_page", "dashboard"), NOW)
    assert main(["site", "renew", str(site.folder)]) == 0
    told = capsys.readouterr().out
    assert "old_page: runs out in 8" in told
    assert "kelas-1a" not in told, "kits look after themselves"
    assert "new_page" not in told


def test_a_site_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """Its register knows neither a registrar nor former certificates."""
    site = Site.create(tmp_path / "site", Wishes("sekolah-1"), NOW)
    site.add(Member("kelas-1a", "kit"), NOW)
    path = site.folder / "site.json"
    table = json.loads(path.read_text("utf-8"))
    for name in ("registrar_port", "kit_days", "changed"):
        del table[name]
    for name in ("former", "invites"):
        del table["members"][0][name]
    path.write_text(json.dumps(table))
    register = site.register()
    assert (register.registrar_port, register.kit_days, register.members[0].former) == (8886, 1825, ())
    site.revoke("kelas-1a", NOW)


@pytest.mark.parametrize("damage", ["{", "[]", '{"name": 1}', '{"members": [], "hosts": [], "revoked": []}'])
def test_a_damaged_register_is_told_and_left(tmp_path: Path, damage: str) -> None:
    site = Site.create(tmp_path / "site", Wishes("sekolah-1"), NOW)
    (site.folder / "site.json").write_text(damage)
    with pytest.raises(SiteError, match="damaged"):
        site.add(Member("kelas-1a", "kit"), NOW)
    assert (site.folder / "site.json").read_text() == damage


def test_a_brokers_certificate_is_renewed_in_time_and_for_new_addresses(tmp_path: Path) -> None:
    site = Site.create(tmp_path / "site", Wishes("sekolah-1", ("10.0.0.1",)), NOW)
    first = site.certificate()
    assert first.hosts == ("10.0.0.1", "sekolah-1", "localhost", "127.0.0.1")
    assert site.renew(NOW + 600 * DAY) is None
    assert site.certificate() == first
    late = NOW + 700 * DAY
    assert site.renew(late) == site.certificate().until
    assert site.certificate().until - late > 700 * DAY
    assert site.renew(late, hosts=["gateway.local"])
    assert site.certificate().hosts[0] == "gateway.local"


# ── Certificates ─────────────────────────────────────────────────────────────────────────────────────


def request_of(key: object) -> bytes:
    asked = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())  # type: ignore[arg-type]
    return asked.public_bytes(serialization.Encoding.PEM)


def test_only_the_key_of_a_request_counts() -> None:
    authority = Authority.found("s1", NOW)
    boast = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "teacher_page")]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=3), critical=True)
        .add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH]), critical=True)
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    made = x509.load_pem_x509_certificate(authority.sign_client("kelas-1a", boast, NOW))
    assert made.subject.rfc4514_string() == "CN=kelas-1a"
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    uses = list(made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    assert uses == [x509.ExtendedKeyUsageOID.CLIENT_AUTH], "or a kit could pass for the broker"


def test_a_request_that_does_not_do() -> None:
    authority = Authority.found("s1", NOW)
    weak = rsa.generate_private_key(65537, 1024)
    good = request_of(ec.generate_private_key(ec.SECP256R1()))
    der = bytearray(x509.load_pem_x509_csr(good).public_bytes(serialization.Encoding.DER))
    der[-5] ^= 1  # in its signature
    forged = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM)
    for request in (b"", b"-----BEGIN CERTIFICATE REQUEST-----\n", request_of(weak), forged):
        with pytest.raises(CertificateError):
            authority.sign_client("kelas-1a", request, NOW)


def test_nothing_outlives_its_authority_and_all_of_it_counts_from_1970() -> None:
    authority = Authority.found("s1", NOW)
    key = certificates.make_key()
    late = NOW + 7200 * DAY
    for made in (
        authority.sign_broker(key, ["a.local"], late),
        authority.sign_client("k1", certificates.make_request(key), late),
    ):
        assert certificates.read(made).until == certificates.read(authority.certificate).until
        assert x509.load_pem_x509_certificate(made).not_valid_before_utc.year == 1970


def test_a_certificate_and_its_key_are_looked_at_before_they_are_used(tmp_path: Path) -> None:
    site = Site.create(tmp_path / "site", Wishes("sekolah-1"), NOW)
    ours, other = (site.add(Member(name, "kit"), NOW) for name in ("kit-1", "kit-2"))
    cert, key = str(ours / "client.pem"), str(ours / "client.key")
    certificates.check_client("", "")
    certificates.check_client(cert, key)
    locked = serialization.load_pem_private_key((ours / "client.key").read_bytes(), None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"hunter2"),
    )
    certificates.write_private(ours / "locked.key", locked)
    for wrong, said in (
        ((str(tmp_path / "none.pem"), key), "mqtt.cert_file: .*No such file"),
        ((cert, str(tmp_path / "none.key")), "mqtt.key_file: .*No such file"),
        ((cert, str(other / "client.key")), "not its key"),
        ((cert, str(ours / "locked.key")), "not a certificate and its bare key"),
    ):
        with pytest.raises(CertificateError, match=said):
            certificates.check_client(*wrong)
    (ours / "client.key").chmod(0o640)
    certificates.check_client(cert, key)
    (ours / "client.key").chmod(0o644)
    with pytest.raises(CertificateError, match="key_file: every user may read it"):
        certificates.check_client(cert, key)
    with pytest.raises(SettingsError, match="must be given together"):
        Settings(mqtt=Mqtt(cert_file=cert))


# ── At the broker ────────────────────────────────────────────────────────────────────────────────────


def test_kits_speak_and_hear_below_their_own_names_only(school: Running) -> None:
    with (
        school.join("kit-1") as kit,
        school.join("kit-2") as other,
        school.join("teacher_page", "dashboard") as page,
        school.join("one_room", "dashboard", kits=("kit-2",)) as one_room,
        school.join("node_red", "reader") as reader,
    ):
        for somebody in (page, one_room, reader, other):
            somebody.listen("suasana/#")
        kit.listen("suasana/#", "suasana/kit-2/set/+", "homeassistant/#", "$SYS/#")
        assert kit.say("suasana/kit-1/state", b"mine") == ""
        assert kit.say("suasana/kit-2/state") == "Not authorized"
        assert kit.say("suasana/kit-2/availability", b"offline") == "Not authorized"
        assert kit.say("suasana/teacher_page/state") == "Not authorized"
        assert kit.say("suasana") == "Not authorized"
        assert kit.say("homeassistant/device/kit-2/config") == "Not authorized"
        assert kit.say("homeassistant/device/kit-1/config") == ""
        assert other.say("suasana/kit-2/event", b"theirs") == ""
        assert reader.say("suasana/kit-1/set/camera", b"off") == "Not authorized"
        assert reader.say("suasana/node_red/state") == "Not authorized", "a program is no kit"
        assert one_room.say("suasana/kit-1/set/camera", b"off") == "Not authorized"
        assert page.say("suasana/kit-1/state", b"forged") == "Not authorized"
        assert page.say("suasana/kit-1/set/camera", b"off") == ""
        assert one_room.say("suasana/kit-2/set/camera", b"on") == ""
        eventually(lambda: len(page.heard) >= 4 and kit.heard and len(other.heard) >= 1)
        eventually(lambda: len(one_room.heard) >= 2)
    everything = [
        ("suasana/kit-1/state", b"mine"),
        ("suasana/kit-2/event", b"theirs"),
        ("suasana/kit-1/set/camera", b"off"),
        ("suasana/kit-2/set/camera", b"on"),
    ]
    assert page.heard == reader.heard == everything
    assert one_room.heard == [one for one in everything if "kit-2" in one[0]]
    assert kit.heard == [("suasana/kit-1/set/camera", b"off")]
    assert other.heard == [("suasana/kit-2/set/camera", b"on")]


def test_a_user_name_that_is_said_counts_for_nothing(school: Running) -> None:
    with school.join("kit-11") as kit:
        kit.listen("suasana/kit-11/set/+")
        liar = school.join("kit-12")
        liar._client.username_pw_set("kit-11", "whatever")
        with liar:
            liar.listen("suasana/#", "suasana/kit-11/set/+")
            assert liar.say("suasana/kit-11/state") == "Not authorized"
            assert liar.say("suasana/kit-12/set/camera", b"off") == ""
            kit.say("suasana/kit-11/set/camera", b"off")
            eventually(lambda: liar.heard and kit.heard)
    assert [topic for topic, _ in liar.heard] == ["suasana/kit-12/set/camera"]


def test_another_sites_dashboard_and_kit_do_not_get_in(school: Running, tmp_path: Path) -> None:
    elsewhere = Site.create(tmp_path / "site", Wishes("sekolah-2", ("127.0.0.1",)), NOW)
    for member in (Member("teacher_page", "dashboard"), Member("kit-9", "kit")):
        theirs = elsewhere.add(member, NOW)
        (theirs / "ca.pem").write_bytes((school.site.folder / "authority.pem").read_bytes())
        assert turned_away(Client(school.port, theirs))


def test_an_expired_certificate_and_the_brokers_own_do_not_get_in(school: Running, tmp_path: Path) -> None:
    authority = school.site.authority()
    key = certificates.make_key()
    for name, made in {
        "fine": authority.sign_client("kit-8", certificates.make_request(key), NOW),
        "expired": authority.sign_client(
            "kit-8", certificates.make_request(key), NOW, lasts=-timedelta(hours=1)
        ),
        "server": authority.sign_broker(key, ["kit-8"], NOW),
    }.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "ca.pem").write_bytes(authority.certificate)
        (folder / "client.pem").write_bytes(made)
        certificates.write_private(folder / "client.key", key)
        assert turned_away(Client(school.port, folder)) == (name != "fine"), name


def test_who_is_revoked_falls_silent_at_once_and_does_not_come_back(school: Running) -> None:
    with school.join("thief") as thief, school.join("witness_page", "reader") as witness:
        witness.listen("suasana/thief/#")
        assert thief.say("suasana/thief/state", b"before") == ""
        kept = school.site.folder / "stolen"
        (school.site.folder / "clients" / "thief").rename(kept)
        school.site.revoke("thief", NOW)
        eventually(lambda: thief.say("suasana/thief/state", b"after") == "Not authorized")
    assert turned_away(Client(school.port, kept))
    with school.join("thief") as anew:  # another machine under the old name
        eventually(lambda: anew.say("suasana/thief/state", b"anew") == "")
    assert turned_away(Client(school.port, kept)), "the old certificate stays worthless"
    assert ("suasana/thief/state", b"before") in witness.heard


def test_a_renewed_broker_is_the_same_to_everybody(school: Running) -> None:
    old = school.site.certificate().serial
    with school.join("kit-7") as kit:
        school.site.renew(NOW, anyway=True)
        assert school.site.certificate().serial != old
        assert kit.say("suasana/kit-7/state") == "", "who is in stays in"
    with Client(school.port, school.site.folder / "clients" / "kit-7") as again:
        assert again.say("suasana/kit-7/state") == ""


def test_what_waits_and_what_is_retained_survives_a_restart_of_the_broker(tmp_path: Path) -> None:
    with running_site(tmp_path / "site") as running:
        site = running.site
        with running.join("kit-1") as kit:
            kit._client.publish("suasana/kit-1/info", b"kept", qos=1, retain=True).wait_for_publish(30)
    with running_broker(site):
        page = Client(site.register().port, site.add(Member("teacher_page", "dashboard"), NOW))
        with page:
            eventually(lambda: page.listen("suasana/+/info") or page.heard)
    assert page.heard[0] == ("suasana/kit-1/info", b"kept")


def test_a_program_may_come_with_a_random_password(tmp_path: Path) -> None:
    with running_site(tmp_path / "site", passwords=True) as running:
        password = running.site.add_by_password(Member("node_red", "reader"), NOW)
        assert len(password) == 32
        port = running.site.register().password_port
        assert port is not None

        def come(user: str, secret: str) -> str:
            answers: list[str] = []
            client = paho.Client(paho.CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
            client.tls_set(str(running.site.folder / "authority.pem"))
            client.username_pw_set(user, secret)
            client.on_connect = lambda _c, _d, _f, reason, _p: answers.append(str(reason))
            client.connect("127.0.0.1", port)
            client.loop_start()
            eventually(lambda: answers)
            client.disconnect()
            client.loop_stop()
            return answers[0]

        eventually(lambda: come("node_red", password) == "Success")
        running.join("kit-1")
        for user, secret in (("node_red", "wrong"), ("kit-1", ""), ("kit-1", password), ("admin", "admin")):
            assert come(user, secret) == "Not authorized", user
        assert password not in running.log.read_text("utf-8")
        assert password not in json.dumps((running.site.folder / "site.json").read_text("utf-8"))


def test_the_password_is_hashed_as_mosquitto_does() -> None:
    made = hash_password("hunter2", bytes(range(12)))
    assert made.startswith("$7$101$AAECAwQFBgcICQoL$")
    assert len(made.rsplit("$", 1)[1]) == 88


def test_the_teachers_page_comes_with_a_certificate(school: Running) -> None:
    folder = school.site.add(Member("real_page", "dashboard"), NOW)
    address = replace(
        parse_address(f"mqtts://127.0.0.1:{school.port}"),
        ca_file=str(folder / "ca.pem"),
        cert_file=str(folder / "client.pem"),
        key_file=str(folder / "client.key"),
    )

    async def visit() -> bool:
        came = asyncio.get_running_loop().create_future()
        bus = Bus(
            address,
            on_message=lambda _: None,
            on_connection=lambda there: came.done() or came.set_result(there),
        )
        bus.start()
        try:
            return bool(await asyncio.wait_for(came, 30))
        finally:
            await bus.stop()

    assert asyncio.run(visit())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--mqtt-cert", "{0}/client.pem"], "give both"),
        (["--mqtt-ca", "{0}/none.pem"], "cannot be read"),
        (["--mqtt-cert", "{0}/client.pem", "--mqtt-key", "{0}/open.key"], "every user may read it"),
    ],
)
def test_the_page_refuses_files_that_do_not_do(
    school: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    for name in ("client.pem", "open.key"):
        (tmp_path / name).write_text("x")
    (tmp_path / "open.key").chmod(0o644)
    filled = [option.format(tmp_path) for option in options]
    assert page(["--port", "0", "--data", str(tmp_path / "data"), *filled]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_who_speaks_without_tls_hears_nothing(school: Running) -> None:
    with socket.create_connection(("127.0.0.1", school.port), 30) as raw:
        raw.sendall(b"\x10\x12\x00\x04MQTT\x04\x02\x00\x3c\x00\x06early!")
        try:
            answer = raw.recv(100)
        except ConnectionResetError:
            answer = b""
    assert not answer.startswith(b"\x20"), "no CONNACK"


# ── What the doctor says ─────────────────────────────────────────────────────────────────────────────


def doctor(port: int, folder: Path, *, certificate: bool = True) -> list[str]:
    """Ids of what it finds about a broker, without ``broker.``."""
    mqtt = Mqtt(
        f"mqtts://127.0.0.1:{port}",
        ca_file=str(folder / "ca.pem"),
        cert_file=str(folder / "client.pem") if certificate else "",
        key_file=str(folder / "client.key") if certificate else "",
    )
    found = list(checks.examine("broker", Patient(Settings(kit="kit-1", mqtt=mqtt))))
    assert all(item.found("id") != item.found("en") for item in found)
    return [item.id.removeprefix("broker.") for item in found]


GOOD_WAY = ["name_ok", "tcp_ok", "tls_ok", "login_ok", "publish_ok", "heard_ok"]


def test_the_doctor_finds_its_way_with_a_certificate(school: Running, tmp_path: Path) -> None:
    folder = school.site.add(Member("kit-1", "kit"), NOW, replaces=True)
    assert doctor(school.port, folder) == GOOD_WAY
    elsewhere = Site.create(tmp_path / "site", Wishes("sekolah-2"), NOW)
    foreign = elsewhere.add(Member("kit-1", "kit"), NOW)
    (foreign / "ca.pem").write_bytes(school.site.authority().certificate)
    assert doctor(school.port, foreign) == ["name_ok", "tcp_ok", "tls_refused"]
    assert doctor(school.port, foreign, certificate=False) == ["name_ok", "tcp_ok", "tls_refused"]
    (folder / "client.key").chmod(0o644)
    assert doctor(school.port, folder) == ["certificate"]
    (folder / "client.key").unlink()
    assert doctor(school.port, folder) == ["certificate"]


def test_the_doctor_tells_of_certificates_that_end_soon(tmp_path: Path) -> None:
    """Founded long ago: the broker's is renewed in good time, a kit's asks for somebody to come."""
    then = NOW - 1800 * DAY
    site = Site.create(tmp_path / "site", Wishes("sekolah-1", ("127.0.0.1",), free_port()), then)
    folder = site.add(Member("kit-1", "kit"), then)
    site.renew(NOW - 720 * DAY)
    with running_broker(site):
        soon = [*GOOD_WAY[:3], "tls_soon", "certificate_soon", *GOOD_WAY[3:]]
        assert doctor(site.register().port, folder) == soon
        site.renew(NOW)
        eventually(lambda: "tls_soon" not in doctor(site.register().port, folder))


# ── Client ids, which a broker believes ──────────────────────────────────────────────────────────────


def by_id(port: int, folder: Path, client_id: str) -> paho.Client:
    """A connection with a session that outlives it."""
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id, clean_session=False)
    client.tls_set(*(str(folder / name) for name in ("ca.pem", "client.pem", "client.key")))
    ready: list[int] = []
    client.on_connect = lambda *_: ready.append(1)
    client.on_subscribe = lambda *_: ready.append(2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    eventually(lambda: ready)
    return client


def test_nobody_inherits_what_waits_for_another(school: Running) -> None:
    page = school.site.add(Member("store_page", "dashboard"), NOW)
    reader = by_id(school.port, page, "store")
    reader.subscribe("suasana/kit-5/#", qos=1)
    with school.join("kit-5") as kit:
        eventually(lambda: kit.say("suasana/kit-5/state", b"there") == "")
        reader.disconnect()
        reader.loop_stop()
        kit.say("suasana/kit-5/state", b"waits for the page")
        thief = by_id(school.port, school.site.add(Member("kit-6", "kit"), NOW), "store")
        heard: list[bytes] = []
        thief.on_message = lambda _c, _d, message: heard.append(message.payload)
        thief.subscribe("suasana/kit-6/set/+", qos=1)
        thief.publish("suasana/kit-6/set/camera", b"its own", qos=1)
        kit.say("suasana/kit-5/state", b"more")
        eventually(lambda: b"its own" in heard)
        thief.disconnect()
        thief.loop_stop()
    assert heard == [b"its own"]
