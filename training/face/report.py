"""The evaluation as one page: report.html with its pictures beside it, readable without a network.

The page shows photographs from the data as examples. They may not be passed on, so neither may the folder.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.types import ImageArray, SettingsError
from training import figures, pages
from training.face import tables
from training.face.evaluation import Evaluation
from training.face.robustness import CONDITIONS
from training.figures import Ranged
from training.pages import Section

PAGE = "report.html"
NOTICE = (
    "This page may show photographs of the data set. They are for research only: keep the folder to yourself "
    "and out of every repository. What is read is the expression a face shows, never what a person feels."
)
CARDS = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "uar": "average recall",
    "ece": "calibration error",
    "claimed": "claimed by a kit",
    "claimed_accuracy": "right of claims",
}


def write(folder: Path, evaluation: Evaluation, runs: Sequence[Path] = ()) -> Path:
    """Draw every figure and write the page.

    Args:
        folder: outside the repository, because of the photographs.
        evaluation: what was measured.
        runs: run folders whose log.jsonl gives the training curves.

    Returns:
        The page.

    Raises:
        SettingsError: a run has no log, or the folder cannot be written.
    """
    logs = {str(run): read_log(run) for run in runs}
    data = Section("Data", picture="data.png", caption="How often each label occurs in each split.")
    sections = [data, *tables.sections(evaluation.table)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _draw(folder, evaluation)
        if logs:
            figures.draw_curves(logs, "Training", folder / "curves.png")
            caption = "Training accuracy is that on augmented faces, against softened targets."
            sections.append(Section("Training", picture="curves.png", caption=caption))
    except OSError as error:
        raise SettingsError(f"{folder}: {error.strerror or error}") from error
    table = evaluation.table
    summary = f"{tables.summary(table)} {table['command']}"
    cards = [(name, tables.percent(table[key]), tables.ends(table, key)) for key, name in CARDS.items()]
    page = folder / PAGE
    pages.write(page, evaluation.model.id, summary, sections, notice=NOTICE, cards=cards)
    return page


def read_log(run: Path) -> list[dict[str, Any]]:
    """The epochs of a run.

    Raises:
        SettingsError: there is no log, or it is not one.
    """
    path = run / "log.jsonl"
    try:
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: not the log of a run ({error})") from error
    if not lines or not all(isinstance(line, dict) and {"epoch", "loss"} <= line.keys() for line in lines):
        raise SettingsError(f"{path}: not the log of a run (no epochs)")
    return lines


def _draw(folder: Path, evaluation: Evaluation) -> None:
    table, reading, labels = evaluation.table, evaluation.reading, evaluation.model.labels
    counts = {
        name: np.bincount(faces.labels, minlength=len(labels)).tolist()
        for name, faces in evaluation.splits.items()
    }
    title = "Pictures of each label, and their share of the split"
    figures.draw_counts(counts, labels, title, folder / "data.png")
    title = f"{table['split']}: {tables.percent(table['accuracy'])} right; shares of each row in %"
    figures.draw_confusion(reading.matrix, labels, title, folder / "confusion.png")
    found = table["per_class"]
    bars = {
        name: [_ranged(one[kind], one[f"{kind}_interval"]) for one in found.values()]
        for kind, name in tables.PER_CLASS.items()
    }
    figures.draw_groups(bars, list(found), "By label, with 95 % intervals", folder / "labels.png")
    title = f"Calibration error {tables.percent(table['ece'])}"
    figures.draw_reliability(reading.probs, reading.truth, title, folder / "reliability.png")
    if "robustness" in table:
        groups: dict[str, dict[str, Ranged]] = {}
        for one in CONDITIONS:
            value = _ranged(table["robustness"][one.key], table["robustness_interval"][one.key])
            groups.setdefault(one.family, {})[one.text] = value
        title = "The same faces under worse conditions"
        figures.draw_bars(groups, table["accuracy"], title, folder / "robustness.png")
        figures.draw_gallery(_examples(evaluation), "", folder / "conditions.png")


def _ranged(value: float, interval: Sequence[float]) -> Ranged:
    low, high = interval
    return value, low, high


def _examples(evaluation: Evaluation) -> dict[str, ImageArray]:
    """The face that the model is most rightly sure of, under every condition."""
    reading, faces = evaluation.reading, evaluation.splits[evaluation.table["split"]]
    sure = reading.probs.max(1) * (reading.predicted == reading.truth)
    chosen = faces.images[sure.argmax()][None]
    return {"unchanged": chosen[0]} | {one.text: one.apply(chosen)[0] for one in CONDITIONS}
