"""The latency of one face: the rival is the published network, and the ratios are those of the times."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs `make train-env`")

from benchmarks import face_latency  # noqa: E402
from benchmarks.face_latency import MiniXception, main  # noqa: E402
from convert.latency import median_ms  # noqa: E402
from edge.types import FloatArray  # noqa: E402
from tests.conftest import ROOT  # noqa: E402


def test_the_rival_is_mini_xception_as_published() -> None:
    net = MiniXception().eval()
    numbers = sum(one.numel() for one in net.parameters())
    numbers += sum(one.numel() for name, one in net.named_buffers() if "running" in name)
    assert numbers == 58_423, "what Keras counts in the authors' file"
    probs = net(torch.rand(2, 1, 64, 64))
    assert probs.shape == (2, 7)
    np.testing.assert_allclose(probs.sum(1).detach(), 1, rtol=1e-5)


def test_the_median_is_of_turns_after_a_warm_up_and_of_the_thread_s_own_time() -> None:
    turns: list[str] = []

    def busy(item: float) -> None:
        turns.append("busy")
        until = time.thread_time() + item
        while time.thread_time() < until:
            pass

    def idle(_: float) -> None:
        turns.append("idle")
        time.sleep(0.005)

    found = median_ms({"busy": busy, "idle": idle}, [0.1, *[0.002] * 9], rounds=10)
    assert turns == ["busy", "idle"] * 10
    assert found["busy"] == pytest.approx(2, rel=0.5)
    assert found["idle"] < 1


class Rival:
    """Takes no time worth mentioning."""

    def __call__(self, batch: FloatArray) -> FloatArray:
        return np.zeros((len(batch), 7), np.float32)

    def both(self, batch: FloatArray) -> tuple[FloatArray, FloatArray]:
        raise NotImplementedError


def test_a_quick_run_prints_its_ratios_and_keeps_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    files = [f"{precision} {format}" for precision in ("float", "int8") for format in ("tflite", "onnx")]
    monkeypatch.setattr(face_latency, "rivals", lambda _: {file: Rival() for file in files})
    monkeypatch.setattr(face_latency, "RESULTS", tmp_path)
    monkeypatch.setattr(face_latency, "QUICK_ROUNDS", 10)
    assert main(["--model", str(ROOT / "models" / "face-expression"), "--quick", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert len(table["ms"]) == 6
    assert table["preprocess_ms"] > 0
    assert set(table["ratios"]) == {"tflite", "onnx"}
    assert 0 <= table["ratio"] <= 0.1, "the rival takes no time, so it cannot be slower"
    assert not list(tmp_path.iterdir())


def test_what_is_no_expression_model_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for folder in (tmp_path, ROOT / "models" / "voice-tone"):
        assert main(["--model", str(folder)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
