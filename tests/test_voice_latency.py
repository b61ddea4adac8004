"""benchmarks.voice_latency: the rival is what it says, and ratios follow from times."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs `make train-env`")
pytest.importorskip("transformers", reason="needs `make train-env`")

from benchmarks import voice_latency
from benchmarks.voice_latency import RIVAL, Latency, main, page, write_rival
from edge.runtimes.onnx import start_session
from tests.conftest import ROOT

MODEL = ROOT / "models" / "voice-tone"
SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}


@pytest.fixture(scope="module")
def rival(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    path = tmp_path_factory.mktemp("rival") / "rival.onnx"
    return path, write_rival(path, **SMALL)


def test_the_rival_hears_three_seconds_and_its_matrices_are_int8(rival: tuple[Path, int]) -> None:
    onnx = pytest.importorskip("onnx")
    path, parameters = rival
    assert parameters > 10_000
    (logits,) = start_session(path, threads=1).run(["logits"], {"samples": np.zeros((1, 48_000), np.float32)})
    assert logits.shape == (1, voice_latency.LABELS)
    kinds = {node.op_type for node in onnx.load(str(path)).graph.node}
    assert "MatMulInteger" in kinds
    assert "MatMul" not in kinds or "DynamicQuantizeLinear" in kinds


def test_front_end_and_both_files_are_timed_beside_it(
    rival: tuple[Path, int],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def copied(path: Path) -> int:
        path.write_bytes(rival[0].read_bytes())
        return rival[1]

    monkeypatch.setattr(voice_latency, "write_rival", copied)
    monkeypatch.setattr(voice_latency, "RESULTS", tmp_path)
    monkeypatch.setattr(voice_latency, "PAGE", tmp_path / "page.md")
    assert main(["--model", str(MODEL), "--quick", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert set(table["ratios"]) == {"tflite", "onnx"}
    assert len(table["ms"]) == 4
    assert all(taken > 0 for taken in table["ms"].values())
    assert not list(tmp_path.iterdir()), "a quick run keeps nothing"


def test_the_page_says_what_was_met() -> None:
    found = Latency("here", "tone@1", 3, 3.0, 2, {"ours": 10.0, RIVAL: 200.0}, {}, 1, {"tflite": 20.0})
    assert "| tflite | 20.0 x | met | missed |" in page(found)


def test_what_is_no_tone_model_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for folder in (tmp_path, ROOT / "models" / "face-expression"):
        assert main(["--model", str(folder)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
