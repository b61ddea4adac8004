"""What leaves in the file for a helper: enough to help, and nothing secret."""

import io
import json
import re
import socket
import zipfile
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from edge import bundle, doctor
from edge.__main__ import main
from edge.checks import Patient, finding
from edge.settings import Camera, Microphone, Mqtt, Settings
from edge.types import EdgeError

PASSWORD = "hunter2-geheim"
SECRETS = (
    PASSWORD,
    "sekolah-mawar",
    "broker.mawar.sch.id",
    "192.168.1.77",
    "10.0.0.3",
    "fd00:1234::7",
    "2001:db8::17",
    "b8:27:eb:12:34:56",
    "Kelas Melati 1A",
    "mawar-kit-7",
    "ibu-sari",
    "tulisan-rahasia",
)
LOG = """2026-11-26T07:00:00 suasana[1]: mqtt: connected to mqtt://broker.mawar.sch.id:1883
2026-11-26T07:00:01 suasana[1]: sekolah-mawar.local has 192.168.1.77 and fd00:1234::7 (b8:27:eb:12:34:56)
2026-11-26T07:00:02 suasana[1]: hunter2-geheim was refused for mawar-kit-7, room Kelas Melati 1A
2026-11-26T07:00:03 suasana[1]: /home/ibu-sari/kit.toml read, mqtt://ibu-sari:tulisan-rahasia@10.0.0.3
2026-11-26T07:00:04 suasana[1]: 127.0.0.1 and ::1 are everybody's, 2001:db8::17%eth0 is not
"""
MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"fLaC", b"OggS", b"ftyp", b"GIF8")


@pytest.fixture
def patient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Patient:
    monkeypatch.setattr(socket, "gethostname", lambda: "sekolah-mawar")
    monkeypatch.setattr(socket, "getfqdn", lambda: "sekolah-mawar.sch.id")
    monkeypatch.setenv("SUDO_USER", "ibu-sari")
    secret = tmp_path / "mqtt.password"
    secret.write_text(PASSWORD + "\n")
    settings = Settings(
        kit="mawar-kit-7",
        room="Kelas Melati 1A",
        mode="class",
        state_dir="/home/ibu-sari/state",
        camera=Camera("pattern:"),
        microphone=Microphone("none"),
        mqtt=Mqtt("mqtt://ibu-sari@broker.mawar.sch.id", password_file=str(secret)),
    )
    return Patient(settings, path=Path("/home/ibu-sari/kit.toml"))


@pytest.fixture
def opened(tmp_path: Path, patient: Patient) -> dict[str, bytes]:
    report = doctor.report(
        [
            finding("system.ok", board="Raspberry Pi 5", os="Debian 13", python="3.13.5", software="suasana"),
            finding("settings.ok", path=str(patient.path)),
            finding("broker.login", address="broker.mawar.sch.id:1883", reason=PASSWORD, kit="mawar-kit-7"),
            finding("broker.name_ok", host="broker.mawar.sch.id", ip="192.168.1.77"),
            finding("disk.unwritable", folder="/home/ibu-sari/state", reason="Permission denied"),
        ]
    )
    path = tmp_path / "bundle.zip"
    bundle.write(path, report, patient, "id", log=lambda: LOG)
    assert path.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def test_nothing_secret_is_in_it(opened: dict[str, bytes]) -> None:
    for name, data in opened.items():
        text = data.decode("utf-8").lower()
        for secret in SECRETS:
            assert secret.lower() not in text, f"{secret} is in {name}"


def test_what_helps_is_in_it(opened: dict[str, bytes]) -> None:
    assert set(opened) == {"report.txt", "report.json", "settings.json", "versions.txt", "log.txt"}
    checks = json.loads(opened["report.json"])["checks"]
    assert checks[0]["id"] == "system.ok"
    assert "Raspberry Pi 5" in opened["report.txt"].decode()
    assert "sudo chown" in opened["report.txt"].decode()
    settings = json.loads(opened["settings.json"])
    assert settings["mqtt"]["password_file"] == "<hidden>"
    assert settings["camera"]["uri"] == "pattern:"
    assert settings["mood"]["min_people"] == 5
    assert b"numpy==" in opened["versions.txt"]
    log = opened["log.txt"].decode()
    assert log.count("\n") == LOG.count("\n")
    assert "2026-11-26T07:00:04" in log, "times are no addresses"
    assert "127.0.0.1 and ::1 are everybody's" in log


def test_no_picture_and_no_sound_is_in_it(opened: dict[str, bytes]) -> None:
    for name, data in opened.items():
        assert name.endswith((".txt", ".json"))
        assert not any(magic in data for magic in MAGIC)
        data.decode("utf-8")


def test_a_bundle_of_settings_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    sick = Patient(None, trouble="kit.toml: unknown setting colour")
    bundle.write(path, doctor.report([finding("settings.refused", reason="x")]), sick, "en", log=str)
    with zipfile.ZipFile(path) as file:
        assert "unknown setting colour" in file.read("settings.json").decode()
    with pytest.raises(EdgeError, match="exists"):
        bundle.write(path, doctor.report([]), sick, "en", log=str)


def everything_in(path: Path) -> str:
    with zipfile.ZipFile(path) as file:
        return "".join(file.read(name).decode() for name in file.namelist())


@pytest.mark.parametrize("password", ['ge"heim\\42', "pässwort rahasia", "a/b@c:d#e?f", "x" * 150])
def test_no_password_gets_out_however_it_is_written(tmp_path: Path, patient: Patient, password: str) -> None:
    assert patient.settings is not None
    Path(patient.settings.mqtt.password_file).write_text(password)
    room = 'Kelas "Melati" yang sangat panjang namanya'
    settings = replace(
        patient.settings,
        room=room,
        mqtt=Mqtt(f"mqtt://ibu-sari:{password}@broker.mawar.sch.id", password_file=str(tmp_path / "none")),
    )
    reasons = [f"{'words ' * 9}{password} {room}", settings.mqtt.url, quote(password, safe="")]
    found = [finding("broker.login", address="a", kit="k", reason=reason) for reason in reasons]
    for number, one in enumerate((settings, replace(settings, mqtt=patient.settings.mqtt))):
        path = tmp_path / f"{number}.zip"
        bundle.write(
            path, doctor.report(found), replace(patient, settings=one), "en", log=lambda: "\n".join(reasons)
        )
        text = re.sub(r"\s+", " ", everything_in(path))
        for secret in (password, room):
            for form in (secret, json.dumps(secret)[1:-1], quote(secret, safe="")):
                assert form not in text
        assert "xxxx" not in text
        assert "ibu-sari" not in text


def test_settings_that_cannot_be_read_still_say_what_to_hide(tmp_path: Path) -> None:
    config, password = tmp_path / "kit.toml", tmp_path / "password"
    password.write_text(PASSWORD)
    config.write_text(
        f'colour = 1\nkit = "Mawar Kit" # ours\nroom = "Kelas Melati 1A"\n[mqtt]\n'
        f"url = \"mqtt://mawar-kit-7@broker.mawar.sch.id\"\npassword_file = '{password}'\n"
    )
    sick = Patient(None, config, "kit.toml: unknown setting colour")
    path = tmp_path / "bundle.zip"
    log = f"Mawar Kit: mawar-kit-7 in Kelas Melati 1A at ntp.mawar.sch.id says {PASSWORD}; mqtts://other.host:8883"
    bundle.write(path, doctor.report([]), sick, "en", log=lambda: log)
    with zipfile.ZipFile(path) as file:
        told = file.read("log.txt").decode()
    assert told == "<kit>: <mqtt user> in <room> at ntp.<network> says <password>; mqtts://<broker>:8883"


def test_every_setting_that_holds_a_secret_is_hidden() -> None:
    table = bundle.settings_of(Patient(Settings(mqtt=Mqtt(password_file="/etc/x"))))
    assert table["mqtt"]["password_file"] == "<hidden>"
    assert bundle._hide({"a": {"api_token": "x", "secret": "y", "room": "z"}}) == {
        "a": {"api_token": "<hidden>", "secret": "<hidden>", "room": "z"}
    }


def test_the_command_line_writes_one(tmp_path: Path, capsys) -> None:
    config, path = tmp_path / "kit.toml", tmp_path / "out.zip"
    config.write_text("colour = 1\n")
    assert main(["doctor", "--config", str(config), "--bundle", str(path), "--json"]) == 1
    json.load(io.StringIO(capsys.readouterr().out))
    assert zipfile.is_zipfile(path)
