"""How long does one face take, beside the widely used mini-Xception?

Each shipped file runs through the kit's own runtime, mini-Xception (Arriaga et al. 2017, 64 x 64 grey) on
the same: as float, which is how it is used, and made int8 by our converter. Its weights are random,
because the time does not depend on them. One face, one thread, CPU time of the calling thread; all take
turns, so what slows the machine slows all of them, and the median counts. What the kit does to a crop before
the model is timed by itself.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import latency
from benchmarks.footprint import RESULTS, cpu_name
from convert import export, quantise
from convert.latency import median_ms
from edge import manifest, runtimes
from edge.manifest import ImageInput
from edge.preprocess import face_tensor
from edge.runtimes import litert, onnx
from edge.types import FloatArray, ModelError

MODEL = Path("models/face-expression")
ROUNDS, QUICK_ROUNDS = 1000, 100
CROP_PX = 96
"""Side of the crop that is prepared: a face about two metres away."""
SIDE_PX = 64
"""What mini-Xception sees."""
LABELS = 7
ADAPTERS = {"tflite": litert.open, "onnx": onnx.open}


@dataclass(frozen=True, slots=True)
class Latency:
    """One measurement."""

    machine: str
    rounds: int
    preprocess_ms: float
    """Median CPU time in which a crop becomes a tensor."""
    ms: dict[str, float]
    """Median CPU time of one face, by ``model precision format``."""
    ratios: dict[str, float]
    """mini-Xception's float time over ours, by format: above 1, ours is faster."""
    ratio: float
    """The faster of mini-Xception's float files over the fastest of ours."""


class Separable(nn.Sequential):
    """A 3 x 3 convolution of each channel by itself, then one across them, then batch normalisation."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False),
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )


class Stage(nn.Module):
    """Two separable convolutions and a pooling that halves the picture, beside a 1 x 1 shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.shortcut = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride=2, bias=False), nn.BatchNorm2d(outputs)
        )
        self.inner = nn.Sequential(
            Separable(inputs, outputs), nn.ReLU(), Separable(outputs, outputs), nn.MaxPool2d(3, 2, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        summed: Tensor = self.inner(x) + self.shortcut(x)
        return summed


class MiniXception(nn.Module):
    """As in Arriaga, Valdenegro-Toro and Ploeger 2017 (arXiv:1710.07557) and their face_classification code.

    Shapes:
        input N x 1 x 64 x 64, output N x labels probabilities.
    """

    def __init__(self, labels: int = LABELS) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            *(nn.Conv2d(1, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
            *(nn.Conv2d(8, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
        )
        self.stages = nn.Sequential(Stage(8, 16), Stage(16, 32), Stage(32, 64), Stage(64, 128))
        self.head = nn.Sequential(
            nn.Conv2d(128, labels, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Softmax(1)
        )

    def forward(self, x: Tensor) -> Tensor:
        probs: Tensor = self.head(self.stages(self.stem(x)))
        return probs


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, keep; 2 stands for a model that cannot be measured."""
    code, _ = latency.run(
        "face_latency",
        __doc__,
        argv,
        lambda folder, quick: measure(folder, QUICK_ROUNDS if quick else ROUNDS),
        describe,
        model=MODEL,
        results=RESULTS,
    )
    return code


def measure(folder: Path, rounds: int) -> Latency:
    """Time the model in *folder* and mini-Xception.

    Raises:
        ModelError: no intact expression model.
    """
    model = manifest.load(folder)
    spec = model.input
    if not isinstance(spec, ImageInput):
        raise ModelError(f"{folder}: reads {model.task}, not expressions")
    random = np.random.default_rng(0)
    face = random.normal(size=(1, spec.height, spec.width, spec.channels)).astype(np.float32)
    theirs = random.normal(size=(1, SIDE_PX, SIDE_PX, 1)).astype(np.float32)
    crop = random.integers(0, 256, (CROP_PX, CROP_PX, 3), np.uint8)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with tempfile.TemporaryDirectory() as name:
            runs: dict[str, Callable[[None], object]] = {"preprocess": lambda _: face_tensor([crop], spec)}
            for format in model.files:
                runs[f"{model.name} int8 {format}"] = _on(runtimes.load(model, format), face)
            for file, run in rivals(Path(name)).items():
                runs[f"mini-Xception {file}"] = _on(run, theirs)
            ms = {file: round(taken, 4) for file, taken in median_ms(runs, [None], rounds).items()}
    finally:
        cv2.setNumThreads(threads)
    preprocess_ms = ms.pop("preprocess")
    ours = {format: ms[f"{model.name} int8 {format}"] for format in model.files}
    float_ms = {format: ms[f"mini-Xception float {format}"] for format in ADAPTERS}
    return Latency(
        machine=f"{platform.machine()}, {cpu_name()}, {os.cpu_count()} cores",
        rounds=rounds,
        preprocess_ms=preprocess_ms,
        ms=ms,
        ratios={format: round(float_ms[format] / taken, 2) for format, taken in ours.items()},
        ratio=round(min(float_ms.values()) / min(ours.values()), 2),
    )


def rivals(folder: Path) -> dict[str, runtimes.Runtime]:
    """mini-Xception, float and int8, as TFLite and ONNX on the kit's runtimes; the files go to *folder*."""
    torch.manual_seed(0)
    net = MiniXception().eval()
    shape = (SIDE_PX, SIDE_PX, 1)
    export.export_tflite(net, shape, folder / "float.tflite")
    export.export_onnx(net, shape, folder / "float.onnx")
    calibration = np.random.default_rng(1).normal(size=(16, *shape)).astype(np.float32)
    quantise.quantise_tflite(folder / "float.tflite", calibration, folder / "int8.tflite")
    quantise.quantise_onnx(folder / "float.onnx", calibration, folder / "int8.onnx")
    return {
        f"{precision} {format}": open(folder / f"{precision}.{format}", labels=LABELS, threads=1)
        for precision in ("float", "int8")
        for format, open in ADAPTERS.items()
    }


def _on(run: runtimes.Runtime, batch: FloatArray) -> Callable[[None], object]:
    return lambda _: run(batch)


def describe(result: Latency) -> str:
    """The tables for people."""
    rows: list[tuple[str, Any]] = [(name, f"{taken:.3f} ms") for name, taken in result.ms.items()]
    rows.append((f"crop of {CROP_PX} px -> tensor, before ours", f"{result.preprocess_ms:.3f} ms"))
    rows += [
        (f"mini-Xception float over ours, {one}", f"{ratio:.2f} x") for one, ratio in result.ratios.items()
    ]
    rows.append(("fastest float mini-Xception over our fastest", f"{result.ratio:.2f} x"))
    width = max(len(name) for name, _ in rows)
    title = f"{result.machine}; one face, one thread, median CPU time of {result.rounds} rounds"
    return "\n".join([title, *(f"{name:<{width}}  {figure:>9}" for name, figure in rows)])


if __name__ == "__main__":
    sys.exit(main())
