"""What a kit learns from rounds of the practice game, tried on people that no model was trained on.

A *room* is how one camera in one room shows everybody, or one voice. A *class* is a draw of people for the
rounds; whoever was not drawn is read before and after. The kit's own ``edge.practice.adapt.learn`` learns
and refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from edge.practice import adapt
from edge.practice.adapt import Outcome, Reference, Refusal, Round
from training import metrics
from training.metrics import IntArray

Logs = adapt.Logs
Play = Callable[[IntArray, IntArray, Generator], IntArray]
"""Truth of all people, labels asked for in the rounds: who is drawn for each."""

DIGITS = 4
RESAMPLES = 400
"""Of a bootstrap interval."""
ROUNDS = (1, 3, 5)
"""Of each label."""
HARM = 0.01
"""A class is harmed when people it did not draw are read worse by more than this."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model says to everybody in one room."""

    logs: Logs
    """Looks x N x labels, calibrated log-probabilities."""
    truth: IntArray
    features: Logs | None = None
    """Looks x N x width, what the model decided from; only for heads that the kit does not have."""

    def take(self, rows: Any) -> Answers:
        """Some of the people only."""
        features = None if self.features is None else self.features[:, rows]
        return Answers(self.logs[:, rows], self.truth[rows], features)


def _each(truth: IntArray, shown: Sequence[int], random: Generator) -> IntArray:
    """Somebody else for every label in *shown*."""
    rows = np.empty(len(shown), np.int64)
    for label in set(shown):
        places = np.flatnonzero(np.equal(shown, label))
        people = np.flatnonzero(truth == label)
        rows[places] = random.choice(people, len(places), replace=len(places) > len(people))
    return rows


def as_asked(truth: IntArray, asked: IntArray, random: Generator) -> IntArray:
    """Everybody shows what was asked for."""
    return _each(truth, asked.tolist(), random)


def swapped(truth: IntArray, asked: IntArray, random: Generator) -> IntArray:
    """Every label is played as another one, always the same."""
    other = np.roll(np.unique(asked), 1)
    return _each(truth, other[np.searchsorted(np.unique(asked), asked)].tolist(), random)


def half_wrong(truth: IntArray, asked: IntArray, random: Generator) -> IntArray:
    """In half of the rounds something else is shown, anything."""
    shown = asked.copy()
    labels = np.unique(asked)
    for place in random.permutation(len(asked))[: len(asked) // 2]:
        shown[place] = random.choice(labels[labels != asked[place]])
    return _each(truth, shown.tolist(), random)


def half(label: str) -> Callable[[Sequence[str]], Play]:
    """In half of the rounds *label* is shown, whatever was asked for."""

    def made(labels: Sequence[str]) -> Play:
        def play(truth: IntArray, asked: IntArray, random: Generator) -> IntArray:
            shown = asked.copy()
            shown[random.permutation(len(asked))[: len(asked) // 2]] = labels.index(label)
            return _each(truth, shown.tolist(), random)

        return play

    return made


def always(label: str) -> Callable[[Sequence[str]], Play]:
    """Nothing but *label* is shown."""

    def made(labels: Sequence[str]) -> Play:
        def play(truth: IntArray, asked: IntArray, random: Generator) -> IntArray:
            return _each(truth, [labels.index(label)] * len(asked), random)

        return play

    return made


def anybody(truth: IntArray, asked: IntArray, random: Generator) -> IntArray:
    """What is shown has nothing to do with what was asked for."""
    return np.asarray(random.choice(len(truth), len(asked), replace=False), np.int64)


def plays(labels: Sequence[str]) -> dict[str, Play]:
    """All ways to play, by what they are called in tables; the first is the honest one."""
    return {
        "as asked": as_asked,
        "each label played as another": swapped,
        "half of the rounds wrong": half_wrong,
        "half of the rounds laughing": half("happy")(labels),
        "half of the rounds neutral": half("neutral")(labels),
        "all laughing": always("happy")(labels),
        "all neutral": always("neutral")(labels),
        "anything at all": anybody,
    }


@dataclass(frozen=True, slots=True)
class Class:
    """One class: what came of its rounds, and who was read rightly."""

    outcome: Outcome
    offsets: Logs
    """What was learned, or would have been without the guard."""
    drawn: npt.NDArray[np.bool_]
    """N: who was shown in the rounds, and is not judged."""
    change: npt.NDArray[np.int8]
    """N: 1 who is read rightly only with the offsets, -1 only without."""

    @property
    def learned(self) -> bool:
        """Whether the guard let it pass."""
        return self.outcome.refusal is None


def play_classes(
    room: Answers,
    reference: Reference,
    play: Play = as_asked,
    *,
    each: int | None,
    classes: int,
    spared: int = 0,
) -> list[Class]:
    """Draw classes, let them play *each* rounds of every label, and see what they learned.

    With *each* None they play on and the kit tries as it does: adapt.ATTEMPTS, until it has learned. Of every
    label, *spared* people at least do not play; where more are asked for, the round is left out.
    """
    before = room.logs[0].argmax(1) == room.truth
    labels = np.unique(room.truth)
    sets = each or -(-adapt.ATTEMPTS[-1] // len(labels))
    often = np.bincount(room.truth) - spared
    asked = np.array([label for turn in range(sets) for label in labels if turn < often[label]])
    found = []
    for one in range(classes):
        random = np.random.default_rng((sets, one))
        rows = play(room.truth, asked, random)
        rounds = [Round(int(label), room.logs[:, row]) for label, row in zip(asked, rows, strict=True)]
        attempts = [len(rounds)] if each else adapt.ATTEMPTS
        for count in attempts:
            outcome = adapt.learn(rounds[:count], reference)
            if outcome.refusal is None or count >= len(rounds):
                break
        offsets = np.array(outcome.offsets or adapt.trust(rounds[:count], reference))
        after = (room.logs[0] + offsets).argmax(1) == room.truth
        drawn = np.zeros(len(room.truth), bool)
        drawn[rows[:count]] = True
        found.append(Class(outcome, offsets, drawn, after.astype(np.int8) - before.astype(np.int8)))
    return found


def reference_of(answers: Answers, *, each: int, seed: int = 0) -> Reference:
    """The first look at *each* people of every label, to two digits."""
    random = np.random.default_rng(seed)
    people = [np.flatnonzero(answers.truth == label) for label in np.unique(answers.truth)]
    rows = np.concatenate([random.choice(one, min(each, len(one)), replace=False) for one in people])
    shares = np.bincount(answers.truth) / len(answers.truth)
    return Reference(answers.logs[0][rows].round(2), answers.truth[rows], shares.round(4))


def judge(room: Answers, classes: Sequence[Class], *, plain: Answers | None = None) -> dict[str, Any]:
    """What the classes of one room gained and lost, with 95 % bootstrap intervals.

    The bootstrap draws classes and people, since both are samples.

    Args:
        room: where they played.
        classes: of play_classes.
        plain: the same people in good light, to see what remains of it when the light comes back.
    """
    learned = np.array([one.learned for one in classes])
    kept = np.array([~one.drawn for one in classes])
    change = np.array([one.change for one in classes], np.float32) * kept
    guarded = change * learned[:, None]
    right = room.logs[0].argmax(1) == room.truth
    table: dict[str, Any] = {
        "classes": len(classes),
        "rounds": float(np.mean([one.outcome.rounds for one in classes])),
        "before": {
            "even": _digits(even(right.astype(float), np.ones(len(right)), room.truth)),
            "mixed": _digits(right.mean()),
        },
        "learned": _digits(learned.mean()),
        "refused": _refusals(classes),
        "unguarded": _changes(change, kept, room.truth),
        "guarded": _changes(guarded, kept, room.truth),
        "harmed": _digits(np.mean([_harmed(one, room.truth) for one in classes])),
        "harmed_unguarded": _digits(np.mean([_worse(one, room.truth) for one in classes])),
    }
    if plain is not None and learned.any():
        offsets = [one.offsets for one in classes if one.learned]
        before = plain.logs[0].argmax(1) == plain.truth
        later = [((plain.logs[0] + one).argmax(1) == plain.truth).mean() - before.mean() for one in offsets]
        table["light_back"] = {"mean": _digits(np.mean(later)), "worst": _digits(np.min(later))}
    return table


def _changes(change: Logs, kept: Logs, truth: IntArray) -> dict[str, Any]:
    """Mean change of the accuracy, of an even mix of labels and of the one in the data."""
    by_class, by_person = _drawn(len(change), 1), _drawn(len(truth), 2)
    belongs = np.equal.outer(truth, np.unique(truth)).astype(np.float32)
    sums = (by_person * (by_class @ change.astype(np.float32))) @ belongs
    counts = (by_person * (by_class @ kept.astype(np.float32))) @ belongs
    with np.errstate(invalid="ignore"):
        drawn = {"even": np.nanmean(sums / counts, 1), "mixed": sums.sum(1) / counts.sum(1)}
    found: dict[str, Any] = {}
    for key, values in drawn.items():
        found[key] = _digits(values[0])
        found[f"{key}_interval"] = [_digits(end) for end in metrics.middle(values[1:].tolist())]
    return found


@cache
def _drawn(count: int, seed: int) -> npt.NDArray[np.float32]:
    """How often each of *count* is drawn, 1 + RESAMPLES times; the first time everybody is, once."""
    random = np.random.default_rng(seed)
    drawn = random.multinomial(count, np.full(count, 1 / count), 1 + RESAMPLES)
    drawn[0] = 1
    return drawn.astype(np.float32)


def even(sums: Logs, counts: Logs, truth: IntArray) -> float:
    """The mean over the labels of sums / counts."""
    size = int(truth.max()) + 1
    above, below = np.bincount(truth, sums, size), np.bincount(truth, counts, size)
    return float((above[below > 0] / below[below > 0]).mean())


def _worse(one: Class, truth: IntArray) -> bool:
    """Whether those who were not drawn are read worse with the offsets, in either mix."""
    kept = ~one.drawn
    evenly = even(one.change[kept].astype(float), np.ones(int(kept.sum())), truth[kept])
    return bool(min(evenly, one.change[kept].mean()) < -HARM)


def _harmed(one: Class, truth: IntArray) -> bool:
    return one.learned and _worse(one, truth)


def _refusals(classes: Sequence[Class]) -> dict[str, float]:
    names = [one.outcome.refusal for one in classes]
    return {name: _digits(names.count(name) / len(names)) for name in get_args(Refusal) if name in names}


def _digits(value: Any) -> float:
    return round(float(value), DIGITS)
