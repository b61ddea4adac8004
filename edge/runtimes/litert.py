"""TFLite files on LiteRT, or on the older tflite-runtime where only that is installed (32-bit kits)."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from edge.runtimes import Runtime, check_batch, find_outputs, no_features
from edge.types import FloatArray, ModelError

_SILENCE = threading.Lock()


def open(path: Path, *, labels: int, features: int = 0, threads: int) -> Runtime:
    """Load a TFLite file with one input, logits and, where *features* is not 0, features; float32 or int8.

    Raises:
        ModelError: no TFLite runtime is installed, or the file is torn or not such a model.
    """
    try:
        return _Litert(open_interpreter(path, threads=threads), labels, features)
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
    """The library announces its delegate on standard error, from C++, where users expect one clear line.

    One thread at a time: a second would take the silence of the first for what is to be restored.
    """
    with _SILENCE:
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

    def __init__(self, interpreter: Any, labels: int, features: int) -> None:
        inputs, outputs = interpreter.get_input_details(), _outputs(interpreter)
        if len(inputs) != 1:
            raise ValueError(f"{len(inputs)} inputs, not one")
        self._interpreter = interpreter
        self._input = inputs[0]
        self._item_shape = tuple(int(size) for size in self._input["shape"][1:])
        shapes = {name: tuple(int(size) for size in tensor["shape"]) for name, tensor in outputs.items()}
        self._outputs = [outputs[name] for name in find_outputs(shapes, labels=labels, features=features)]

    def __call__(self, batch: FloatArray) -> FloatArray:
        return self._run(batch, self._outputs[:1])[0]

    def both(self, batch: FloatArray) -> tuple[FloatArray, FloatArray]:
        if len(self._outputs) != 2:
            raise no_features()
        logits, features = self._run(batch, self._outputs)
        return logits, features

    def _run(self, batch: FloatArray, outputs: list[dict[str, Any]]) -> list[FloatArray]:
        check_batch(batch, self._item_shape)
        answers = [np.empty((len(batch), output["shape"][1]), np.float32) for output in outputs]
        for row, item in enumerate(batch):
            self._interpreter.set_tensor(self._input["index"], _quantise(item[None], self._input))
            self._interpreter.invoke()
            for answer, output in zip(answers, outputs, strict=True):
                # get_tensor copies, so nothing of the interpreter's memory is handed out.
                answer[row] = _restore(self._interpreter.get_tensor(output["index"]), output)[0]
        return answers


def _outputs(interpreter: Any) -> dict[str, dict[str, Any]]:
    """The output tensors by the names that the file's signature gives them; a single one may lack a name."""
    details = interpreter.get_output_details()
    if len(details) == 1:
        return {details[0]["name"]: details[0]}
    named: dict[str, dict[str, Any]] = interpreter.get_signature_runner().get_output_details()
    return named


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
