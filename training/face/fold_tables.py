"""What crossvalidation found, as tables, and as a page with pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training import figures, pages
from training.face.crossvalidation import KINDS
from training.pages import Section

PAGE = "folds.html"


def results(table: Mapping[str, Any]) -> list[Section]:
    """Copies, folds, labels and confusions of a table that crossvalidation made."""
    return [_copies(table), *_folds(table), _per_class(table), _confusion(table)]


def _copies(table: Mapping[str, Any]) -> Section:
    rest = table["without_copies"]
    left_out = table["left_out_of_training"]
    text = (
        "FER-2013 holds many photographs more than once, and a random split puts copies on both sides: of "
        f"the {table['images']:,} test faces {table['images'] - rest['images']:,} have a copy, exact or "
        "near, among those that were learned from. The figure without them is the one to believe. Left out "
        "of training were pictures that stand under different labels or show no face: "
        f"{', '.join(map(str, left_out))}. {table['parameters']:,} parameters, full precision."
    )
    rows = [
        ("all test faces", f"{table['images']:,}", spread(table, "accuracy")),
        ("without copies of learned ones", f"{rest['images']:,}", spread(rest, "accuracy")),
    ]
    return Section("Accuracy with and without copies", text, ("judged on", "faces", "accuracy"), rows)


def _folds(table: Mapping[str, Any]) -> list[Section]:
    if "folds" not in table:
        return []
    names = {"accuracy": "accuracy", "accuracy_without_copies": "without copies", "macro_f1": "macro F1"}
    names |= {key: key.replace("_", " of ") for key in table["mean"] if key.startswith("recall_")}
    rows = [
        (text, f"{100 * table['mean'][key]:.1f} ± {100 * table['sd'][key]:.1f} %")
        for key, text in names.items()
    ]
    single = [
        (name, f"{one['images']:,}", percent(one["accuracy"]), percent(one["macro_f1"]))
        for name, one in table["folds"].items()
    ]
    return [
        Section("Mean and standard deviation over the folds", "", ("figure", "mean ± sd"), rows),
        Section("Each fold", "", ("fold", "test faces", "accuracy", "macro F1"), single),
    ]


def _per_class(table: Mapping[str, Any]) -> Section:
    rows = [(label, *(spread(one, kind) for kind in KINDS)) for label, one in table["per_class"].items()]
    caption = "Whiskers are 95 % bootstrap intervals."
    return Section("By label", "", ("label", "precision", "recall", "F1"), rows, "labels.png", caption)


def _confusion(table: Mapping[str, Any]) -> Section:
    labels = table["labels"]
    rows = [
        (label, *(f"{count:,}" for count in row))
        for label, row in zip(labels, table["confusion"], strict=True)
    ]
    caption = "Shares of each row in per cent."
    return Section(
        "What is taken for what",
        "Rows: the label; columns: what was read.",
        ("", *labels),
        rows,
        "confusion.png",
        caption,
    )


def write(folder: Path, title: str, summary: str, table: Mapping[str, Any], made: Sequence[Section]) -> Path:
    """Draw the pictures and write the page; no photographs are in it.

    Raises:
        SettingsError: the folder cannot be written.
    """
    path = folder / PAGE
    pages.write(path, title, summary, made)
    labels = table["labels"]
    bars = {
        text: [(one[kind], *one[f"{kind}_interval"]) for one in table["per_class"].values()]
        for kind, text in zip(KINDS, ("precision", "recall", "F1"), strict=True)
    }
    figures.draw_groups(bars, labels, "By label, with 95 % intervals", folder / "labels.png")
    matrix = np.array(table["confusion"])
    shown = f"{percent(table['accuracy'])} right; rows in %"
    figures.draw_confusion(matrix, labels, shown, folder / "confusion.png")
    return path


def percent(fraction: float) -> str:
    """With as many digits as the study prints."""
    return f"{100 * fraction:.2f} %"


def spread(found: Mapping[str, Any], key: str) -> str:
    """A figure and its interval."""
    low, high = found[f"{key}_interval"]
    return f"{percent(found[key])} ({100 * low:.1f} to {100 * high:.1f})"
