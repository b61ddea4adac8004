"""The shipped models against their kept answers, on this machine's runtimes."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from convert.__main__ import main as convert
from edge import manifest
from edge.models import goldens
from edge.runtimes import load, resolve
from edge.types import ModelError
from tests.conftest import ROOT

MODELS = sorted(path.parent for path in (ROOT / "models").glob("*/model.toml"))


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    folder = tmp_path / "voice-tone"
    shutil.copytree(ROOT / "models" / "voice-tone", folder)
    return folder


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)
def test_every_file_answers_as_where_it_was_made(folder: Path) -> None:
    model = manifest.load(folder)
    for runtime in model.files:
        verdict = goldens.check(model, runtime)
        assert verdict.good, f"{runtime}: {verdict.worst:.3f} off"


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)
def test_the_inputs_ask_for_different_answers(folder: Path) -> None:
    model = manifest.load(folder)
    answers = goldens.answer(model, resolve(model))
    assert len({int(row.argmax()) for row in answers}) > 1, "one answer to everything would pass unseen"


def test_the_inputs_are_the_same_every_time() -> None:
    one, other = goldens.pictures(), goldens.pictures()
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert {picture.shape[0] for picture in one} == {24, 48, 64, 96}, "near, far, and as large as the model's"


def test_a_runtime_that_calculates_otherwise_is_noticed(copied: Path, monkeypatch) -> None:
    model = manifest.load(copied)
    monkeypatch.setattr(goldens, "load", lambda *_, **__: lambda batch: right(batch) * 0.8)
    right = load(model, "onnx")
    assert not goldens.check(model, "onnx").good
    monkeypatch.setattr(goldens, "load", lambda *_, **__: lambda batch: right(batch) * np.float32("nan"))
    assert not goldens.check(model, "onnx").good


def test_a_wrong_front_end_is_noticed(copied: Path) -> None:
    path = copied / "model.toml"
    path.write_text(path.read_text("utf-8").replace("floor_db = 60.0", "floor_db = 30.0"), "utf-8")
    assert not goldens.check(manifest.load(copied), "onnx").good


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("inputs = 2", "inputs = 1", "other inputs"),
        ('sha256 = "', 'sha256 = "0', "another onnx file"),
        ("[onnx]", "[other]", "not readable"),
        ("logits = [", "logits = [[1.0],", "not readable"),
        ("inputs = 2", "inputs = ", "not readable"),
    ],
)
def test_answers_to_something_else_are_refused(copied: Path, old: str, new: str, named: str) -> None:
    path = copied / goldens.FILE
    path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")
    with pytest.raises(ModelError, match=named):
        goldens.check(manifest.load(copied), "onnx")


def test_a_model_without_answers_is_told(copied: Path) -> None:
    (copied / goldens.FILE).unlink()
    with pytest.raises(ModelError, match="convert golden"):
        goldens.check(manifest.load(copied), "onnx")


def test_the_command_writes_what_the_repository_holds(copied: Path, capsys) -> None:
    (copied / goldens.FILE).unlink()
    assert convert(["golden", "--model", str(copied)]) == 0
    assert goldens.FILE in capsys.readouterr().out
    for runtime in manifest.load(copied).files:
        assert goldens.check(manifest.load(copied), runtime).worst < 1e-3
