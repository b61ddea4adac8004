"""The recipe of the tone model: training/voice.toml, read and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.manifest import LogMelInput
from edge.types import SettingsError
from training import recipe

DEFAULT = Path(__file__).parents[1] / "voice.toml"


@dataclass(frozen=True, slots=True)
class Net:
    """Shape of the network; see VoiceNet."""

    widths: list[int]
    dropout: float


@dataclass(frozen=True, slots=True)
class Optimiser:
    """AdamW, linear warm-up, half a cosine to zero."""

    rate: float
    weight_decay: float
    warmup: float
    ema: float


@dataclass(frozen=True, slots=True)
class Data:
    """Which share of the examples comes from where."""

    corpora: dict[str, float]
    outliers: float
    calm: float
    test: list[str]
    validation: list[str]
    outlier_test: float


@dataclass(frozen=True, slots=True)
class Augment:
    """See augment."""

    speeds: list[float]
    throat: float
    children: float
    reverb: float
    tilt_db: float
    noise: float
    quietest_noise_db: float
    loudest_noise_db: float
    scene: float
    narrow: float
    masks: int
    mask_mels: int
    mask_frames: int
    mixup: float
    smoothing: float


@dataclass(frozen=True, slots=True)
class Config:
    """training/voice.toml, where every key is explained."""

    seed: int
    epochs: int
    examples: int
    batch: int
    readings_right: float
    negative_share: float
    teacher_share: float
    net: Net
    input: LogMelInput
    optimiser: Optimiser
    data: Data
    augment: Augment


_TABLES = {"net": Net, "input": LogMelInput, "optimiser": Optimiser, "data": Data, "augment": Augment}


def load(path: Path) -> Config:
    """Read a recipe; an unknown or missing key is an error that names it.

    Raises:
        SettingsError: the file is missing, is no TOML, or its keys are not the expected ones.
    """
    return parse(recipe.read(path), str(path))


def parse(raw: dict[str, Any], origin: str) -> Config:
    """A recipe from plain tables, as TOML or a checkpoint holds them; errors as for load."""
    config = recipe.build(Config, _TABLES, raw, origin)
    if 1.0 not in config.augment.speeds:
        raise SettingsError(f"{origin}: augment.speeds must hold 1.0, the speed at which the kit listens")
    return config
