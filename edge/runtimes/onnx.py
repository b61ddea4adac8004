"""ONNX files on onnxruntime, on the CPU or where present on a Jetson's GPU."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from edge.runtimes import Runtime, check_batch, check_width
from edge.types import FloatArray, ModelError

_PROVIDERS = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
"""Best first; the plain wheel offers the last one only."""


def open(path: Path, *, labels: int, threads: int) -> Runtime:
    """Load an ONNX file with one float32 input, whose first axis is the batch, and one float32 output.

    Raises:
        ModelError: onnxruntime is not installed, or the file is torn or not such a model.
    """
    with refusing(path, "ONNX model"):
        return _Onnx(start_session(path, threads=threads), labels)


def start_session(path: Path, *, threads: int) -> Any:
    """An onnxruntime session as every adapter here wants it: quiet, not spinning, exact on x86.

    Raises:
        ModelError: onnxruntime is not installed. What it says about the file itself is for ``refusing``.
    """
    onnxruntime = _driver()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what is wrong is told in one line, by ModelError
    # An idle pool thread that spins would take a core from the other lanes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if platform.machine().lower() in {"x86_64", "amd64"}:
        # Without VNNI the fast int8 kernels of x86 saturate at 16 bits and cost up to ten points of
        # accuracy. Arm has no such kernel and no such setting.
        options.add_session_config_entry("session.x64quantprecision", "1")
    available = onnxruntime.get_available_providers()
    providers = [name for name in _PROVIDERS if name in available]
    return onnxruntime.InferenceSession(path.read_bytes(), options, providers=providers)


@contextmanager
def refusing(path: Path, kind: str) -> Iterator[None]:
    """Turn every way in which onnxruntime refuses a file into a ModelError of one line."""
    _driver()
    from onnxruntime.capi import onnxruntime_pybind11_state as refusals

    expected = (
        refusals.Fail,
        refusals.InvalidArgument,
        refusals.InvalidGraph,
        refusals.InvalidProtobuf,
        refusals.NoSuchFile,
        refusals.NotImplemented,
        refusals.RuntimeException,
    )
    try:
        yield
    except (ValueError, IndexError, OSError, *expected) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"{path}: not a usable {kind} ({reason})") from error


def _driver() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise ModelError("no ONNX runtime: install onnxruntime") from None
    return onnxruntime


class _Onnx:
    """One session; the batch goes through it whole."""

    def __init__(self, session: Any, labels: int) -> None:
        inputs, outputs = session.get_inputs(), session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise ValueError(f"{len(inputs)} inputs and {len(outputs)} outputs, not one each")
        if inputs[0].type != "tensor(float)":
            raise ValueError(f"input is {inputs[0].type}, not float")
        self._session = session
        self._input = inputs[0].name
        self._item_shape = tuple(inputs[0].shape[1:])
        self._labels = labels
        check_width(tuple(outputs[0].shape), labels)

    def __call__(self, batch: FloatArray) -> FloatArray:
        check_batch(batch, self._item_shape)
        if not len(batch):
            return np.empty((0, self._labels), np.float32)
        return np.array(self._session.run(None, {self._input: batch})[0], np.float32)
