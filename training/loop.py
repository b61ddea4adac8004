"""What every training loop here does in the same way: the rate's course, averaged weights, checkpoints."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import nn


def schedule(done: float, warmup: float) -> float:
    """Share of the peak rate after this share of all steps: a linear warm-up, then half a cosine to zero."""
    if done < warmup:
        return 0.02 + 0.98 * done / warmup
    return 0.5 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))


def follow(average: nn.Module, learner: nn.Module, decay: float) -> None:
    """Move the averaged weights and batch statistics a little towards the learner's."""
    with torch.no_grad():
        for mean, new in zip(average.state_dict().values(), learner.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(new, 1 - decay)


def save(state: dict[str, Any], path: Path) -> None:
    """Write a checkpoint whole or not at all: a kill in between leaves the previous file."""
    torch.save(state, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)
