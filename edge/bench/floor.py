"""How fast this core multiplies and adds at best, and how much of that a model uses.

The peak is measured, not looked up: products of large matrices on the runtimes that the kit has. A network
cannot be faster than its multiply-adds at that rate, and small ones never get there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.bench.clock import best_of
from edge.bench.graph import write_product
from edge.manifest import Manifest
from edge.runtimes.litert import open_interpreter
from edge.runtimes.onnx import start_session

ROWS, INNER, COLUMNS = 192, 768, 768
"""Matrices that fill the caches of small cores, about what a layer of the expression model multiplies."""


@dataclass(frozen=True, slots=True)
class Peak:
    """Multiply-adds a second of one core, in 10^9."""

    float_gmacs: float
    int8_gmacs: float


def measure(scratch: Path) -> Peak:
    """Multiply matrices."""
    rates = {}
    for whole_numbers in (False, True):
        path = scratch / f"product-{whole_numbers}.onnx"
        write_product(path, ROWS, INNER, COLUMNS, whole_numbers=whole_numbers)
        session = start_session(path, threads=1)
        kind = np.uint8 if whole_numbers else np.float32
        values = np.random.default_rng(1).integers(0, 127, (ROWS, INNER)).astype(kind)

        def multiply(session: Any = session, values: Any = values) -> object:
            return session.run(None, {"a": values})

        rates[whole_numbers] = ROWS * INNER * COLUMNS / best_of(multiply) / 1e9
    return Peak(round(rates[False], 1), round(rates[True], 1))


def multiply_adds(model: Manifest) -> int:
    """Of one item through the model's convolutions and matrices, from the shapes in its TFLite file.

    Raises:
        ModelError: no TFLite runtime is installed.
    """
    return count(model.files["tflite"].path)


def count(path: Path) -> int:
    """The same, of a TFLite file.

    Raises:
        ModelError: no TFLite runtime is installed.
    """
    net = open_interpreter(path, threads=1)
    shapes = {
        tensor["index"]: [int(length) for length in tensor["shape"]] for tensor in net.get_tensor_details()
    }
    total = 0
    for op in net._get_ops_details():  # noqa: SLF001 -- the only place where the file's layers are told
        kind = op["op_name"]
        if kind not in {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}:
            continue
        weights, out = shapes[op["inputs"][1]], shapes[op["outputs"][0]]
        if kind == "FULLY_CONNECTED":
            total += int(np.prod(weights)) * int(np.prod(out[:-1]))
        elif kind == "CONV_2D":
            total += int(np.prod(weights)) * out[1] * out[2]  # out x height x width x in
        else:
            total += int(np.prod(weights[1:])) * out[1] * out[2]  # 1 x height x width x channels
    return total
