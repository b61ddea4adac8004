"""The benchmark's own arithmetic, its drawn networks on the real runtimes, and its command."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import floats
from edge import runtimes
from edge.bench import boards, floor, nets, plan, report
from edge.bench.clock import Stopwatch
from edge.bench.crowd import Crowd
from edge.bench.graph import Graph
from edge.models import weights
from edge.models.choice import find_model
from edge.runtimes.onnx import start_session
from edge.settings import Settings
from edge.types import EdgeError, ModelError
from tests.conftest import ROOT

PUBLISHED = {"mobilefacenet": (221e6, 0.99e6), "efficientnet_b0": (0.39e9, 4.0e6)}
"""Multiply-adds and weights, by their papers; EfficientNet's own last layer has 1000 labels more."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_drawn_network_has_the_published_size_and_answers_alike_on_both_runtimes(name, tmp_path):
    graph = getattr(nets, name)()
    assert graph.multiply_adds == pytest.approx(PUBLISHED[name][0], rel=0.02)
    assert graph.weights == pytest.approx(PUBLISHED[name][1], rel=0.03)
    graph.write(tmp_path / "net.onnx", nets.LABELS)
    picture = np.random.default_rng(1).normal(0, 1, (1, 3, graph.height, graph.width)).astype(np.float32)
    (answer,) = start_session(tmp_path / "net.onnx", threads=1).run(None, {"picture": picture})
    net = cv2.dnn.readNetFromONNX(str(tmp_path / "net.onnx"))
    net.setInput(picture)
    assert answer.shape == (1, nets.LABELS)
    assert np.abs(answer - net.forward()).max() <= 0.01 * np.abs(answer).max() + 1e-3


def test_multiply_adds_are_counted_as_one_counts_them_by_hand():
    graph = Graph(8, 8)
    x = graph.conv(graph.picture, 4, 3, stride=2)
    assert (x.channels, x.height, x.width) == (4, 4, 4)
    x = graph.conv(x, 4, 3, groups=4)
    graph.classify(graph.mean(x), 7)
    assert graph.multiply_adds == 4 * 3 * 9 * 16 + 4 * 9 * 16 + 4 * 7


def test_the_models_own_multiply_adds_are_read_from_their_files():
    model = find_model(Settings().expression)
    parameters = int(model.metrics["parameters"])
    assert floor.multiply_adds(model) > 5 * parameters, "each weight is used in many places"


def test_float_twins_answer_nearly_as_the_int8_files_do_and_are_known_for_what_they_are(tmp_path):
    pytest.importorskip("onnx")
    models = plan.shipped(Settings())
    for folder, model in zip(floats.twins(tmp_path, Settings()), models, strict=True):
        twin = plan.with_floats(folder, models)
        assert twin.id == model.id
        item = np.random.default_rng(1).normal(0, 1, plan.one_item(model).shape).astype(np.float32)
        for format in model.files:
            wanted, found = (runtimes.load(one, format)(item) for one in (model, twin))
            assert not (wanted == found).all()
            assert found == pytest.approx(wanted, abs=1.0)  # a lost layer makes hundreds of it
        (folder / "model.float.tflite").unlink()
        assert list(plan.with_floats(folder, models).files) == ["onnx"]
    with pytest.raises(ModelError, match="has no float files of face-expression"):
        plan.with_floats(tmp_path, models)


def test_a_stopwatch_tells_what_ran_inside_from_what_is_its_own(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.thread_time", lambda: now[0])
    monkeypatch.setattr("time.perf_counter", lambda: 2 * now[0])
    watch = Stopwatch()
    for outer, inner in ((1.0, 2.0), (3.0, 4.0)):
        with watch.lap("find"):
            now[0] += outer
            with watch.lap("detect"):
                now[0] += inner
    assert watch.times("find").cpu_s == 10.0
    assert watch.times("find", own=True).cpu_s == 4.0
    assert watch.times("find", own=True).p50_ms == 3000.0
    assert watch.times("detect").wall_p95_ms == 8000.0
    assert watch.times("never").calls == 0
    watch.forget()
    assert watch.times("find").calls == 0


@pytest.mark.parametrize("faces", [1, 10, 30])
def test_a_crowd_is_the_same_every_time_and_fits(faces):
    crowd = Crowd(faces)
    try:
        first, second = (crowd.frames(weights.FOLDER, 0.4, 10) for _ in range(2))
    except EdgeError as error:  # the portraits are fetched at set-up
        pytest.skip(str(error))
    assert len(first) == 4
    assert all((a.image == b.image).all() for a, b in zip(first, second, strict=True))
    assert crowd.grid[0] * crowd.grid[1] >= faces
    assert 10 <= crowd.face_px <= 64


def test_a_slower_board_is_modelled_slower_and_marked():
    stages = {"detect": {"cpu_s_per_s": 0.02}, "classify": {"cpu_s_per_s": 0.01}}
    told = boards.carry_over(stages, 60.0, {"detect": 1e9})
    pi4, pi5, _ = told
    assert all(one["modelled"] for one in told)
    assert pi4["cpu_s_per_s"]["classify"] == pytest.approx(0.01 * 60 / (11.889 / 4), rel=0.01)
    assert pi5["cpu_s_per_s"]["classify"] < pi4["cpu_s_per_s"]["classify"]
    slow_memory = boards.carry_over(stages, 0.1, {"detect": 12.8e9})
    assert slow_memory[0]["cpu_s_per_s"]["detect"] == 1.0, "memory alone would take that long"


def test_targets_are_told_as_met_or_missed():
    headline = {key: wanted for key, (_, wanted, _) in report.TARGETS.items()}
    assert report.targets(headline).count("| met |") == len(headline)
    worse = {key: value + (-1 if key.startswith("vision") else 1) for key, value in headline.items()}
    assert report.targets(worse).count("| missed |") == len(headline)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(("--yunet", "/no/such.onnx"), "such.onnx"), (("--config", "/no.toml"), "no.toml")],
)
def test_what_cannot_be_measured_gets_one_line_and_exit_code_2(arguments, named):
    command = [sys.executable, "-m", "edge", "bench", "--quick", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert named in done.stderr


def test_the_visitor_imports_nothing_of_ours():
    text = Path("benchmarks/rivals/visitor.py").read_text("utf-8")
    assert "edge" not in text.replace("knowledge", "")
