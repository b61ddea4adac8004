"""What folds and held-out corpora found, as tables, and as a page with pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.types import SettingsError
from training import figures, pages
from training.metrics import IntArray, Probabilities
from training.pages import Section
from training.voice.fold_figures import FIVE, KINDS

FLOOR, TARGET = 0.62, 0.72
CORPORA_FLOOR, CORPORA_TARGET = 0.40, 0.50
FALSE_FLOOR, FALSE_TARGET = 20.0, 3.0
LOST_FLOOR, LOST_TARGET = 0.01, 0.003
INDONESIAN = "indowave"
FOLDS, CORPORA, ORDER = "folds", "corpora", "order"


def fold_sections(found: Mapping[str, Any]) -> list[Section]:
    """The tables of fold_figures.folds, in reading order."""
    return [
        _headline(found),
        _each(found),
        _labels(found),
        _confusion(found),
        _calibration(found),
        _by_corpus(found),
        *_indonesian(found),
        *_false(found),
        _parity(found),
    ]


def summary(found: Mapping[str, Any]) -> list[Section]:
    """For a model card: the headline alone."""
    return [_headline(found)]


def _headline(found: Mapping[str, Any]) -> Section:
    mean, sd, rest = found["mean"], found["sd"], found["without_choosers"]
    text = (
        f"{found['clips']} clips of {found['speakers']} actors of RAVDESS, six classes, "
        f"{len(found['folds'])} of {found['of']} folds; every actor of these is judged once, by the int8 "
        "TFLite file of a network that never heard them, through the kit's speech gate. "
        f"Floor {percent(FLOOR)}, target {percent(TARGET)}: the floor is "
        f"{_met(found['uar'] >= FLOOR)}, the target {_met(found['uar'] >= TARGET)}."
    )
    rows = [
        ("unweighted average recall, all folds together", percent(found["uar"])),
        ("… 95 % interval over clips", _ends(found["uar_interval_clips"])),
        ("… 95 % interval over actors", _ends(found["uar_interval_speakers"])),
        (
            "… mean ± sd over the folds",
            f"{100 * mean['uar']:.1f} ± {100 * sd['uar']:.1f} %",
        ),
        ("… with calm counted as neutral", percent(found["uar_calm_as_neutral"])),
        (
            f"… on the {rest['speakers']} actors who had no say in the recipe (95 % over actors)",
            _spread(rest, "uar", "_speakers"),
        ),
        ("accuracy", f"{percent(found['accuracy'])} ({_ends(found['accuracy_interval_clips'])})"),
        ("macro F1", percent(found["macro_f1"])),
        ("expected calibration error", percent(found["ece"])),
        ("readings sure enough to be claimed", percent(found["claimed"])),
        ("right of those", percent(found["claimed_accuracy"])),
    ]
    return Section("Folds of RAVDESS", text, ("figure", "value"), rows)


def _each(found: Mapping[str, Any]) -> Section:
    rows = [
        (
            name,
            ", ".join(person.rpartition("_")[2] for person in one["people"]),
            str(one["epochs"]),
            percent(one["uar"]),
            percent(one["accuracy"]),
            percent(one["claimed"]),
            percent(one["claimed_accuracy"]),
            f"{one['uncertain_below']:.2f}",
            f"{one['negative_below']:.2f}",
        )
        for name, one in found["folds"].items()
    ]
    head = (
        "fold",
        "actors",
        "epochs",
        "recall",
        "accuracy",
        "claimed",
        "right",
        "claims from",
        "negative from",
    )
    text = "The last two: the calibrated probabilities from which a reading, and a negative one, is claimed."
    return Section("Each fold", text, head, rows)


def _labels(found: Mapping[str, Any]) -> Section:
    rows = [(label, *(_spread(one, kind) for kind in KINDS)) for label, one in found["per_class"].items()]
    caption = "Whiskers are 95 % bootstrap intervals over clips."
    return Section("By label", "", ("label", "precision", "recall", "F1"), rows, "labels.png", caption)


def _confusion(found: Mapping[str, Any]) -> Section:
    labels = found["labels"]
    rows = [(label, *map(str, row)) for label, row in zip(labels, found["confusion"], strict=True)]
    text = "Rows: the label; columns: what was read."
    return Section(
        "What is taken for what", text, ("", *labels), rows, "confusion.png", "Shares in per cent."
    )


def _calibration(found: Mapping[str, Any]) -> Section:
    text = f"Expected calibration error {percent(found['ece'])}, all folds together."
    return Section(
        "Calibration", text, picture="reliability.png", caption="How often a sure reading is right."
    )


def _by_corpus(found: Mapping[str, Any]) -> Section:
    rows = [
        (
            f"{name} ({one['language']})",
            str(one["clips"]),
            str(one["speakers"]),
            str(len(one["labels"])),
            _spread(one, "uar", "_speakers"),
            percent(one["claimed"]),
            percent(one["claimed_accuracy"]),
        )
        for name, one in found["corpora"].items()
    ]
    head = ("corpus", "clips", "speakers", "labels", "recall (95 %)", "claimed", "right")
    text = (
        "Speakers that the fold's network never heard; others of the same corpus were in its training. "
        "Intervals draw whole speakers."
    )
    return Section("By corpus and language", text, head, rows)


def _indonesian(found: Mapping[str, Any]) -> list[Section]:
    one = found["corpora"].get(INDONESIAN)
    if one is None:
        return []
    text = (
        f"IndoWaveSentiment, {one['clips']} clips of {one['speakers']} held-out speakers: one sentence, "
        "acted. It has no anger, fear or sadness, so there is no five-class figure for Indonesian. "
        "Its editing gives classes away: clips are cut to their speech by the gate and read over noise 45 dB "
        "under it, so neither length nor digital silence can be recognised. "
        f"Average recall over the three {_spread(one, 'uar', '_speakers')}, of six answers."
    )
    rows = [
        (label, str(figures["clips"]), _spread(figures, "recall"), _spread(figures, "precision"))
        for label, figures in one["per_class"].items()
    ]
    made = [Section("Indonesian", text, ("label", "clips", "recall", "precision"), rows)]
    if "unnamed" in one:
        rest = one["unnamed"]
        text = (
            f"{rest['clips']} clips are of tones that the model has no label for "
            f"({', '.join(rest['kinds'])}): of them {percent(rest['uncertain'])} "
            f"({_ends(rest['uncertain_interval'])}) read `uncertain`, as all should."
        )
        shown = [
            *one["labels"],
            *(label for label in found["labels"] if label not in one["labels"]),
            "uncertain",
        ]
        claimed = [
            (name, *(str(claims.get(label, 0)) for label in shown))
            for name, claims in (("the three labels", one["claims"]), ("the rest", rest["claims"]))
        ]
        title = "What a kit would claim of Indonesian speech"
        made.append(Section(title, text, ("clips of", *shown), claimed))
    return made


def _false(found: Mapping[str, Any]) -> list[Section]:
    false, cost = found["false"], found["cost_of_negative_below"]
    text = (
        f"{false['hours']:.2f} hours (the same sound for each fold) in which nobody is moved: a child who "
        "talks, reads and sings, coughing, sneezing, dogs, rain; none of it learned from, and no threshold "
        f"chosen on it. Floor {FALSE_FLOOR:.0f} negative claims an hour, target "
        f"{FALSE_TARGET:.0f}: the floor is "
        f"{_met(false['per_hour'] <= FALSE_FLOOR)}, the target {_met(false['per_hour'] <= FALSE_TARGET)}."
    )
    (low, high), without = false["per_hour_interval"], false["per_hour_without_negative_below"]
    rows = [
        ("utterances that the gate let pass", str(false["utterances"])),
        ("negative claims an hour (95 %)", f"{false['per_hour']:.1f} ({low:.1f} to {high:.1f})"),
        (
            "… if negative claims needed no more than others",
            f"{without:.1f}",
        ),
        ("… when the next utterance must agree, as a kit asks", f"{false['per_hour_twice']:.1f}"),
        *((f"claims on {kind}", str(count)) for kind, count in false["by_kind"].items()),
        *((f"claims of {label}", str(count)) for label, count in false["by_label"].items()),
    ]
    paid = [
        ("clips claimed", percent(cost["claimed_without"]), percent(cost["claimed"])),
        ("right of those", percent(cost["right_without"]), percent(cost["right"])),
        (
            "clips of a negative label claimed",
            percent(cost["negative_clips_claimed_without"]),
            percent(cost["negative_clips_claimed"]),
        ),
    ]
    return [
        Section("Negative claims on sound without emotion", text, ("figure", "value"), rows),
        Section(
            "What that costs on RAVDESS",
            "The answer itself does not change, so neither does recall; fewer answers are claimed.",
            ("", "one threshold", "with one for negative claims"),
            paid,
        ),
    ]


def _parity(found: Mapping[str, Any]) -> Section:
    rows = [
        (
            f"{file}, {name}",
            str(one["clips"]),
            percent(one["uar"], 2),
            f"{100 * one['uar_lost']:+.2f}",
            f"{100 * one['accuracy_lost']:+.2f}",
            percent(one["same"], 2),
        )
        for name, files in found["parity"].items()
        for file, one in files.items()
    ]
    worst = max(one["uar_lost"] for file, one in found["parity"]["headline"].items() if file != "float")
    text = (
        "Files and network read the same utterances; a lost point is one of unweighted average recall or of "
        f"accuracy. Allowed {100 * LOST_FLOOR:.1f}, target {100 * LOST_TARGET:.1f}: at most "
        f"{100 * worst:.2f} is lost on RAVDESS, so the target is {_met(worst <= LOST_TARGET)}."
    )
    head = ("file, clips of", "clips", "recall", "lost", "accuracy lost", "same answer")
    return Section("int8 beside float", text, head, rows)


def corpus_sections(found: Mapping[str, Any]) -> list[Section]:
    """The table of fold_figures.corpora."""
    five = found["mean"]["uar_five"]
    text = (
        "Each corpus is read by a network that was trained on all the others and never heard it, its "
        f"speakers or its microphones. Recall of the study's classes ({', '.join(FIVE)}) where the "
        "corpus has them, the answer being the best of the five; and of all its labels, of six answers. "
        f"Floor {percent(CORPORA_FLOOR)}, target {percent(CORPORA_TARGET)} for the mean of the former: the "
        f"floor is {_met(five >= CORPORA_FLOOR)}, the target {_met(five >= CORPORA_TARGET)}."
    )
    rows = [
        (
            f"{one['corpus']} ({one['language']})",
            str(one["clips"]),
            str(one["speakers"]),
            _spread(one, "uar_five"),
            _spread(one, "uar", "_speakers"),
            percent(one["claimed"]),
            percent(one["claimed_accuracy"]),
        )
        for one in found["parts"].values()
    ]
    rows.append(("mean", "", "", percent(five), percent(found["mean"]["uar"]), "", ""))
    head = (
        "never heard",
        "clips",
        "speakers",
        "the five (95 %)",
        "all its labels (95 %)",
        "claimed",
        "right",
    )
    labels = found["labels"]
    single = [(one["corpus"], *_recalls(one["per_class"], labels)) for one in found["parts"].values()]
    return [
        Section(
            "A corpus that was never heard", text, head, rows, "corpora.png", "Whiskers draw whole speakers."
        ),
        Section("Recall of each label", "Of six answers.", ("never heard", *labels), single),
    ]


def _recalls(per_class: Mapping[str, Any], labels: Sequence[str]) -> list[str]:
    return [percent(per_class[label]["recall"]) if label in per_class else "" for label in labels]


def write(
    folder: Path,
    name: str,
    title: str,
    found: Mapping[str, Any],
    made: Sequence[Section],
    *,
    answers: tuple[Probabilities, IntArray] | None = None,
) -> Path:
    """Write name.md, name.json, name.html and their pictures; returns the page's path.

    Raises:
        SettingsError: the folder cannot be written.
    """
    pages.write(folder / f"{name}.html", title, found["command"], made)
    save(folder / f"{name}.md", title, found, made)
    try:
        (folder / f"{name}.json").write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    except OSError as error:
        raise SettingsError(f"{folder}: {error.strerror or error}") from error
    if answers is not None:
        _draw_folds(folder, found, answers)
    if name == CORPORA:
        bars = {
            one["corpus"]: ((one["uar_five"], *one["uar_five_interval"]), [one["uar_five"]])
            for one in found["parts"].values()
        }
        shown = "Recall of the study's classes, corpora never heard"
        figures.draw_ranking(bars, 1 / len(FIVE), shown, folder / "corpora.png")
    return folder / f"{name}.html"


def save(path: Path, title: str, found: Mapping[str, Any], made: Sequence[Section]) -> None:
    """Write the tables as a page of Markdown.

    Raises:
        SettingsError: it cannot be written.
    """
    about = "".join(f"\n\n{one}" for one in found.get("about", ()))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = f"# {title}\n\n`{found['command']}`{about}\n\n{pages.markdown(made)}\n"
        path.write_text(text, "utf-8")
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror or error}") from error


def _draw_folds(folder: Path, found: Mapping[str, Any], answers: tuple[Probabilities, IntArray]) -> None:
    labels = found["labels"]
    bars = {
        text: [(one[kind], *one[f"{kind}_interval"]) for one in found["per_class"].values()]
        for kind, text in zip(KINDS, ("precision", "recall", "F1"), strict=True)
    }
    figures.draw_groups(
        bars, list(found["per_class"]), "By label, with 95 % intervals", folder / "labels.png"
    )
    shown = f"RAVDESS, average recall {percent(found['uar'])}; rows in %"
    figures.draw_confusion(np.array(found["confusion"]), labels, shown, folder / "confusion.png")
    title = f"Calibration error {percent(found['ece'])}"
    figures.draw_reliability(*answers, title, folder / "reliability.png")


def percent(fraction: float, digits: int = 1) -> str:
    """As the tables print it."""
    return f"{100 * fraction:.{digits}f} %"


def _ends(interval: Sequence[float]) -> str:
    return f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}"


def _spread(one: Mapping[str, Any], key: str, over: str = "") -> str:
    return f"{percent(one[key])} ({_ends(one[f'{key}_interval{over}'])})"


def _met(holds: bool) -> str:
    return "met" if holds else "missed"
