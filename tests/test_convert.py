"""Conversion of small networks: both files through the real runtimes, refusal of a bad one, the command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs `make train-env`")

from convert import confidence, export, verify  # noqa: E402
from convert.__main__ import main  # noqa: E402
from convert.package import FILES, package  # noqa: E402
from convert.silence import silence  # noqa: E402
from edge import manifest, runtimes  # noqa: E402
from edge.manifest import LogMelInput  # noqa: E402
from edge.runtimes import litert  # noqa: E402
from edge.types import ModelError  # noqa: E402
from tests.test_training_face import TINY, write_faces  # noqa: E402
from training import (  # noqa: E402
    face_config,
    face_data,
    face_train,
    model_toml,
)
from training.candidate import Candidate  # noqa: E402
from training.nets import FaceNet  # noqa: E402

SPEC = LogMelInput(16000, 24, 512, 0.032, 0.010, 0.352, 60.0, 7600.0, -80.0, 0.0, 1.0)
"""33 frames of 24 mels: a shape that is no square, so a swapped axis shows."""


@pytest.fixture(scope="module")
def candidate() -> Candidate:
    """A network that has learned to tell quiet, loud and striped."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    truth = np.arange(192) % 3
    inputs = random.normal(size=(192, SPEC.frames, SPEC.mels, 1)).astype(np.float32)
    inputs[truth == 1] += 1.5
    inputs[truth == 2, ::4] += 6
    net = FaceNet(3, [4, 8, 8, 8])
    optimiser = torch.optim.Adam(net.parameters(), 0.02)
    x = torch.from_numpy(inputs).permute(0, 3, 1, 2)
    for _ in range(30):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(net(x), torch.from_numpy(truth)).backward()
        optimiser.step()
    # As fast training on a CPU leaves the weights; the TFLite converter once scrambled these.
    net = net.eval().to(memory_format=torch.channels_last)
    return Candidate("toy", "tone", ("a", "b", "c"), net, SPEC, inputs[:48], inputs[48:], truth[48:])


@pytest.fixture(scope="module")
def packed(candidate: Candidate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "toy"
    package(candidate, folder, version="0.1.0")
    return folder


def test_a_packed_model_is_read_by_the_kit(candidate: Candidate, packed: Path) -> None:
    model = manifest.load(packed)
    assert (model.id, model.task, model.labels, model.input) == ("toy@0.1.0", "tone", ("a", "b", "c"), SPEC)
    assert {name: file.path.name for name, file in model.files.items()} == FILES
    expected = verify.torch_logits(candidate.net, candidate.inputs)
    for name in FILES:
        actual = runtimes.load(model, name)(candidate.inputs)
        assert (actual.argmax(1) == candidate.truth).mean() > 0.95, name
        assert np.corrcoef(actual.ravel(), expected.ravel())[0, 1] > 0.99, name


def test_parity_is_measured_and_holds(candidate: Candidate, packed: Path) -> None:
    found, _ = verify.compare(manifest.load(packed), candidate.net, candidate.inputs, candidate.truth)
    assert {parity.runtime for parity in found} == set(FILES)
    for parity in found:
        assert parity.accuracy_torch > 0.95, "the toy has not learned"
        assert abs(parity.lost) <= verify.MOST_LOST
        assert 0.98 <= parity.agreement <= 1
        assert 0 < parity.largest_difference < 1


def test_a_model_that_lost_accuracy_is_refused_and_leaves_nothing(
    candidate: Candidate, tmp_path: Path
) -> None:
    # Calibrated on silence, the int8 ranges clip everything that matters.
    deaf = replace(candidate, calibration=candidate.calibration * 1e-3)
    with pytest.raises(ModelError, match="refused: the tflite file lost"):
        package(deaf, tmp_path / "deaf", version="0.1.0")
    assert not (tmp_path / "deaf").exists()


def test_int8_input_and_output_go_by_the_file_s_own_scales(candidate: Candidate, tmp_path: Path) -> None:
    from ai_edge_quantizer import quantizer, recipe  # noqa: PLC0415

    export.export_tflite(candidate.net, candidate.inputs.shape[1:], tmp_path / "float.tflite")
    with silence():
        work = quantizer.Quantizer(str(tmp_path / "float.tflite"), recipe.static_wi8_ai8())
        feeds = {"serving_default": [{"args_0": item[None]} for item in candidate.calibration]}
        work.quantize(work.calibrate(feeds)).export_model(str(tmp_path / "int8.tflite"))
    run = litert.open(tmp_path / "int8.tflite", labels=3, threads=1)
    assert (run(candidate.inputs).argmax(1) == candidate.truth).mean() > 0.9


def test_metrics_are_replaced_and_the_rest_stays(packed: Path, tmp_path: Path) -> None:
    for file in packed.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    before = manifest.load(tmp_path)
    model_toml.write_metrics(tmp_path, {"accuracy": 0.5, "deep": {"a": {"f1": 1.0}}, "interval": [0.4, 0.6]})
    after = manifest.load(tmp_path)
    assert after.metrics == {"accuracy": 0.5, "deep": {"a": {"f1": 1.0}}, "interval": [0.4, 0.6]}
    assert replace(after, metrics={}) == replace(before, metrics={})


def test_the_temperature_undoes_overconfidence() -> None:
    random = np.random.default_rng(0)
    honest = random.normal(size=(4000, 3)).astype(np.float32) * 2
    probs = confidence.probabilities(honest, 1.0)
    truth = np.array([random.choice(3, p=row) for row in probs])
    assert confidence.fit_temperature(honest * 3, truth) == pytest.approx(3, rel=0.1)


def test_the_threshold_is_the_smallest_that_is_right_often_enough() -> None:
    probs = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    truth = np.array([0, 0, 1, 1])
    assert confidence.threshold(probs, truth, right=0.5) == 0.5
    assert confidence.threshold(probs, truth, right=0.6) == pytest.approx(0.61)
    assert confidence.threshold(probs, truth, right=0.75) == pytest.approx(0.71)
    assert confidence.threshold(probs, 1 - truth, right=0.75) == 0.99


def test_the_whole_way_from_faces_to_a_model_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.set_num_threads(1)
    data = write_faces(tmp_path / "data")
    (tmp_path / "face.toml").write_text(TINY, "utf-8")
    splits = face_data.load(data)
    face_train.train(
        face_config.load(tmp_path / "face.toml"),
        splits["training"],
        splits["public"],
        tmp_path / "run",
        quiet=True,
    )
    command = ["--run", str(tmp_path / "run"), "--data", str(data), "--model", str(tmp_path / "model")]
    assert main(["package", *command]) == 0
    assert main(["verify", *command]) == 0
    printed = capsys.readouterr()
    assert printed.out.count("tflite: accuracy") == 2
    assert manifest.load(tmp_path / "model").id == "face-expression@1.0.0"


def test_a_missing_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        "package",
        "--run",
        str(tmp_path / "absent"),
        "--data",
        str(tmp_path),
        "--model",
        str(tmp_path),
    ]
    assert main(command) == 2
    assert capsys.readouterr().err.count("\n") == 1
