"""From a signed package to the model in use, and everything that must not get that far."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path

import numpy as np
import pytest

from convert.sign import pack, seal
from edge import manifest, runtimes
from edge.models import choice, goldens, install
from edge.models.install import check_speed
from edge.models.shelf import Shelf
from edge.settings import Classifier
from edge.types import ModelError
from tests.conftest import ROOT
from tests.packages import NAMES, PRIVATE, SHIPPED, folder_of, in_use, install_on, line, package_of

VOICE = Classifier("voice-tone")


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "state" / "models")


def version_in_use(shelf: Shelf, name: str = "voice-tone") -> str:
    return choice.find_model(Classifier(name), shelf).version


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }


def refused(shelf: Shelf, data: bytes, **how: object) -> str:
    before, used = contents(shelf.folder), version_in_use(shelf)
    with pytest.raises(ModelError) as caught:
        install_on(shelf, data, **how)  # type: ignore[arg-type]
    assert contents(shelf.folder) == before, "a refused package left something behind"
    assert version_in_use(shelf) == used
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_package_becomes_the_model_in_use(shelf: Shelf, tmp_path: Path) -> None:
    shipped = version_in_use(shelf)
    model = install_on(shelf, package_of(tmp_path))
    used = choice.find_model(VOICE, shelf)
    assert (model.version, used.version, shipped) == ("71.2.0", "71.2.0", SHIPPED["voice-tone"])
    assert used.folder.is_relative_to(shelf.folder)
    assert shelf.record("voice-tone").trial is not None
    for format in used.files:
        assert goldens.check(used, format).good
    assert not list(shelf.folder.glob(".draft*"))


def test_without_a_shelf_only_shipped_models_count(shelf: Shelf, tmp_path: Path) -> None:
    install_on(shelf, package_of(tmp_path))
    assert choice.find_model(VOICE).version == SHIPPED["voice-tone"]


def test_a_rollback_leads_to_the_confirmed_one_before_and_then_to_the_shipped_one(
    shelf: Shelf, tmp_path: Path
) -> None:
    install_on(shelf, package_of(tmp_path, version="71.2.0"))
    shelf.confirm("voice-tone", "71.2.0")
    install_on(shelf, package_of(tmp_path, version="71.3.0"))
    install_on(shelf, package_of(tmp_path, version="71.4.0"))  # 71.3.0 never proved itself
    assert {path.name for path in (shelf.folder / "voice-tone").iterdir()} == {
        "71.2.0",
        "71.4.0",
        "state.json",
    }
    shelf.roll_back("voice-tone")
    assert version_in_use(shelf) == "71.2.0"
    assert shelf.record("voice-tone").trial is None
    shelf.roll_back("voice-tone")
    assert version_in_use(shelf) == SHIPPED["voice-tone"]
    with pytest.raises(ModelError, match="nothing to roll back"):
        shelf.roll_back("voice-tone")


# ── Versions ─────────────────────────────────────────────────────────────────────────────────────────


def test_an_older_package_is_refused_for_ever_unless_forced(shelf: Shelf, tmp_path: Path) -> None:
    old, new = package_of(tmp_path, version="71.9.0"), package_of(tmp_path, version="71.10.0")
    install_on(shelf, new)
    assert "71.10.0 was installed before; --force" in refused(shelf, old)
    shelf.roll_back("voice-tone")
    assert "71.10.0 was installed before" in refused(shelf, old), (
        "a rollback does not open the door to a replay"
    )
    install_on(shelf, old, force=True)
    assert version_in_use(shelf) == "71.9.0"
    assert shelf.record("voice-tone").highest == "71.10.0"


def test_an_older_one_than_the_shipped_is_refused_unless_forced(shelf: Shelf, tmp_path: Path) -> None:
    old = package_of(tmp_path, version="0.0.1")
    assert f"{SHIPPED['voice-tone']} came with the software" in refused(shelf, old)
    install_on(shelf, old, force=True)
    assert version_in_use(shelf) == "0.0.1", "who forces an older one gets it"


def test_a_damaged_record_does_not_open_the_door_to_a_replay(shelf: Shelf, tmp_path: Path) -> None:
    install_on(shelf, package_of(tmp_path, version="71.10.0"))
    (shelf.folder / "voice-tone" / "state.json").write_bytes(b"{torn")
    assert version_in_use(shelf) == SHIPPED["voice-tone"]
    assert "71.10.0 was installed before" in refused(shelf, package_of(tmp_path, version="71.9.0"))
    install_on(shelf, package_of(tmp_path, version="71.10.0"))
    assert version_in_use(shelf) == "71.10.0"


def test_one_version_has_one_content(shelf: Shelf, tmp_path: Path) -> None:
    install_on(shelf, package_of(tmp_path))
    other = package_of(
        tmp_path, change=lambda toml: toml.replace("uncertain_below = 0.", "uncertain_below = 0.0")
    )
    assert "other content" in refused(shelf, other)
    assert "other content" in refused(shelf, other, force=True)


def test_the_same_package_again_repairs_what_the_card_lost(shelf: Shelf, tmp_path: Path) -> None:
    data = package_of(tmp_path)
    install_on(shelf, data)
    file = shelf.place("voice-tone", "71.2.0") / "model.int8.tflite"
    whole = file.read_bytes()
    file.write_bytes(whole[:1000])
    assert version_in_use(shelf) == SHIPPED["voice-tone"], "a damaged one gives way"
    install_on(shelf, data)
    assert version_in_use(shelf) == "71.2.0"
    assert file.read_bytes() == whole


def test_the_same_package_again_changes_nothing(shelf: Shelf, tmp_path: Path) -> None:
    data = package_of(tmp_path)
    install_on(shelf, data)
    shelf.confirm("voice-tone", "71.2.0")
    before = contents(shelf.folder)
    install_on(shelf, data)
    assert contents(shelf.folder) == before


def test_the_one_before_can_be_installed_again(shelf: Shelf, tmp_path: Path) -> None:
    old = package_of(tmp_path, version="71.2.0")
    install_on(shelf, old)
    shelf.confirm("voice-tone", "71.2.0")
    install_on(shelf, package_of(tmp_path, version="71.3.0"))
    install_on(shelf, old, force=True)
    record = shelf.record("voice-tone")
    assert (record.current, record.previous, record.highest) == ("71.2.0", "", "71.3.0")


def test_newer_software_brings_its_own_model_forward(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_on(shelf, package_of(tmp_path, version="71.2.0"))
    updated = tmp_path / "shipped"
    folder_of(updated, version="71.1.0")
    monkeypatch.setattr(choice, "model_folders", lambda: (updated,))
    assert version_in_use(shelf) == "71.2.0"
    shutil.rmtree(updated)
    folder_of(updated, version="71.3.0")
    assert version_in_use(shelf) == "71.3.0"


# ── What does not fit ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("task", '"age"', "age"),
        ("task", '"expression"', "labels"),
        ("labels", '["disgust", "angry", "fear", "happy", "sad", "neutral"]', "labels are disgust, angry"),
        ("labels", '["angry", "disgust", "fear", "happy", "sad", "calm"]', "labels"),
        ("name", '"face-expression"', f"face-expression@{SHIPPED['face-expression']} is one for expression"),
        ("name", '"../voice-tone"', "is no name of a model"),
        ("name", '""', "is no name of a model"),
        ("version", '"../../71.2.0"', "three whole numbers"),
        ("version", '"71.2"', "three whole numbers"),
        ("version", '"71.2.0-rc1"', "three whole numbers"),
        ("rate_hz", "44100", "rate_hz must be the kit's"),
        ("rate_hz", "16000.0", "rate_hz is 16000.0"),
        ("mels", "100000", "mels must be 8 to 256"),
        ("mels", "true", "mels is True"),
        ("hop_s", "0.0", "hop_s and window_s"),
        ("hop_s", "1e-9", "shorter than a sample"),
        ("hop_s", "nan", "hop_s is nan"),
        ("duration_s", "1e9", "duration_s must be"),
        ("duration_s", "inf", "duration_s is inf"),
        ("fft", "256", "fft is shorter"),
        ("high_hz", "9000.0", "low_hz and high_hz"),
        ("floor_db", "-60.0", "floor_db"),
        ("std", "0.0", "std is not above 0"),
        ("std", '"15"', "std is '15'"),
        ("temperature", "nan", "calibration makes no sense"),
        ("uncertain_below", "7.0", "calibration makes no sense"),
        ("uncertain_below", "0.5\nnegative_below = nan", "calibration makes no sense|overwrite"),
        ("sha256", f'"{"0" * 64}"', "altered or torn"),
        ("mels", "32", "eats"),
        ("floor_db", "20.0", "golden inputs differently"),
        ("std", "15.0\n[metrics", "model.toml"),
    ],
)
def test_a_manifest_that_does_not_do_is_refused(
    shelf: Shelf, tmp_path: Path, key: str, value: str, message: str
) -> None:
    found = refused(shelf, package_of(tmp_path, change=line(key, value)))
    assert any(part in found for part in message.split("|")), found


@pytest.mark.parametrize(
    ("width", "message"), [(129, "from 1 to 128, not 129"), (64, "must be logits and features")]
)
def test_features_that_are_too_many_or_not_there_are_refused(
    shelf: Shelf, tmp_path: Path, width: int, message: str
) -> None:
    def change(toml: str) -> str:
        return toml.replace("[files.tflite]", f"[outputs]\nfeatures = {width}\n[files.tflite]")

    if manifest.load(ROOT / "models" / "voice-tone").features:
        pytest.skip("the shipped file has features")
    assert message in refused(shelf, package_of(tmp_path, change=change))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("height", "948", "16 to 512"),
        ("channels", "2", "channels must be 1 or 3"),
        ("margin", "9.0", "margin must be 0 to 1"),
    ],
)
def test_a_picture_that_cannot_be_is_refused(
    shelf: Shelf, tmp_path: Path, key: str, value: str, message: str
) -> None:
    assert message in refused(shelf, package_of(tmp_path, name="face-expression", change=line(key, value)))


def test_answers_of_another_file_are_refused(shelf: Shelf, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "a")
    golden = folder / "golden.toml"
    golden.write_text(golden.read_text("utf-8").replace('[onnx]\nsha256 = "', '[onnx]\nsha256 = "0'), "utf-8")
    assert "another onnx file" in refused(shelf, seal(pack(folder, NAMES), PRIVATE))


def test_a_file_that_no_runtime_loads_is_refused(shelf: Shelf, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "a")
    torn = (folder / "model.int8.onnx").read_bytes()[:5000]
    old = manifest.load(folder).files["onnx"].sha256
    (folder / "model.int8.onnx").write_bytes(torn)
    new = hashlib.sha256(torn).hexdigest()
    for name in ("model.toml", "golden.toml"):
        (folder / name).write_text((folder / name).read_text("utf-8").replace(old, new), "utf-8")
    assert "not a usable ONNX model" in refused(shelf, seal(pack(folder, NAMES), PRIVATE))


def test_both_runtimes_are_asked(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = runtimes.load

    def load(model: manifest.Manifest, format: str = "auto", *, threads: int = 1) -> object:
        run = right(model, format, threads=threads)
        if format != "onnx" or not model.folder.is_relative_to(shelf.folder):
            return run
        return lambda batch: np.roll(run(batch), 1, axis=1)

    monkeypatch.setattr(goldens, "load", load)
    assert "the onnx file answers the golden inputs differently" in refused(shelf, package_of(tmp_path))


def test_a_runtime_that_is_not_here_is_not_asked(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtimes, "find_spec", lambda name: name if name == "ai_edge_litert" else None)
    asked = []
    right = goldens.check
    monkeypatch.setattr(
        goldens, "check", lambda model, name, **how: asked.append(name) or right(model, name, **how)
    )
    install_on(shelf, package_of(tmp_path))
    assert asked == ["tflite"]


def test_the_runtime_of_the_settings_must_be_in_it(shelf: Shelf, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "a")
    toml = (folder / "model.toml").read_text("utf-8")
    start, end = toml.index("[files.onnx]"), toml.index("\n[metrics]")
    (folder / "model.toml").write_text(toml[:start] + toml[end:], "utf-8")
    data = seal(pack(folder, [name for name in NAMES if not name.endswith(".onnx")]), PRIVATE)
    assert "has no onnx file" in refused(shelf, data, runtime="onnx")
    install_on(shelf, data)


def test_the_speed_is_held_against_the_model_in_use() -> None:
    check_speed(0.0319, 0.010)
    check_speed(0.002, 0.0001)
    check_speed(9.0, None)
    with pytest.raises(ModelError, match=r"takes 32\.1 ms where the one in use takes 10\.0 ms"):
        check_speed(0.0321, 0.010)


def timed(
    monkeypatch: pytest.MonkeyPatch, shelf: Shelf, new: Iterator[float], usual: Iterator[float]
) -> None:
    """Rounds take as long as these say, per item."""
    monkeypatch.setattr(
        install,
        "_timed",
        lambda model, *_: (new if model.folder.is_relative_to(shelf.folder) else usual).__next__,
    )


def test_a_slow_model_is_refused_unless_forced(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed(monkeypatch, shelf, repeat(0.1), repeat(0.01))
    data = package_of(tmp_path)
    assert "takes 100.0 ms where the one in use takes 10.0 ms" in refused(shelf, data)
    install_on(shelf, data, force=True)


def test_a_busy_kit_does_not_make_a_model_slow(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = chain(repeat(0.5, install.LEAST_ROUNDS + 3), repeat(0.01))
    timed(monkeypatch, shelf, busy, repeat(0.01))
    install_on(shelf, package_of(tmp_path))


def test_a_time_is_one_item_s(shelf: Shelf) -> None:
    ticks = iter([0.0, 8.0])
    model = choice.find_model(VOICE)
    assert install._timed(model, "tflite", 1, lambda: next(ticks))() == 8 / len(goldens.batch(model))


# ── The disk ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_full_disk_is_one_line_and_leaves_nothing(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_on(shelf, package_of(tmp_path, version="71.1.0"))
    data = package_of(tmp_path)
    right, room = os.fsync, [3]

    def fsync(handle: int) -> None:
        room[0] -= 1
        if room[0] < 0:
            raise OSError(28, "No space left on device")
        right(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    assert "No space left on device" in refused(shelf, data)


def test_two_installations_at_once_are_refused(shelf: Shelf, tmp_path: Path) -> None:
    data = package_of(tmp_path)
    with shelf.draft({}), pytest.raises(ModelError, match="under way"):
        install_on(shelf, data)
    install_on(shelf, data)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_under_sudo_the_files_become_the_daemon_s(shelf: Shelf, tmp_path: Path) -> None:
    shelf.folder.parent.mkdir()
    os.chown(shelf.folder.parent, 1234, 1235)
    install_on(shelf, package_of(tmp_path))
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in shelf.folder.rglob("*")}
    assert owners == {(1234, 1235)}
    assert (shelf.folder.stat().st_uid, shelf.folder.stat().st_gid) == (1234, 1235)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b"7",
        b"[" * 100_000,
        b'{"current": "../../evil", "trial": null}',
        b'{"current": 7, "trial": null}',
        b'{"current": "71.2.0", "trial": {"cut_off": "many"}}',
        b'{"current": "71.2.0", "trial": null, "colour": "red"}',
    ],
)
def test_a_damaged_record_leaves_the_shipped_model(shelf: Shelf, content: bytes) -> None:
    (shelf.folder / "voice-tone").mkdir(parents=True)
    (shelf.folder / "voice-tone" / "state.json").write_bytes(content)
    assert version_in_use(shelf) == SHIPPED["voice-tone"]


def test_a_record_of_what_is_gone_leaves_the_shipped_model(shelf: Shelf, tmp_path: Path) -> None:
    install_on(shelf, package_of(tmp_path))
    shutil.rmtree(shelf.place("voice-tone", "71.2.0"))
    assert json.loads((shelf.folder / "voice-tone" / "state.json").read_text())["current"] == "71.2.0"
    assert version_in_use(shelf) == SHIPPED["voice-tone"]


def test_another_name_is_a_model_of_its_own(shelf: Shelf, tmp_path: Path) -> None:
    install_on(
        shelf, package_of(tmp_path, change=lambda toml: toml.replace("voice-tone", "voice-tone-id", 1))
    )
    assert version_in_use(shelf) == SHIPPED["voice-tone"]
    assert version_in_use(shelf, "voice-tone-id") == "71.2.0"
    assert in_use(shelf)("tone").model.version == SHIPPED["voice-tone"]
