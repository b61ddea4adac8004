"""Evaluation of the shipped expression model: its int8 files, through the kit's own runtimes.

The headline is one plain pass, no mirroring and no averaging, because that is what a kit does. Everything
else stands beside it: other ways to count, other labels, and the same faces under worse conditions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from edge import manifest, runtimes
from edge.manifest import ImageInput, Manifest
from edge.types import ModelError
from training import cost, metrics
from training.face import fer2013, views
from training.face.fer2013 import Faces
from training.face.reading import Reader, Reading
from training.face.robustness import CONDITIONS, Condition
from training.face.views import DIGITS

WORST = 3
"""So many of the worst conditions are shown label by label."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured, and what it was measured on."""

    model: Manifest
    table: dict[str, Any]
    """Fractions, ready for JSON and for [metrics]. The figures at the top are those of the format that a
    kit prefers; ``formats`` holds every file's own."""
    reading: Reading
    """The plain pass of that format."""
    splits: dict[str, Faces]


def evaluate(
    folder: Path,
    data: Path,
    split: str,
    *,
    runs: Sequence[Path] = (),
    quick: bool = False,
    quiet: bool = False,
) -> Evaluation:
    """Figures of the model in *folder* on one split.

    Args:
        folder: a model folder.
        data: of FER-2013.
        split: ``public`` while still choosing, ``private`` once per shipped model.
        runs: folders of the runs that made the model, for what they cost.
        quick: leave the robustness table out; small faces stay.
        quiet: no progress bar.

    Raises:
        ModelError: no intact expression model.
        SettingsError: a run does not say what it cost.
        SourceError: no data.
    """
    model = manifest.load(folder)
    if not isinstance(model.input, ImageInput):
        raise ModelError(f"{folder}: reads {model.task}, not expressions")
    spent = [cost.load(run) for run in runs]
    splits = fer2013.load(data)
    faces = splits[split]
    names = [name for name in runtimes.PREFERENCE if name in model.files]
    chosen = [one for one in CONDITIONS if not quick or one.family == "size"]
    with tqdm(total=len(faces) * (len(names) + 1 + len(chosen)), unit="face", disable=quiet) as bar:
        readers = {name: Reader(model, name, bar) for name in names}
        readings = {name: Reading(faces.labels, read(faces.images, name)) for name, read in readers.items()}
        best, read = readings[names[0]], readers[names[0]]
        mirrored = read(np.ascontiguousarray(faces.images[:, :, ::-1]), "mirrored")
        hard = {one: Reading(faces.labels, read(one.apply(faces.images), one.text)) for one in chosen}
    table: dict[str, Any] = {
        "command": f"python -m training face evaluate --model {folder} --data {data} --split {split}",
        "split": split,
        "images": len(faces),
        "parameters": count_parameters(model),
        **views.headline(best, model),
        "confusion": dict(zip(model.labels, best.matrix.tolist(), strict=True)),
        **_without_twins(best, splits, split),
        "with_mirror": views.quality(Reading(best.truth, (best.probs + mirrored) / 2)),
        "ferplus_majority": views.ferplus_majority(best, faces, model.labels),
        "three_classes": views.three_classes(best, model.labels),
        "formats": {name: _file_figures(model, name, reading) for name, reading in readings.items()},
        "per_class": views.per_class(best, model.labels),
        **robustness(hard, model.labels, whole=not quick),
    }
    if spent:
        table["training"] = cost.summarise(spent)
    elif "training" in model.metrics:  # packaging a new model empties its figures, so these are still its own
        table["training"] = model.metrics["training"]
    return Evaluation(model, table, best, splits)


def robustness(hard: dict[Condition, Reading], labels: Sequence[str], *, whole: bool) -> dict[str, Any]:
    """Accuracy under each condition; of the worst ones also the recall of each label.

    Args:
        hard: the answers under each condition.
        labels: of the model.
        whole: False gives the sizes only.
    """
    exact = {one: metrics.accuracy(reading.matrix) for one, reading in hard.items()}
    found = {one.key: round(value, DIGITS) for one, value in exact.items()}
    sizes = {
        one.key.removeprefix("side_").removesuffix("_px"): found[one.key]
        for one in hard
        if one.family == "size"
    }
    if not whole:
        return {"accuracy_by_side_px": sizes}
    parts = {one.key: views.part(reading, slice(None)) for one, reading in hard.items()}
    worst = sorted(hard, key=lambda one: exact[one])[:WORST]
    return {
        "accuracy_by_side_px": sizes,
        "robustness_mean": round(float(np.mean(list(exact.values()))), DIGITS),
        "robustness": found,
        "robustness_interval": {key: one["accuracy_interval"] for key, one in parts.items()},
        "robustness_worst": {one.key: _recalls(hard[one], labels) for one in worst},
    }


def count_parameters(model: Manifest) -> int:
    """Weights and biases in the shipped ONNX file, batch normalisation already folded in."""
    import onnx  # noqa: PLC0415

    graph = onnx.load(str(model.files["onnx"].path)).graph
    quantised = {node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    return sum(int(np.prod(one.dims)) for one in graph.initializer if one.name in quantised)


def _without_twins(reading: Reading, splits: dict[str, Faces], split: str) -> dict[str, Any]:
    """Accuracy without faces that are also in training: pixel for pixel, or as the same photograph."""
    faces, training = splits[split], splits["training"]
    exact = near = np.zeros(len(faces), bool)
    if split != "training":
        exact = fer2013.contained(faces, training)
        near = fer2013.near(faces, training)
    return {
        "without_training_duplicates": views.part(reading, ~exact),
        "without_near_duplicates": views.part(reading, ~(exact | near)),
    }


def _recalls(reading: Reading, labels: Sequence[str]) -> dict[str, float]:
    found = metrics.recalls(reading.matrix)
    return {
        label: round(float(one), DIGITS) for label, one in zip(labels, found, strict=True) if np.isfinite(one)
    }


def _file_figures(model: Manifest, name: str, reading: Reading) -> dict[str, Any]:
    return {"bytes": model.files[name].path.stat().st_size, **views.quality(reading)}
