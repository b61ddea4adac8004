"""TFLite files on LiteRT, or on the older tflite-runtime where only that is installed (32-bit kits)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from edge.runtimes import Runtime, check_batch, check_width
from edge.types import FloatArray, ModelError


def open(path: Path, *, labels: int, threads: int) -> Runtime:
    """Load a TFLite file with one input and one output, float32 or int8.

    Raises:
        ModelError: no TFLite runtime is installed, or the file is torn or not such a model.
    """
    try:
        return _Litert(open_interpreter(path, threads=threads), labels)
    except (ValueError, RuntimeError, OSError, KeyError, IndexError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"{path}: not a usable TFLite model ({reason})") from error


def open_interpreter(path: Path, *, threads: int) -> Any:
    """LiteRT's own interpreter, or tflite-runtime's, tensors allocated.

    Raises:
        ModelError: neither is installed.
        ValueError, RuntimeError, OSError: the file is not one that it can run.
    """
    if path.read_bytes()[4:8] != b"TFL3":
        raise ValueError("no TFLite header")
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        try:
            from tflite_runtime.interpreter import Interpreter
        except ImportError:
            raise ModelError("no TFLite runtime: install ai-edge-litert (tflite-runtime on 32-bit)") from None
    with _quiet():
        interpreter = Interpreter(model_path=str(path), num_threads=threads)
        interpreter.allocate_tensors()
    return interpreter


@contextmanager
def _quiet() -> Iterator[None]:
    """The library announces its delegate on standard error, from C++, where users expect one clear line."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class _Litert:
    """One interpreter. Items go through it one by one: measured, a larger batch saves nothing per item."""

    def __init__(self, interpreter: Any, labels: int) -> None:
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            raise ValueError(f"{len(inputs)} inputs and {len(outputs)} outputs, not one each")
        self._interpreter = interpreter
        self._input, self._output = inputs[0], outputs[0]
        self._item_shape = tuple(int(size) for size in self._input["shape"][1:])
        self._labels = labels
        check_width(tuple(int(size) for size in self._output["shape"]), labels)

    def __call__(self, batch: FloatArray) -> FloatArray:
        check_batch(batch, self._item_shape)
        logits = np.empty((len(batch), self._labels), np.float32)
        for item, answer in zip(batch, logits, strict=True):
            self._interpreter.set_tensor(self._input["index"], _quantise(item[None], self._input))
            self._interpreter.invoke()
            # get_tensor copies, so nothing of the interpreter's memory is handed out.
            answer[:] = _restore(self._interpreter.get_tensor(self._output["index"]), self._output)[0]
        return logits


def _quantise(values: FloatArray, tensor: dict[str, Any]) -> Any:
    """Float to the tensor's own type, by the scale and zero point that stand in the file."""
    kind = np.dtype(tensor["dtype"])
    if kind == np.float32:
        return values
    scale, zero = tensor["quantization"]
    limits = np.iinfo(kind)
    return np.clip(np.rint(values / scale) + zero, limits.min, limits.max).astype(kind)


def _restore(values: Any, tensor: dict[str, Any]) -> FloatArray:
    """The tensor's own type back to float."""
    if values.dtype == np.float32:
        return np.asarray(values, np.float32)
    scale, zero = tensor["quantization"]
    return np.asarray((values.astype(np.float32) - zero) * scale, np.float32)
