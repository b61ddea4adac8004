"""Parity: what the shipped files answer through the kit's own runtimes, beside what torch answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from edge.manifest import Manifest
from edge.runtimes import load
from edge.types import FloatArray, ModelError

MOST_LOST = 0.01
"""Accuracy that quantisation may cost; more than one point is refused."""


@dataclass(frozen=True, slots=True)
class Parity:
    """One file beside the network it was made from, on the same inputs."""

    runtime: str
    accuracy: float
    accuracy_torch: float
    agreement: float
    """Share of inputs with the same best label."""
    largest_difference: float
    """Of any logit."""

    @property
    def lost(self) -> float:
        """Accuracy that the conversion cost."""
        return self.accuracy_torch - self.accuracy

    def __str__(self) -> str:
        return (
            f"{self.runtime}: accuracy {self.accuracy:.4f} (torch {self.accuracy_torch:.4f}), "
            f"same answer {self.agreement:.4f}, largest logit difference {self.largest_difference:.3f}"
        )


def torch_logits(net: nn.Module, inputs: FloatArray, batch: int = 256) -> FloatArray:
    """Logits of N x height x width x channels inputs from the float network, N x labels."""
    net.eval()
    with torch.inference_mode():
        parts = [
            net(torch.from_numpy(inputs[start : start + batch]).permute(0, 3, 1, 2)).numpy()
            for start in range(0, len(inputs), batch)
        ]
    return np.asarray(np.concatenate(parts), np.float32)


def compare(
    model: Manifest, net: nn.Module, inputs: FloatArray, truth: npt.NDArray[np.int64]
) -> tuple[list[Parity], dict[str, FloatArray]]:
    """Run every file of *model* through its edge runtime and hold it against *net*.

    Args:
        model: a model folder.
        net: the float network, N x channels x height x width in.
        inputs: N x height x width x channels.
        truth: index into the labels, N.

    Returns:
        One Parity per file, and each runtime's logits.
    """
    expected = torch_logits(net, inputs)
    found, logits = [], {}
    for name in model.files:
        actual = load(model, name)(inputs)
        logits[name] = actual
        found.append(
            Parity(
                runtime=name,
                accuracy=float((actual.argmax(1) == truth).mean()),
                accuracy_torch=float((expected.argmax(1) == truth).mean()),
                agreement=float((actual.argmax(1) == expected.argmax(1)).mean()),
                largest_difference=float(np.abs(actual - expected).max()),
            )
        )
    return found, logits


def refuse_loss(found: list[Parity]) -> None:
    """Raise ModelError where conversion cost more than MOST_LOST."""
    for parity in found:
        if parity.lost > MOST_LOST:
            raise ModelError(
                f"refused: the {parity.runtime} file lost {100 * parity.lost:.1f} points of accuracy "
                f"({100 * parity.accuracy_torch:.1f} to {100 * parity.accuracy:.1f} %); 1.0 is allowed"
            )
