"""The recipes of the teacher's stages: training/voice-english.toml and its like, read and checked.

A stage is a set of corpora and how to learn them. What the stages share, who is kept apart above all, is
decided here: a speaker whom one stage judges is learned from in none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from edge.types import RATE_HZ, VOICE_LABELS, SettingsError
from training import recipe
from training.voice import recipes
from training.voice.corpora import Clip

STAGES = [recipes.DEFAULT.with_name(name) for name in ("voice-english.toml", "voice-indonesian.toml")]
"""The study's order: a large English corpus first, then a small Indonesian one."""


@dataclass(frozen=True, slots=True)
class Optimiser:
    """AdamW, linear warm-up, half a cosine to zero."""

    rate: float
    """Of the topmost transformer layer."""
    head_rate: float
    layer_decay: float
    """Each layer below learns at this share of the rate of the one above it."""
    weight_decay: float
    warmup: float
    clip: float


@dataclass(frozen=True, slots=True)
class Data:
    """Which share of the examples comes from where, and who is kept apart."""

    corpora: dict[str, float]
    rehearsal: float
    """Share of the examples drawn as the stages before drew them."""
    calm: float
    noise_floor_db: float
    test: list[str]
    validation: list[str]


@dataclass(frozen=True, slots=True)
class Augment:
    """See waves; mixup and smoothing as in augment."""

    speed: float
    reverb: float
    tilt_db: float
    noise: float
    quietest_noise_db: float
    loudest_noise_db: float
    mixup: float
    smoothing: float


@dataclass(frozen=True, slots=True)
class Stage:
    """training/voice-english.toml, where every key is explained."""

    name: str
    seed: int
    epochs: int
    examples: int
    batch: int
    crop_s: float
    labels: list[str]
    unfreeze: list[list[float]]
    freeze_encoder: bool
    optimiser: Optimiser
    data: Data
    augment: Augment

    @property
    def length(self) -> int:
        """Samples of a stretch."""
        return round(self.crop_s * RATE_HZ)

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return self.examples // self.batch

    def free_share(self, epoch: int) -> float:
        """Share of the transformer layers, from the top, that learn in this epoch."""
        return max((share for since, share in self.unfreeze if epoch >= since * self.epochs), default=0.0)


@dataclass(frozen=True, slots=True)
class Parts:
    """A stage's clips by what they are for; no speaker of any stage is in two of them."""

    train: list[Clip]
    validation: list[Clip]
    test: list[Clip]

    @property
    def all(self) -> list[Clip]:
        """Every clip of the stage."""
        return [*self.train, *self.validation, *self.test]


_TABLES = {"optimiser": Optimiser, "data": Data, "augment": Augment}


def load(path: Path) -> Stage:
    """Read a recipe; an unknown, missing or mistyped key is an error that names it.

    Raises:
        SettingsError: the file is missing, is no TOML, or its keys are not the expected ones.
    """
    values = recipe.read(path)
    for name, kind in _TABLES.items():
        values[name] = kind(**_checked(kind, values.get(name, {}), f"{path}: [{name}]"))
    stage = Stage(**_checked(Stage, values, f"{path}:"))
    for wrong, right in _limits(stage):
        if wrong:
            raise SettingsError(f"{path}: {right}")
    return stage


def load_all(paths: Sequence[Path]) -> list[Stage]:
    """The stages in order; they must name the same labels, because they share one head.

    Raises:
        SettingsError: as for load; names or labels do not fit together.
    """
    stages = [load(path) for path in paths]
    if len({stage.name for stage in stages}) < len(stages):
        raise SettingsError("--stages: two of them have the same name")
    if any(stage.labels != stages[0].labels for stage in stages):
        raise SettingsError("--stages: labels differ; all stages share one head, so they name the same ones")
    if any(stage.crop_s != stages[0].crop_s for stage in stages):
        raise SettingsError("--stages: crop_s differs; figures before and after a stage would not compare")
    if stages and stages[0].data.rehearsal:
        raise SettingsError(f"{paths[0]}: the first stage has nothing to rehearse; rehearsal = 0.0")
    return stages


def split(stages: Sequence[Stage], clips: Iterable[Clip]) -> list[Parts]:
    """Every stage's clips: RAVDESS' calm is only learned from, since it is no class of its own.

    Raises:
        SettingsError: a stage lacks clips to learn from or to be judged on, or names speakers who are not
            in its corpora.
    """
    known = list(clips)
    held = {name for stage in stages for name in (*stage.data.test, *stage.data.validation)}
    held |= {clip.speaker for clip in known if clip.split in {"test", "validation"}}
    return [_part(stage, known, held) for stage in stages]


def _part(stage: Stage, clips: Iterable[Clip], held: set[str]) -> Parts:
    mine = [clip for clip in clips if clip.corpus in stage.data.corpora and clip.label in stage.labels]
    named = {*stage.data.test, *stage.data.validation}
    if strangers := sorted(named - {clip.speaker for clip in mine}):
        raise SettingsError(f"stage {stage.name}: no clips of {', '.join(strangers)} in its corpora")
    plain = [clip for clip in mine if clip.kind != "calm"]
    parts = Parts(
        [clip for clip in mine if clip.speaker not in held],
        [clip for clip in plain if clip.speaker in stage.data.validation or clip.split == "validation"],
        [clip for clip in plain if clip.speaker in stage.data.test or clip.split == "test"],
    )
    if not parts.test:
        raise SettingsError(f"stage {stage.name}: nobody to be judged on; data.test names speakers")
    if twice := {clip.speaker for clip in parts.test} & {clip.speaker for clip in parts.validation}:
        raise SettingsError(f"stage {stage.name}: {twice.pop()} is in test and validation")
    learned = {clip.corpus for clip in parts.train}
    if missing := sorted(stage.data.corpora.keys() - learned):
        raise SettingsError(f"stage {stage.name}: nobody to learn from in {', '.join(missing)}")
    return parts


def present(labels: Sequence[str], clips: Iterable[Clip]) -> list[str]:
    """The labels that occur, in order."""
    found = {clip.label for clip in clips}
    return [label for label in labels if label in found]


def _checked(kind: type, table: dict[str, Any], where: str) -> dict[str, Any]:
    """*table* with whole numbers where fractions are wanted turned into such."""
    if wrong := sorted({field.name for field in fields(kind)} ^ table.keys()):
        raise SettingsError(f"{where} unknown or missing: {', '.join(wrong)}")
    hints = get_type_hints(kind)
    for name, value in table.items():
        wanted = get_origin(hints[name]) or hints[name]
        if wanted is float and type(value) is int:
            table = {**table, name: float(value)}
        elif type(value) is not wanted:
            raise SettingsError(f"{where} {name} = {value!r} is no {wanted.__name__}")
    return table


def _limits(stage: Stage) -> list[tuple[bool, str]]:
    """What must not be, and how to say so."""
    ordered = [label for label in VOICE_LABELS if label in stage.labels]
    pairs = all(
        isinstance(pair, list)
        and list(map(type, pair)) == [float, float]
        and max(pair) <= 1
        and min(pair) >= 0
        for pair in stage.unfreeze
    )
    shares = list(stage.data.corpora.values())
    return [
        (not stage.name.isidentifier(), "name must be a word"),
        (min(stage.epochs, stage.batch) < 1, "epochs and batch must be at least 1"),
        (stage.examples < stage.batch, "examples must be at least one batch"),
        (stage.seed < 0, "seed must not be below 0"),
        (not 0.5 <= stage.crop_s <= 20, "crop_s must be 0.5 to 20"),
        (
            len(stage.labels) < 2 or stage.labels != ordered,
            f"labels must be some of {', '.join(VOICE_LABELS)}, in this order",
        ),
        (not pairs, "unfreeze wants pairs: share of the epochs done, share of the layers that learn"),
        (not 0 <= stage.data.rehearsal < 1, "data.rehearsal must be 0 to below 1"),
        (not 0 < stage.optimiser.layer_decay <= 1, "optimiser.layer_decay must be above 0, at most 1"),
        (not 0 <= stage.optimiser.warmup < 1, "optimiser.warmup must be 0 to below 1"),
        (
            not shares or any(type(share) not in {int, float} or share <= 0 for share in shares),
            "data.corpora need shares above 0",
        ),
        (not stage.data.test, "data.test must name speakers: a stage is judged on people it never heard"),
        (
            bool({*stage.data.test} & {*stage.data.validation}),
            "a speaker is in data.test and data.validation",
        ),
        (not 0 <= stage.augment.speed < 0.5, "augment.speed must be 0 to below 0.5"),
        (stage.augment.mixup < 0, "augment.mixup must not be below 0"),
    ]
