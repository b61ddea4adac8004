"""Which shapes of the expression network run fast in the runtimes that the kit has?

    python -m benchmarks.shapes --json benchmarks/results/shapes.json

It needs ``make train-env`` and five minutes. Each shape is a training.face.net.FaceNet with random weights,
exported and made int8 as the shipped one is: the time does not depend on the weights. One face, one thread,
processor time, at best; all shapes take turns, so what slows the machine slows all of them. Beside it: how
many times the floor that is, the multiply-adds at this core's measured int8 peak.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.footprint import cpu_name
from convert import export, quantise
from edge.bench import floor
from edge.bench.clock import best_of
from edge.bench.report import table
from edge.runtimes import litert, onnx
from training.face.net import FaceNet, count_parameters

SIDE, LABELS, FEATURES, SQUEEZE = 48, 7, 128, 32
TURNS = 6
ADAPTERS = {"tflite": litert.open, "onnx": onnx.open}


@dataclass(frozen=True, slots=True)
class Shape:
    """What is varied; the rest is as shipped."""

    stem: str
    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    shrink: str = "maximum"
    plain: bool = False

    @property
    def name(self) -> str:
        """As a row is called."""
        words = [self.stem, "/".join(map(str, self.widths)), "blocks " + ".".join(map(str, self.blocks))]
        words += ["strides"] if self.shrink == "stride" else []
        return ", ".join(words + (["plain"] if self.plain else []))


SHAPES = (
    Shape("shrink", (32, 64, 144), (1, 2, 2)),
    Shape("fold", (32, 64, 144), (1, 2, 2)),
    Shape("fold", (64, 64, 128), (1, 2, 2)),
    Shape("shrink", (64, 64, 128), (1, 2, 2)),
    Shape("fold", (64, 64, 128), (1, 2, 2), shrink="stride"),
    Shape("fold", (64, 64, 128), (1, 2, 2), plain=True),
    Shape("fold", (48, 96, 128), (1, 2, 2)),
    Shape("fold", (64, 96, 128), (1, 2, 2)),
    Shape("fold", (64, 128, 128), (1, 1, 1)),
    Shape("fold", (64, 64, 192), (1, 2, 1)),
    Shape("fold", (64, 64, 128), (2, 2, 2)),
    Shape("fold", (64, 128, 256), (2, 2, 2)),
    Shape("fold", (128, 192, 256), (1, 2, 2)),
)
"""The first is that of version 1.2.0, the third of 1.3.0."""


@dataclass(frozen=True, slots=True)
class Found:
    """One shape, measured."""

    shape: str
    parameters: int
    multiply_adds: int
    ms: dict[str, float]
    times_floor: dict[str, float]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shapes", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the results")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="suasana-shapes-") as folder:
        peak, found = measure(Path(folder), SHAPES)
    if arguments.json:
        kept = {"machine": cpu_name(), "int8_gmacs": peak, "shapes": [asdict(one) for one in found]}
        arguments.json.write_text(json.dumps(kept, indent=2) + "\n", "utf-8")
    rows = [
        (
            one.shape,
            f"{one.parameters / 1e6:.2f}",
            f"{one.multiply_adds / 1e6:.0f}",
            *(f"{one.ms[name]:.3f} ({one.times_floor[name]:.2f})" for name in ADAPTERS),
        )
        for one in found
    ]
    head = (
        "shape",
        "10^6 parameters",
        "10^6 multiply-adds",
        *(f"{name}, ms (times floor)" for name in ADAPTERS),
    )
    print(table(head, rows))
    return 0


def measure(scratch: Path, shapes: Sequence[Shape], *, turns: int = TURNS) -> tuple[float, list[Found]]:
    """This core's peak, 10^9 int8 multiply-adds a second, and each shape."""
    item = np.random.default_rng(1).normal(0, 1, (1, SIDE, SIDE, 1)).astype(np.float32)
    counts, calls = [], {}
    for number, shape in enumerate(shapes):
        net, files = draw(shape), {name: scratch / f"{number}.int8.{name}" for name in ADAPTERS}
        write(net, scratch, files)
        counts.append((count_parameters(net), floor.count(files["tflite"])))
        for name, path in files.items():
            run = ADAPTERS[name](path, labels=LABELS, features=FEATURES, threads=1)
            calls[number, name] = partial(run, item)
    peak, best = _take_turns(scratch, calls, turns)
    found = []
    for number, (shape, (parameters, multiply_adds)) in enumerate(zip(shapes, counts, strict=True)):
        ms = {name: round(1000 * best[number, name], 4) for name in ADAPTERS}
        times = {name: round(value * peak * 1e6 / multiply_adds, 2) for name, value in ms.items()}
        found.append(Found(shape.name, parameters, multiply_adds, ms, times))
    return peak, found


def draw(shape: Shape) -> FaceNet:
    """The network with random weights, none of its layers silent."""
    torch.manual_seed(0)
    chosen: dict[str, Any] = asdict(shape)
    net = FaceNet(LABELS, side=SIDE, ends="places", squeeze=SQUEEZE, features=FEATURES, **chosen)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.normal_(module.bias, 0, 0.1)
    return net.eval()


def write(net: FaceNet, scratch: Path, files: dict[str, Path]) -> None:
    """Its int8 files."""
    shape = (SIDE, SIDE, 1)
    calibration = np.random.default_rng(0).normal(0, 1, (8, *shape)).astype(np.float32)
    drafts = {name: scratch / f"draft.{name}" for name in files}
    export.export_tflite(net, shape, drafts["tflite"])
    quantise.quantise_tflite(drafts["tflite"], calibration, files["tflite"])
    export.export_onnx(net, shape, drafts["onnx"])
    quantise.quantise_onnx(drafts["onnx"], calibration, files["onnx"])


def _take_turns(
    scratch: Path, calls: Mapping[tuple[int, str], Callable[[], object]], turns: int
) -> tuple[float, dict[tuple[int, str], float]]:
    peak, best = 0.0, dict.fromkeys(calls, float("inf"))
    for _ in range(turns):
        peak = max(peak, floor.measure(scratch).int8_gmacs)
        for key, call in calls.items():
            best[key] = min(best[key], best_of(call, rounds=3, at_least_s=0.03))
    return peak, best


if __name__ == "__main__":
    sys.exit(main())
