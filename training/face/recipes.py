"""The recipe of the expression model: training/face.toml, read and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.manifest import ImageInput
from training import recipe
from training.face.augment import Augment

DEFAULT = Path(__file__).parents[1] / "face.toml"
"""What models/face-expression took."""


@dataclass(frozen=True, slots=True)
class Net:
    """Shape of the network; see FaceNet."""

    widths: list[int]
    blocks: list[int]
    stem: str
    shrink: str
    plain: bool
    ends: str
    squeeze: int
    features: int
    dropout: float


@dataclass(frozen=True, slots=True)
class Pretrained:
    """Shape of a teacher that has seen other faces before; see pretrained.MobileNet."""

    side: int
    frozen: int
    dropout: float
    fade: float
    """Rate of each convolution as a share of the next one's: what saw most faces changes least."""


@dataclass(frozen=True, slots=True)
class Optimiser:
    """Linear warm-up, half a cosine to zero: SGD with Nesterov momentum, or AdamW for a Pretrained."""

    rate: float
    momentum: float
    weight_decay: float
    warmup: float
    ema: float


@dataclass(frozen=True, slots=True)
class Target:
    """What is learned; see fer2013.targets."""

    votes: float
    votes_head: float
    balance: float


@dataclass(frozen=True, slots=True)
class Distil:
    """Learning from what other networks answer (Hinton et al. 2015)."""

    teachers: list[str]
    """Run folders or model folders, for folds recipes. Their probabilities are averaged."""
    mirrored: bool
    """Each answers for the mirror image too."""
    share: float
    temperature: float


@dataclass(frozen=True, slots=True)
class Config:
    """training/face.toml, where every key is explained."""

    start: str
    """Folder of the run or of the pretrained weights that it begins with; empty for random ones."""
    seed: int
    epochs: int
    batch: int
    net: Net | Pretrained
    input: ImageInput
    optimiser: Optimiser
    target: Target
    distil: Distil
    augment: Augment


_TABLES: dict[str, type[Any]] = {
    "net": Net,
    "input": ImageInput,
    "optimiser": Optimiser,
    "target": Target,
    "distil": Distil,
    "augment": Augment,
}


def load(path: Path) -> Config:
    """Read a recipe; an unknown or missing key is an error that names it.

    Raises:
        SettingsError: the file is missing, is no TOML, or its keys are not the expected ones.
    """
    return parse(recipe.read(path), str(path))


def run_folder(recipe: Path) -> Path:
    """Where a recipe's run lies by default, and where other recipes look for it: ``runs/face-large-2``."""
    return Path("runs") / recipe.stem.replace("_", "-")


def parse(raw: dict[str, Any], origin: str) -> Config:
    """A recipe from plain tables, as TOML or a checkpoint holds them; errors as for load."""
    pretrained = "frozen" in raw.get("net", {})
    return recipe.build(Config, _TABLES | ({"net": Pretrained} if pretrained else {}), raw, origin)
