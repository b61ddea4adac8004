"""models/<name>/model.toml: what a model is, what it wants to eat, and which bytes it consists of.

The manifest is the seam between workshop and kit: training and conversion write it, the kit believes
nothing else. A file whose sha256 differs is refused.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.types import FloatArray, ModelError, Scores
from edge.words import NEGATIVE

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TASKS = ("expression", "tone")
MOST_FEATURES = 128
"""What a kit may learn from has to stay small enough for one."""


@dataclass(frozen=True, slots=True)
class ImageInput:
    """What an expression model eats: N x height x width x channels float32, (grey / 255 - mean) / std.

    With *least_std* above 0, mean and std are each face's own, the latter at least *least_std*, and the
    fields mean and std are not used: a face looks the same to the model in the shade and in the sun.
    """

    height: int
    width: int
    channels: int
    mean: float
    std: float
    margin: float
    """Added on every side of the detector's box before the crop, as a fraction of the box's longer side."""
    least_std: float = 0.0
    """Of white being 1. What varies less than this is noise, and is not blown up to look like a face."""


@dataclass(frozen=True, slots=True)
class LogMelInput:
    """What a tone model eats: N x frames x mels x 1 float32 log-mel energies; see preprocess.log_mel."""

    rate_hz: int
    mels: int
    fft: int
    """Points of the Fourier transform."""
    window_s: float
    hop_s: float
    duration_s: float
    """Length of the stretch that one reading looks at; shorter is padded, longer is cut into stretches."""
    low_hz: float
    high_hz: float
    floor_db: float
    """Energies this far below the stretch's loudest are raised to it: recording noise tells nothing."""
    mean: float
    std: float

    @property
    def frames(self) -> int:
        """Number of log-mel frames in one stretch."""
        return 1 + round((self.duration_s - self.window_s) / self.hop_s)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One weights file of a model."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """A model folder, read and checked."""

    name: str
    version: str
    task: str
    labels: tuple[str, ...]
    temperature: float
    """Logits are divided by it before the softmax."""
    uncertain_below: float
    """Calibrated probability under which nothing is claimed."""
    input: ImageInput | LogMelInput
    files: Mapping[str, ModelFile]
    """By runtime: ``tflite``, ``onnx``."""
    metrics: Mapping[str, Any]
    folder: Path
    negative_below: float = 0.0
    """The same for NEGATIVE labels, where that is more; from negative_below, which may be missing."""
    features: int = 0
    """Numbers in the files' second output, from [outputs]; 0 where they have none."""

    @property
    def id(self) -> str:
        """``name@version``, as it stands in Scores and in the info topic."""
        return f"{self.name}@{self.version}"

    def claims(self, label: str, probability: float) -> bool:
        """Whether a reading is sure enough to be claimed; below that it is ``uncertain``."""
        below = self.uncertain_below
        return probability >= (max(below, self.negative_below) if label in NEGATIVE else below)

    def calibrate(self, logits: FloatArray, offsets: Sequence[float] = ()) -> list[Scores]:
        """Softmax at the model's temperature.

        Args:
            logits: N x labels, as a runtime returns them.
            offsets: one per label, what a kit learned (edge.practice.adapt); added after the temperature.

        Returns:
            One Scores per row; a row that is not finite says nothing, so it is spread evenly.
        """
        scaled = np.asarray(logits, np.float64) / self.temperature
        if len(offsets):
            scaled = scaled + np.asarray(offsets, np.float64)
        scaled = np.where(np.isfinite(scaled).all(axis=1, keepdims=True), scaled, 0.0)
        powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        rows = powers / powers.sum(axis=1, keepdims=True)
        return [Scores(self.labels, tuple(row.tolist()), self.id) for row in rows]


def load(folder: Path) -> Manifest:
    """Read ``folder/model.toml`` and check every file it names.

    Raises:
        ModelError: the folder, a field or a file is missing, of the wrong type, or altered.
    """
    path = folder / "model.toml"
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{folder}: no model.toml, so this is not a model folder") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelError(f"{path}: {error}") from error
    try:
        return _manifest(table, folder)
    except KeyError as error:
        raise ModelError(f"{path}: {error.args[0]} is missing") from error
    except (TypeError, ValueError) as error:
        raise ModelError(f"{path}: {error}") from error


def _manifest(table: Mapping[str, Any], folder: Path) -> Manifest:
    manifest = Manifest(
        name=str(table["name"]),
        version=str(table["version"]),
        task=str(table["task"]),
        labels=tuple(str(label) for label in table["labels"]),
        temperature=float(table["temperature"]),
        uncertain_below=float(table["uncertain_below"]),
        negative_below=float(table.get("negative_below", 0.0)),
        input=_input(table["input"]),
        files={
            runtime: ModelFile(folder / str(file["path"]), str(file["sha256"]))
            for runtime, file in table["files"].items()
        },
        metrics=table.get("metrics", {}),
        folder=folder,
        features=_features(table["outputs"]) if "outputs" in table else 0,
    )
    if manifest.task not in TASKS:
        raise ValueError(f"task {manifest.task!r} is none of {', '.join(TASKS)}")
    if manifest.temperature <= 0:
        raise ValueError("temperature must be above 0")
    if len(manifest.labels) < 2 or len(set(manifest.labels)) != len(manifest.labels):
        raise ValueError("labels must be two or more, all different")
    if not manifest.files:
        raise ValueError("no weights file is named")
    for file in manifest.files.values():
        check_sha256(file.path, file.sha256)
    return manifest


def _input(table: Mapping[str, Any]) -> ImageInput | LogMelInput:
    fields = {key: value for key, value in table.items() if key != "kind"}
    if table["kind"] == "image":
        return ImageInput(**fields)
    if table["kind"] == "log-mel":
        return LogMelInput(**fields)
    raise ValueError(f"input kind {table['kind']!r} is none of image, log-mel")


def _features(outputs: Mapping[str, Any]) -> int:
    if not isinstance(outputs, Mapping):
        raise TypeError("outputs must be a table")
    width = outputs["features"]
    for key in outputs:
        if key != "features":
            raise ValueError(f"outputs.{key} is not known")
    if type(width) is not int or not 1 <= width <= MOST_FEATURES:
        raise ValueError(f"outputs.features must be a whole number from 1 to {MOST_FEATURES}, not {width!r}")
    return width


def check_sha256(path: Path, expected: str) -> None:
    """Raise ModelError unless the file's sha256 (hex) is *expected*."""
    try:
        actual = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}") from error
    if actual != expected:
        raise ModelError(f"{path}: altered or torn (sha256 {actual[:12]}…, expected {expected[:12]}…)")
