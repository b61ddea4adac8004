"""What training hands to conversion: a network, and what it takes to convert and judge it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edge.manifest import ImageInput, LogMelInput
from edge.types import FloatArray

if TYPE_CHECKING:  # looking at data needs no torch, whose import takes seconds
    from torch import nn


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trained network that may become a model folder. Nothing in it knows faces from voices.

    Each task offers one by ``training.<task>.candidate(run: Path, data: Path) -> Candidate``.
    """

    name: str
    """Of the model folder's model.toml: ``face-expression``."""
    task: str
    """``expression`` or ``tone``."""
    labels: tuple[str, ...]
    net: nn.Module
    """In evaluation mode; N x channels x height x width float32 in, N x labels logits out."""
    input: ImageInput | LogMelInput
    calibration: FloatArray
    """A few hundred inputs from the training data, N x height x width x channels, as edge.preprocess makes
    them: the int8 ranges are taken from these."""
    inputs: FloatArray
    """Validation inputs, same layout, that neither trained the network nor judge it at the end."""
    truth: npt.NDArray[np.int64]
    """Index into labels of each validation input."""
    readings_right: float = 0.75
    """Share of the readings that must be right for one to be claimed; sets uncertain_below."""
    unmoved: FloatArray | None = None
    """Inputs without emotion that neither trained the network nor judge it: these set negative_below."""
    negative_share: float = 0.005
    """Share of ``unmoved`` that may be claimed as one of edge.words.NEGATIVE."""
