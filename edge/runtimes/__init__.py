"""Inference runtimes: one file each, all answering to Runtime.

A runtime turns one weights file into a callable. Which one a model uses is a setting; ``auto`` takes the
first that is installed, in the order of PREFERENCE.
"""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Protocol

import numpy as np

from edge.manifest import Manifest
from edge.types import FloatArray, ModelError

PREFERENCE = ("tflite", "onnx")
"""Order in which ``auto`` tries the formats: LiteRT needs half of onnxruntime's memory."""

_ADAPTERS = {"tflite": "edge.runtimes.litert", "onnx": "edge.runtimes.onnx", "fake": "edge.runtimes.fake"}
_DRIVERS = {"tflite": ("ai_edge_litert", "tflite_runtime"), "onnx": ("onnxruntime",)}


class Runtime(Protocol):
    """One loaded model. Not thread-safe: one lane owns it."""

    def __call__(self, batch: FloatArray) -> FloatArray:
        """Logits, N x labels float32, of N x height x width x channels float32 inputs; N may be 0.

        The answer is the caller's own: no later call changes it.

        Raises:
            ModelError: the batch is not what the model eats.
        """
        ...


def load(manifest: Manifest, format: str = "auto", *, threads: int = 1) -> Runtime:
    """Open the model's weights of one format.

    Args:
        manifest: a checked model folder.
        format: ``tflite``, ``onnx``, ``fake`` or ``auto``.
        threads: of the runtime's own pool.

    Raises:
        ModelError: the format is not in the folder, its runtime is not installed, or the file does not load.
    """
    return _load(manifest, resolve(manifest, format), threads)


def resolve(manifest: Manifest, format: str = "auto") -> str:
    """The format that ``load`` takes: *format* itself, or for ``auto`` the first whose runtime is installed.

    Raises:
        ModelError: none of the model's formats has a runtime here.
    """
    if format != "auto":
        return format
    for candidate in PREFERENCE:
        if candidate in manifest.files and any(find_spec(driver) for driver in _DRIVERS[candidate]):
            return candidate
    raise ModelError(f"{manifest.folder}: no runtime is installed for {' or '.join(manifest.files)}")


def _load(manifest: Manifest, format: str, threads: int) -> Runtime:
    if format not in _ADAPTERS:
        raise ModelError(f"runtime {format!r} is none of {', '.join(_ADAPTERS)}")
    if format == "fake":
        path = manifest.folder
    elif format in manifest.files:
        path = manifest.files[format].path
    else:
        raise ModelError(f"{manifest.folder}: has no {format} file")
    adapter = importlib.import_module(_ADAPTERS[format])
    runtime: Runtime = adapter.open(path, labels=len(manifest.labels), threads=threads)
    return runtime


def check_batch(batch: FloatArray, item_shape: tuple[int, ...]) -> None:
    """Raise ModelError unless *batch* is N x *item_shape* float32."""
    if batch.dtype != np.float32 or batch.shape[1:] != item_shape or batch.ndim < 2:
        wanted = " x ".join(str(size) for size in item_shape)
        raise ModelError(f"the model eats N x {wanted} float32, not {batch.shape} {batch.dtype}")


def check_width(output_shape: tuple[object, ...], labels: int) -> None:
    """Raise ValueError unless the model's output is N x *labels*."""
    if len(output_shape) != 2 or output_shape[1] != labels:
        raise ValueError(f"its output {output_shape} does not fit {labels} labels")


__all__ = ["PREFERENCE", "Runtime", "check_batch", "check_width", "load", "resolve"]
