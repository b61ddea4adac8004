"""ONNX files on onnxruntime, on the CPU or where present on a Jetson's GPU."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from edge.runtimes import Runtime, check_batch, find_outputs, no_features
from edge.types import FloatArray, ModelError

_PROVIDERS = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
"""Best first; the plain wheel offers the last one only."""


def open(path: Path, *, labels: int, features: int = 0, threads: int) -> Runtime:
    """Load an ONNX file with one float32 input, whose first axis is the batch, and float32 outputs.

    They are the logits and, where *features* is not 0, the features.

    Raises:
        ModelError: onnxruntime is not installed, or the file is torn or not such a model.
    """
    with refusing(path, "ONNX model"):
        return _Onnx(start_session(path, threads=threads), labels, features)


def start_session(path: Path, *, threads: int, sizes_vary: bool = False) -> Any:
    """An onnxruntime session as every adapter here wants it: quiet, not spinning, frugal, exact on x86.

    Args:
        path: of the ONNX file.
        threads: of its own pool.
        sizes_vary: its inputs have large and changing sizes. Planning memory ahead would then keep one plan's
            worth of it per size, which it never gives back.

    Raises:
        ModelError: onnxruntime is not installed. What it says about the file itself is for ``refusing``.
    """
    onnxruntime = _driver()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = not sizes_vary
    if _shares_memory(onnxruntime):
        options.add_session_config_entry("session.use_env_allocators", "1")
    options.log_severity_level = 4  # what is wrong is told in one line, by ModelError
    # An idle pool thread that spins would take a core from the other lanes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if platform.machine().lower() in {"x86_64", "amd64"} and saturates(_cpu_flags()):
        options.add_session_config_entry("session.x64quantprecision", "1")
    available = onnxruntime.get_available_providers()
    providers = [name for name in _PROVIDERS if name in available]
    return onnxruntime.InferenceSession(str(path), options, providers=providers)


@cache
def _shares_memory(onnxruntime: Any) -> bool:
    """Have all sessions of this process take memory from one store that grows by what is asked for.

    By itself each session has a store of its own, which doubles whenever it has to grow.
    """
    plan = onnxruntime.OrtArenaCfg({"arena_extend_strategy": 1})
    kind = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    memory = onnxruntime.OrtMemoryInfo("Cpu", kind, 0, onnxruntime.OrtMemType.DEFAULT)
    onnxruntime.create_and_register_allocator(memory, plan)
    return True


def saturates(flags: AbstractSet[str]) -> bool:
    """Whether onnxruntime's fast int8 kernels for an x86 processor with these *flags* saturate at 16 bits.

    They do unless the processor has VNNI, and cost up to ten points of accuracy; the exact ones take twice
    as long. Where a processor has AVX-512, onnxruntime takes its AVX-512 kernels, so the VNNI must be that of
    AVX-512. Arm has no such kernel.

    Args:
        flags: as in /proc/cpuinfo; none where they are not known, which counts as saturating.
    """
    return ("avx512_vnni" if "avx512f" in flags else "avx_vnni") not in flags


def _cpu_flags() -> frozenset[str]:
    """What the kernel says that every processor of this machine can do; nothing where it does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return frozenset()
    flags = [frozenset(line.partition(":")[2].split()) for line in lines if line.startswith("flags")]
    return frozenset.intersection(*flags) if flags else frozenset()


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
    # From 1.32 on onnxruntime reports to its makers unless this is set before it is imported.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError:
        raise ModelError("no ONNX runtime: install onnxruntime") from None
    return onnxruntime


class _Onnx:
    """One session; the batch goes through it whole."""

    def __init__(self, session: Any, labels: int, features: int) -> None:
        inputs = session.get_inputs()
        if len(inputs) != 1:
            raise ValueError(f"{len(inputs)} inputs, not one")
        if inputs[0].type != "tensor(float)":
            raise ValueError(f"input is {inputs[0].type}, not float")
        self._session = session
        self._input = inputs[0].name
        self._item_shape = tuple(inputs[0].shape[1:])
        shapes = {output.name: tuple(output.shape) for output in session.get_outputs()}
        self._outputs = find_outputs(shapes, labels=labels, features=features)
        self._widths = {name: int(shape[1]) for name, shape in shapes.items()}

    def __call__(self, batch: FloatArray) -> FloatArray:
        return self._run(batch, self._outputs[:1])[0]

    def both(self, batch: FloatArray) -> tuple[FloatArray, FloatArray]:
        if len(self._outputs) != 2:
            raise no_features()
        logits, features = self._run(batch, self._outputs)
        return logits, features

    def _run(self, batch: FloatArray, outputs: tuple[str, ...]) -> list[FloatArray]:
        check_batch(batch, self._item_shape)
        if not len(batch):
            return [np.empty((0, self._widths[name]), np.float32) for name in outputs]
        return [np.array(one, np.float32) for one in self._session.run(outputs, {self._input: batch})]
