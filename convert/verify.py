"""Parity: what the files answer through the kit's own runtimes, beside what the float network answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from tqdm import tqdm

from convert.confidence import probabilities
from convert.export import features_width
from edge.manifest import Manifest
from edge.runtimes import load
from edge.types import FloatArray, ModelError
from training.metrics import calibration_error

MOST_LOST = 0.01
"""Accuracy that quantisation may cost; more than one point is refused."""
TARGET_LOST = 0.003
"""Accuracy that it should cost at most."""
MOST_MISCALIBRATED = 0.02
"""By which the expected calibration error may rise."""
LEAST_ALIKE = 0.98
"""Mean cosine of the features with the float network's: what a kit learns must not hang on the file."""
BATCH = 64


@dataclass(frozen=True, slots=True)
class Answers:
    """What one file, or the network itself, says of N inputs."""

    logits: FloatArray
    """N x labels."""
    features: FloatArray | None
    """N x features, where the model has them."""


@dataclass(frozen=True, slots=True)
class Parity:
    """One file beside the network it was made from, on the same inputs."""

    file: str
    accuracy: float
    accuracy_torch: float
    agreement: float
    """Share of inputs with the same best label."""
    largest_difference: float
    """Of any logit."""
    ece: float
    """Expected calibration error at the model's temperature."""
    ece_torch: float
    features_alike: float | None
    """Mean cosine of the features with the network's; None where the model has none."""
    features_least_alike: float | None

    @property
    def lost(self) -> float:
        """Accuracy that the conversion cost."""
        return self.accuracy_torch - self.accuracy

    def __str__(self) -> str:
        alike = "" if self.features_alike is None else f", features alike {self.features_alike:.4f}"
        return (
            f"{self.file}: accuracy {self.accuracy:.4f} (torch {self.accuracy_torch:.4f}), "
            f"same answer {self.agreement:.4f}, largest logit difference {self.largest_difference:.3f}, "
            f"calibration error {self.ece:.4f} (torch {self.ece_torch:.4f}){alike}"
        )


def ask_network(net: nn.Module, inputs: FloatArray, batch: int = 4 * BATCH) -> Answers:
    """Let the float network answer N x height x width x channels inputs."""
    net.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(inputs), batch):
            x = torch.from_numpy(inputs[start : start + batch]).permute(0, 3, 1, 2)
            parts.append(net.both(x) if features_width(net) else (net(x),))  # type: ignore[operator]
    logits, *features = (
        np.concatenate([one.numpy() for one in column]) for column in zip(*parts, strict=True)
    )
    return Answers(logits, features[0] if features else None)


def ask_file(model: Manifest, runtime: str, inputs: FloatArray, *, quiet: bool = True) -> Answers:
    """Let one file of *model* answer, through the kit's runtime; arguments as for ask_network.

    Raises:
        ModelError: the file does not load or does not fit model.toml.
    """
    run = load(model, runtime)
    starts = tqdm(range(0, len(inputs), BATCH), desc=runtime, unit="batch", disable=quiet, leave=False)
    batches = (inputs[start : start + BATCH] for start in starts)
    if not model.features:
        return Answers(np.concatenate([run(batch) for batch in batches]), None)
    logits, features = zip(*(run.both(batch) for batch in batches), strict=True)
    return Answers(np.concatenate(logits), np.concatenate(features))


def compare(
    file: str, actual: Answers, expected: Answers, truth: npt.NDArray[np.int64], temperature: float
) -> Parity:
    """Hold a file's answers against those of the network it was made from.

    Args:
        file: what to call it.
        actual: the file's answers.
        expected: the network's, to the same inputs.
        truth: index into the labels, N.
        temperature: the model's; the calibration error of both is taken at it.

    Raises:
        ModelError: one of the two gives features and the other does not, or as many others.
    """
    widths = [0 if one.features is None else one.features.shape[1] for one in (actual, expected)]
    if widths[0] != widths[1]:
        raise ModelError(f"the {file} file gives {widths[0]} features, the network {widths[1]}")
    alike = None
    if actual.features is not None and expected.features is not None:
        alike = cosines(actual.features, expected.features)
    best, wanted = actual.logits.argmax(1), expected.logits.argmax(1)
    return Parity(
        file=file,
        accuracy=float((best == truth).mean()),
        accuracy_torch=float((wanted == truth).mean()),
        agreement=float((best == wanted).mean()),
        largest_difference=float(np.abs(actual.logits - expected.logits).max()),
        ece=calibration_error(probabilities(actual.logits, temperature), truth),
        ece_torch=calibration_error(probabilities(expected.logits, temperature), truth),
        features_alike=None if alike is None else float(alike.mean()),
        features_least_alike=None if alike is None else float(alike.min()),
    )


def cosines(some: FloatArray, others: FloatArray) -> npt.NDArray[np.float64]:
    """Cosine of each row with the other's row, N; 1 where both are zero, 0 where one is."""
    some, others = some.astype(np.float64), others.astype(np.float64)
    lengths = np.linalg.norm(some, axis=1), np.linalg.norm(others, axis=1)
    product = lengths[0] * lengths[1]
    both_zero = (lengths[0] == 0) & (lengths[1] == 0)
    return np.where(both_zero, 1.0, (some * others).sum(1) / np.where(product == 0, 1.0, product))


def refuse_loss(found: Iterable[Parity]) -> None:
    """Raise ModelError for the first file that lost more than it may: accuracy, calibration or features."""
    for parity in found:
        if parity.lost > MOST_LOST:
            raise ModelError(
                f"refused: the {parity.file} file lost {100 * parity.lost:.1f} points of accuracy "
                f"({100 * parity.accuracy_torch:.1f} to {100 * parity.accuracy:.1f} %); "
                f"{100 * MOST_LOST:.1f} is allowed"
            )
        if parity.ece - parity.ece_torch > MOST_MISCALIBRATED:
            raise ModelError(
                f"refused: the {parity.file} file's calibration error rose from {100 * parity.ece_torch:.1f} "
                f"to {100 * parity.ece:.1f} %; {100 * MOST_MISCALIBRATED:.0f} points are allowed"
            )
        if parity.features_alike is not None and parity.features_alike < LEAST_ALIKE:
            raise ModelError(
                f"refused: the {parity.file} file's features are only {parity.features_alike:.3f} alike "
                f"(mean cosine); {LEAST_ALIKE} is the least allowed"
            )
