"""A class that is not there: readings as the models give them, moods that drift, children who come and go.

What comes out goes through the real RoomMood, so windows have the shares, the confidence and the suppressions
that a kit tells. Nothing here knows a real face: the probabilities are drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache
from random import Random

from edge.types import Observation, Presence, Scores
from edge.words import LABELS, VOICE_LABELS

USUAL = (0.05, 0.02, 0.04, 0.34, 0.07, 0.10, 0.38)
"""How often each of LABELS leads a made-up child's face, over a long time."""
DRIFT = 0.25
"""How far the class's mood moves from one window to the next, as a standard deviation of log-odds."""
RETURN = 0.05
"""How much of the way back to the usual it goes at the same time."""
FEW = 0.06
"""Part of the windows in which too few children are in sight: they sit down on the floor, or it is over."""
SPEECH = 0.5
"""Part of the windows in which somebody speaks long enough to be read."""
READINGS = 2
"""Of each face in a window. A kit reads ten; the window they make is as long, and costs a fifth."""
SURE = (0.30, 0.45, 0.60, 0.75, 0.90)
"""Probabilities that a reading's leading label may have."""


@cache
def scores(labels: tuple[str, ...], leader: str, probability: float) -> Scores:
    """One reading: the leader's probability, the rest spread evenly over the others."""
    rest = (1 - probability) / (len(labels) - 1)
    return Scores(labels, tuple(probability if label == leader else rest for label in labels), "simulated@0")


class SimulatedRoom:
    """One class. The same *random* gives the same lesson."""

    def __init__(self, random: Random, *, window_s: float) -> None:
        """Seat eight to thirty children."""
        self._random, self.window_s = random, window_s
        self._children = random.randint(8, 30)
        self._usual = [math.log(part) for part in USUAL]
        self._odds = list(self._usual)

    def window(self, start: float) -> Iterator[Observation | Presence]:
        """What is seen and heard in the window that begins at *start* (s, monotonic)."""
        random = self._random
        for index, usual in enumerate(self._usual):
            self._odds[index] += RETURN * (usual - self._odds[index]) + random.gauss(0, DRIFT)
        weights = [math.exp(odds) for odds in self._odds]
        there = random.randint(0, 4) if random.random() < FEW else self._children - random.randint(0, 3)
        tracks = tuple(range(1, there + 1))
        leaders = random.choices(LABELS, weights, k=there)
        for number in range(READINGS):
            at = start + self.window_s * (number + 0.5) / READINGS
            yield Presence(at, there, tracks)
            for track, leader in zip(tracks, leaders, strict=True):
                yield Observation("face", at, scores(LABELS, leader, random.choice(SURE)), 1.0, track)
        if there and random.random() < SPEECH:
            yield self._utterance(start, weights)

    def _utterance(self, start: float, weights: Sequence[float]) -> Observation:
        spoken = [weight for label, weight in zip(LABELS, weights, strict=True) if label in VOICE_LABELS]
        labels = tuple(label for label in LABELS if label in VOICE_LABELS)
        leader = self._random.choices(labels, spoken)[0]
        at = start + self.window_s / 2
        said = scores(VOICE_LABELS, leader, self._random.choice(SURE))
        return Observation("voice", at, said, self._random.uniform(0.2, 1.0))
