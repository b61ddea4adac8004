"""One contract, held by every runtime: the shipped files on the real runtimes, and the fake."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge import manifest, runtimes
from edge.manifest import Manifest
from edge.runtimes import litert, onnx
from edge.types import FloatArray, ModelError
from tests.conftest import ROOT

MEMBERS = ("tflite", "onnx", "fake")
FILES = {"tflite": "model.int8.tflite", "onnx": "model.int8.onnx"}


@pytest.fixture(scope="module")
def model() -> Manifest:
    return manifest.load(ROOT / "models" / "face-expression")


@pytest.fixture(params=MEMBERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def faces(count: int, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).normal(size=(count, 48, 48, 1)).astype(np.float32)


def broken(model: Manifest, name: str, path: Path) -> Manifest:
    """The same model with another file, past the checksum that would have caught it."""
    return replace(model, files={name: replace(model.files[name], path=path)}, folder=path)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_one_row_of_logits_per_item(model: Manifest, name: str, count: int) -> None:
    logits = runtimes.load(model, name)(faces(count))
    assert logits.shape == (count, len(model.labels))
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()


def test_an_item_is_read_alike_alone_and_in_company(model: Manifest, name: str) -> None:
    run = runtimes.load(model, name)
    batch = faces(4)
    alone = np.concatenate([run(batch[i : i + 1]) for i in range(4)])
    np.testing.assert_allclose(run(batch), alone, atol=1e-5)
    assert np.ptp(alone, axis=0).max() > 0, "the answer does not depend on the item"


def test_an_answer_outlives_the_next_call(model: Manifest, name: str) -> None:
    run = runtimes.load(model, name)
    first = run(faces(2, seed=1))
    kept = first.copy()
    run(faces(2, seed=2) + 3)
    np.testing.assert_array_equal(first, kept)


def test_the_caller_s_batch_is_not_changed(model: Manifest, name: str) -> None:
    batch = faces(2)
    kept = batch.copy()
    runtimes.load(model, name)(batch)
    np.testing.assert_array_equal(batch, kept)


@pytest.mark.parametrize(
    "wrong",
    [faces(1)[:, :24], faces(1).astype(np.float64), faces(1)[0], faces(1)[..., 0], np.zeros(3, np.float32)],
    ids=["half the height", "float64", "no batch axis", "no channel axis", "flat"],
)
def test_what_the_model_does_not_eat_is_refused(model: Manifest, name: str, wrong: FloatArray) -> None:
    run = runtimes.load(model, name)
    run(faces(1))
    with pytest.raises(ModelError, match="eats"):
        run(wrong)


@pytest.mark.parametrize("name", ["tflite", "onnx"])
def test_a_model_with_other_labels_is_refused(model: Manifest, name: str) -> None:
    with pytest.raises(ModelError, match="does not fit 3 labels"):
        runtimes.load(replace(model, labels=("a", "b", "c")), name)


@pytest.mark.parametrize("name", ["tflite", "onnx"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.999])
def test_a_torn_file_is_one_line(model: Manifest, name: str, share: float, tmp_path: Path) -> None:
    whole = model.files[name].path.read_bytes()
    torn = tmp_path / FILES[name]
    torn.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ModelError, match="not a usable") as caught:
        runtimes.load(broken(model, name, torn), name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["tflite", "onnx"])
@pytest.mark.parametrize("content", [b"\x00" * 64, b"not a model at all, just words" * 9])
def test_another_kind_of_file_is_one_line(model: Manifest, name: str, content: bytes, tmp_path: Path) -> None:
    other = tmp_path / FILES[name]
    other.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        runtimes.load(broken(model, name, other), name)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_line(model: Manifest, name: str, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    absent = replace(model, folder=gone) if name == "fake" else broken(model, name, gone)
    with pytest.raises(ModelError, match="gone"):
        runtimes.load(absent, name)


def test_both_files_say_the_same(model: Manifest) -> None:
    batch = faces(64)
    tflite, onnx = (runtimes.load(model, name)(batch) for name in ("tflite", "onnx"))
    assert (tflite.argmax(1) == onnx.argmax(1)).mean() > 0.95
    assert np.abs(tflite - onnx).max() < 0.5


def test_features_come_with_the_same_logits(model: Manifest, name: str) -> None:
    if name == "fake":
        model = replace(model, features=16)
    elif not model.features:
        pytest.skip("the shipped file has one output")
    run = runtimes.load(model, name)
    batch = faces(4)
    logits, features = run.both(batch)
    np.testing.assert_array_equal(logits, run(batch))
    assert (features.shape, features.dtype) == ((4, model.features), np.float32)
    assert features.min() >= 0
    assert np.ptp(features, axis=0).max() > 0, "the features do not depend on the item"
    kept = features.copy()
    run.both(faces(2, seed=2) + 3)
    np.testing.assert_array_equal(features, kept)
    np.testing.assert_allclose(run.both(batch[1:2])[1], features[1:2], atol=1e-5)
    assert [one.shape for one in run.both(batch[:0])] == [(0, len(model.labels)), (0, model.features)]
    with pytest.raises(ModelError, match="eats"):
        run.both(batch[:, :24])


def test_a_model_with_one_output_gives_no_features(name: str) -> None:
    model = manifest.load(ROOT / "models" / "voice-tone")
    shape = (1, model.input.frames, model.input.mels, 1)
    run = runtimes.load(model, name)
    assert run(np.zeros(shape, np.float32)).shape == (1, len(model.labels))
    with pytest.raises(ModelError, match="gives no features"):
        run.both(np.zeros(shape, np.float32))


@pytest.mark.parametrize("name", ["tflite", "onnx"])
def test_features_that_the_file_does_not_give_are_refused(name: str) -> None:
    model = replace(manifest.load(ROOT / "models" / "voice-tone"), features=64)
    with pytest.raises(ModelError, match="must be logits and features") as caught:
        runtimes.load(model, name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("shapes", "features", "found"),
    [
        ({"anything": (1, 7)}, 0, ("anything",)),
        ({"features": (1, 64), "logits": (1, 7)}, 64, ("logits", "features")),
        ({"features": ("batch", 7), "logits": ("batch", 7)}, 7, ("logits", "features")),
        ({"logits": (1, 7), "features": (1, 64)}, 0, "2 outputs"),
        ({"logits": (1, 7), "features": (1, 64)}, 32, "does not fit 32 features"),
        ({"logits": (1, 8), "features": (1, 64)}, 64, "does not fit 7 labels"),
        ({"logits": (1, 7), "features": (1, 8, 8)}, 64, "does not fit 64 features"),
        ({"logits": (1, 7), "embedding": (1, 64)}, 64, "outputs are embedding, logits"),
        ({"logits": (1, 7)}, 64, "outputs are logits"),
        ({}, 0, "0 outputs"),
    ],
)
def test_outputs_are_told_apart_by_name(
    shapes: dict[str, tuple[object, ...]], features: int, found: tuple[str, ...] | str
) -> None:
    if isinstance(found, tuple):
        assert runtimes.find_outputs(shapes, labels=7, features=features) == found
    else:
        with pytest.raises(ValueError, match=found):
            runtimes.find_outputs(shapes, labels=7, features=features)


@pytest.mark.parametrize(
    ("flags", "saturates"),
    [
        ("", True),
        ("avx2", True),
        ("avx2 avx_vnni", False),
        ("avx2 avx512f", True),
        ("avx2 avx512f avx_vnni", True),
        ("avx2 avx512f avx512_vnni", False),
    ],
)
def test_only_vnni_keeps_the_fast_kernels_of_x86_from_saturating(flags: str, saturates: bool) -> None:
    assert onnx.saturates(frozenset(flags.split())) is saturates


def test_this_processor_s_kernels_answer_as_the_exact_ones(
    model: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = faces(64)
    actual = runtimes.load(model, "onnx")(batch)
    monkeypatch.setattr(onnx, "_cpu_flags", frozenset)
    exact = runtimes.load(model, "onnx")(batch)
    np.testing.assert_array_equal(actual.argmax(1), exact.argmax(1))
    np.testing.assert_allclose(actual, exact, atol=1e-3)


def installed(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    monkeypatch.setattr(runtimes, "find_spec", lambda name: name if name in modules else None)


def test_auto_takes_the_first_format_whose_runtime_is_installed(
    model: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert runtimes.resolve(model) == "tflite"
    assert runtimes.resolve(replace(model, files={"onnx": model.files["onnx"]})) == "onnx"
    installed(monkeypatch, "tflite_runtime", "onnxruntime")
    assert runtimes.resolve(model) == "tflite"
    installed(monkeypatch, "onnxruntime")
    assert runtimes.resolve(model) == "onnx"
    installed(monkeypatch)
    with pytest.raises(ModelError, match="no runtime is installed for tflite or onnx"):
        runtimes.load(model)


def test_a_format_without_its_runtime_names_the_package(
    model: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("ai_edge_litert.interpreter", "tflite_runtime.interpreter", "onnxruntime"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModelError, match="install ai-edge-litert"):
        runtimes.load(model, "tflite")
    with pytest.raises(ModelError, match="install onnxruntime"):
        runtimes.load(model, "onnx")


def test_tflite_runtime_serves_where_litert_is_missing(
    model: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415

    expected = runtimes.load(model, "tflite")(faces(2))
    older = types.ModuleType("tflite_runtime.interpreter")
    older.Interpreter = Interpreter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime", types.ModuleType("tflite_runtime"))
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", older)
    np.testing.assert_array_equal(runtimes.load(model, "tflite")(faces(2)), expected)


def test_two_threads_that_load_at_once_leave_standard_error_as_it_was() -> None:
    before = os.fstat(2)
    first_in, second_asks, first_out = threading.Event(), threading.Event(), threading.Event()

    def second() -> None:
        first_in.wait()
        second_asks.set()
        with litert._quiet():
            first_out.wait()

    asking = threading.Thread(target=second)
    asking.start()
    with litert._quiet():
        first_in.set()
        second_asks.wait()
        asking.join(0.1)  # time in which it could have come in too
    first_out.set()
    asking.join()
    after = os.fstat(2)
    assert (after.st_dev, after.st_ino) == (before.st_dev, before.st_ino)


def test_unknown_and_absent_formats_are_named(model: Manifest) -> None:
    with pytest.raises(ModelError, match="'tensorrt' is none of"):
        runtimes.load(model, "tensorrt")
    with pytest.raises(ModelError, match="has no onnx file"):
        runtimes.load(replace(model, files={"tflite": model.files["tflite"]}), "onnx")


def test_onnxruntime_reports_to_nobody(tmp_path: Path) -> None:
    """Its telemetry leaves a session file among the temporary ones, which tells whether it is on."""
    code = (
        "from pathlib import Path; from edge import manifest, runtimes; "
        f"runtimes.load(manifest.load(Path({str(ROOT / 'models' / 'face-expression')!r})), 'onnx')"
    )
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment | {"TMPDIR": str(tmp_path)}, check=True
    )
    assert list(tmp_path.iterdir()) == []
