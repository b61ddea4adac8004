"""Heads that a kit could have learned instead of one number per label, for comparison only.

All are added to what the model says, start at nothing and are held there by a normal prior: a matrix that
mixes the answers, and the whole last layer on the model's features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from edge.practice import adapt
from edge.practice.adapt import Logs, Reference, Round, Rules
from training.metrics import IntArray
from training.practice import classes as playing
from training.practice.classes import Answers

PRIORS = 0.1, 0.4, 1.0, 3.0
"""Tried for the ceiling, which is the best of them."""


@dataclass(frozen=True, slots=True)
class Head:
    """A linear head on some inputs."""

    text: str
    features: bool
    """On the model's features; else on its log-probabilities."""
    spread: float
    """Standard deviation of the prior on each weight."""


OFFSETS = "one number a label"
HEADS = (
    Head("the answers mixed anew", features=False, spread=0.1),
    Head("the whole last layer", features=True, spread=1.0),
)


def compare(rooms: Mapping[str, Answers], reference: Reference, *, classes: int) -> dict[str, object]:
    """Per head and room, the mean change of an even mix's accuracy by rounds a label, and the ceiling."""
    found: dict[str, dict[str, dict[str, float]]] = {OFFSETS: {}}
    for key, room in rooms.items():
        found[OFFSETS][key] = {
            **{str(each): _offsets(room, reference, each, classes) for each in playing.ROUNDS},
            "ceiling": _offsets_ceiling(room),
        }
    width = next(iter(rooms.values())).logs.shape[2]
    numbers = {OFFSETS: width}
    for head in HEADS:
        some = next(iter(rooms.values()))
        if head.features and (some.features is None or not some.features.shape[2]):
            continue
        inputs = {key: _inputs(room, head) for key, room in rooms.items()}
        numbers[head.text] = width * (next(iter(inputs.values())).shape[2] + 1)
        found[head.text] = {
            key: {
                **{
                    str(each): _head(room, inputs[key], head, reference=reference, each=each, classes=classes)
                    for each in playing.ROUNDS
                },
                "ceiling": _ceiling(room, inputs[key]),
            }
            for key, room in rooms.items()
        }
    return {f"{name} ({numbers[name]})": table for name, table in found.items()}


def _inputs(room: Answers, head: Head) -> Logs:
    """Looks x N x width, each input of about unit length."""
    if not head.features or room.features is None:
        return room.logs
    middle, scale = room.features[0].mean(0), room.features[0].std(0) + 1e-6
    return np.asarray((room.features - middle) / scale / np.sqrt(room.features.shape[2]))


def _draw(room: Answers, each: int, one: int) -> IntArray:
    random = np.random.default_rng((each, one))
    asked = np.tile(np.unique(room.truth), each)
    return playing.as_asked(room.truth, asked, random)


def _offsets(room: Answers, reference: Reference, each: int, classes: int) -> float:
    changes = []
    for one in range(classes):
        rows = _draw(room, each, one)
        rounds = [Round(int(room.truth[row]), room.logs[:, row]) for row in rows]
        changes.append(_change(room, room.logs[0] + adapt.trust(rounds, reference), rows))
    return float(np.mean(changes))


def _head(room: Answers, inputs: Logs, head: Head, *, reference: Reference, each: int, classes: int) -> float:
    evened, changes = _evened(reference), []
    for one in range(classes):
        rows = _draw(room, each, one)
        logs = (room.logs[:, rows] + evened).reshape(-1, room.logs.shape[2])
        truth = np.tile(room.truth[rows], len(inputs))
        weights = np.full(len(truth), 1 / len(inputs))
        learned = _fit(logs, inputs[:, rows].reshape(len(truth), -1), truth, weights, head.spread)
        changes.append(_change(room, room.logs[0] + _apply(learned, inputs[0]), rows))
    return float(np.mean(changes))


def _evened(reference: Reference) -> Logs:
    weights = 1 / np.bincount(reference.labels)[reference.labels]
    return adapt.fit(reference.logs, reference.labels, weights, spread=adapt.WIDE)


def _half(room: Answers) -> IntArray:
    """Half of the people, drawn."""
    return np.random.default_rng(0).permutation(len(room.truth))[: len(room.truth) // 2]


def _offsets_ceiling(room: Answers) -> float:
    some = _half(room)
    weights = np.ones(len(some))
    learned = adapt.fit(room.logs[0][some], room.truth[some], weights, spread=adapt.WIDE)
    return _change(room, room.logs[0] + learned, some)


def _ceiling(room: Answers, inputs: Logs) -> float:
    some = _half(room)
    found = []
    for spread in PRIORS:
        learned = _fit(room.logs[0][some], inputs[0][some], room.truth[some], np.ones(len(some)), spread)
        found.append(_change(room, room.logs[0] + _apply(learned, inputs[0]), some))
    return max(found)


def _fit(logs: Logs, inputs: Logs, truth: IntArray, weights: Logs, spread: float) -> Logs:
    """Labels x (1 + width): offsets, then weights of the inputs."""
    wide = np.concatenate([np.ones((len(inputs), 1)), inputs], 1)
    shape = logs.shape[1], wide.shape[1]
    prior = np.r_[1 / Rules().spread ** 2, np.full(shape[1] - 1, 1 / spread**2)]
    wanted = np.eye(shape[0])[truth]

    def loss(flat: Logs) -> tuple[float, Logs]:
        learned = flat.reshape(shape)
        read = adapt.log_softmax(logs + wide @ learned.T)
        slope = ((np.exp(read) - wanted) * weights[:, None]).T @ wide + learned * prior
        missed = -float((read * wanted * weights[:, None]).sum())
        return missed + float((learned**2 * prior).sum()) / 2, slope.ravel()

    return np.asarray(minimize(loss, np.zeros(shape[0] * shape[1]), jac=True).x).reshape(shape)


def _apply(learned: Logs, inputs: Logs) -> Logs:
    return np.asarray(learned[:, 0] + inputs @ learned[:, 1:].T)


def _change(room: Answers, after: Logs, drawn: IntArray) -> float:
    """Of the accuracy of an even mix of those who were not drawn."""
    others = np.setdiff1d(np.arange(len(room.truth)), drawn)
    truth = room.truth[others]
    gained = (after[others].argmax(1) == truth).astype(float)
    gained -= room.logs[0][others].argmax(1) == truth
    return playing.even(gained, np.ones(len(others)), truth)
