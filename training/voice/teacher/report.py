"""What the teacher's stages brought and cost: figures before and after each, as tables, pictures and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.types import SettingsError
from training import figures, metrics, pages
from training.metrics import IntArray
from training.pages import Section
from training.voice.teacher import curriculum
from training.voice.teacher.curriculum import Stage
from training.voice.teacher.finetune import Answers

DIGITS = 4
START = "start"
"""The moment before the first stage."""
REPORT = "report"


def table(
    stages: Sequence[Stage], answers: Sequence[Sequence[Answers]], about: Mapping[str, Any]
) -> dict[str, Any]:
    """Fractions, ready for JSON.

    Args:
        stages: in order.
        answers: to every stage's test speakers, before the first stage and after each.
        about: what else to say about the run.
    """
    moments = [START, *(stage.name for stage in stages)]
    tests = {}
    for number, stage in enumerate(stages):
        mine = dict(zip(moments, (row[number] for row in answers), strict=True))
        tests[stage.name] = _test(stage, mine, moments[number + 1 :], moments[number])
    return {**about, "labels": stages[0].labels, "moments": moments, "tests": tests}


def _test(stage: Stage, answers: Mapping[str, Answers], after: Sequence[str], before: str) -> dict[str, Any]:
    """One stage's test speakers at every moment."""
    last = answers[after[-1]]
    present = curriculum.present(stage.labels, last.clips)
    found: dict[str, Any] = {
        "clips": len(last.clips),
        "speakers": sorted({clip.speaker for clip in last.clips}),
        "present": present,
        "absent": [label for label in stage.labels if label not in present],
        "figures": {moment: _figures(one, stage, present) for moment, one in answers.items()},
        "gain": _change(answers[before], answers[after[0]]),
    }
    if len(after) > 1:
        found["forgetting"] = _change(last, answers[after[0]])
    return found


def _figures(answers: Answers, stage: Stage, present: Sequence[str]) -> dict[str, Any]:
    free = _predicted(answers)
    rows = [stage.labels.index(label) for label in present]
    among = np.array(rows)[answers.probs[:, rows].argmax(1)]
    matrix = metrics.confusion(answers.truth, free, len(stage.labels))
    recalls = metrics.recalls(matrix)
    return {
        **_spread("uar", answers, free),
        **_spread("uar_among_present", answers, np.asarray(among, np.int64)),
        "accuracy": round(metrics.accuracy(matrix), DIGITS),
        "ece": round(metrics.calibration_error(answers.probs, answers.truth), DIGITS),
        "per_class_recall": {stage.labels[row]: round(float(recalls[row]), DIGITS) for row in rows},
        "confusion": matrix.tolist(),
    }


def _predicted(answers: Answers) -> IntArray:
    return np.asarray(answers.probs.argmax(1), np.int64)


def _spread(name: str, answers: Answers, predicted: IntArray) -> dict[str, Any]:
    """Unweighted average recall with the 95 % interval that draws whole speakers."""
    count = answers.probs.shape[1]
    value = metrics.average_recall(metrics.confusion(answers.truth, predicted, count))
    ends = metrics.interval(metrics.average_recall, answers.truth, predicted, count, groups=answers.speakers)
    return {name: round(value, DIGITS), f"{name}_interval": [round(end, DIGITS) for end in ends]}


def _change(before: Answers, after: Answers) -> dict[str, Any]:
    """By how much the recall grew, with an interval over the same speakers drawn for both."""
    count = before.probs.shape[1]
    both = [
        [
            metrics.average_recall(matrix)
            for matrix in metrics.resample(one.truth, _predicted(one), count, groups=one.speakers)
        ]
        for one in (before, after)
    ]
    values = [
        metrics.average_recall(metrics.confusion(one.truth, _predicted(one), count))
        for one in (before, after)
    ]
    ends = metrics.middle((np.array(both[1]) - np.array(both[0])).tolist())
    return {"uar": round(values[1] - values[0], DIGITS), "interval": [round(end, DIGITS) for end in ends]}


def sections(found: Mapping[str, Any]) -> list[Section]:
    """The tables, in reading order."""
    return [_before_and_after(found), _changes(found), *_each(found)]


def _before_and_after(found: Mapping[str, Any]) -> Section:
    text = (
        "Unweighted average recall on speakers that no stage learned from, with 95 % intervals that draw "
        "whole speakers; of a few speakers they say little."
    )
    names = {START: "before any", **{name: f"after {name}" for name in found["moments"][1:]}}
    head = ("judged on", "clips", "speakers", *names.values())
    rows = [
        (
            name,
            str(test["clips"]),
            str(len(test["speakers"])),
            *(_shown(test["figures"][moment], "uar") for moment in names),
        )
        for name, test in found["tests"].items()
    ]
    return Section(
        "Before and after each stage", text, head, rows, "stages.png", "Unweighted average recall."
    )


def _changes(found: Mapping[str, Any]) -> Section:
    """What a stage brought its own test speakers, and what later ones took from them."""
    rows = []
    for name, test in found["tests"].items():
        lost = _points(test["forgetting"]) if "forgetting" in test else "nothing follows"
        rows.append((name, _points(test["gain"]), lost))
    text = (
        "Points of recall, with intervals over the same speakers drawn before and after. Forgetting is what "
        "later stages took away: above 0 is loss."
    )
    return Section(
        "Gain and forgetting", text, ("judged on", "its own stage brought", "forgotten since"), rows
    )


def _each(found: Mapping[str, Any]) -> list[Section]:
    made = []
    for name, test in found["tests"].items():
        final = test["figures"][found["moments"][-1]]
        text = ""
        if test["absent"]:
            text = (
                f"Only {', '.join(test['present'])} occur and are judged; nothing is known about "
                f"{', '.join(test['absent'])}. Any of the {len(found['labels'])} labels may be answered; "
                f"choosing among those that occur gives {_shown(final, 'uar_among_present')}."
            )
        rows = [
            (label, *map(str, counts), _percent(final["per_class_recall"][label]))
            for label, counts in zip(found["labels"], final["confusion"], strict=True)
            if label in test["present"]
        ]
        made.append(
            Section(
                f"What is taken for what: {name}",
                text,
                ("labelled", *found["labels"], "recall"),
                rows,
                f"{name}.png",
                "Shares of each row in per cent.",
            )
        )
    return made


def write(folder: Path, found: Mapping[str, Any]) -> Path:
    """Write report.md, report.json, report.html and the pictures; returns the Markdown's path.

    Raises:
        SettingsError: the folder cannot be written.
    """
    made = sections(found)
    title = "Wav2Vec 2.0, fine-tuned in stages"
    summary = f"{found['command']} · {found['parameters']:,} parameters · from {found['pretrained']}"
    pages.write(folder / f"{REPORT}.html", title, summary, made)
    path = folder / f"{REPORT}.md"
    try:
        path.write_text(f"# {title}\n\n`{summary}`\n\n{pages.markdown(made)}\n", "utf-8")
        (folder / f"{REPORT}.json").write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror or error}") from error
    _draw(folder, found)
    return path


def _draw(folder: Path, found: Mapping[str, Any]) -> None:
    bars = {
        moment if moment == START else f"after {moment}": [
            (one["uar"], *one["uar_interval"])
            for one in (test["figures"][moment] for test in found["tests"].values())
        ]
        for moment in found["moments"]
    }
    judged = [f"{name} speakers" for name in found["tests"]]
    figures.draw_groups(bars, judged, "Unweighted average recall", folder / "stages.png")
    for name, test in found["tests"].items():
        final = test["figures"][found["moments"][-1]]
        title = f"{name} speakers, average recall {_percent(final['uar'])}; rows in %"
        figures.draw_confusion(np.array(final["confusion"]), found["labels"], title, folder / f"{name}.png")


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


def _shown(found: Mapping[str, Any], key: str) -> str:
    low, high = found[f"{key}_interval"]
    return f"{_percent(found[key])} ({100 * low:.1f} to {100 * high:.1f})"


def _points(change: Mapping[str, Any]) -> str:
    low, high = change["interval"]
    return f"{100 * change['uar']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
