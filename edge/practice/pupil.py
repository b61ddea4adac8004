"""What is read while something is asked for, gathered in memory until the kit can learn from it, or not.

Only after an adult consented. Of a look, nothing is held but what the model said, a number per label. Looks
are gone once they taught something, once it was tried often enough, when consent is withdrawn, when the kit
leaves the game or capture is switched off, and half an hour after the last look. What remains is the file of
edge.practice.learned.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from edge.events import Sense
from edge.manifest import Manifest
from edge.practice import adapt, reference
from edge.practice.adapt import Logs, Reference, Refusal, Round
from edge.practice.game import Example
from edge.practice.learned import Head, Learned

logger = logging.getLogger(__name__)

SETTLE_S = 1.0
"""A face that was just asked for something is still laughing about the last round."""
QUICK = 3
"""Last looks that stand for a round that was over before it settled: who is quick must not be left out."""
MOST_LOOKS = 64
"""Of one round."""
FORGET_S = 1800.0
"""After so long without a look the session is over."""


@dataclass(slots=True)
class Progress:
    """How learning goes for one sense."""

    rounds: int = 0
    """Gathered since the consent."""
    refusal: Refusal | None = None
    """Why the last try taught nothing; None before the first."""
    tries: int = 0

    @property
    def next_at(self) -> int | None:
        """Rounds after which it is tried again; None when it is not."""
        return adapt.ATTEMPTS[self.tries] if self.tries < len(adapt.ATTEMPTS) else None


@dataclass(slots=True)
class _Gathered:
    """One sense's rounds."""

    progress: Progress = field(default_factory=Progress)
    looks: dict[tuple[str, float], list[tuple[bool, Logs]]] = field(default_factory=dict)
    """By label and start of the round: whether it had settled, and what was read."""


class Pupil:
    """Owned by the main thread."""

    def __init__(self, learned: Learned, models: Mapping[Sense, Manifest]) -> None:
        """Learn for *models*, into *learned*."""
        self.learned, self._models = learned, dict(models)
        self._references: dict[Sense, Reference] = {}
        for sense, model in self._models.items():
            known = reference.load(model.name, model.labels)
            if known is not None:
                self._references[sense] = known
        self._gathered: dict[Sense, _Gathered] = {}
        self._last = 0.0

    @property
    def teachable(self) -> tuple[Sense, ...]:
        """Senses whose model can learn."""
        return tuple(self._references)

    @property
    def progress(self) -> Mapping[Sense, Progress]:
        """By sense, while there is consent."""
        return {sense: gathered.progress for sense, gathered in self._gathered.items()}

    def consent(self, now: float) -> None:
        """Gather from now on. Saying so twice changes nothing, but for a sense that had given up."""
        self._last = now
        for sense in self._references:
            gathered = self._gathered.get(sense)
            if gathered is None or gathered.progress.next_at is None:
                self._gathered[sense] = _Gathered()

    def withdraw(self) -> bool:
        """Gather no more, and drop what was gathered; whether there was consent."""
        had = bool(self._gathered)
        self._gathered = {}
        return had

    def hear(self, example: Example) -> None:
        """One look at somebody who was asked for something."""
        gathered = self._gathered.get(example.sense)
        if gathered is None or gathered.progress.next_at is None:
            return
        self._last = example.at
        settle_s = SETTLE_S if example.sense == "face" else 0.0
        looks = gathered.looks.setdefault((example.asked, example.since), [])
        if len(looks) < MOST_LOOKS:
            looks.append((example.at - example.since >= settle_s, adapt.to_logs(example.plain.probs)))

    def tend(self, now: float, playing: float | None, date: Callable[[float], str]) -> bool:
        """Learn when it is time; whether anything changed that people are told.

        Args:
            now: monotonic.
            playing: when the round began that is on.
            date: puts a monotonic time as RFC 3339.
        """
        if not self._gathered:
            return False
        if now - self._last > FORGET_S:
            logger.info("practice: nobody plays any more; what was gathered is dropped")
            return self.withdraw()
        changed = False
        for sense, gathered in list(self._gathered.items()):
            over = self._over(gathered, playing)
            progress = gathered.progress
            if progress.next_at is None or len(over) == progress.rounds:
                continue
            changed, progress.rounds = True, len(over)
            if progress.rounds >= progress.next_at:
                self._learn(sense, gathered, over, date(now))
        return changed

    def _over(self, gathered: _Gathered, playing: float | None) -> dict[tuple[str, float], list[Logs]]:
        """The rounds that are over and in which something was read."""
        over = {key: looks for key, looks in gathered.looks.items() if key[1] != playing}
        return {
            key: [logs for settled, logs in looks if settled] or [logs for _, logs in looks[-QUICK:]]
            for key, looks in over.items()
        }

    def _learn(
        self, sense: Sense, gathered: _Gathered, over: Mapping[tuple[str, float], list[Logs]], date: str
    ) -> None:
        model, progress = self._models[sense], gathered.progress
        rounds = [
            Round(model.labels.index(label), adapt.stack(looks))
            for (label, _), looks in over.items()
            if label in model.labels
        ]
        outcome = adapt.learn(rounds, self._references[sense])
        progress.tries += 1
        progress.refusal = outcome.refusal
        if outcome.refusal is None:
            files = {runtime: file.sha256 for runtime, file in model.files.items()}
            offsets = dict(zip(model.labels, outcome.offsets, strict=True))
            self.learned.keep(sense, Head(model.id, files, offsets, outcome.rounds, date))
            del self._gathered[sense]
            logger.info("practice: %s learned from %d rounds", model.id, outcome.rounds)
            return
        logger.info("practice: %s learns nothing from %d rounds: %s", model.id, len(rounds), outcome.refusal)
        if progress.next_at is None:
            gathered.looks.clear()
