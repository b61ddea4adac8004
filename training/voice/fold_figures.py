"""What folds and held-out corpora found, as fractions ready for JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.types import VOICE_LABELS
from edge.words import NEGATIVE
from training import metrics
from training.metrics import IntArray, Probabilities
from training.voice.corpora import Clip
from training.voice.crossvalidation import FILES, Answers
from training.voice.evaluation import MAIN

DIGITS = 4
FIRST = FILES[0]
FIVE = tuple(label for label in VOICE_LABELS if label != "neutral")
"""The classes of the Indonesian speech study."""
LANGUAGES = {
    "ravdess": "English",
    "tess": "English",
    "nemo": "Polish",
    "spanish_rcebrian": "Spanish",
    "indowave": "Indonesian",
}
CHOOSERS = frozenset(f"{MAIN}_{actor:02}" for actor in range(9, 19))
"""On whom the recipe was chosen, so that their own figures flatter it a little; docs/experiments-voice.md."""
KINDS: dict[str, Callable[[IntArray], npt.NDArray[np.float64]]] = {
    "precision": metrics.precisions,
    "recall": metrics.recalls,
    "f1": metrics.f1_scores,
}


class Rows:
    """Labelled clips of some parts with one file's answers, and what each part asks of a claim."""

    def __init__(
        self, parts: Sequence[Answers], file: str = FIRST, *, wanted: Callable[[Clip], bool] = lambda _: True
    ) -> None:
        """Take the clips that are *wanted*; unlabelled ones have the truth -1."""
        chosen = [(part, row) for part in parts for row, clip in enumerate(part.clips) if wanted(clip)]
        self.clips = [part.clips[row] for part, row in chosen]
        self.probs = np.array([part.probs[file][row] for part, row in chosen]).reshape(-1, len(VOICE_LABELS))
        self.truth = np.array(
            [VOICE_LABELS.index(clip.label) if clip.label else -1 for clip in self.clips], np.int64
        )
        self.predicted = np.asarray(self.probs.argmax(1), np.int64)
        negative = np.isin(np.array(VOICE_LABELS)[self.predicted], NEGATIVE)
        self.below = np.array([part.uncertain_below for part, _ in chosen])
        limits = np.where(
            negative, np.maximum(self.below, [part.negative_below for part, _ in chosen]), self.below
        )
        self.sure = self.probs.max(1, initial=0) >= limits
        self.sure_without = self.probs.max(1, initial=0) >= self.below
        """As they would be without a threshold of their own for negative claims."""
        names = [clip.speaker for clip in self.clips]
        self.speakers = np.asarray(np.unique(names, return_inverse=True)[1], np.int64)

    @property
    def matrix(self) -> IntArray:
        """Confusion over VOICE_LABELS."""
        return metrics.confusion(self.truth, self.predicted, len(VOICE_LABELS))


def folds(parts: Sequence[Answers]) -> dict[str, Any]:
    """All folds together, each fold, each corpus, sound without emotion, and int8 beside float."""
    main = Rows(parts, wanted=_headline)
    single = [Rows([part], wanted=_headline) for part in parts]
    values = {
        "uar": [metrics.average_recall(one.matrix) for one in single],
        "accuracy": [metrics.accuracy(one.matrix) for one in single],
    }
    corpora = sorted({clip.corpus for part in parts for clip in part.clips})
    return {
        "labels": list(VOICE_LABELS),
        "corpus": MAIN,
        **figures(main),
        "uar_calm_as_neutral": _uar(
            Rows(parts, wanted=lambda clip: clip.corpus == MAIN and clip.label is not None)
        ),
        "without_choosers": figures(
            Rows(parts, wanted=lambda clip: _headline(clip) and clip.speaker not in CHOOSERS)
        ),
        "per_class": per_class(main),
        "confusion": main.matrix.tolist(),
        "mean": {key: round(float(np.mean(column)), DIGITS) for key, column in values.items()},
        "sd": {
            key: round(float(np.std(column, ddof=1)), DIGITS) if len(column) > 1 else 0.0
            for key, column in values.items()
        },
        "folds": {
            part.name: {
                **figures(rows),
                "people": sorted({clip.speaker for clip in rows.clips}),
                "epochs": part.epochs,
                "temperature": round(part.temperature, DIGITS),
                "uncertain_below": part.uncertain_below,
                "negative_below": part.negative_below,
                "false_per_hour": false_readings([part])["per_hour"],
            }
            for part, rows in zip(parts, single, strict=True)
        },
        "corpora": {name: of_corpus(parts, name) for name in corpora},
        "false": false_readings(parts),
        "cost_of_negative_below": _cost(main),
        "parity": parity(parts),
    }


def _headline(clip: Clip) -> bool:
    return clip.corpus == MAIN and clip.label is not None and clip.kind != "calm"


def figures(rows: Rows) -> dict[str, Any]:
    """Headline figures with 95 % intervals: over clips, and over whole speakers."""
    count = len(VOICE_LABELS)
    found: dict[str, Any] = {"clips": len(rows.clips), "speakers": len(set(rows.speakers.tolist()))}
    for name, figure in (("uar", metrics.average_recall), ("accuracy", metrics.accuracy)):
        found[name] = round(figure(rows.matrix), DIGITS)
        for over, groups in (("clips", None), ("speakers", rows.speakers)):
            ends = metrics.interval(figure, rows.truth, rows.predicted, count, groups=groups)
            found[f"{name}_interval_{over}"] = [round(end, DIGITS) for end in ends]
    right = rows.predicted == rows.truth
    return found | {
        "macro_f1": round(metrics.macro_f1(rows.matrix), DIGITS),
        "ece": round(metrics.calibration_error(rows.probs, rows.truth), DIGITS),
        "claimed": round(float(rows.sure.mean()), DIGITS),
        "claimed_accuracy": _mean(right[rows.sure]),
    }


def per_class(rows: Rows) -> dict[str, dict[str, Any]]:
    """Precision, recall and F1 of each label that occurs, with intervals over clips."""
    drawn = metrics.resample(rows.truth, rows.predicted, len(VOICE_LABELS))
    found: dict[str, dict[str, Any]] = {}
    for kind, figure in KINDS.items():
        values, spread = figure(rows.matrix), np.array([figure(one) for one in drawn])
        for column in np.unique(rows.truth).tolist():
            ends = metrics.middle(spread[:, column].tolist())
            one = found.setdefault(VOICE_LABELS[column], {"clips": int((rows.truth == column).sum())})
            one[kind] = round(float(values[column]), DIGITS)
            one[f"{kind}_interval"] = [round(end, DIGITS) for end in ends]
    return found


def of_corpus(parts: Sequence[Answers], corpus: str) -> dict[str, Any]:
    """One corpus: the labels that it has, the study's five among them, and tones without a label."""
    rows = Rows(parts, wanted=lambda c: c.corpus == corpus and c.label is not None and c.kind != "calm")
    rest = Rows(parts, wanted=lambda c: c.corpus == corpus and c.label is None)
    five = Rows(parts, wanted=lambda c: c.corpus == corpus and c.label in FIVE)
    columns = [VOICE_LABELS.index(label) for label in FIVE]
    five.predicted = np.array(columns, np.int64)[five.probs[:, columns].argmax(1)]
    found = figures(rows) | {
        "language": LANGUAGES.get(corpus, ""),
        "labels": [VOICE_LABELS[index] for index in np.unique(rows.truth)],
        "uar_five": _uar(five),
        "uar_five_interval": _ends(five),
        "per_class": per_class(rows),
        "claims": _claims(rows),
    }
    if rest.clips:
        found["unnamed"] = {
            "clips": len(rest.clips),
            "kinds": sorted({clip.kind for clip in rest.clips}),
            "uncertain": _mean(~rest.sure),
            "uncertain_interval": _share_interval(~rest.sure, rest.speakers),
            "claims": _claims(rest),
        }
    return found


def _claims(rows: Rows) -> dict[str, int]:
    names = [VOICE_LABELS[index] for index in rows.predicted[rows.sure]]
    return dict(Counter(names)) | {"uncertain": int((~rows.sure).sum())}


def false_readings(parts: Sequence[Answers]) -> dict[str, Any]:
    """Negative claims per hour of sound without emotion that no part learned from, over all parts."""
    hours = sum(part.sound_s for part in parts) / 3600
    kept: list[tuple[Clip, str, float]] = []
    without, passed, again = 0, 0, 0
    for part in parts:
        before = ("", "")
        for clip, probs in zip(part.sounds, part.sound_probs, strict=True):
            passed += 1
            label, sure = VOICE_LABELS[int(probs.argmax())], float(probs.max())
            worrying = label in NEGATIVE and sure >= part.uncertain_below
            without += worrying
            worrying = worrying and sure >= part.negative_below
            if worrying:
                kept.append((clip, label, sure))
            again += worrying and before == (clip.speaker, label)
            before = (clip.speaker, label if worrying else "")
    return {
        "hours": round(hours, DIGITS),
        "utterances": passed,
        "per_hour": round(len(kept) / max(hours, 1e-9), 2),
        "per_hour_interval": [round(end / max(hours, 1e-9), 2) for end in poisson_interval(len(kept))],
        "per_hour_twice": round(again / max(hours, 1e-9), 2),
        "per_hour_without_negative_below": round(without / max(hours, 1e-9), 2),
        "by_kind": dict(Counter(f"{clip.corpus}: {clip.kind}" for clip, _, _ in kept).most_common()),
        "by_label": dict(Counter(label for _, label, _ in kept).most_common()),
    }


def poisson_interval(count: int) -> tuple[float, float]:
    """The 95 % interval of a count (Garwood 1936)."""
    from scipy.stats import chi2  # noqa: PLC0415  slow, and rarely needed

    low = 0.0 if count == 0 else float(chi2.ppf(0.025, 2 * count)) / 2
    return low, float(chi2.ppf(0.975, 2 * count + 2)) / 2


def _cost(rows: Rows) -> dict[str, float]:
    """What asking more of negative claims takes away on labelled clips."""
    right = rows.predicted == rows.truth
    negative = np.isin(np.array(VOICE_LABELS)[rows.truth], NEGATIVE)
    return {
        "claimed_without": _mean(rows.sure_without),
        "claimed": _mean(rows.sure),
        "right_without": _mean(right[rows.sure_without]),
        "right": _mean(right[rows.sure]),
        "negative_clips_claimed_without": _mean(rows.sure_without[negative]),
        "negative_clips_claimed": _mean(rows.sure[negative]),
    }


def parity(parts: Sequence[Answers]) -> dict[str, Any]:
    """Both int8 files beside the float network, on the headline's clips and on all labelled ones."""
    found: dict[str, Any] = {}
    for name, wanted in (("headline", _headline), ("all", lambda clip: clip.label is not None)):
        rows = {file: Rows(parts, file, wanted=wanted) for file in FILES}
        float_ = rows[FILES[-1]]
        found[name] = {
            file: {
                "clips": len(one.clips),
                "uar": _uar(one),
                "accuracy": round(metrics.accuracy(one.matrix), DIGITS),
                "uar_lost": round(_exact(float_) - _exact(one), DIGITS),
                "accuracy_lost": round(
                    metrics.accuracy(float_.matrix) - metrics.accuracy(one.matrix), DIGITS
                ),
                "same": _mean(one.predicted == float_.predicted),
            }
            for file, one in rows.items()
        }
    return found


def corpora(parts: Sequence[Answers]) -> dict[str, Any]:
    """Each corpus that its part never heard, and their mean."""
    rows = {
        part.name: of_corpus([part], part.clips[0].corpus) | {"corpus": part.clips[0].corpus}
        for part in parts
    }
    return {
        "labels": list(VOICE_LABELS),
        "parts": rows,
        "mean": {
            key: round(float(np.mean([one[key] for one in rows.values()])), DIGITS)
            for key in ("uar", "uar_five")
        },
    }


def reliability(parts: Sequence[Answers]) -> tuple[Probabilities, IntArray]:
    """Probabilities and truth of the headline's clips, for the picture."""
    rows = Rows(parts, wanted=_headline)
    return rows.probs, rows.truth


def _uar(rows: Rows) -> float:
    return round(_exact(rows), DIGITS)


def _exact(rows: Rows) -> float:
    return metrics.average_recall(rows.matrix)


def _accuracy(rows: Rows) -> float:
    return metrics.accuracy(rows.matrix)


def _ends(rows: Rows) -> list[float]:
    ends = metrics.interval(
        metrics.average_recall, rows.truth, rows.predicted, len(VOICE_LABELS), groups=rows.speakers
    )
    return [round(end, DIGITS) for end in ends]


def _mean(values: npt.NDArray[np.bool_]) -> float:
    return round(float(values.mean()), DIGITS) if len(values) else 0.0


def _share_interval(values: npt.NDArray[np.bool_], speakers: IntArray) -> list[float]:
    """Of a share, drawing whole speakers: as the accuracy of a two-class confusion."""
    ends = metrics.interval(
        metrics.accuracy, np.ones(len(values), np.int64), values.astype(np.int64), 2, groups=speakers
    )
    return [round(end, DIGITS) for end in ends]
