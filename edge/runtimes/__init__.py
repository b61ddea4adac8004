"""Inference runtimes: one file each, all answering to Runtime.

A runtime turns one weights file into a callable. Which one a model uses is a setting; ``auto`` takes the
first that is installed, in the order of PREFERENCE.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
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

    def both(self, batch: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Logits, and the features they were decided from: N x labels and N x manifest.features float32.

        One pass through the model; everything else as for the logits alone.

        Raises:
            ModelError: the model gives no features, or the batch is not what it eats.
        """
        ...


def load(manifest: Manifest, format: str = "auto", *, threads: int = 1) -> Runtime:
    """Open the model's weights of one format.

    Args:
        manifest: a checked model folder.
        format: ``tflite``, ``onnx``, ``fake`` or ``auto``.
        threads: of the runtime's own pool.

    Raises:
        ModelError: the format is not in the folder, its runtime is not installed, or the file does not load
            or has other outputs than model.toml says.
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
        if candidate in manifest.files and is_installed(candidate):
            return candidate
    raise ModelError(f"{manifest.folder}: no runtime is installed for {' or '.join(manifest.files)}")


def is_installed(format: str) -> bool:
    """Whether a runtime for the format ``tflite`` or ``onnx`` is here."""
    return any(find_spec(driver) for driver in _DRIVERS.get(format, ()))


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
    runtime: Runtime = adapter.open(
        path, labels=len(manifest.labels), features=manifest.features, threads=threads
    )
    return runtime


def check_batch(batch: FloatArray, item_shape: tuple[int, ...]) -> None:
    """Raise ModelError unless *batch* is N x *item_shape* float32."""
    if batch.dtype != np.float32 or batch.shape[1:] != item_shape or batch.ndim < 2:
        wanted = " x ".join(str(size) for size in item_shape)
        raise ModelError(f"the model eats N x {wanted} float32, not {batch.shape} {batch.dtype}")


def find_outputs(shapes: Mapping[str, tuple[object, ...]], *, labels: int, features: int) -> tuple[str, ...]:
    """Tell a file's outputs apart.

    Two outputs are known by their names, ``logits`` and ``features``: converters and quantisers reorder them,
    and their widths may be equal. A single output is the logits, whatever it is called.

    Args:
        shapes: the shape of each output of the file, by name.
        labels: what model.toml says.
        features: what model.toml says; 0 for a file with one output.

    Returns:
        The name of the logits, and of the features if there are any.

    Raises:
        ValueError: the file has other outputs than model.toml says.
    """
    if not features:
        if len(shapes) != 1:
            raise ValueError(f"{len(shapes)} outputs, but model.toml has no [outputs]")
        names = tuple(shapes)
    else:
        names = ("logits", "features")
        if set(shapes) != set(names):
            raise ValueError(
                f"its outputs are {', '.join(sorted(shapes))}; for model.toml's [outputs] they must be "
                f"{' and '.join(names)}"
            )
    for name, width, what in zip(names, (labels, features), ("labels", "features"), strict=False):
        shape = shapes[name]
        if len(shape) != 2 or shape[1] != width:
            raise ValueError(f"its output {shape} does not fit {width} {what}")
    return names


def no_features() -> ModelError:
    """What ``both`` raises for a model with one output."""
    return ModelError("the model gives no features: its model.toml has no [outputs]")


__all__ = [
    "PREFERENCE",
    "Runtime",
    "check_batch",
    "find_outputs",
    "is_installed",
    "load",
    "no_features",
    "resolve",
]
