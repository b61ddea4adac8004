"""One network from several: the mean of their weights (Izmailov et al. 2018, Wortsman et al. 2022).

Runs that began with each other's weights lie in one valley of the loss. The mean of them answers about as
their ensemble would, in the time of one; whether that is better than the best of them is to be measured.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from edge.types import SettingsError
from training.face.train import FINAL
from training.loop import save


def average(runs: Sequence[Path], out: Path) -> None:
    """Write a finished run whose weights and batch statistics are the mean of others'.

    Args:
        runs: run folders of networks of one shape, finished.
        out: the run folder to make; gets ``final.pt`` only, for it cost nothing.

    Raises:
        SettingsError: a run is not finished or has another shape, or *out* is there already.
    """
    if out.exists():
        raise SettingsError(f"{out}: is there already")
    states = [_final(run) for run in runs]
    for run, state in zip(runs, states, strict=True):
        if _shape(state) != _shape(states[0]):
            raise SettingsError(f"{run}: not a network like that of {runs[0]}; there is no mean of them")
    nets = [state["net"] for state in states]
    mean = {
        name: torch.stack([net[name] for net in nets]).mean(0) if value.is_floating_point() else value
        for name, value in nets[0].items()
    }
    out.mkdir(parents=True)
    save(states[0] | {"net": mean}, out / FINAL)


def _final(run: Path) -> dict[str, Any]:
    if not (run / FINAL).exists():
        raise SettingsError(f"{run}: holds no finished network")
    found: dict[str, Any] = torch.load(run / FINAL, map_location="cpu", weights_only=True)
    return found


def _shape(state: dict[str, Any]) -> tuple[Any, ...]:
    sizes = {name: value.shape for name, value in state["net"].items()}
    return sizes, state["labels"], json.loads(state["config"])["input"]
