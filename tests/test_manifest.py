"""What edge.manifest believes of a model folder, and what it refuses."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from edge import manifest
from edge.manifest import ImageInput, LogMelInput
from edge.types import LABELS, ModelError
from tests.conftest import ROOT

WEIGHTS = b"weights"
TOML = f"""
name = "toy"
version = "1.2.3"
task = "expression"
labels = ["happy", "sad"]
temperature = 2.0
uncertain_below = 0.6
[input]
kind = "image"
height = 48
width = 40
channels = 1
mean = 0.5
std = 0.25
margin = 0.1
[files.tflite]
path = "w.tflite"
sha256 = "{hashlib.sha256(WEIGHTS).hexdigest()}"
[metrics]
accuracy = 0.5
"""


def folder(path: Path, toml: str = TOML, weights: bytes = WEIGHTS) -> Path:
    (path / "model.toml").write_text(toml, "utf-8")
    (path / "w.tflite").write_bytes(weights)
    return path


def test_a_whole_folder_is_read(tmp_path: Path) -> None:
    model = manifest.load(folder(tmp_path))
    assert (model.id, model.task, model.labels) == ("toy@1.2.3", "expression", ("happy", "sad"))
    assert model.input == ImageInput(48, 40, 1, 0.5, 0.25, 0.1)
    assert model.files["tflite"].path.read_bytes() == WEIGHTS
    assert model.metrics["accuracy"] == 0.5
    assert model.features == 0


def test_a_negative_claim_may_need_more_than_others(tmp_path: Path) -> None:
    model = manifest.load(folder(tmp_path))
    assert model.claims("sad", 0.6)
    assert not model.claims("sad", 0.59)
    toml = TOML.replace("[input]", "negative_below = 0.9\n[input]")
    stricter = manifest.load(folder(tmp_path, toml))
    assert not stricter.claims("sad", 0.89)
    assert stricter.claims("sad", 0.9)
    assert stricter.claims("happy", 0.6)
    lower = manifest.load(folder(tmp_path, TOML.replace("[input]", "negative_below = 0.1\n[input]")))
    assert not lower.claims("sad", 0.59), "it can only ask for more"


@pytest.mark.parametrize("width", [1, 128])
def test_a_second_output_is_named_under_outputs(tmp_path: Path, width: int) -> None:
    toml = TOML.replace("[metrics]", f"[outputs]\nfeatures = {width}\n[metrics]")
    assert manifest.load(folder(tmp_path, toml)).features == width


def test_calibration_divides_by_the_temperature(tmp_path: Path) -> None:
    model = manifest.load(folder(tmp_path))
    scores = model.calibrate(np.array([[2.0, 0.0], [np.nan, 1.0]], np.float32))
    assert scores[0].probs[0] == pytest.approx(1 / (1 + np.exp(-1)))
    assert scores[0].model == "toy@1.2.3"
    assert scores[1].probs == (0.5, 0.5), "what is not finite must claim nothing"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('task = "expression"', 'task = "age"', "age"),
        ("temperature = 2.0", "temperature = 0.0", "temperature"),
        ("temperature = 2.0\n", "", "temperature is missing"),
        ('labels = ["happy", "sad"]', 'labels = ["happy"]', "labels"),
        ('labels = ["happy", "sad"]', 'labels = ["sad", "sad"]', "labels"),
        ('kind = "image"', 'kind = "video"', "video"),
        ("height = 48\n", "", "height"),
        ("height = 48", "heigth = 48", "heigth"),
        ('name = "toy"', "name = ", "model.toml"),
        ("[files.tflite]", "[files_tflite]", "files is missing"),
        ("[metrics]", "[outputs]\nfeatures = 0\n[metrics]", "whole number from 1 to 128, not 0"),
        ("[metrics]", "[outputs]\nfeatures = 129\n[metrics]", "whole number from 1 to 128, not 129"),
        ("[metrics]", "[outputs]\nfeatures = true\n[metrics]", "whole number from 1 to 128, not True"),
        ("[metrics]", "[outputs]\nfeatures = 64.0\n[metrics]", "whole number"),
        ("[metrics]", "[outputs]\n[metrics]", "features is missing"),
        ("[metrics]", "[outputs]\nfeatures = 64\nboxes = 4\n[metrics]", r"outputs\.boxes is not known"),
        ('name = "toy"', 'name = "toy"\noutputs = 64', r"outputs must be a table"),
    ],
)
def test_a_wrong_field_is_named_in_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in TOML
    with pytest.raises(ModelError, match=message) as caught:
        manifest.load(folder(tmp_path, TOML.replace(old, new)))
    assert "\n" not in str(caught.value)


def test_altered_and_missing_weights_are_refused(tmp_path: Path) -> None:
    folder(tmp_path, weights=WEIGHTS[:-1])
    with pytest.raises(ModelError, match="altered or torn"):
        manifest.load(tmp_path)
    (tmp_path / "w.tflite").unlink()
    with pytest.raises(ModelError, match=r"w\.tflite"):
        manifest.load(tmp_path)


def test_a_folder_without_a_manifest_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model\.toml"):
        manifest.load(tmp_path)


def test_log_mel_frames_cover_the_stretch() -> None:
    spec = LogMelInput(16000, 64, 512, 0.032, 0.010, 3.0, 60.0, 7600.0, -80.0, 0.0, 1.0)
    assert spec.frames == 298


def test_the_shipped_expression_model_is_whole() -> None:
    model = manifest.load(ROOT / "models" / "face-expression")
    assert model.labels == LABELS
    assert isinstance(model.input, ImageInput)
    assert set(model.files) == {"tflite", "onnx"}
    for file in model.files.values():
        assert file.path.stat().st_size <= 1_300_000
    assert model.metrics["parameters"] <= 1_000_000
    assert 1 / len(model.labels) < model.uncertain_below < 1
    assert (model.folder / "MODEL_CARD.md").is_file()
