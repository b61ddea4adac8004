"""ONNX files on onnxruntime, on the CPU or where present on a Jetson's GPU."""

from __future__ import annotations

import platform
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
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as failures
    except ImportError:
        raise ModelError("no ONNX runtime: install onnxruntime") from None
    expected = (
        failures.Fail,
        failures.InvalidArgument,
        failures.InvalidGraph,
        failures.InvalidProtobuf,
        failures.NoSuchFile,
        failures.NotImplemented,
        failures.RuntimeException,
    )
    try:
        session = onnxruntime.InferenceSession(
            path.read_bytes(),
            _options(onnxruntime, threads),
            providers=[name for name in _PROVIDERS if name in onnxruntime.get_available_providers()],
        )
        return _Onnx(session, labels)
    except (ValueError, OSError, *expected) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"{path}: not a usable ONNX model ({reason})") from error


def _options(onnxruntime: Any, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # An idle pool thread that spins would take a core from the detector.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if platform.machine().lower() in {"x86_64", "amd64"}:
        # Without VNNI the fast int8 kernels of x86 saturate at 16 bits and cost up to ten points of
        # accuracy. Arm has no such kernel and no such setting.
        options.add_session_config_entry("session.x64quantprecision", "1")
    return options


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
