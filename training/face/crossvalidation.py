"""Training on one part of some faces and judging on the rest: a random split, or cross-validation.

Every fold has a run folder of its own, so a run that was stopped goes on where it was, and a fold that is
finished is not trained again. What a fold is judged on is seen by nothing that chooses: no epoch is picked,
and the log watches no faces.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.types import SettingsError
from training import metrics
from training.devices import Device
from training.face import fer2013, recipes, train
from training.face.fer2013 import Faces, IntArray
from training.face.net import count_parameters
from training.face.recipes import Config

DIGITS = 4
MARK = "faces.sha256"
"""In a fold's run folder: which faces it was begun with."""
KINDS: dict[str, Callable[[IntArray], npt.NDArray[np.float64]]] = {
    "precision": metrics.precisions,
    "recall": metrics.recalls,
    "f1": metrics.f1_scores,
}


@dataclass(frozen=True, slots=True)
class Fold:
    """Rows of the same faces, to learn from and to be judged on."""

    name: str
    training: IntArray
    test: IntArray


@dataclass(frozen=True, slots=True)
class Judged:
    """What a trained network said about faces it had not seen."""

    name: str
    truth: IntArray
    predicted: IntArray
    fresh: npt.NDArray[np.bool_]
    """Those of which no copy, exact or near, was learned from."""
    learned: int
    """Faces that it learned from."""
    left_out: int
    """Faces of its training part that are labelled both ways or show no face."""
    parameters: int


def split(count: int, share: float, seed: int = 0) -> Fold:
    """A random split of *count* faces; the test part is rounded up, as scikit-learn does."""
    order = np.random.default_rng(seed).permutation(count)
    test = int(np.ceil(count * share))
    return Fold("split", np.sort(order[test:]), np.sort(order[:test]))


def stratify(labels: IntArray, folds: int, seed: int = 0) -> list[Fold]:
    """Folds in which every label is equally frequent, to within one face; each face is judged in one of them.

    Raises:
        SettingsError: fewer than 2 folds, or more than the rarest label has faces.
    """
    rarest = int(np.unique(labels, return_counts=True)[1].min())
    if not 2 <= folds <= rarest:
        raise SettingsError(f"--folds {folds}: 2 to {rarest}, the number of faces of the rarest label")
    order = np.random.default_rng(seed).permutation(len(labels))
    places = np.empty(len(labels), np.int64)
    # Dealt out label after label without starting anew, so that the folds are equally large too.
    places[order[np.argsort(labels[order], kind="stable")]] = np.arange(len(labels)) % folds
    return [
        Fold(f"fold{fold + 1}of{folds}", np.flatnonzero(places != fold), np.flatnonzero(places == fold))
        for fold in range(folds)
    ]


def judge(
    config: Config,
    faces: Faces,
    fold: Fold,
    labels: Sequence[str],
    run: Path,
    *,
    place: Device | None = None,
    quiet: bool = False,
) -> Judged:
    """Train a fold, or go on training it, and let the network read the rest in full precision.

    The recipe's teachers are recipes themselves, trained on the same part of the faces before.

    Raises:
        SettingsError: the run folder was begun with another recipe or with other faces.
    """
    training, test = faces.take(fold.training), faces.take(fold.test)
    sound = ~(fer2013.disputed(training) | (training.votes_for_nothing > 0.5))
    learned = training.take(sound)
    folder = run / fold.name
    _mark(folder, learned)
    watched = faces.take(np.zeros(0, np.int64))
    teachers = []
    for recipe in map(Path, config.distil.teachers):
        own = folder / recipe.stem
        train.train(recipes.load(recipe), learned, watched, own, labels=labels, place=place, quiet=quiet)
        teachers.append(str(own))
    config = replace(config, distil=replace(config.distil, teachers=teachers))
    net = train.train(config, learned, watched, folder, labels=labels, place=place, quiet=quiet)
    logits = train.predict(net, train.tensor(test, config.input))
    return Judged(
        name=fold.name,
        truth=test.labels,
        predicted=np.asarray(logits.argmax(1), np.int64),
        fresh=~fer2013.copied(test, learned),
        learned=len(learned),
        left_out=int((~sound).sum()),
        parameters=count_parameters(net),
    )


def judge_all(
    config: Config, faces: Faces, folds: Sequence[Fold], labels: Sequence[str], run: Path, *, place: Device
) -> list[Judged]:
    """All folds, one after the other.

    Finished teachers are left out: they learned from what the folds are judged on. Those that the recipe
    names by their recipes learn with every fold.

    Raises:
        SettingsError: as for judge.
    """
    teachers = [one for one in config.distil.teachers if one.endswith(".toml")]
    if teachers != config.distil.teachers and place.rank == 0:
        print("teachers are left out: they may know the faces that a fold is judged on", file=sys.stderr)
    share = config.distil.share if teachers else 0.0
    config = replace(config, distil=replace(config.distil, teachers=teachers, share=share))
    judged = []
    for number, fold in enumerate(folds, 1):
        if place.rank == 0:
            print(f"{run / fold.name}: {number} of {len(folds)}", file=sys.stderr)
        judged.append(judge(config, faces, fold, labels, run, place=place))
    return judged


def _mark(folder: Path, faces: Faces) -> None:
    """Remember which faces the run is of; a run of others is not continued."""
    digest = hashlib.sha256()
    for part in (faces.images, faces.labels, faces.votes):
        digest.update(np.ascontiguousarray(part).tobytes())
    path = folder / MARK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(digest.hexdigest() + "\n", "ascii")
        known = path.read_text("ascii").strip()
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror or error}") from error
    if known != digest.hexdigest():
        raise SettingsError(f"{folder}: was begun with other faces; name another --run folder")


def table(judged: Sequence[Judged], labels: Sequence[str]) -> dict[str, Any]:
    """The figures of all folds together; with more than one, also of each, their mean and deviation."""
    together = figures(
        np.concatenate([one.truth for one in judged]),
        np.concatenate([one.predicted for one in judged]),
        np.concatenate([one.fresh for one in judged]),
        labels,
    )
    whole: dict[str, Any] = {
        "parameters": judged[0].parameters,
        "learned_from": [one.learned for one in judged],
        "left_out_of_training": [one.left_out for one in judged],
        **together,
    }
    if len(judged) > 1:
        folds = [figures(one.truth, one.predicted, one.fresh, labels) for one in judged]
        whole["folds"] = {one.name: found for one, found in zip(judged, folds, strict=True)}
        values = [_headline(one, labels) for one in folds]
        columns = {key: [one[key] for one in values] for key in values[0]}
        whole["mean"] = {key: round(float(np.mean(column)), DIGITS) for key, column in columns.items()}
        whole["sd"] = {key: round(float(np.std(column, ddof=1)), DIGITS) for key, column in columns.items()}
    return whole


def _headline(found: dict[str, Any], labels: Sequence[str]) -> dict[str, float]:
    """What means are taken of."""
    return {
        "accuracy": found["accuracy"],
        "accuracy_without_copies": found["without_copies"]["accuracy"],
        "macro_f1": found["macro_f1"],
        **{f"recall_{label}": found["per_class"][label]["recall"] for label in labels},
    }


def figures(
    truth: IntArray, predicted: IntArray, fresh: npt.NDArray[np.bool_], labels: Sequence[str]
) -> dict[str, Any]:
    """Fractions with 95 % bootstrap intervals, ready for JSON."""
    count = len(labels)
    matrix = metrics.confusion(truth, predicted, count)
    drawn = metrics.resample(truth, predicted, count)
    found: dict[str, Any] = {"images": len(truth)}
    for name, figure in (("accuracy", metrics.accuracy), ("macro_f1", metrics.macro_f1)):
        found[name] = round(figure(matrix), DIGITS)
        found[f"{name}_interval"] = _interval([figure(one) for one in drawn])
    found["without_copies"] = {"images": int(fresh.sum()), "accuracy": 0.0, "accuracy_interval": [0.0, 0.0]}
    if fresh.any():
        rest = truth[fresh], predicted[fresh], count
        found["without_copies"] |= {
            "accuracy": round(metrics.accuracy(metrics.confusion(*rest)), DIGITS),
            "accuracy_interval": _interval([metrics.accuracy(one) for one in metrics.resample(*rest)]),
        }
    per_class: dict[str, dict[str, Any]] = {label: {} for label in labels}
    for kind, figure_of in KINDS.items():
        values, spread = figure_of(matrix), np.array([figure_of(one) for one in drawn])
        for column, label in enumerate(labels):
            per_class[label][kind] = round(float(np.nan_to_num(values[column])), DIGITS)
            per_class[label][f"{kind}_interval"] = _interval(spread[:, column])
    return found | {"per_class": per_class, "confusion": matrix.tolist()}


def _interval(values: Any) -> list[float]:
    if not np.isfinite(values).any():  # a label that no test face has
        return [0.0, 0.0]
    return [round(end, DIGITS) for end in metrics.middle(values)]
