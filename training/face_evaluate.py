"""Evaluation of the shipped expression model: its int8 files, through the kit's own runtimes.

One plain pass, no mirroring and no averaging, because that is what a kit does.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from edge import manifest, runtimes
from edge.manifest import ImageInput, Manifest
from edge.preprocess import face_tensor
from edge.types import ImageArray, ModelError
from training import face_data, metrics
from training.face_data import Faces
from training.metrics import IntArray, Probabilities

SMALL_FACES_PX = (12, 16, 24, 32)
"""Sides at which the faces are looked at again: what a camera sees of a child 3 to 6 metres away."""
DIGITS = 4


@dataclass(frozen=True, slots=True)
class Reading:
    """A model file's answers to one split."""

    truth: IntArray
    probs: Probabilities

    @property
    def predicted(self) -> IntArray:
        return np.asarray(self.probs.argmax(1), np.int64)

    def take(self, rows: Any) -> Reading:
        """The chosen rows."""
        return Reading(self.truth[rows], self.probs[rows])


def evaluate(folder: Path, data: Path, split: str, *, quiet: bool = False) -> tuple[dict[str, Any], Reading]:
    """Figures of the model in *folder* on one split.

    Returns:
        A table of fractions, ready for JSON and for [metrics], and the first format's answers. The figures at
        the top are those of the format that a kit prefers; ``formats`` holds every file's own.

    Raises:
        ModelError: no intact expression model.
        SourceError: no data.
    """
    model = manifest.load(folder)
    if not isinstance(model.input, ImageInput):
        raise ModelError(f"{folder}: reads {model.task}, not expressions")
    splits = face_data.load(data)
    faces = splits[split]
    names = [name for name in runtimes.PREFERENCE if name in model.files]
    readings = {name: read(model, faces.images, faces.labels, name, quiet=quiet) for name in names}
    best = readings[names[0]]
    fresh = (
        ~face_data.contained(faces, splits["training"]) if split != "training" else np.ones(len(faces), bool)
    )
    table: dict[str, Any] = {
        "command": f"python -m training face evaluate --model {folder} --data {data} --split {split}",
        "split": split,
        "images": len(faces),
        "parameters": count_parameters(model),
        **figures(best, model),
        "without_training_duplicates": {
            "images": int(fresh.sum()),
            "accuracy": round(metrics.accuracy(_matrix(best.take(fresh), model)), DIGITS),
        },
        "formats": {name: _file_figures(model, name, reading) for name, reading in readings.items()},
        "per_class": _per_class(best, model),
        "accuracy_by_side_px": _small_faces(model, faces, names[0], quiet=quiet),
    }
    return table, best


def read(model: Manifest, images: ImageArray, labels: IntArray, runtime: str, *, quiet: bool) -> Reading:
    """Let one file of *model* read N x h x w grey faces, as the kit would."""
    if not isinstance(model.input, ImageInput):
        raise ModelError(f"{model.id}: reads {model.task}, not expressions")
    run = runtimes.load(model, runtime, threads=2)
    starts = tqdm(range(0, len(images), 64), desc=runtime, unit="batch", disable=quiet, leave=False)
    logits = [run(face_tensor(list(images[start : start + 64]), model.input)) for start in starts]
    scores = model.calibrate(np.concatenate(logits))
    return Reading(labels, np.array([one.probs for one in scores], np.float64))


def figures(reading: Reading, model: Manifest) -> dict[str, Any]:
    """The headline figures, with 95 % bootstrap intervals."""
    matrix = _matrix(reading, model)
    claimed = reading.probs.max(1) >= model.uncertain_below
    count = len(model.labels)
    return {
        "accuracy": round(metrics.accuracy(matrix), DIGITS),
        "accuracy_interval": _interval(metrics.accuracy, reading, count),
        "macro_f1": round(metrics.macro_f1(matrix), DIGITS),
        "macro_f1_interval": _interval(metrics.macro_f1, reading, count),
        "uar": round(metrics.average_recall(matrix), DIGITS),
        "ece": round(metrics.calibration_error(reading.probs, reading.truth), DIGITS),
        "claimed": round(float(claimed.mean()), DIGITS),
        "claimed_accuracy": round(metrics.accuracy(_matrix(reading.take(claimed), model)), DIGITS),
    }


def count_parameters(model: Manifest) -> int:
    """Weights and biases in the shipped ONNX file, batch normalisation already folded in."""
    import onnx  # noqa: PLC0415

    graph = onnx.load(str(model.files["onnx"].path)).graph
    quantised = {node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    return sum(int(np.prod(one.dims)) for one in graph.initializer if one.name in quantised)


def _matrix(reading: Reading, model: Manifest) -> IntArray:
    return metrics.confusion(reading.truth, reading.predicted, len(model.labels))


def _interval(figure: Any, reading: Reading, classes: int) -> list[float]:
    return [round(end, DIGITS) for end in metrics.interval(figure, reading.truth, reading.predicted, classes)]


def _file_figures(model: Manifest, name: str, reading: Reading) -> dict[str, Any]:
    matrix = _matrix(reading, model)
    return {
        "bytes": model.files[name].path.stat().st_size,
        "accuracy": round(metrics.accuracy(matrix), DIGITS),
        "macro_f1": round(metrics.macro_f1(matrix), DIGITS),
        "ece": round(metrics.calibration_error(reading.probs, reading.truth), DIGITS),
    }


def _per_class(reading: Reading, model: Manifest) -> dict[str, Any]:
    matrix = _matrix(reading, model)
    columns = zip(metrics.precisions(matrix), metrics.recalls(matrix), metrics.f1_scores(matrix), strict=True)
    return {
        label: {
            "precision": round(float(precision), DIGITS),
            "recall": round(float(recall), DIGITS),
            "f1": round(float(f1), DIGITS),
        }
        for label, (precision, recall, f1) in zip(model.labels, columns, strict=True)
    }


def _small_faces(model: Manifest, faces: Faces, runtime: str, *, quiet: bool) -> dict[str, float]:
    """Accuracy on the same faces, shrunk first: the distance at which reading stops making sense."""
    found = {}
    for side in SMALL_FACES_PX:
        small = np.stack(
            [cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) for image in faces.images]
        )
        reading = read(model, np.asarray(small, np.uint8), faces.labels, runtime, quiet=quiet)
        found[str(side)] = round(metrics.accuracy(_matrix(reading, model)), DIGITS)
    return found


def describe(table: dict[str, Any]) -> str:
    """The figures as Markdown, for a terminal and for the model card."""
    low, high = table["accuracy_interval"]
    fresh = table["without_training_duplicates"]
    lines = [
        f"`{table['command']}`",
        "",
        f"{table['images']} faces ({table['split']}), one plain pass; {table['parameters']:,} parameters.",
        "",
        "| figure | value |",
        "|---|---|",
        f"| accuracy (95 % bootstrap interval) | {table['accuracy']:.4f} ({low:.4f} to {high:.4f}) |",
        f"| accuracy on the {fresh['images']} faces without a twin in training | {fresh['accuracy']:.4f} |",
        f"| macro F1 | {table['macro_f1']:.4f} |",
        f"| unweighted average recall | {table['uar']:.4f} |",
        f"| expected calibration error | {table['ece']:.4f} |",
        f"| readings sure enough to be claimed | {table['claimed']:.4f} |",
        f"| accuracy of those | {table['claimed_accuracy']:.4f} |",
        "",
        "| file | bytes | accuracy | macro F1 | calibration error |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {one['bytes']:,} | {one['accuracy']:.4f} | {one['macro_f1']:.4f} | {one['ece']:.4f} |"
        for name, one in table["formats"].items()
    ]
    lines += ["", "| label | precision | recall | F1 |", "|---|---|---|---|"]
    lines += [
        f"| {label} | {row['precision']:.4f} | {row['recall']:.4f} | {row['f1']:.4f} |"
        for label, row in table["per_class"].items()
    ]
    small = table["accuracy_by_side_px"]
    lines += [
        "",
        f"| face shrunk to | {' | '.join(f'{side} px' for side in small)} |",
        f"|---{'|---' * len(small)}|",
    ]
    lines += [f"| accuracy | {' | '.join(f'{value:.4f}' for value in small.values())} |"]
    return "\n".join(lines)
