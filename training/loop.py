"""What every training loop here does in the same way: the rate's course, averaged weights, checkpoints."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


def schedule(done: float, warmup: float) -> float:
    """Share of the peak rate after this share of all steps: a linear warm-up, then half a cosine to zero."""
    if done < warmup:
        return 0.02 + 0.98 * done / warmup
    return 0.5 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))


def follow(average: nn.Module, learner: nn.Module, decay: float) -> None:
    """Move the averaged weights and batch statistics a little towards the learner's."""
    pairs = zip(average.state_dict().values(), learner.state_dict().values(), strict=True)
    means, news = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
    # All tensors in one call, or a GPU would wait for a hundred small ones.
    get_ema_multi_avg_fn(decay)(list(means), list(news), None)  # type: ignore[no-untyped-call]


def save(state: dict[str, Any], path: Path) -> None:
    """Write a checkpoint whole or not at all: a kill in between leaves the previous file."""
    torch.save(state, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)
