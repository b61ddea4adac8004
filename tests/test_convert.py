"""Conversion of small networks: both files through the real runtimes, refusal of a bad one, the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs `make train-env`")

from convert import confidence, export, report, verify  # noqa: E402
from convert.__main__ import main  # noqa: E402
from convert.package import FILES, FLOAT_FILES, convert, package  # noqa: E402
from convert.silence import silence  # noqa: E402
from edge import manifest, runtimes  # noqa: E402
from edge.manifest import LogMelInput  # noqa: E402
from edge.models import goldens  # noqa: E402
from edge.runtimes import litert, onnx  # noqa: E402
from edge.types import FloatArray, ModelError  # noqa: E402
from tests.conftest import ROOT  # noqa: E402
from tests.test_training_face import TINY, write_faces  # noqa: E402
from training import model_toml  # noqa: E402
from training.candidate import Candidate  # noqa: E402
from training.face import fer2013, recipes, train  # noqa: E402

FEATURES = 8
SPEC = LogMelInput(16000, 24, 512, 0.032, 0.010, 0.352, 60.0, 7600.0, 80.0, 0.0, 1.0)
"""33 frames of 24 mels: a shape that is no square, so a swapped axis shows."""


class Toy(torch.nn.Module):
    """What the expression network may be made of: a shortcut, a gate, pooling, two outputs; three labels."""

    def __init__(self, features: int, *, embeds: bool = False) -> None:
        super().__init__()
        self.features_width = features
        width = 8 if embeds else features
        self.stem = torch.nn.Sequential(
            torch.nn.Conv2d(1, width, 3, 2, 1, bias=False), torch.nn.BatchNorm2d(width), torch.nn.ReLU()
        )
        self.inner = torch.nn.Sequential(
            torch.nn.Conv2d(width, width, 3, 1, 1, bias=False), torch.nn.BatchNorm2d(width)
        )
        self.gate = torch.nn.Sequential(
            torch.nn.AdaptiveAvgPool2d(1), torch.nn.Conv2d(width, width, 1), torch.nn.Sigmoid()
        )
        self.pool = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
        self.embed = torch.nn.Sequential()
        if embeds:
            self.embed = torch.nn.Sequential(torch.nn.Linear(width, features), torch.nn.ReLU())
        self.head = torch.nn.Linear(features, 3)

    def both(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.stem(x)
        inner = self.inner(x)
        features = self.embed(self.pool(torch.relu(x + inner * self.gate(inner))))
        return self.head(features), features

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.both(x)[0]


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
    net = Toy(FEATURES)
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
    expected = verify.ask_network(candidate.net, candidate.inputs)
    for name in FILES:
        actual = runtimes.load(model, name)(candidate.inputs)
        assert (actual.argmax(1) == candidate.truth).mean() > 0.95, name
        assert np.corrcoef(actual.ravel(), expected.logits.ravel())[0, 1] > 0.99, name


def test_a_packed_model_brings_its_golden_answers(packed: Path) -> None:
    model = manifest.load(packed)
    for name in FILES:
        assert goldens.check(model, name).worst < 1e-3, name


def test_a_packed_model_does_not_tell_on_whose_disk_it_was_made(packed: Path) -> None:
    for path in packed.iterdir():
        data = path.read_bytes()
        assert str(ROOT).encode() not in data, path.name
        assert b"site-packages" not in data, path.name


@pytest.mark.parametrize("name", list(FILES))
def test_features_come_with_the_logits_from_the_same_pass(
    candidate: Candidate, packed: Path, name: str
) -> None:
    model = manifest.load(packed)
    assert model.features == FEATURES
    run = runtimes.load(model, name)
    logits, features = run.both(candidate.inputs)
    assert (logits.dtype, features.dtype, features.shape) == (np.float32, np.float32, (144, FEATURES))
    np.testing.assert_array_equal(logits, run(candidate.inputs))
    expected = verify.ask_network(candidate.net, candidate.inputs).features
    assert expected is not None
    assert features.min() >= 0
    assert np.abs(features - expected).max() < 0.05 * expected.max()
    assert len(np.unique(features)) > 20, "the features are not those of the items"
    kept = features.copy()
    run.both(candidate.inputs[:1] + 3)
    np.testing.assert_array_equal(features, kept)
    assert [one.shape for one in run.both(candidate.inputs[:0])] == [(0, 3), (0, FEATURES)]


@pytest.mark.parametrize("name", list(FILES))
@pytest.mark.parametrize(
    ("features", "message"),
    [(0, r"2 outputs, but model\.toml has no \[outputs\]"), (5, "does not fit 5 features")],
)
def test_files_that_give_other_features_than_model_toml_says_are_refused(
    packed: Path, name: str, features: int, message: str
) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        runtimes.load(replace(manifest.load(packed), features=features), name)
    assert "\n" not in str(caught.value)


def test_features_as_wide_as_the_logits_are_not_mistaken_for_them(
    candidate: Candidate, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    net = Toy(3, embeds=True).eval()
    mixed = replace(candidate, net=net)
    convert(mixed, tmp_path)
    expected = verify.ask_network(net, candidate.inputs)
    assert expected.features is not None
    for file in (*FILES.values(), *FLOAT_FILES.values()):
        adapter = litert if file.endswith("tflite") else onnx
        logits, features = adapter.open(tmp_path / file, labels=3, features=3, threads=1).both(
            candidate.inputs
        )
        for actual, wanted in ((logits, expected.logits), (features, expected.features)):
            assert np.abs(actual - wanted).max() < 0.1 * np.ptp(wanted), file


def test_a_layer_that_never_speaks_does_not_stop_the_conversion(candidate: Candidate, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = Toy(4, embeds=True).eval()
    with torch.no_grad():
        net.embed[0].bias.fill_(-1e3)
        net.head.bias.copy_(torch.tensor([1.0, 2.0, 3.0]))
    convert(replace(candidate, net=net), tmp_path)
    for file in FILES.values():
        adapter = litert if file.endswith("tflite") else onnx
        logits, features = adapter.open(tmp_path / file, labels=3, features=4, threads=1).both(
            candidate.inputs
        )
        assert features.max() == 0
        np.testing.assert_allclose(logits, [[1.0, 2.0, 3.0]] * len(logits), atol=0.02)


class OneOutput(torch.nn.Module):
    """As the tone network is: no features."""

    def __init__(self, net: torch.nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


def test_a_network_without_features_has_one_output(candidate: Candidate, tmp_path: Path) -> None:
    plain = replace(candidate, net=OneOutput(candidate.net))
    model, found = package(plain, tmp_path, version="0.1.0")
    assert model.features == 0
    assert "[outputs]" not in (tmp_path / "model.toml").read_text("utf-8")
    assert [parity.features_alike for parity in found] == [None, None]
    for name in FILES:
        with pytest.raises(ModelError, match="gives no features"):
            runtimes.load(model, name).both(candidate.inputs)


def test_int8_sums_are_exact_on_this_processor(tmp_path: Path) -> None:
    # Every product is 255 * 127; two of them overflow the 16 bits that fast kernels without VNNI add in.
    from onnx import TensorProto, checker, helper, save  # noqa: PLC0415

    def constant(name: str, kind: int, values: list[float], shape: list[int]) -> object:
        return helper.make_tensor(name, kind, shape, values)

    nodes = [
        helper.make_node("QuantizeLinear", ["input", "one", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "one", "zero"], ["x"]),
        helper.make_node("DequantizeLinear", ["weights", "one", "nought"], ["w"]),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        helper.make_node("QuantizeLinear", ["y", "scale", "zero"], ["z"]),
        helper.make_node("DequantizeLinear", ["z", "scale", "zero"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "sums",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 64])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 16])],
        [
            constant("weights", TensorProto.INT8, [127] * 64 * 16, [64, 16]),
            constant("one", TensorProto.FLOAT, [1.0], []),
            constant("scale", TensorProto.FLOAT, [127.0 * 64], []),
            constant("zero", TensorProto.UINT8, [0], []),
            constant("nought", TensorProto.INT8, [0], []),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    save(model, tmp_path / "sums.onnx")
    run = onnx.open(tmp_path / "sums.onnx", labels=16, threads=1)
    np.testing.assert_array_equal(run(np.full((1, 64), 255, np.float32)), np.full((1, 16), 255 * 127 * 64))


def test_parity_is_measured_and_holds(candidate: Candidate, packed: Path) -> None:
    found = report.make(candidate, manifest.load(packed), command="", split="validation", quiet=True)
    files = [f"{kind} {runtime}" for kind in ("int8", "float") for runtime in FILES]
    assert [parity.file for parity in found.parities] == files
    assert sorted(found.sizes) == sorted(files)
    assert sorted(found.latencies) == sorted([*files, report.NETWORK])
    for parity in found.parities:
        assert parity.accuracy_torch > 0.95, "the toy has not learned"
        assert abs(parity.lost) <= verify.MOST_LOST
        assert 0.98 <= parity.agreement <= 1
        assert 0 < parity.largest_difference < 1
        assert abs(parity.ece - parity.ece_torch) < verify.MOST_MISCALIBRATED
        assert parity.features_alike is not None
        assert parity.features_least_alike is not None
        assert verify.LEAST_ALIKE < parity.features_alike <= 1 + 1e-9
        assert parity.features_least_alike <= parity.features_alike
        if parity.file.startswith("float"):
            assert parity.agreement == 1
            assert parity.largest_difference < 1e-3
            assert parity.features_least_alike > 0.9999


LOGITS = np.array([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0], [0.0, 2.0]], np.float32)
TRUTH = np.array([0, 1, 0, 1])


def test_what_conversion_may_not_cost_is_refused() -> None:
    features = np.eye(4, dtype=np.float32)
    whole = verify.Answers(LOGITS, features)

    def parity(logits: FloatArray, features: FloatArray) -> verify.Parity:
        return verify.compare("int8 tflite", verify.Answers(logits, features), whole, TRUTH, 1.0)

    verify.refuse_loss([parity(LOGITS, features)])
    with pytest.raises(ModelError, match=r"lost 25\.0 points of accuracy \(100\.0 to 75\.0 %\)"):
        verify.refuse_loss([parity(LOGITS[[0, 1, 2, 2]], features)])
    with pytest.raises(ModelError, match=r"calibration error rose from 11\.9 to 26\.9 %"):
        verify.refuse_loss([parity(LOGITS / 2, features)])
    with pytest.raises(ModelError, match=r"features are only 0\.500 alike"):
        verify.refuse_loss([parity(LOGITS, features[[0, 1, 3, 2]])])
    with pytest.raises(ModelError, match="gives 3 features, the network 4"):
        parity(LOGITS, features[:, :3])


def test_features_are_compared_by_direction_and_nothing_is_like_nothing() -> None:
    some = np.array([[1, 0], [3, 0], [0, 0], [0, 0], [1, 1]], np.float32)
    others = np.array([[2, 0], [0, 1], [0, 0], [1, 0], [1, 0]], np.float32)
    np.testing.assert_allclose(verify.cosines(some, others), [1, 0, 1, 0, 0.5**0.5])


def test_the_report_tells_the_same_in_every_form(candidate: Candidate, packed: Path) -> None:
    found = report.make(candidate, manifest.load(packed), command="this", split="validation", quiet=True)
    table = report.as_json(found)
    assert table["items"] == len(candidate.inputs)
    assert table["files"]["int8 onnx"]["bytes"] == (packed / FILES["onnx"]).stat().st_size
    assert table["files"]["float tflite"]["latency_of_float_tflite"] == 1
    assert json.loads(json.dumps(table)) == table
    for text in (report.as_text(found), report.as_markdown(found)):
        for file, figures in table["files"].items():
            assert file in text
            assert f"{100 * figures['accuracy']:.2f} %" in text
            assert f"{figures['latency_ms']:.3f}" in text
        assert "the target of 0.3 is" in text
    assert "Command: `this`" in report.as_markdown(found)


def test_a_model_of_another_run_is_not_judged(candidate: Candidate, packed: Path) -> None:
    other = replace(candidate, labels=("a", "b", "d"))
    with pytest.raises(ModelError, match="was not made from this run"):
        report.make(other, manifest.load(packed), command="", split="validation")


def test_float_files_are_kept_where_they_are_wanted(candidate: Candidate, tmp_path: Path) -> None:
    floats = tmp_path / "floats"
    model, _ = package(candidate, tmp_path / "toy", version="0.1.0", floats=floats)
    assert {file.name for file in floats.iterdir()} == set(FLOAT_FILES.values())
    assert {file.name for file in (tmp_path / "toy").iterdir()} == {
        *FILES.values(),
        "model.toml",
        goldens.FILE,
    }
    report.make(candidate, model, command="", split="validation", floats=floats, quiet=True)
    (floats / FLOAT_FILES["onnx"]).unlink()
    with pytest.raises(ModelError, match="keeps the float files"):
        report.make(candidate, model, command="", split="validation", floats=floats, quiet=True)


def test_a_model_that_lost_accuracy_is_refused_and_leaves_nothing(
    candidate: Candidate, tmp_path: Path
) -> None:
    # Calibrated on silence, the int8 ranges clip everything that matters.
    deaf = replace(candidate, calibration=candidate.calibration * 1e-3)
    with pytest.raises(ModelError, match="refused: the int8 tflite file lost"):
        package(deaf, tmp_path / "deaf", version="0.1.0")
    assert not (tmp_path / "deaf").exists()
    _, found = package(deaf, tmp_path / "deaf", version="0.1.0", to_ship=False)
    assert found[0].lost > verify.MOST_LOST


def test_int8_input_and_output_go_by_the_file_s_own_scales(candidate: Candidate, tmp_path: Path) -> None:
    from ai_edge_quantizer import quantizer, recipe  # noqa: PLC0415

    export.export_tflite(candidate.net, candidate.inputs.shape[1:], tmp_path / "float.tflite")
    with silence():
        work = quantizer.Quantizer(str(tmp_path / "float.tflite"), recipe.static_wi8_ai8())
        feeds = {"serving_default": [{"args_0": item[None]} for item in candidate.calibration]}
        work.quantize(work.calibrate(feeds)).export_model(str(tmp_path / "int8.tflite"))
    run = litert.open(tmp_path / "int8.tflite", labels=3, features=FEATURES, threads=1)
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


def test_the_threshold_of_negative_claims_lets_few_calm_inputs_through() -> None:
    probs = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]])
    negative = np.array([True, False])
    assert confidence.negative_threshold(probs, negative, share=0.5) == 0
    assert confidence.negative_threshold(probs, negative, share=0.25) == pytest.approx(0.81)
    assert confidence.negative_threshold(probs, negative, share=0.0) == pytest.approx(0.91)
    assert confidence.negative_threshold(np.array([[1.0, 0.0]]), negative, share=0.0) == 0.99


def test_the_whole_way_from_faces_to_a_model_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.set_num_threads(1)
    data = write_faces(tmp_path / "data")
    # Long enough to be sure of its 21 test faces: one that changed its mind in int8 would be 4.8 points.
    (tmp_path / "face.toml").write_text(TINY.replace("epochs = 3", "epochs = 20"), "utf-8")
    splits = fer2013.load(data)
    train.train(
        recipes.load(tmp_path / "face.toml"),
        splits["training"],
        splits["public"],
        tmp_path / "run",
        quiet=True,
    )
    command = ["--run", str(tmp_path / "run"), "--data", str(data), "--model", str(tmp_path / "model")]
    assert main(["package", *command]) == 0
    assert "int8 tflite: accuracy" in capsys.readouterr().out
    page = tmp_path / "docs" / "parity.md"
    assert main(["verify", *command, "--split", "private", "--json", "--report", str(page)]) == 0
    table = json.loads(capsys.readouterr().out)
    assert (table["split"], table["items"]) == ("private", 21)
    assert table["command"] in page.read_text("utf-8")
    assert manifest.load(tmp_path / "model").id == "model@1.0.0"


def test_a_split_that_the_task_lacks_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--run", str(tmp_path), "--data", str(tmp_path), "--model", str(tmp_path)]
    assert main(["verify", "--task", "voice", "--split", "private", *where]) == 2
    told = capsys.readouterr().err
    assert "voice" in told
    assert told.count("\n") == 1


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
