"""The figures of an evaluation in words and tables, for a terminal, for the model card and for the report.

A section that is only a picture shows up in the report alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from training import pages
from training.face.robustness import CONDITIONS
from training.pages import Section

TEXTS = {one.key: one.text for one in CONDITIONS}
HEADLINE = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "uar": "unweighted average recall",
    "ece": "expected calibration error",
    "claimed": "readings sure enough to be claimed",
    "claimed_accuracy": "accuracy of those",
}
VIEWS = {
    "without_training_duplicates": "without exact copies of training pictures",
    "without_near_duplicates": "without near copies either (cropped anew, watermarked, mirrored)",
    "with_mirror": "mean of the face and its mirror image (a kit does not do this)",
    "ferplus_majority": "agreement with the FER+ majority",
}
PER_CLASS = {"precision": "precision", "recall": "recall", "f1": "F1"}


def describe(table: Mapping[str, Any]) -> str:
    """All of it as Markdown."""
    return f"`{table['command']}`\n\n{summary(table)}\n\n{pages.markdown(sections(table), level=3)}"


def summary(table: Mapping[str, Any]) -> str:
    """What was looked at, in a line."""
    return (
        f"{table['images']} faces ({table['split']}), one plain pass; {table['parameters']:,} parameters. "
        "In brackets: 95 % bootstrap intervals over the faces."
    )


def sections(table: Mapping[str, Any]) -> list[Section]:
    """One after the other; what was not measured is left out."""
    made = [
        _headline(table),
        _views(table),
        _labels(table),
        _confusion(table),
        _reliability(),
        _formats(table),
    ]
    return [*made, *_study(table), *_robustness(table), *_training(table)]


def percent(fraction: float) -> str:
    """A tenth of a point is less than chance moves any figure here."""
    return f"{100 * fraction:.1f} %"


def spread(table: Mapping[str, Any], key: str) -> str:
    """A figure and its interval."""
    return f"{percent(table[key])} ({ends(table, key)})"


def ends(table: Mapping[str, Any], key: str) -> str:
    """The interval of a figure."""
    low, high = table[f"{key}_interval"]
    return f"{100 * low:.1f} to {100 * high:.1f}"


def _headline(table: Mapping[str, Any]) -> Section:
    text = "The interval of the calibration error lies high, because resampling adds gaps by chance."
    rows = [(name, spread(table, key)) for key, name in HEADLINE.items()]
    return Section("As a kit reads them", text, ("figure", "value"), rows)


def _views(table: Mapping[str, Any]) -> Section:
    rows = []
    for key, name in VIEWS.items():
        images = table[key].get("images", table["images"])
        if images:
            rows.append((name, str(images), spread(table[key], "accuracy")))
    text = "Many labels of FER-2013 are disputed; for FER+ ten people looked at every picture again."
    if table["ferplus_majority"]["images"]:
        agreement = percent(table["ferplus_majority"]["label_agreement"])
        text += f" FER-2013's own labels agree with their majority on {agreement} of these faces."
    return Section("Counted otherwise", text, ("view", "faces", "accuracy"), rows)


def _labels(table: Mapping[str, Any]) -> Section:
    head = ("label", *PER_CLASS.values())
    caption = "Whiskers are 95 % bootstrap intervals."
    return Section("By label", "", head, _per_class(table["per_class"]), "labels.png", caption)


def _per_class(labels: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [(label, *(spread(one, key) for key in PER_CLASS)) for label, one in labels.items()]


def _confusion(table: Mapping[str, Any]) -> Section:
    found = table["confusion"]
    rows = [(label, *(str(count) for count in row)) for label, row in found.items()]
    text = "Faces; rows are the labels, columns what the model read."
    return Section(
        "What is taken for what", text, ("label", *found), rows, "confusion.png", "Shares of each row."
    )


def _reliability() -> Section:
    caption = "Below the dashed line it is surer than right. Whiskers are 95 % intervals of the share."
    return Section("Does it know how sure it may be?", picture="reliability.png", caption=caption)


def _formats(table: Mapping[str, Any]) -> Section:
    rows = [
        (name, f"{one['bytes']:,}", *(spread(one, key) for key in ("accuracy", "macro_f1", "ece")))
        for name, one in table["formats"].items()
    ]
    return Section("By file", "", ("file", "bytes", "accuracy", "macro F1", "calibration error"), rows)


def _study(table: Mapping[str, Any]) -> Iterator[Section]:
    one = table["three_classes"]
    if one["images"]:
        text = (
            f"The {one['images']} happy, sad and fear faces, and the likeliest of these three labels: "
            f"accuracy {spread(one, 'accuracy')}, macro F1 {spread(one, 'macro_f1')}."
        )
        head = ("label", *PER_CLASS.values())
        yield Section("The early-childhood study's three classes", text, head, _per_class(one["per_class"]))


def _robustness(table: Mapping[str, Any]) -> Iterator[Section]:
    if "robustness" not in table:
        small = table["accuracy_by_side_px"]
        rows = [("accuracy", *(percent(value) for value in small.values()))]
        yield Section("Small faces", "", ("shrunk to", *(f"{side} px" for side in small)), rows)
        return
    text = (
        "The same faces, changed by training/face/robustness.py. Mean over the conditions: "
        f"{percent(table['robustness_mean'])}; unchanged: {percent(table['accuracy'])}."
    )
    found, intervals = table["robustness"], table["robustness_interval"]
    rows = [
        (TEXTS.get(key, key), spread({"it": value, "it_interval": intervals[key]}, "it"))
        for key, value in found.items()
    ]
    caption = "Whiskers are 95 % bootstrap intervals."
    yield Section("Under worse conditions", text, ("condition", "accuracy"), rows, "robustness.png", caption)
    caption = (
        "Hands and glasses are drawn. A face that is smaller than the model's input is grown by the kit."
    )
    yield Section("One face under every condition", picture="conditions.png", caption=caption)
    labels = list(table["per_class"])
    rows_by_label = [
        (TEXTS.get(key, key), *(percent(one[label]) for label in labels))
        for key, one in table["robustness_worst"].items()
    ]
    yield Section("Recall under the worst of them", "", ("condition", *labels), rows_by_label)


def _training(table: Mapping[str, Any]) -> Iterator[Section]:
    if "training" not in table:
        return
    spent = table["training"]
    text = (
        f"Estimated from the time, not metered: {spent['watts_per_core']:g} W per CPU thread, an accelerator "
        f"at its rated power, times {spent['overhead']:g} for the building, and "
        f"{spent['grid_kg_per_kwh']:g} kg CO2e per kWh, Indonesia's electricity in 2023 (Ember). "
        "training/cost.py holds the assumptions. Runs that were thrown away are not in it."
    )
    rows = [
        ("runs", str(spent["runs"])),
        ("hours", f"{spent['hours']:.2f}"),
        ("hardware", "; ".join(spent["devices"])),
        ("energy", f"{spent['kwh']:.3f} kWh"),
        ("carbon", f"{spent['co2e_g']:.0f} g CO2e"),
    ]
    yield Section("What training took", text, ("what", "how much"), rows)
