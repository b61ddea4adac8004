import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from edge.settings import check_mode, load
from edge.sinks.mqtt import GOODBYE_S
from edge.supervisor import HUNG_AFTER_S, PARTING_S
from edge.systemd import Notifier
from edge.types import SettingsError
from tests.conftest import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def test_the_service_manager_hears_what_it_waits_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        notifier = Notifier()
        notifier.ready()
        notifier.ping()
        notifier.stopping()
        assert [manager.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]


def test_without_a_service_manager_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Notifier().ready()
    Notifier(str(tmp_path / "gone")).ping()


def test_a_reload_is_announced_as_systemd_wants_it(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        Notifier(address).reloading(12.5)
        assert manager.recv(100) == b"RELOADING=1\nMONOTONIC_USEC=12500000"


# ── The units, as systemd judges them without booting; what they do is tested by `make test-deb` ─────────

FOLDER = ROOT / "systemd"
UNITS = [
    "suasana.service",
    "suasana-dashboard.service",
    "suasana-site.service",
    "suasana-site-registrar.service",
]
"""That run all the time."""
ROUNDS = ["suasana-renew.service"]
"""That run now and then, sandboxed as well."""


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    """systemd-analyze 250 or newer, which judges files without a running systemd."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd-analyze here")
    version = int(
        subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    )
    if version < 250:
        pytest.skip(f"systemd-analyze {version} does not know --offline")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def keys(unit: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (FOLDER / unit).read_text("utf-8").splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize("unit", UNITS + ROUNDS)
def test_the_exposure_is_at_most_two(unit: str) -> None:
    judged = analyze("security", "--offline=yes", "--threshold=20", "--no-pager", str(FOLDER / unit))
    assert judged.returncode == 0, judged.stdout.splitlines()[-2:]


@pytest.mark.parametrize("unit", UNITS + ROUNDS)
def test_systemd_understands_every_line(unit: str, tmp_path: Path) -> None:
    """The programs are not installed here, so they are replaced; nothing else is."""
    text = (FOLDER / unit).read_text("utf-8")
    text = re.sub(r"/usr/(bin/suasana|lib/suasana/bin/python3|sbin/mosquitto)", "/bin/true", text)
    (tmp_path / unit).write_text(re.sub(r"file:///usr/share/doc/suasana/\w+.md", "man:true", text), "utf-8")
    judged = analyze("verify", "--man=no", str(tmp_path / unit))
    complaints = [line for line in judged.stderr.splitlines() if unit in line]
    assert not complaints


def test_the_daemon_reaches_cameras_and_sound_and_no_other_device() -> None:
    allowed = {entry.split()[0] for entry in keys("suasana.service")["DeviceAllow"]}
    assert allowed == {"char-video4linux", "char-media", "char-alsa", "char-dma_heap", "char-vchiq"}
    assert keys("suasana.service")["DevicePolicy"] == ["closed"]


@pytest.mark.parametrize("unit", UNITS)
def test_memory_never_reaches_the_card_and_a_stop_is_bounded(unit: str) -> None:
    table = keys(unit)
    assert (table["MemorySwapMax"], table["LimitCORE"], table["TimeoutStopSec"]) == (["0"], ["0"], ["5"])
    assert table["RestartPreventExitStatus"] == ["2"], "wrong settings are not tried again"


def test_the_watchdog_is_more_patient_than_the_supervisor() -> None:
    assert int(keys("suasana.service")["WatchdogSec"][0]) > HUNG_AFTER_S
    assert int(keys("suasana.service")["TimeoutStopSec"][0]) > PARTING_S + GOODBYE_S


# ── The package ──────────────────────────────────────────────────────────────────────────────────────

SCRIPTS = sorted(
    path
    for folder in (FOLDER, FOLDER / "deb", FOLDER / "district", FOLDER / "lock", ROOT / "tests" / "install")
    for path in folder.iterdir()
    if path.is_file() and path.read_bytes()[:2] == b"#!"
)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_scripts_pass_shellcheck(script: Path) -> None:
    program = shutil.which("shellcheck", path=f"{sys.prefix}/bin") or shutil.which("shellcheck")
    if program is None:
        pytest.skip("no shellcheck here")
    # SC2016: what other shells and apt are to expand is in single quotes; SC2317, SC2329: see check().
    done = subprocess.run(
        [program, "-e", "SC2016,SC2317,SC2329", str(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("python", ["3.11", "3.13"])
def test_what_the_package_carries_is_pinned_by_hash_and_is_what_pyproject_asks_for(python: str) -> None:
    """`systemd/lock/update.sh` was run after the last change of the dependencies."""
    pinned: dict[str, Version] = {}
    for entry in (
        (FOLDER / "lock" / f"python{python}.txt").read_text("utf-8").replace("\\\n", " ").splitlines()
    ):
        requirement, *hashes = entry.split("--hash=sha256:")
        assert hashes, f"{requirement} without a hash"
        name, _, version = requirement.split(";")[0].strip().partition("==")
        pinned[canonicalize_name(name)] = Version(version)
    with (ROOT / "pyproject.toml").open("rb") as file:
        wanted = [Requirement(text) for text in tomllib.load(file)["project"]["dependencies"]]
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    for requirement in wanted:
        if requirement.marker is None or requirement.marker.evaluate(environment):
            assert pinned[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_the_installed_settings_ask_for_nothing_by_themselves(tmp_path: Path) -> None:
    """The lines that postinst rewrites are there, and what comes out is valid and watches nobody."""
    script = (FOLDER / "deb" / "postinst").read_text("utf-8")
    expressions = re.findall(r"-e (['\"])(s\|.*?)\1 *\\", script)
    assert len(expressions) == 7
    command = ["sed"]
    for quote, text in expressions:
        in_double = text.replace('\\"', '"').replace("$kit", "kelas-1a")
        command += ["-e", in_double if quote == '"' else text]
    done = subprocess.run([*command, str(FOLDER / "kit.toml")], capture_output=True, text=True, check=True)
    path = tmp_path / "kit.toml"
    path.write_text(done.stdout, "utf-8")
    made = load(path)
    assert (made.kit, made.room, made.mode, made.region) == ("kelas-1a", "", "", "")
    assert made.state_dir == "/var/lib/suasana"
    assert made.mqtt.url == "mqtt://kelas-1a@127.0.0.1:1883"
    assert made.mqtt.password_file == "/etc/suasana/mqtt.password"
    with pytest.raises(SettingsError, match="asked for by name"):
        check_mode(made)


# ── What a district's server gets, and a kit does not ────────────────────────────────────────────────


def test_a_districts_units_find_on_the_server_what_they_name(tmp_path: Path) -> None:
    script = FOLDER / "district" / "install.sh"
    environment = {**os.environ, "ROOT": str(tmp_path), "ENVIRONMENT": "none"}
    secret = tmp_path / "etc/suasana/district.env"
    for _ in range(2):
        subprocess.run([str(script)], env=environment, check=True, capture_output=True)
        assert secret.stat().st_mode & 0o777 == 0o600
        secret.write_text(secret.read_text("utf-8") + "# mine\n", "utf-8")
    assert secret.read_text("utf-8").count("# mine") == 2, "settings stay"
    units = sorted((tmp_path / "etc/systemd/system").iterdir())
    assert [unit.name for unit in units] == [
        "suasana-days.service",
        "suasana-days.timer",
        "suasana-ingest@.service",
    ]
    named = {
        path
        for unit in units
        for path in re.findall(r"(?:=|file://|\s)(/(?:opt|etc|usr)/[\w./-]+)", unit.read_text("utf-8"))
    }
    assert named == {
        "/opt/suasana/share/doc/scale.md",
        "/opt/suasana/bin/python3",
        "/etc/suasana/district.env",
    }
    for path in named - {"/opt/suasana/bin/python3"}:
        assert (tmp_path / path.lstrip("/")).is_file(), path
    for unit in units:
        options = re.search(r"-m dashboard\.district (\w+)", unit.read_text("utf-8"))
        assert options is None or options[1] in ("ingest", "tend")


def test_a_kits_package_carries_nothing_of_a_district() -> None:
    script = (FOLDER / "deb.sh").read_text("utf-8")
    assert "district" not in script
    for python in ("3.11", "3.13"):
        pinned = (FOLDER / "lock" / f"python{python}.txt").read_text("utf-8")
        assert not re.search(r"^(pika|psycopg)", pinned, re.MULTILINE)


def test_a_districts_server_gets_every_driver_by_one_name() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    wanted = {Requirement(text).name for text in extras["district"]}
    assert wanted == {"pika", "psycopg"}
    assert "[district]" in (FOLDER / "district" / "install.sh").read_text("utf-8")


def test_an_ingester_is_sandboxed_as_well() -> None:
    judged = analyze(
        "security",
        "--offline=yes",
        "--threshold=25",
        "--no-pager",
        str(FOLDER / "district" / "suasana-ingest@.service"),
    )
    assert judged.returncode == 0, judged.stdout.splitlines()[-2:]
