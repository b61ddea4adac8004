"""A small head on a model's answers, learned from rounds in which the right answer was asked for. Pure.

The head is one number per label, added to the calibrated log-probabilities. It takes back what a room does to
all answers alike: in the dark every face looks neutral. It is fitted as the biases of a last layer are
(logistic regression, a normal prior around the shipped ones), and so depends on how often each label was
asked for and on how the answers spread, not on which round was which: two children who play happy and sad the
wrong way round change nothing. docs/practice-learning.md tells what it was chosen from and what it is worth.

How often a game asks for a label says nothing about how often it occurs. So the rounds of each label count as
much as those of any other, and answers are compared with what the model says to an even mix already.

Most rooms have nothing to teach. ``learn`` refuses unless the rounds themselves show a gain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Logs = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

Refusal = Literal["too_few_rounds", "too_few_labels", "not_shown", "no_gain", "would_harm"]

STEPS = 50
"""Of Newton's method at most; a handful is the rule."""
WIDE = 10.0
"""A prior so wide that it says nothing."""
ATTEMPTS = 14, 21, 28, 35
"""Rounds that a kit has each time it tries to learn. More tries would find a gain where there is none."""
LEAST_PROBABILITY = 1e-6
"""No answer is surer than this that a label is not it."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be learned, and from what."""

    rounds_a_label: int = 2
    """A label that was asked for less often is left alone: no round of it could be checked by another."""
    least_rounds: int = 12
    least_labels: int = 4
    spread: float = 0.8
    """Standard deviation of the prior: how far from 0 an offset is expected, in nats."""
    most: float = 1.5
    """No offset is larger, in nats."""
    sure: float = 0.8
    """A round whose mean probability for another label is as high contradicts what was asked for."""
    contradicted: float = 0.15
    """Share of such rounds from which on nobody played what was asked for."""
    by_chance: float = 0.02
    """Asked labels dealt out anew may fit the rounds as well no more often than this."""
    deals: int = 499
    surety: float = 1.0
    """Standard errors by which rounds must be read better with what the others taught."""
    least_gain: float = 0.03
    """Nats a round by which they must be so at least."""
    most_loss: float = 0.02
    """Of the accuracy on the reference, evenly mixed and as mixed in the data."""
    most_loss_of_one: float = 0.15
    """Of one label's recall there."""
    parts: tuple[float, ...] = (1.0, 0.75, 0.5)
    """Of the offsets that may be taken where all of them would lose more than that; largest first."""


@dataclass(frozen=True, slots=True)
class Round:
    """What was read while one label was asked for."""

    label: int
    """Its place among the labels."""
    logs: Logs
    """Looks x labels, calibrated log-probabilities without a head."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What the model answers to people in good light; what is learned may change it by little."""

    logs: Logs
    """N x labels."""
    labels: Places
    """N; every label is there."""
    shares: Logs
    """Per label, how often it occurs."""

    def accuracies(self, offsets: Logs) -> tuple[float, float, Logs]:
        """Of an even mix, of the mix that occurs, and the recall of each label."""
        right = (self.logs + offsets).argmax(1) == self.labels
        count = len(self.shares)
        recalls = np.bincount(self.labels, right, count) / np.bincount(self.labels, minlength=count)
        return float(recalls.mean()), float(recalls @ self.shares), recalls


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of learning."""

    rounds: int
    """From which something could be learned."""
    labels: int
    """How many different ones they asked for."""
    refusal: Refusal | None = None
    offsets: tuple[float, ...] = ()
    """One per label; empty when refused."""
    gain: float = 0.0
    """Nats by which a round is read better with what the others taught."""
    error: float = 0.0
    """Standard error of it."""
    chance: float = 1.0
    """How often labels dealt out at random fit as well."""


def to_logs(probs: npt.ArrayLike) -> Logs:
    """Probabilities as log-probabilities that are finite."""
    return np.asarray(np.log(np.maximum(np.asarray(probs, np.float64), LEAST_PROBABILITY)))


def stack(looks: Sequence[Logs]) -> Logs:
    """Looks x labels."""
    return np.stack(looks)


def log_softmax(scores: Logs) -> Logs:
    """Log-probabilities over the last axis."""
    shifted = scores - scores.max(-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))


def fit(logs: Logs, labels: Places, weights: Logs, *, spread: float, start: Logs | None = None) -> Logs:
    """The offsets under which *labels* are most probable, given the prior.

    Args:
        logs: N x labels.
        labels: N, places among them.
        weights: N.
        spread: the prior's standard deviation.
        start: offsets close to the answer, where some are known.

    Returns:
        One per label, summing to 0.
    """
    asked = np.bincount(labels, weights, logs.shape[1])
    offsets = np.zeros(logs.shape[1]) if start is None else start
    for _ in range(STEPS):
        probs = np.exp(log_softmax(logs + offsets))
        weighted = probs * weights[:, None]
        slope = weighted.sum(0) - asked + offsets / spread**2
        bend = np.diag(weighted.sum(0) + 1 / spread**2) - weighted.T @ probs
        step = np.clip(np.linalg.solve(bend, slope), -1, 1)
        offsets = offsets - step
        if np.abs(step).max() < 1e-10:
            break
    return offsets


def learn(rounds: Sequence[Round], reference: Reference, rules: Rules | None = None) -> Outcome:
    """What *rounds* teach, or why it is not believed.

    Args:
        rounds: in any order; the same ones give the same outcome, to the last digit.
        reference: of the same labels.
        rules: what is believed.
    """
    rules = rules or Rules()
    rounds, columns = _usable(rounds, len(reference.shares), rules.rounds_a_label)
    if len(rounds) < rules.least_rounds:
        return Outcome(len(rounds), len(columns), "too_few_rounds")
    if len(columns) < rules.least_labels:
        return Outcome(len(rounds), len(columns), "too_few_labels")
    table = _Table(rounds, columns, _evened(reference, columns), rules)
    chance = table.by_chance()
    gain, error = table.gain()
    offsets = _bounded(table.offsets(len(reference.shares)), reference, rules)
    refusal: Refusal | None = None
    if _contradicted(rounds, rules) > rules.contradicted or chance > rules.by_chance:
        refusal = "not_shown"
    elif gain < max(rules.surety * error, rules.least_gain):
        refusal = "no_gain"
    elif offsets is None:
        refusal = "would_harm"
    told = () if refusal or offsets is None else tuple(round(float(one), 4) for one in offsets)
    return Outcome(len(rounds), len(columns), refusal, told, gain, error, chance)


def trust(rounds: Sequence[Round], reference: Reference, rules: Rules | None = None) -> Logs:
    """The offsets that *rounds* teach when everything is believed: what ``learn`` protects from."""
    rules = rules or Rules()
    rounds, columns = _usable(rounds, len(reference.shares), 1)
    return _Table(rounds, columns, _evened(reference, columns), rules).offsets(len(reference.shares))


def _usable(rounds: Sequence[Round], labels: int, rounds_a_label: int) -> tuple[list[Round], Places]:
    """The rounds in which something was read, of labels asked for often enough; and those labels.

    In an order of their own, so that the order in which they were played decides nothing.
    """
    read = sorted((one for one in rounds if len(one.logs)), key=lambda one: (one.label, one.logs.tobytes()))
    often = np.bincount(np.array([one.label for one in read], np.int64), minlength=labels)
    columns = np.flatnonzero(often >= rounds_a_label)
    return [one for one in read if one.label in columns], columns


def _evened(reference: Reference, columns: Places) -> Logs:
    """Offsets, one per column, that undo what the model expects to be frequent."""
    rows = np.isin(reference.labels, columns)
    labels = np.searchsorted(columns, reference.labels[rows])
    weights = 1 / np.bincount(labels)[labels]
    return fit(reference.logs[rows][:, columns], labels, weights, spread=WIDE)


def _contradicted(rounds: Sequence[Round], rules: Rules) -> float:
    """Share of the rounds in which the model is sure of something else."""
    means = np.array([np.exp(log_softmax(one.logs)).mean(0) for one in rounds])
    means[np.arange(len(rounds)), [one.label for one in rounds]] = 0
    return float((means.max(1) >= rules.sure).mean())


def _bounded(offsets: Logs, reference: Reference, rules: Rules) -> Logs | None:
    """As much of the offsets as leaves the reference read nearly as well; None where that is too little.

    The log-probability of what was asked for is concave in the part, so a part of the head keeps at least as
    large a part of the gain.
    """
    before = reference.accuracies(np.zeros_like(offsets))
    for part in rules.parts:
        after = reference.accuracies(part * offsets)
        loss = max(before[0] - after[0], before[1] - after[1])
        if loss <= rules.most_loss and (before[2] - after[2]).max() <= rules.most_loss_of_one:
            return part * offsets
    return None


class _Table:
    """All looks of all rounds, seen as answers among the labels that were asked for."""

    def __init__(self, rounds: Sequence[Round], columns: Places, evened: Logs, rules: Rules) -> None:
        self._rules, self._classes = rules, len(columns)
        self._labels = np.searchsorted(columns, [one.label for one in rounds])
        self._place = np.repeat(np.arange(len(rounds)), [len(one.logs) for one in rounds])
        self._logs = log_softmax(np.concatenate([one.logs for one in rounds])[:, columns] + evened)
        self._looks = np.bincount(self._place)
        self._columns = columns
        self._learned = self._fit(np.ones(len(rounds), bool), None)

    def offsets(self, labels: int) -> Logs:
        """One per label; those that were not asked for keep theirs."""
        offsets = np.zeros(labels)
        offsets[self._columns] = self._learned
        return offsets

    def _fit(self, kept: npt.NDArray[np.bool_], start: Logs | None) -> Logs:
        """From the *kept* rounds; each counts once, however many looks it had, and each label as much."""
        labels = self._labels
        evenly = kept.sum() / self._classes / np.bincount(labels[kept], minlength=self._classes)[labels]
        rows = kept[self._place]
        weights = (evenly / self._looks)[self._place[rows]]
        places = labels[self._place[rows]]
        found = fit(self._logs[rows], places, weights, spread=self._rules.spread, start=start)
        return np.clip(found, -self._rules.most, self._rules.most)

    def _means(self, offsets: Logs) -> Logs:
        """Rounds x classes: the mean log-probability over a round's looks."""
        logs = log_softmax(self._logs + offsets)
        sums = np.zeros((len(self._labels), self._classes))
        np.add.at(sums, self._place, logs)
        return np.asarray(sums / self._looks[:, None])

    def gain(self) -> tuple[float, float]:
        """Nats by which a round is read better with what all the others taught, and the standard error."""
        rounds = np.arange(len(self._labels))
        before = self._means(np.zeros(self._classes))[rounds, self._labels]
        after = np.empty_like(before)
        for one in rounds:
            taught = self._fit(rounds != one, self._learned)
            looks = log_softmax(self._logs[self._place == one] + taught)
            after[one] = looks[:, self._labels[one]].mean()
        weights = 1 / np.bincount(self._labels)[self._labels] / self._classes
        gains = after - before
        gain = float(weights @ gains)
        return gain, float(np.sqrt(np.sum((weights * (gains - gain)) ** 2)))

    def by_chance(self) -> float:
        """How often the asked labels, dealt out anew among the rounds, fit them as well.

        The offsets are the same whichever round a label goes to, so only the fit is compared.
        """
        means, rounds = self._means(self._learned), np.arange(len(self._labels))
        random = np.random.default_rng(0)
        dealt = random.permuted(np.tile(self._labels, (self._rules.deals, 1)), axis=1)
        fits = means[rounds, dealt].sum(1)
        shown = means[rounds, self._labels].sum()
        return float((1 + (fits >= shown - 1e-9).sum()) / (1 + self._rules.deals))
