"""The practice game: looks at one face or one sentence in, readings out. Times are data; nothing is kept.

A child is asked to show an expression or to say a sentence in a tone of voice, and a drawn face answers.
The kit looks only while a round is on, at the nearest face only, and holds one smoothed reading, which is
gone with the round. What a reading is like is claimed by the same calibrated threshold as everywhere
(``uncertain_below``); how it stands to what was asked for is put more kindly, because a model that is right
about two faces of three is no judge: ``like`` when the asked label is the one that is claimed, ``partly``
when it is the best guess or has a fair part of the probability.

A negative tone needs no second utterance here (edge.mood): somebody was asked to sound like that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from edge.events import Match, Sense
from edge.smoothing import blend, choose
from edge.types import Look, Modality, Scores
from edge.words import UNCERTAIN

NEARER = 1.25
"""Another face takes over when it is so many times as wide as the one that was read: two do not flicker."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How a look becomes a reading."""

    certain: Mapping[Modality, float] = field(default_factory=lambda: {"face": 0.5, "voice": 0.5})
    """A claim needs this calibrated probability; model.toml's ``uncertain_below``."""
    time_constant_s: float = 0.3
    """Of the smoothing: shorter than in class, for somebody waits for the answer."""
    hysteresis: float = 0.08
    """A claimed label is kept until its probability is this far below ``certain``."""
    partly: float = 0.2
    """So much probability of the asked label is part of the way."""


@dataclass(frozen=True, slots=True)
class Round:
    """One round of the game. Times are monotonic."""

    id: str
    label: str
    """What is asked for; empty when nothing is."""
    sense: Sense
    since: float
    until: float

    def takes(self, sense: Sense, at: float) -> bool:
        """Whether a face or a sound of the time *at* belongs to it."""
        return sense == self.sense and self.since <= at < self.until


@dataclass(frozen=True, slots=True)
class Reading:
    """What one look is like, as edge.events.Practice tells it. Times are monotonic."""

    at: float
    round: Round
    people: int
    label: str | None
    confidence: float
    match: Match | None
    held_s: float


@dataclass(frozen=True, slots=True)
class Example:
    """One face or sentence, read while its label was asked for: what a kit may learn from."""

    sense: Sense
    asked: str
    since: float
    """When the round began."""
    at: float
    plain: Scores
    """As the model alone says, not smoothed."""


@dataclass(slots=True)
class _Held:
    """The one smoothed reading."""

    track: int
    at: float
    probs: tuple[float, ...]
    label: str


class Game:
    """One round after the other. Owned by one thread."""

    def __init__(self, rules: Rules, *, tap: Callable[[Example], None] | None = None) -> None:
        """Read by *rules*; *tap* is handed all that was read while a label was asked for."""
        self._rules = rules
        self.tap = tap
        """May be set at any time by the thread that owns the game."""
        self.round: Round | None = None
        self._held: _Held | None = None
        self._match: Match | None = None
        self._since = 0.0

    def begin(self, round: Round) -> None:
        """Play *round* from now on, in place of any other."""
        self.end()
        self.round = round

    def end(self) -> None:
        """Stop and forget."""
        self.round = self._held = self._match = None

    def tend(self, now: float) -> bool:
        """End the round when its time is over; whether that happened."""
        if self.round is None or now < self.round.until:
            return False
        self.end()
        return True

    def read(self, look: Look) -> Reading | None:
        """What the look is like; None for one that belongs to no round that is on."""
        round = self.round
        if round is None or not round.takes(look.sense, look.at):
            return None
        seen = look.reading
        if seen is None:
            self._held = None
            return Reading(look.at, round, look.people, None, 0.0, None, self._hold(None, look.at))
        if look.plain is not None and round.label and self.tap is not None:
            self.tap(Example(round.sense, round.label, round.since, look.at, look.plain))
        labels = seen.scores.labels
        self._held = held = self._smooth(look.sense, seen.track, look.at, seen.scores)
        best = max(held.probs)
        confidence = 0.0 if held.label == UNCERTAIN else held.probs[labels.index(held.label)]
        match: Match | None = None
        if round.label in labels:
            asked = held.probs[labels.index(round.label)]
            if held.label == round.label:
                match = "like"
            else:
                match = "partly" if asked == best or asked >= self._rules.partly else "other"
        held_s = self._hold(match, look.at)
        return Reading(look.at, round, look.people, held.label, round_down(confidence), match, held_s)

    def _smooth(self, sense: Sense, track: int, at: float, scores: Scores) -> _Held:
        """A sentence stands for itself; looks at one face are smoothed, those at another begin anew."""
        rules, probs, before = self._rules, scores.probs, UNCERTAIN
        held = self._held
        if sense == "face" and held is not None and held.track == track:
            constant = rules.time_constant_s
            probs = blend(held.probs, probs, elapsed_s=at - held.at, time_constant_s=constant)
            before = held.label
        enter = rules.certain[sense]
        label = choose(scores.labels, probs, before, enter=enter, leave=enter - rules.hysteresis)
        return _Held(track, at, probs, label)

    def _hold(self, match: Match | None, at: float) -> float:
        """How long the match has been the same."""
        if match != self._match:
            self._match, self._since = match, at
        return 0.0 if match is None else round_down(max(0.0, at - self._since))


def round_down(value: float) -> float:
    """Three digits: nobody reads more."""
    return int(value * 1000) / 1000


def nearest(faces: Sequence[tuple[int, float]], held: int | None) -> int | None:
    """Which face to read: the widest, or the one *held* so far while no other is clearly wider.

    Args:
        faces: track and width of each.
        held: the track that was read last.

    Returns:
        Its place among *faces*; None when there is none.
    """
    if not faces:
        return None
    widest = max(range(len(faces)), key=lambda place: faces[place][1])
    for place, (track, width) in enumerate(faces):
        if track == held and faces[widest][1] < NEARER * width:
            return place
    return widest
