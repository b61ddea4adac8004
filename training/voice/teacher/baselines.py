"""The comparison table: what the study's related work used, on folds of RAVDESS that share no actor.

Every learner sees the same clips, features and folds, and every clip is judged once, by a learner that never
heard its speaker. RAVDESS' calm and surprise, which are no classes of the tone model, are left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from edge import manifest
from edge.types import VOICE_LABELS, SettingsError
from training import figures, metrics, pages
from training.metrics import IntArray
from training.pages import Section
from training.voice import corpora, recipes, speech
from training.voice.teacher import cepstra
from training.voice.teacher.learners import LEARNERS, Learner, Part

CORPUS = "ravdess"
DIGITS = 4
NAME = "baselines"


def compare(
    data: Path,
    cache: Path,
    folds: int,
    model: Path,
    *,
    learners: Mapping[str, Learner] | None = None,
    threads: int = 2,
    quiet: bool = False,
) -> dict[str, Any]:
    """Cross-validate every learner.

    Args:
        data: folder of the corpora.
        cache: folder for speech and features.
        folds: parts that the actors are divided into.
        model: model folder whose figures stand beside the learners'; left out where it is none or has none.
        learners: by name; LEARNERS by default.
        threads: of each learner.
        quiet: no progress bar.

    Returns:
        A table of fractions, ready for JSON.

    Raises:
        SettingsError: no data, or too few actors for the folds.
    """
    clips = [clip for clip in corpora.read_manifest(data) if clip.corpus == CORPUS and clip.kind != "calm"]
    learners = LEARNERS if learners is None else learners
    speakers = sorted({clip.speaker for clip in clips})
    if not 2 <= folds <= len(speakers):
        raise SettingsError(f"--folds {folds}: 2 to the number of actors, {len(speakers)} in {data}")
    labels = [label for label in VOICE_LABELS if any(clip.label == label for clip in clips)]
    part = _prepare(clips, labels, speakers, data, cache, quiet=quiet)
    parts = divide(part.speakers, folds)
    bar = tqdm(total=len(learners) * folds, unit="fold", disable=quiet or None)
    rows = {}
    student = _student(model)
    named = student.get("held_out_speakers", [])
    theirs = [speakers.index(name) for name in named] if {*named} <= {*speakers} else []
    for name, learner in learners.items():
        predicted = np.zeros_like(part.truth)
        for test in parts:
            bar.set_postfix_str(name)
            training = np.setdiff1d(np.arange(len(part.truth)), test)
            predicted[test] = learner(part.take(training), part.take(test), threads)
            bar.update()
        rows[name] = _figures(part, predicted, parts, len(labels))
        if theirs:
            same = np.isin(part.speakers, theirs)
            rows[name]["uar_student_speakers"] = _recall(part.truth[same], predicted[same], len(labels))
    bar.close()
    return {
        "command": f"python -m training voice baselines --folds {folds}",
        "corpus": CORPUS,
        "clips": len(clips),
        "labels": labels,
        "folds": [sorted({speakers[one] for one in part.speakers[test]}) for test in parts],
        "statistics": part.rows.shape[1],
        "learners": rows,
        "student": student,
    }


def _prepare(
    clips: Sequence[corpora.Clip],
    labels: Sequence[str],
    speakers: Sequence[str],
    data: Path,
    cache: Path,
    *,
    quiet: bool,
) -> Part:
    spec = recipes.load(recipes.DEFAULT).input
    sounds = speech.load(clips, data, cache, quiet=quiet)
    features = cepstra.extract(sounds, spec, cache, quiet=quiet)
    return Part(
        features.statistics,
        cepstra.pictures(features.frames, spec.frames),
        np.array([labels.index(clip.label or "") for clip in clips], np.int64),
        np.array([speakers.index(clip.speaker) for clip in clips], np.int64),
    )


def divide(speakers: IntArray, folds: int) -> list[IntArray]:
    """Rows of each fold: neighbours in the order of their names, so that RAVDESS' men and women alternate."""
    parts = np.array_split(np.unique(speakers), folds)
    return [np.flatnonzero(np.isin(speakers, part)) for part in parts]


def _figures(part: Part, predicted: IntArray, parts: Sequence[IntArray], count: int) -> dict[str, Any]:
    single = [_recall(part.truth[test], predicted[test], count) for test in parts]
    matrix = metrics.confusion(part.truth, predicted, count)
    ends = metrics.interval(metrics.average_recall, part.truth, predicted, count, groups=part.speakers)
    return {
        "uar": _recall(part.truth, predicted, count),
        "uar_interval": [round(end, DIGITS) for end in ends],
        "uar_folds": single,
        "uar_mean": round(float(np.mean(single)), DIGITS),
        "uar_sd": round(float(np.std(single, ddof=1)), DIGITS),
        "accuracy": round(metrics.accuracy(matrix), DIGITS),
        "macro_f1": round(metrics.macro_f1(matrix), DIGITS),
        "recalls": [round(float(one), DIGITS) for one in metrics.recalls(matrix)],
        "confusion": matrix.tolist(),
    }


def _recall(truth: IntArray, predicted: IntArray, count: int) -> float:
    return round(metrics.average_recall(metrics.confusion(truth, predicted, count)), DIGITS)


def _student(folder: Path) -> dict[str, Any]:
    """What a model's own evaluation found; nothing where there is no model, or it was of another corpus.

    Raises:
        ModelError: the folder holds a model, but not an intact one.
    """
    if not (folder / "model.toml").exists():
        return {}
    model = manifest.load(folder)
    if model.metrics.get("corpus") != CORPUS:
        return {}
    keys = ("uar", "uar_interval", "accuracy", "split", "clips", "parameters")
    named = [name for name in model.metrics["held_out_speakers"] if name.startswith(f"{CORPUS}_")]
    found = {key: model.metrics[key] for key in keys if key in model.metrics}
    return {"name": f"{model.name} {model.version}, int8", "held_out_speakers": named, **found}


def sections(found: Mapping[str, Any]) -> list[Section]:
    """The tables, in reading order."""
    return [_comparison(found), _recalls(found)]


def _comparison(found: Mapping[str, Any]) -> Section:
    student = found["student"]
    text = (
        f"{found['clips']} clips of {sum(map(len, found['folds']))} actors of RAVDESS, "
        f"{len(found['labels'])} classes, {len(found['folds'])} folds; no actor is on both sides. Unweighted "
        "average recall: mean and standard deviation over the folds; all folds together, with the 95 % "
        "interval that draws whole actors. Speech is cut out by the kit's gate and its level taken away; the "
        "length of a clip is not looked at."
    )
    head = ["learner", "recall, mean ± sd", "together (95 %)", "accuracy"]
    if student:
        head.append("on the student's test actors")
        text += (
            f" The student's row is not of these folds: it is its {student['split']} figure, over "
            f"{len(student['held_out_speakers'])} actors that it never heard, and the last column gives the "
            "others' recall on the same actors."
        )
    rows = [
        (
            name,
            f"{_percent(one['uar_mean'])} ± {100 * one['uar_sd']:.1f}",
            _spread(one),
            _percent(one["accuracy"]),
            *(
                [_percent(one["uar_student_speakers"])]
                if "uar_student_speakers" in one
                else [""] * bool(student)
            ),
        )
        for name, one in found["learners"].items()
    ]
    if student:
        own = _spread(student)
        rows.append((f"student: {student['name']}", "", "", _percent(student["accuracy"]), own))
    return Section(
        "Comparison", text, head, rows, f"{NAME}.png", "Dots are the folds, whiskers 95 % intervals."
    )


def _recalls(found: Mapping[str, Any]) -> Section:
    rows = [
        (name, *(_percent(recall) for recall in one["recalls"])) for name, one in found["learners"].items()
    ]
    return Section("Recall of each class", "All folds together.", ("learner", *found["labels"]), rows)


def write(folder: Path, found: Mapping[str, Any]) -> Path:
    """Write baselines.md, .json, .html and .png; returns the Markdown's path.

    Raises:
        SettingsError: the folder cannot be written.
    """
    made = sections(found)
    title = "What MFCC and prosody give"
    pages.write(folder / f"{NAME}.html", title, found["command"], made)
    path = folder / f"{NAME}.md"
    try:
        path.write_text(f"# {title}\n\n`{found['command']}`\n\n{pages.markdown(made)}\n", "utf-8")
        (folder / f"{NAME}.json").write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror or error}") from error
    bars = {
        name: ((one["uar"], *one["uar_interval"]), one["uar_folds"])
        for name, one in found["learners"].items()
    }
    student = found["student"]
    if student:
        actors = len(student["held_out_speakers"])
        name = f"student\n({actors} {student['split']} actors)"
        bars[name] = ((student["uar"], *student["uar_interval"]), [])
    figures.draw_ranking(
        bars,
        1 / len(found["labels"]),
        "Unweighted average recall, actors never heard",
        folder / f"{NAME}.png",
    )
    return path


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


def _spread(one: Mapping[str, Any]) -> str:
    low, high = one["uar_interval"]
    return f"{_percent(one['uar'])} ({100 * low:.1f} to {100 * high:.1f})"
