"""Networks with random weights as ONNX files, for those whose own weights cannot be had here.

Time does not depend on the values of weights. The file format is written by hand (onnx.proto3, IR version 8),
because a kit has onnxruntime and OpenCV, which read it, and nothing that writes it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edge.types import FloatArray

FLOAT, INT64 = 1, 7
_KINDS = {float: 1, int: 2, tuple: 7}


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value in the graph: its name, channels, height and width."""

    name: str
    channels: int
    height: int
    width: int


@dataclass(slots=True)
class Graph:
    """A network while it is drawn, layer by layer. Batch normalisation counts as folded into its layer."""

    height: int
    width: int
    channels: int = 3
    multiply_adds: int = 0
    """Of one picture, convolutions and matrices only."""
    weights: int = 0
    _nodes: list[bytes] = field(default_factory=list)
    _values: list[bytes] = field(default_factory=list)
    _random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    _count: int = 0

    @property
    def picture(self) -> Tensor:
        """What goes in."""
        return Tensor("picture", self.channels, self.height, self.width)

    def conv(
        self, x: Tensor, channels: int, size: int, *, stride: int = 1, groups: int = 1, pad: int | None = None
    ) -> Tensor:
        """A convolution of *size* x *size* with a bias, padded to keep the size unless *pad* is given."""
        pad = size // 2 if pad is None else pad
        height = (x.height + 2 * pad - size) // stride + 1
        width = (x.width + 2 * pad - size) // stride + 1
        shape = (channels, x.channels // groups, size, size)
        scale = (2 / (shape[1] * size * size)) ** 0.5
        names = [self._keep(self._random.normal(0, scale, shape)), self._keep(np.zeros(channels))]
        self.multiply_adds += int(np.prod(shape)) * height * width
        out = self._add(
            "Conv",
            [x.name, *names],
            kernel_shape=(size, size),
            strides=(stride, stride),
            pads=(pad,) * 4,
            group=groups,
        )
        return Tensor(out, channels, height, width)

    def activate(self, x: Tensor, kind: str) -> Tensor:
        """``Relu``, ``Sigmoid``, ``PRelu`` or ``Silu``."""
        if kind == "PRelu":
            slopes = self._keep(np.full((x.channels, 1, 1), 0.25))
            return self._like(x, self._add(kind, [x.name, slopes]))
        if kind == "Silu":
            return self.multiply(x, self._like(x, self._add("Sigmoid", [x.name])))
        return self._like(x, self._add(kind, [x.name]))

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        """Sum."""
        return self._like(x, self._add("Add", [x.name, y.name]))

    def multiply(self, x: Tensor, y: Tensor) -> Tensor:
        """Product; *y* may be one value per channel."""
        return self._like(x, self._add("Mul", [x.name, y.name]))

    def mean(self, x: Tensor) -> Tensor:
        """Over all places."""
        return Tensor(self._add("GlobalAveragePool", [x.name]), x.channels, 1, 1)

    def classify(self, x: Tensor, labels: int) -> None:
        """Flatten, and end in *labels* numbers called ``answer``."""
        flat = self._add("Flatten", [x.name], axis=1)
        inputs = x.channels * x.height * x.width
        weights = self._keep(self._random.normal(0, inputs**-0.5, (inputs, labels)))
        self.multiply_adds += inputs * labels
        self._add("Gemm", [flat, weights, self._keep(np.zeros(labels))], output="answer")

    def write(self, path: Path, labels: int) -> None:
        """The ONNX file: one input ``picture``, one output ``answer``."""
        graph = b"".join(_chunk(1, node) for node in self._nodes) + _chunk(2, b"drawn")
        graph += b"".join(_chunk(5, value) for value in self._values)
        graph += _chunk(11, _described("picture", (1, self.channels, self.height, self.width)))
        graph += _chunk(12, _described("answer", (1, labels)))
        path.write_bytes(_number(1, 8) + _chunk(7, graph) + _chunk(8, _chunk(1, b"") + _number(2, 13)))

    def _like(self, x: Tensor, name: str) -> Tensor:
        return Tensor(name, x.channels, x.height, x.width)

    def _name(self) -> str:
        self._count += 1
        return f"t{self._count}"

    def _keep(self, values: FloatArray | np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> str:
        name, array = self._name(), np.asarray(values, "<f4")
        self.weights += array.size
        dims = b"".join(_number(1, length) for length in array.shape)
        self._values.append(dims + _number(2, FLOAT) + _chunk(8, name.encode()) + _chunk(9, array.tobytes()))
        return name

    def _add(
        self, kind: str, inputs: list[str], output: str = "", **attributes: float | tuple[int, ...]
    ) -> str:
        name = output or self._name()
        node = b"".join(_chunk(1, one.encode()) for one in inputs) + _chunk(2, name.encode())
        node += _chunk(4, kind.encode())
        for key, value in attributes.items():
            node += _chunk(5, _chunk(1, key.encode()) + _attribute(value))
        self._nodes.append(node)
        return name


def write_product(path: Path, rows: int, inner: int, columns: int, *, whole_numbers: bool) -> None:
    """One product of matrices as an ONNX file: float32, or uint8 by int8 into int32.

    Inputs ``a`` and ``b``, output ``c``.
    """
    left, right, out = (2, 3, 6) if whole_numbers else (FLOAT, FLOAT, FLOAT)  # UINT8, INT8, INT32
    kind = b"MatMulInteger" if whole_numbers else b"MatMul"
    node = _chunk(1, b"a") + _chunk(1, b"b") + _chunk(2, b"c") + _chunk(4, kind)
    graph = _chunk(1, node) + _chunk(2, b"product")
    if whole_numbers:
        weights = np.random.default_rng(0).integers(-64, 64, (inner, columns), np.int8)
    else:
        weights = np.random.default_rng(0).normal(0, 1, (inner, columns)).astype("<f4")
    dims = _number(1, inner) + _number(1, columns)
    graph += _chunk(5, dims + _number(2, right) + _chunk(8, b"b") + _chunk(9, weights.tobytes()))
    graph += _chunk(11, _described("a", (rows, inner), left)) + _chunk(
        12, _described("c", (rows, columns), out)
    )
    path.write_bytes(_number(1, 8) + _chunk(7, graph) + _chunk(8, _chunk(1, b"") + _number(2, 13)))


def _attribute(value: float | tuple[int, ...]) -> bytes:
    kind = _number(20, _KINDS[type(value)])
    if isinstance(value, tuple):
        return b"".join(_number(8, one) for one in value) + kind
    if isinstance(value, float):
        return _varint(2 << 3 | 5) + struct.pack("<f", value) + kind
    return _number(3, value) + kind


def _described(name: str, shape: tuple[int, ...], kind: int = FLOAT) -> bytes:
    dims = b"".join(_chunk(1, _number(1, length)) for length in shape)
    return _chunk(1, name.encode()) + _chunk(2, _chunk(1, _number(1, kind) + _chunk(2, dims)))


def _number(place: int, value: int) -> bytes:
    return _varint(place << 3) + _varint(value)


def _chunk(place: int, data: bytes) -> bytes:
    return _varint(place << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
