"""The student in the speech study's order, English first and then Indonesian, beside all languages at once.

Each stage begins with what the stage before learned. All orders are judged on the recipe's own test speakers,
in full precision, after every stage: what a stage brings to one corpus and costs in another is a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edge.types import VOICE_LABELS, SettingsError
from training import metrics, recipe
from training.metrics import IntArray
from training.pages import Section
from training.voice import corpora, crossvalidation, hearing, recipes
from training.voice.corpora import Clip
from training.voice.recipes import Config

DEFAULT = recipes.DEFAULT.with_name("voice_order.toml")
DIGITS = 4


@dataclass(frozen=True, slots=True)
class Place:
    """Where things lie."""

    data: Path
    """Folder of the corpora."""
    cache: Path
    run: Path
    """Every stage's run folder is in here."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One training within an order."""

    name: str
    epochs: int
    corpora: dict[str, float]


@dataclass(frozen=True, slots=True)
class Order:
    """Stages, each of which begins where the one before ended."""

    name: str
    stages: list[Stage]


def load(path: Path) -> list[Order]:
    """Read the orders.

    Raises:
        SettingsError: the file is missing, is no TOML, or its keys are not the expected ones.
    """
    raw = recipe.read(path)
    if set(raw) != {"orders"} or not raw["orders"]:
        raise SettingsError(f"{path}: wants [[orders]] and nothing else")
    orders = []
    for one in raw["orders"]:
        stages = [
            recipe.build(Stage, {}, stage, f"{path}: stages of {one.get('name')}")
            for stage in one.get("stages", ())
        ]
        orders.append(recipe.build(Order, {}, {**one, "stages": stages}, f"{path}: orders"))
        if not stages or any(stage.epochs < 1 or not stage.corpora for stage in stages):
            raise SettingsError(f"{path}: {one.get('name')}: wants stages with epochs and corpora")
    return orders


def compare(
    orders: Sequence[Order],
    config: Config,
    clips: Sequence[Clip],
    place: Place,
    *,
    quiet: bool = False,
) -> dict[str, Any]:
    """Train every order, or go on, and judge it after each stage.

    Returns:
        Unweighted average recall of each corpus' test speakers with 95 % intervals over speakers, by order
        and stage.

    Raises:
        SettingsError: the data lacks a stage's corpus, or a run folder was begun with another recipe.
    """
    from training.voice import train  # noqa: PLC0415  torch takes seconds to import

    judged = [c for c in corpora.split(clips, config).test if c.label is not None and c.kind != "calm"]
    heard = hearing.hear_all(judged, place.data, place.cache, quiet=quiet)
    corpus = corpora.load(clips, place.data, config, place.cache, quiet=quiet)
    known = {clip.corpus for clip in clips}
    found: dict[str, Any] = {}
    for number, order in enumerate(orders, 1):
        net = None
        for step, stage in enumerate(order.stages, 1):
            if unknown := sorted(set(stage.corpora) - known):
                raise SettingsError(f"{stage.name}: the data holds no corpus named {unknown[0]}")
            mine = replace(config, epochs=stage.epochs, data=replace(config.data, corpora=stage.corpora))
            parts = corpora.split(clips, mine)
            folder = place.run / f"{number}-{step}"
            learned, watched = corpus.select(parts.train), corpus.select(parts.validation)
            net = train.train(mine, learned, watched, folder, start=net, quiet=quiet)
            answers = crossvalidation.read_all(net, mine.input, [heard[clip] for clip in judged])
            found.setdefault(order.name, {})[stage.name] = {
                "epochs": stage.epochs,
                "examples": stage.epochs * config.examples,
                "heard": sorted(stage.corpora),
                "recall": _recalls(judged, np.asarray(answers.argmax(1), np.int64)),
            }
    return {"orders": found, "clips": len(judged)}


def _recalls(clips: Sequence[Clip], predicted: IntArray) -> dict[str, Any]:
    truth = np.array([VOICE_LABELS.index(clip.label or "") for clip in clips], np.int64)
    found = {}
    for name in sorted({clip.corpus for clip in clips}):
        rows = np.array([row for row, clip in enumerate(clips) if clip.corpus == name])
        people = np.unique([clips[row].speaker for row in rows], return_inverse=True)[1]
        pair = truth[rows], predicted[rows], len(VOICE_LABELS)
        ends = metrics.interval(metrics.average_recall, *pair, groups=np.asarray(people, np.int64))
        found[name] = {
            "uar": round(metrics.average_recall(metrics.confusion(*pair)), DIGITS),
            "uar_interval": [round(end, DIGITS) for end in ends],
        }
    return found


def sections(found: Mapping[str, Any]) -> list[Section]:
    """One table."""
    stages = [
        (order, name, stage) for order, parts in found["orders"].items() for name, stage in parts.items()
    ]
    corpora = list(stages[0][2]["recall"])
    rows = [
        (
            f"{order}: after {name}",
            f"{stage['examples']:,}",
            *(_spread(stage["recall"][one]) for one in corpora),
        )
        for order, name, stage in stages
    ]
    text = (
        f"Unweighted average recall on {found['clips']} clips of the recipe's test speakers, float, 95 % "
        "intervals over speakers. Few epochs: the rows compare with each other, not with the shipped model."
    )
    return [Section("Order of languages", text, ("order and stage", "examples", *corpora), rows)]


def _spread(one: Mapping[str, Any]) -> str:
    low, high = one["uar_interval"]
    return f"{100 * one['uar']:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
