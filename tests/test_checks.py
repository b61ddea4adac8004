"""Every check of the doctor: the contract over all of them, then what each one notices."""

import ast
import json
import os
import re
import string
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from edge import checks
from edge.checks import CHECKS, Finding, Language, Patient, Running, Status, names, texts, words
from edge.checks.camera import PICTURE_PROBLEMS
from edge.checks.microphone import SOUND_PROBLEMS
from edge.events import Health, SourceStatus, from_json
from edge.models import goldens
from edge.models.choice import shelf_of
from edge.models.shelf import Record
from edge.settings import Camera, Classifier, Faces, Microphone, Mqtt, Panel, Settings
from edge.sources import Device
from edge.state.switches import Switches
from edge.types import AudioBlock, Frame, SourceError
from edge.verdict import Problem
from tests.conftest import ROOT, free_port

LANGUAGES: tuple[Language, ...] = get_args(Language)
FAMILIES = {"camera.kit_", "microphone.kit_"}
PROBLEMS = {f"camera.{one}" for one in PICTURE_PROBLEMS} | {f"microphone.{one}" for one in SOUND_PROBLEMS}
"""Ids that end with a source's status."""


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    """Pattern sources, no broker, and a machine whose /proc and /sys are empty."""
    settings = Settings(
        kit="k1",
        mode="class",
        state_dir=str(tmp_path / "state"),
        camera=Camera("pattern:"),
        microphone=Microphone("pattern:"),
        mqtt=Mqtt(f"mqtt://127.0.0.1:{free_port()}"),
    )
    return Patient(settings, root=tmp_path / "root")


@pytest.fixture
def health() -> Health:
    """Of a kit that is well."""
    return from_json(Health, (ROOT / "docs/contract/examples/health.json").read_text("utf-8"))


def look(name: str, patient: Patient) -> list[Finding]:
    return list(checks.attempt(name, patient))


def ids(name: str, patient: Patient) -> list[str]:
    return [item.id for item in look(name, patient)]


def put(patient: Patient, path: str, text: str) -> None:
    file = patient.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


# ── The contract ─────────────────────────────────────────────────────────────────────────────────────


def is_well_said(item: Finding) -> bool:
    for language in LANGUAGES:
        assert item.found(language), item.id
        assert "{" not in item.found(language) + item.todo(language), item.id
        assert bool(item.todo(language)) == (item.status in {"warning", "failure"}), item.id
    return item.status in get_args(Status)


@pytest.mark.parametrize("name", CHECKS)
def test_every_check_finds_something_and_says_it_in_both_languages(name: str, patient: Patient) -> None:
    found = look(name, patient)
    assert found
    for item in found:
        assert item.check == name
        assert is_well_said(item)


@pytest.mark.parametrize("name", CHECKS)
def test_every_check_copes_without_settings_and_with_a_running_kit(name: str, patient: Patient) -> None:
    bare = Patient(None, trouble="kit.toml: unknown setting x", root=patient.root)
    busy = replace(patient, running=Running(sources={"camera": "online", "microphone": "recovering"}))
    for one in (bare, busy):
        found = look(name, one)
        assert found
        assert all(is_well_said(item) for item in found)


def test_the_family_is_complete() -> None:
    modules = {path.stem for path in (ROOT / "edge" / "checks").glob("*.py")} - {"__init__", "apart"}
    assert modules == set(CHECKS) == set(names())
    for module in modules:
        assert import_module(f"edge.checks.{module}").__doc__


def messages() -> Iterator[tuple[str, str]]:
    """Every message of the errors that a check may hand on, with stand-ins in its places; where it stands."""
    folders = ("sources", "runtimes")
    modules = [path for folder in folders for path in sorted((ROOT / "edge" / folder).glob("*.py"))]
    modules += [ROOT / "edge" / name for name in ("settings.py", "manifest.py", "tuning.py", "upkeep.py")]
    modules += [ROOT / "edge" / name for name in ("broker/visit.py", "state/switches.py")]
    modules += [ROOT / "edge/models" / name for name in ("choice.py", "goldens.py", "package.py")]
    told = {"SourceError", "StuckError", "ModelError", "SettingsError", "VisitError", "ValueError"}
    told.add("_require")
    for path in modules:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or getattr(node.func, "id", "") not in told or not node.args:
                continue
            text = node.args[{"VisitError": 1, "_require": 2}.get(node.func.id, 0)]  # type: ignore[attr-defined]
            if isinstance(text, ast.Constant):
                yield f"{path.name}:{node.lineno}", str(text.value)
            elif isinstance(text, ast.JoinedStr):
                parts = [str(part.value) if isinstance(part, ast.Constant) else "7" for part in text.values]
                yield f"{path.name}:{node.lineno}", "".join(parts)


def test_reasons_of_the_kit_have_indonesian_words() -> None:
    another_s = re.compile(r"([a-z_.]+:)?( ?7:)? ?7")  # a path, and what somebody else says of it
    said = [(where, text) for where, text in messages() if not another_s.fullmatch(text)]
    assert len(said) > 80
    assert [(where, text) for where, text in said if checks.in_indonesian(text) == text] == []


@pytest.mark.parametrize(
    ("english", "indonesian"),
    [
        ("/etc/x: Permission denied", "/etc/x: tidak diizinkan"),
        ("[Errno 13] Permission denied: '/etc/x'", "/etc/x: tidak diizinkan"),
        (
            "opencv:0: cannot be opened; is it plugged in, or in use?",
            "opencv:0: tidak dapat dibuka; apakah terpasang, atau sedang dipakai?",
        ),
        (
            "pyaudio:default: cannot be opened ([Errno -9985] Device unavailable)",
            "pyaudio:default: tidak dapat dibuka (perangkat sedang tidak tersedia)",
        ),
        (
            "kit.toml: mood.window_s must be 1 to 60 seconds",
            "kit.toml: mood.window_s harus 1 sampai 60 detik",
        ),
        ("may not listen: Not authorized", "tidak boleh mendengar: tidak diizinkan"),
        ("{x} of a library that nobody knows: {y}", "{x} of a library that nobody knows: {y}"),
    ],
)
def test_a_reason_is_put_into_words_as_far_as_there_are_some(english: str, indonesian: str) -> None:
    item = checks.finding("broker.tcp", address="b:1", reason=english)
    assert item.found("id") == f"b:1 tidak menjawab ({indonesian})."
    assert item.found("en") == f"b:1 does not answer ({english})."


def test_every_text_is_in_both_languages_with_the_same_places() -> None:
    for id, text in texts().items():
        assert text.status in get_args(Status), id
        for said in (text.found, text.todo):
            assert set(said) == set(LANGUAGES), id
            assert len({frozenset(places(said[language])) for language in LANGUAGES}) == 1, id
        assert all(text.found.values()), id
        needed = text.status in {"warning", "failure"}
        assert all(bool(text.todo[language]) == needed for language in LANGUAGES), id
        if needed:
            assert text.todo["id"] != text.todo["en"], id
    for word in [*names().values(), *words().values()]:
        assert all(word[language] for language in LANGUAGES)


def test_every_finding_has_a_text_with_all_its_values_and_every_text_a_finding() -> None:
    used: set[str] = set()
    for path in [*(ROOT / "edge" / "checks").glob("*.py"), ROOT / "edge" / "doctor.py"]:
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "finding":
                given = {keyword.arg for keyword in call.keywords}
                for id in literals(call.args[0]):
                    used.add(id)
                    text = texts()[id]
                    wanted = places("".join([*text.found.values(), *text.todo.values()]))
                    assert None in given or wanted <= given, (path.name, id)
        # Ids that are chosen first and reported afterwards.
        used |= {id for id in re.findall(r'"(\w+\.\w+)"', path.read_text("utf-8")) if id in texts()}
    used |= {family + status for family in FAMILIES for status in (*get_args(SourceStatus), "unknown")}
    used |= PROBLEMS
    used |= {f"broker.{stage}" for stage in ("address", "name", "tcp", "tls", "greeting", "publish")}
    anywhere = {f"{name}.{what}" for name in CHECKS for what in ("unknown", "error", "crashed", "hung")}
    assert set(texts()) - anywhere == used - anywhere


def literals(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant):
        yield str(node.value)
    elif isinstance(node, ast.IfExp):
        yield from literals(node.body)
        yield from literals(node.orelse)


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_what_a_check_has_no_words_for_is_a_finding_too(patient: Patient, monkeypatch) -> None:
    def breaks(_patient: Patient) -> Iterator[Finding]:
        raise PermissionError(13, "Permission denied", "/dev/x")
        yield

    monkeypatch.setattr("edge.checks.clock.examine", breaks)
    (item,) = look("clock", patient)
    assert item.id == "clock.error"
    assert "Permission denied" in item.found("en")
    assert is_well_said(item)


# ── Camera and microphone ────────────────────────────────────────────────────────────────────────────


class Pictures:
    """A camera that shows *images* and then ends."""

    def __init__(self, *images: np.ndarray, breaks: bool = False) -> None:
        self.images, self.breaks = images, breaks

    def __enter__(self) -> "Pictures":
        if self.breaks:
            raise SourceError("opencv:0: cannot be opened")
        return self

    def __exit__(self, *_: object) -> None: ...

    def __iter__(self) -> Iterator[Frame]:
        for seq, image in enumerate(self.images):
            yield Frame("test", seq, float(seq), image)

    def close(self) -> None: ...


class Sounds(Pictures):
    """A microphone that plays *images* as blocks."""

    overflows = 0

    def __iter__(self) -> Iterator[AudioBlock]:
        for seq, samples in enumerate(self.images):
            yield AudioBlock("test", seq, float(seq), samples)


def scene(seed: int) -> np.ndarray:
    """Shapes, and a sensor's noise that is new each time."""
    noise = np.random.default_rng(seed).integers(0, 9, (480, 640, 3))
    shapes = np.kron(np.random.default_rng(0).integers(0, 200, (6, 8, 1)), np.ones((80, 80, 3), np.int64))
    return (shapes + noise).astype(np.uint8)


def grey(level: int) -> np.ndarray:
    return np.full((480, 640, 3), level, np.uint8)


@pytest.mark.parametrize(
    ("camera", "id"),
    [
        (Pictures(*(scene(seed) for seed in range(10))), "camera.ok"),
        (Pictures(*(scene(seed) // 16 for seed in range(10))), "camera.dark"),
        (Pictures(*[grey(1)] * 10), "camera.black"),
        (Pictures(*(grey(99 + level) for level in range(10))), "camera.covered"),
        (Pictures(*[scene(1)] * 10), "camera.frozen"),
        (Pictures(), "camera.empty"),
        (Pictures(breaks=True), "camera.absent"),
    ],
)
def test_a_camera_is_judged_by_its_pictures(patient: Patient, monkeypatch, camera: Pictures, id: str) -> None:
    monkeypatch.setattr("edge.checks.camera.open_camera", lambda _uri: camera)
    monkeypatch.setattr("edge.checks.camera.cameras_here", list)
    (item,) = look("camera", patient)
    assert item.id == id
    assert is_well_said(item)


def test_cameras_that_are_there_are_named_to_copy(patient: Patient, monkeypatch) -> None:
    other = Device("opencv:/dev/v4l/by-id/usb-C920", "C920")
    monkeypatch.setattr("edge.checks.camera.open_camera", lambda _uri: Pictures(breaks=True))
    monkeypatch.setattr("edge.checks.camera.cameras_here", lambda: [other])
    failed, seen = look("camera", patient)
    assert (failed.id, seen.id) == ("camera.failed", "camera.other")
    assert other.uri in failed.found("id")
    assert other.uri in seen.found("id")


@pytest.mark.parametrize(
    ("level", "id"),
    [
        (0.0, "microphone.silent"),
        (1.0, "microphone.clipped"),
        (0.1, "microphone.ok"),
        (None, "microphone.empty"),
    ],
)
def test_a_microphone_is_judged_by_its_level(
    patient: Patient, monkeypatch, level: float | None, id: str
) -> None:
    blocks = [] if level is None else [np.clip(level * np.tile([1, -1], 256), -1, 1).astype(np.float32)] * 50
    monkeypatch.setattr("edge.checks.microphone.open_microphone", lambda _uri: Sounds(*blocks))
    monkeypatch.setattr("edge.checks.microphone.microphones_here", list)
    (item,) = look("microphone", patient)
    assert item.id == id
    if level == 0.1:
        assert item.values["level_db"] == -20


@pytest.mark.parametrize("name", ["camera", "microphone"])
@pytest.mark.parametrize("switched", ["capture", "device"])
def test_what_is_switched_off_is_not_opened(patient: Patient, monkeypatch, name: str, switched: str) -> None:
    monkeypatch.setattr(f"edge.checks.{name}.open_{name}", lambda _uri: pytest.fail("opened"))
    assert patient.settings is not None
    switches = Switches(patient.settings.state_folder / "switches.json")
    switches.set("capture" if switched == "capture" else name, "off")  # type: ignore[arg-type]
    assert ids(name, patient)[0] == f"{name}.off"


@pytest.mark.parametrize("name", ["camera", "microphone"])
@pytest.mark.parametrize("status", [*get_args(SourceStatus), None])
def test_what_a_running_kit_uses_is_not_opened(patient: Patient, monkeypatch, name: str, status) -> None:
    monkeypatch.setattr(f"edge.checks.{name}.open_{name}", lambda _uri: pytest.fail("opened"))
    busy = replace(patient, running=Running(sources={name: status} if status else {}))
    item = look(name, busy)[0]
    assert item.id == f"{name}.kit_{status or 'unknown'}"
    assert is_well_said(item)


def test_what_a_running_kit_complains_of_is_told(patient: Patient, health: Health) -> None:
    ill = replace(health, camera_problem="covered", microphone_problem="silent")
    busy = replace(patient, running=Running(None, ill, {"camera": "recovering", "microphone": "recovering"}))
    assert "camera.covered" in ids("camera", busy)
    assert "microphone.silent" in ids("microphone", busy)


def test_every_problem_that_can_be_judged_has_a_finding() -> None:
    assert {*PICTURE_PROBLEMS, *SOUND_PROBLEMS} == set(get_args(Problem))


@pytest.mark.parametrize("name", ["camera", "microphone"])
def test_a_source_that_is_not_wanted_is_skipped(patient: Patient, name: str) -> None:
    assert patient.settings is not None
    none = replace(patient.settings, camera=Camera("none"), microphone=Microphone("none"))
    assert ids(name, replace(patient, settings=none))[0] == f"{name}.none"


# ── Models ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_shipped_models_answer_as_they_should(patient: Patient) -> None:
    found = look("models", patient)
    assert {item.id for item in found} == {"models.ok"}
    assert len(found) == 4
    assert {item.id for item in look("weights", patient)} == {"weights.ok"}


def test_a_board_that_calculates_otherwise_is_noticed(patient: Patient, monkeypatch) -> None:
    answer = goldens.answer
    monkeypatch.setattr(goldens, "answer", lambda *args, **more: answer(*args, **more)[::-1])
    assert {item.id for item in look("models", patient)} == {"models.differs"}


def test_models_and_files_that_do_not_do(patient: Patient, tmp_path: Path) -> None:
    assert patient.settings is not None
    bad = replace(
        patient.settings,
        expression=Classifier(model="no-such-model"),
        faces=Faces(detector="yunet", yunet=__file__),
    )
    sick = replace(patient, settings=bad)
    assert ids("models", sick)[0] == "models.refused"
    assert ids("weights", sick) == ["weights.refused", "weights.ok"]
    copy = tmp_path / "unproven"
    copy.mkdir()
    for file in (ROOT / "models" / "voice-tone").iterdir():
        if file.name != goldens.FILE:
            (copy / file.name).write_bytes(file.read_bytes())
    unproven = replace(patient.settings, camera=Camera("none"), tone=Classifier(model=str(copy)))
    assert ids("models", replace(patient, settings=unproven)) == ["models.unproven"]


# ── The machine ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("flags", "id"),
    [
        ("0", "power.ok"),
        ("1", "power.weak"),
        ("50005", "power.weak"),
        ("4", "power.slowed"),
        ("50000", "power.was_weak"),
        ("80000", "power.was_slowed"),
        ("rubbish", "power.untold"),
        (None, "power.untold"),
    ],
)
def test_the_firmware_tells_about_the_power(patient: Patient, flags: str | None, id: str) -> None:
    if flags is not None:
        put(patient, "sys/devices/platform/soc/soc:firmware/get_throttled", f"{flags}\n")
    assert ids("power", patient) == [id]


@pytest.mark.parametrize(("alarm", "id"), [("0", "power.ok"), ("1", "power.weak")])
def test_without_the_flags_the_voltage_alarm_tells(patient: Patient, alarm: str, id: str) -> None:
    put(patient, "sys/class/hwmon/hwmon1/name", "rpi_volt\n")
    put(patient, "sys/class/hwmon/hwmon1/in0_lcrit_alarm", f"{alarm}\n")
    assert ids("power", patient) == [id]


@pytest.mark.parametrize(
    ("told", "id"),
    [("48312", "ok"), ("70000", "warm"), ("84900", "hot"), ("?", "untold"), (None, "untold")],
)
def test_the_temperature_is_judged(patient: Patient, told: str | None, id: str) -> None:
    if told is not None:
        put(patient, "sys/class/thermal/thermal_zone0/temp", told)
    assert ids("temperature", patient) == [f"temperature.{id}"]


@pytest.mark.parametrize(
    ("now", "quality", "battery", "id"),
    [
        (4e9, "synced", False, "clock.ok"),
        (4e9, "unsynced", True, "clock.unsynced"),
        (4e9, "unsynced", False, "clock.adrift"),
        (0.0, "synced", True, "clock.past"),
    ],
)
def test_the_clock_is_judged(  # noqa: PLR0917
    patient: Patient, monkeypatch, now: float, quality: str, battery: bool, id: str
) -> None:
    monkeypatch.setattr("edge.checks.clock.time.time", lambda: now)
    monkeypatch.setattr("edge.checks.clock.time_quality", lambda: quality)
    if battery:
        put(patient, "sys/class/rtc/rtc0/name", "rtc")
    assert ids("clock", patient) == [id]


def test_the_board_is_named_and_too_little_memory_is_told(patient: Patient) -> None:
    put(patient, "proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.5\0")
    put(patient, "etc/os-release", 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n')
    put(patient, "proc/meminfo", "MemTotal: 900000 kB\nMemAvailable:   90000 kB\n")
    board, memory = look("system", patient)
    assert "Raspberry Pi 4 Model B Rev 1.5, Debian GNU/Linux 13 (trixie)" in board.found("id")
    assert memory.id == "system.memory"
    assert memory.values["memory_mb"] == 90


def test_the_kit_s_user_needs_its_groups(patient: Patient, monkeypatch) -> None:
    assert patient.settings is not None
    real = replace(
        patient.settings,
        camera=Camera("opencv:0"),
        microphone=Microphone("pyaudio:default"),
        panel=Panel(led="GPIO27"),
    )
    monkeypatch.setattr("edge.checks.permissions._exists", lambda _group: True)
    monkeypatch.setattr("edge.checks.permissions._whose", lambda _patient: ("suasana", {"video"}))
    audio, gpio = look("permissions", replace(patient, settings=real))
    assert "sudo usermod -aG audio suasana" in audio.todo("id")
    assert "gpio" in gpio.found("en")
    assert ids("permissions", patient) == ["permissions.ok"], "patterns need no group"


@pytest.mark.parametrize(
    ("free", "id"), [(2_000_000_000, "disk.ok"), (200_000_000, "disk.low"), (1_000_000, "disk.full")]
)
def test_room_on_the_disk_is_judged(patient: Patient, monkeypatch, free: int, id: str) -> None:
    real = os.statvfs
    monkeypatch.setattr(os, "statvfs", lambda path: Room(real(path), free))
    assert ids("disk", patient)[0] == id


class Room:
    def __init__(self, real: os.statvfs_result, free: int) -> None:
        self.f_bavail, self.f_frsize, self.f_flag = free // real.f_frsize, real.f_frsize, 0


def test_a_card_that_can_only_be_read_is_told(patient: Patient, monkeypatch) -> None:
    real = os.statvfs

    def readonly(path: object) -> Room:
        room = Room(real(path), 10**10)  # type: ignore[call-overload]
        room.f_flag = os.ST_RDONLY
        return room

    monkeypatch.setattr(os, "statvfs", readonly)
    assert ids("disk", patient) == ["disk.readonly"]


def test_the_state_folder_is_tried_and_left_as_it_was(patient: Patient, monkeypatch) -> None:
    assert patient.settings is not None
    folder = patient.settings.state_folder
    assert ids("disk", patient)[1:] == ["disk.new"]
    assert not folder.exists(), "a doctor changes nothing"
    folder.mkdir()
    (folder / "switches.json").write_text("{")
    assert ids("disk", patient)[1:] == ["disk.writable", "disk.switches"]
    assert [path.name for path in folder.iterdir()] == ["switches.json"]

    def refuse(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edge.checks.disk.tempfile.TemporaryFile", refuse)
    assert ids("disk", patient)[1:] == ["disk.unwritable"]


@pytest.mark.parametrize(
    ("changes", "id"),
    [
        ({}, "settings.default"),
        ({"mode": ""}, "settings.unasked"),
        ({"region": "eu"}, "settings.forbidden"),
        ({"mode": "practice", "region": "eu"}, "settings.default"),
    ],
)
def test_settings_that_do_not_let_a_kit_run_are_told(
    patient: Patient, changes: dict[str, str], id: str
) -> None:
    assert patient.settings is not None
    changed = replace(patient, settings=replace(patient.settings, **changes))  # type: ignore[arg-type]
    assert ids("settings", changed) == [id]


@pytest.mark.parametrize(
    ("unit", "running", "wanted"),
    [
        ({}, None, ["kit.idle"]),
        ({}, Running(), ["kit.mute"]),
        (
            {"ActiveState": "failed", "Result": "exit-code", "NRestarts": "9"},
            None,
            ["kit.failed", "kit.restarts"],
        ),
    ],
)
def test_the_service_is_judged(patient: Patient, monkeypatch, unit, running, wanted: list[str]) -> None:
    monkeypatch.setattr("edge.checks.kit._unit", lambda: unit)
    assert ids("kit", replace(patient, running=running)) == wanted
    with suppress(IndexError):
        assert ids("kit", replace(patient, running=running, twin=True))[0] == "kit.twin"


def test_an_installed_model_that_was_given_up_is_told(patient: Patient) -> None:
    assert patient.settings is not None
    shelf = shelf_of(patient.settings)
    record = shelf.folder / "voice-tone" / "state.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps(asdict(Record(failed="2.0.0", why="it does not load"))))
    found = [item for item in look("models", patient) if item.id == "models.gave_up"]
    assert [item.values["model"] for item in found] == ["voice-tone@2.0.0"]
    assert is_well_said(found[0])
