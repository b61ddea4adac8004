"""The practice game on the kit: rounds, what was read in them, an adult's consent, and what is learned."""

from __future__ import annotations

import logging
from collections.abc import Callable

from edge.contract.commands import Answer, Command, read_consent, read_request, read_round
from edge.events import SCHEMA, EventError, Practice, SourceName, to_json
from edge.kit import Kit
from edge.practice.game import Reading, Round
from edge.stamp import Stamp
from edge.types import Look

logger = logging.getLogger(__name__)

Told = Callable[[str, str], None]
"""Takes a leaf and its payload."""


class Lesson:
    """Between the game, which is played in practice mode only, and whoever asks for its rounds."""

    def __init__(
        self, kit: Kit, stamp: Stamp, clock: Callable[[], float], *, retain: Told, tell: Told
    ) -> None:
        """*retain* tells a newcomer too, *tell* only who listens now."""
        self._kit, self._stamp, self._clock = kit, stamp, clock
        self._retain, self._tell = retain, tell
        self._game = kit.start_game()
        self._game.tap = kit.pupil.hear  # what was read while something was asked for
        self._verbs = {
            "practice-round": self._play,
            "practice-learn": self._let_learn,
            "practice-forget": self._forget,
        }

    def see(self, look: Look) -> None:
        """Tell what a look is like, if a round is on."""
        if (reading := self._game.read(look)) is not None:
            self._tell("practice", to_json(self._practice(reading)))

    def tend(self, now: float) -> None:
        """End a round that is over, learn from it, obey a file of what was learned that was taken away."""
        kit = self._kit
        if self._game.tend(now):
            kit.play(None)
        playing = self._game.round.since if self._game.round is not None else None
        told = kit.pupil.tend(now, playing, self._stamp.time)
        if kit.learned.refresh():
            logger.info("practice: what was learned changed by another process")
            told = True
        if told:
            self._tell_learned()

    def heed_switches(self) -> None:
        """Stop what may not go on: a round whose device is off, learning where there is no practice."""
        kit, on = self._kit, self._game.round
        if kit.mode.now != "practice" or kit.switches.now.capture != "on":
            kit.pupil.withdraw()
        if on is not None and not kit.switches.allows(_source(on.sense)):
            self._game.end()
            kit.play(None)

    def end_round(self) -> None:
        """There is another mode."""
        self._game.end()

    def knows(self, verb: str) -> bool:
        """Whether ``answer`` may be asked."""
        return verb in self._verbs

    def answer(self, verb: str, command: Command) -> Answer:
        """Do what a page asks for.

        Raises:
            EventError: it asks wrongly, or for what cannot be now; the message says why in one line.
        """
        return self._verbs[verb](command)

    def _play(self, command: Command) -> Answer:
        """Begin a round, or end the one that is on."""
        wish, kit = read_round(command), self._kit
        source = _source(wish.sense)
        self._check_mode()
        if not kit.has[source]:
            raise EventError(f"this kit has no {source}")
        if not kit.switches.allows(source):
            raise EventError(f"the {source} is switched off")
        if wish.seconds:
            now = self._clock()
            self._game.begin(Round(wish.transaction, wish.label, wish.sense, now, now + wish.seconds))
        else:
            self._game.end()
        kit.play(self._game.round)
        return Answer(ok=True, transaction=wish.transaction)

    def _let_learn(self, command: Command) -> Answer:
        """Take an adult's consent, or its withdrawal."""
        wish, kit = read_consent(command), self._kit
        if wish.consent:
            self._check_mode()
            if not kit.pupil.teachable:
                raise EventError("none of this kit's models can learn")
            kit.pupil.consent(self._clock())
            logger.info("practice: an adult agreed that the kit learns from the rounds")
        else:
            kit.pupil.withdraw()
        self._tell_learned()
        return Answer(ok=True, transaction=wish.transaction, info=kit.info())

    def _forget(self, command: Command) -> Answer:
        """Delete what was learned, and drop what was gathered."""
        asked, kit = read_request(command).transaction, self._kit
        kit.pupil.withdraw()
        try:
            kit.learned.forget()
        except OSError as error:
            raise EventError(f"forgotten until a restart only: {error.strerror or error}") from error
        finally:
            self._tell_learned()
        logger.info("practice: what was learned is forgotten")
        return Answer(ok=True, transaction=asked, info=kit.info())

    def _check_mode(self) -> None:
        if self._kit.mode.now != "practice":
            raise EventError("the kit is in class mode; set/mode practice first")

    def _tell_learned(self) -> None:
        self._kit.adapt()
        self._retain("info", to_json(self._kit.info()))

    def _practice(self, reading: Reading) -> Practice:
        now, on = self._clock(), reading.round
        return Practice(
            schema=SCHEMA,
            at=self._stamp.time(reading.at),
            time_quality=self._stamp.quality(),
            age_s=_round_s(now - reading.at),
            round=on.id,
            left_s=_round_s(on.until - now),
            sense=on.sense,
            people=reading.people,
            label=reading.label,
            confidence=reading.confidence,
            asked=on.label or None,
            match=reading.match,
            held_s=reading.held_s,
        )


def _round_s(seconds: float) -> float:
    """Milliseconds of it, none below zero."""
    return round(max(0.0, seconds), 3)


def _source(sense: str) -> SourceName:
    return "camera" if sense == "face" else "microphone"
