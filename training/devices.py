"""Where a training runs: this machine's CPU, one GPU, or one of several processes that torchrun started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed

from edge.types import SettingsError


@dataclass(frozen=True, slots=True)
class Device:
    """One process's place."""

    device: torch.device
    rank: int = 0
    """Which of the processes this is; the first one keeps the log and the checkpoints."""
    world: int = 1
    """How many processes there are."""

    @property
    def precision(self) -> torch.dtype | None:
        """What multiplications run in beside float32, or None where that would not be faster."""
        if self.device.type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        # bfloat16 halves the time of an epoch where the processor multiplies it natively.
        native = torch.ops.mkldnn._is_mkldnn_bf16_supported()  # noqa: SLF001  no public question exists
        return torch.bfloat16 if native else None

    def autocast(self) -> torch.autocast:
        """The context in which a network's layers use ``precision``."""
        kind = self.precision
        return torch.autocast(self.device.type, kind or torch.bfloat16, enabled=kind is not None)

    def meet(self) -> None:
        """Wait until every process has come here."""
        if self.world > 1:
            distributed.barrier()

    def __str__(self) -> str:
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "CPU"
        return f"{self.world} x {name}" if self.world > 1 else name


@contextmanager
def choose(name: str) -> Iterator[Device]:
    """The device that was asked for, within torchrun's process group where there is one.

    Args:
        name: ``auto`` (a GPU where there is one), ``cpu``, ``cuda``, ``cuda:1``.

    Raises:
        SettingsError: there is no such device.
    """
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(f"--device {name}: {str(error).splitlines()[0]}") from None
    if world > 1:
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Device(device, rank, world)
    finally:
        if world > 1:
            distributed.destroy_process_group()
