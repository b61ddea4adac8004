"""Observations in, the room's mood per window out. A function of what was observed and when, of nothing else.

**Per face**: readings of one track are smoothed (time constant 1 s) and claimed with hysteresis, so a blink
does not flip a face; below the model's calibrated threshold a face reads ``uncertain``. Within a window a
track counts once, however often it was read, and a track seen for a part of the window counts for that
part: a face whose track broke in two still counts as one.

**Group size**: the count of people is the median over the window's frames, and the tracks that were read
must add up to as many as ``min_people``. Fewer gives no shares at all, only the reason.

**A negative voice** needs two utterances in a row that agree: one alone is most often a mistake, such as a
child's high voice, and what matters in a room lasts longer than one sentence.

**Face and voice**: the voice gets at most a quarter of the weight, because
1. one microphone hears one speaker at a time, and in class that is most often the teacher;
2. the tone model is right less often than the expression model (see both model cards);
3. a window with little speech says little: the weight shrinks with the speech heard and claimed.
``surprise`` is no voice label, so the voice is spread over what the faces leave to the other labels: a room
cannot look less surprised because somebody talks.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median_low

from edge.events import Suppressed
from edge.smoothing import blend, choose
from edge.types import Modality, Observation, Presence
from edge.words import LABELS, NEGATIVE, UNCERTAIN


@dataclass(frozen=True, slots=True)
class Rules:
    """How observations become a mood."""

    window_s: float = 5.0
    grace_s: float = 1.0
    """A window stays open this long for late readings, unless it is known that none is under way."""
    first_s: float = math.inf
    """The first window ends so long after the first observation, if that is sooner: nobody likes to wait."""
    min_people: int = 5
    """Fewer readable faces than this, and nothing is said about the room."""
    time_constant_s: float = 1.0
    """Of the smoothing of one face's readings."""
    certain: Mapping[Modality, float] = field(default_factory=lambda: {"face": 0.5, "voice": 0.5})
    """A claim needs this calibrated probability; model.toml's ``uncertain_below``."""
    negative_voice: float = 0.0
    """What a voice needs to be claimed as one of NEGATIVE, where that is more; ``negative_below``."""
    negative_again_s: float = 15.0
    """A negative tone counts once the next utterance, within this time, is claimed the same; 0: at once."""
    hysteresis: float = 0.08
    """A claimed label is kept until its probability is this far below ``certain``."""
    voice_weight: float = 0.25
    """The voice's share of the mood when there is speech throughout the window."""
    room_enter: float = 0.35
    """A label leads the room from this share on."""
    room_leave: float = 0.25
    """A leading label stays until its share falls below this."""
    room_lead: float = 0.1
    """A new leader must be this far ahead of the old one."""
    view: tuple[str, ...] = LABELS
    """Labels to be named; readings of others count as uncertain."""


@dataclass(frozen=True, slots=True)
class Window:
    """The room's mood over one closed window; times are monotonic."""

    start: float
    end: float
    mood: str | None
    shares: Mapping[str, float]
    confidence: float
    people: int
    suppressed: Suppressed | None
    face_readings: int
    voice_readings: int


@dataclass(slots=True)
class _Track:
    """One face's smoothed reading."""

    at: float
    probs: tuple[float, ...]
    label: str


@dataclass(slots=True)
class _Tally:
    """What one track, or the voice, said within one window."""

    readings: int = 0
    weight: float = 0.0
    claims: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    claimed_prob: float = 0.0

    def add(self, label: str, prob: float, weight: float) -> None:
        self.readings += 1
        self.weight += weight
        self.claims[label] += weight
        if label != UNCERTAIN:
            self.claimed_prob += weight * prob

    @property
    def claimed(self) -> float:
        return self.weight - self.claims.get(UNCERTAIN, 0.0)


@dataclass(slots=True)
class _Open:
    """A window that is still filling."""

    people: list[int] = field(default_factory=list)
    seen: Counter[int] = field(default_factory=Counter)
    """In how many frames each track was in sight."""
    tracks: defaultdict[int, _Tally] = field(default_factory=lambda: defaultdict(_Tally))
    voice: _Tally = field(default_factory=_Tally)


class RoomMood:
    """Collects observations and closes windows; the windows follow each other without a gap."""

    TRACK_EXPIRES_S = 10.0
    LONGEST_SILENCE = 12
    """Windows told in a row after a jump in time; older ones are skipped, nobody was watching."""

    def __init__(self, rules: Rules, *, start: float) -> None:
        """Begin the first window at *start* (s, monotonic)."""
        self._rules = rules
        self._tracks: dict[int, _Track] = {}
        self._open: defaultdict[int, _Open] = defaultdict(_Open)
        self._start = self._origin = start
        self._begun = False
        self._next = 0
        self._mood = UNCERTAIN
        self._negative: tuple[str, float] | None = None
        """Which negative tone the last utterance was sure of, and when."""

    def add(self, item: Observation | Presence) -> None:
        """Count one observation. One from before the start, or after its window has closed, is left out.

        What was said counts in the next window then: that an utterance is over shows only after its end, and
        nobody says it again.
        """
        seen = isinstance(item, Presence) or item.modality == "face"
        if seen and item.at < self._start:
            return
        if not self._begun:
            self._begin(max(item.at, self._start))
        index = math.floor((item.at - self._origin) / self._rules.window_s)
        if index < self._next:
            if seen or index < self._next - 1:
                return
            index = self._next
        window = self._open[index]
        if isinstance(item, Presence):
            window.people.append(item.people)
            window.seen.update(item.tracks)
        elif item.modality == "face":
            label, prob = self._read_face(item)
            window.tracks[item.track].add(self._viewed(label), prob, item.weight)
        else:
            label, prob = item.scores.best
            claimed = self._hear(label, prob, item.at)
            window.voice.add(self._viewed(label) if claimed else UNCERTAIN, prob, item.weight)

    @property
    def due(self) -> float:
        """When the next window ends."""
        return self._origin + (self._next + 1) * self._rules.window_s

    def close(self, now: float, *, complete_to: float = -math.inf) -> Iterator[Window]:
        """Yield every window whose time is over at *now*.

        Args:
            now: monotonic time.
            complete_to: everything up to this time has been added, so there is nothing to wait for.
        """
        over = max(now - self._rules.grace_s, min(complete_to, now))
        last = math.floor((over - self._origin) / self._rules.window_s)
        if last - self._next > self.LONGEST_SILENCE:
            self._next = last - self.LONGEST_SILENCE
        yield from self._close_up_to(last)
        horizon = now - self.TRACK_EXPIRES_S
        self._tracks = {key: track for key, track in self._tracks.items() if track.at >= horizon}

    def finish(self, end: float) -> Iterator[Window]:
        """Yield the rest of a recording that ends at *end*; a part of a window only if it holds anything."""
        whole = math.floor((end - self._origin) / self._rules.window_s)
        yield from self._close_up_to(max([whole, *(index + 1 for index in self._open)]))

    def _begin(self, at: float) -> None:
        self._begun = True
        end = min(self._start + self._rules.window_s, at + self._rules.first_s)
        if not self._next:
            self._origin = end - self._rules.window_s

    def _close_up_to(self, last: int) -> Iterator[Window]:
        while self._next < last:
            index, self._next = self._next, self._next + 1
            yield self._sum_up(index, self._open.pop(index) if index in self._open else _Open())
        for index in [index for index in self._open if index < self._next]:
            del self._open[index]

    def _viewed(self, label: str) -> str:
        return label if label in self._rules.view else UNCERTAIN

    def _hear(self, label: str, prob: float, at: float) -> bool:
        """Whether an utterance's tone is claimed: a negative one must be surer, and heard twice in a row."""
        rules, before = self._rules, self._negative
        self._negative = None
        if label not in NEGATIVE:
            return prob >= rules.certain["voice"]
        if prob < max(rules.certain["voice"], rules.negative_voice):
            return False
        self._negative = label, at
        again = before is not None and before[0] == label and at - before[1] <= rules.negative_again_s
        return again or not rules.negative_again_s

    def _read_face(self, item: Observation) -> tuple[str, float]:
        rules, probs = self._rules, item.scores.probs
        track = self._tracks.get(item.track)
        held = UNCERTAIN
        if track is not None:
            elapsed_s = item.at - track.at
            probs = blend(track.probs, probs, elapsed_s=elapsed_s, time_constant_s=rules.time_constant_s)
            held = track.label
        enter = rules.certain["face"]
        label = choose(item.scores.labels, probs, held, enter=enter, leave=enter - rules.hysteresis)
        self._tracks[item.track] = _Track(item.at, probs, label)
        return label, 0.0 if label == UNCERTAIN else probs[item.scores.labels.index(label)]

    def _sum_up(self, index: int, window: _Open) -> Window:
        rules = self._rules
        begin = self._origin + index * rules.window_s
        read = {track: tally for track, tally in window.tracks.items() if tally.weight > 0}
        tallies = list(read.values())
        # A face is read less often than seen, and not all equally often: sight tells how long it was there.
        there = [max(window.seen[track], tally.readings) for track, tally in read.items()]
        presence = [frames / max(there) for frames in there]
        people = median_low(window.people) if window.people else 0
        voice = window.voice
        nothing = not tallies and not voice.readings
        suppressed: Suppressed | None = None
        if (nothing and not people) or (not people and rules.min_people > 0):
            suppressed = "nobody"
        elif nothing or min(people, round(sum(presence))) < rules.min_people:
            suppressed = "too_few_people"
        shares: Mapping[str, float] = {}
        confidence, mood = 0.0, None
        if suppressed is None:
            shares, confidence = fuse(tallies, presence, voice, rules)
            mood = self._mood = self._lead(shares)
        return Window(
            start=max(begin, self._start),
            end=begin + rules.window_s,
            mood=mood,
            shares=shares,
            confidence=confidence,
            people=people,
            suppressed=suppressed,
            face_readings=sum(tally.readings for tally in tallies),
            voice_readings=voice.readings,
        )

    def _lead(self, shares: Mapping[str, float]) -> str:
        rules = self._rules
        if shares.get(UNCERTAIN, 0.0) > 0.5:
            return UNCERTAIN
        labels = [label for label in rules.view if label in shares]
        values = [shares[label] for label in labels]
        if not labels:
            return UNCERTAIN
        return choose(
            labels, values, self._mood, enter=rules.room_enter, leave=rules.room_leave, lead=rules.room_lead
        )


def fuse(
    tallies: Sequence[_Tally], presence: Sequence[float], voice: _Tally, rules: Rules
) -> tuple[dict[str, float], float]:
    """Shares of the room, and the mean probability of what is claimed.

    Args:
        tallies: one per face track.
        presence: how much of the window each track was there, 0..1.
        voice: the room's voice.
        rules: voice_weight and view.

    Returns:
        Shares in display order with ``uncertain`` last, rounded to 4 digits, summing to 1; confidence 0..1.
    """
    face: defaultdict[str, float] = defaultdict(float)
    evidence = probability = 0.0
    people = [part * tally.weight / tally.readings for part, tally in zip(presence, tallies, strict=True)]
    for counts, tally in zip(people, tallies, strict=True):
        for label, claim in tally.claims.items():
            face[label] += counts / sum(people) * claim / tally.weight
        evidence += counts * tally.claimed / tally.weight
        probability += counts * tally.claimed_prob / tally.weight
    weight = rules.voice_weight * min(1.0, voice.claimed) if tallies else 1.0
    if not tallies and not voice.claimed:
        return {UNCERTAIN: 1.0}, 0.0
    shares = dict.fromkeys((*rules.view, UNCERTAIN), 0.0)
    unspeakable = face["surprise"]
    for label in shares:
        spoken = voice.claims[label] / voice.claimed if voice.claimed and label != UNCERTAIN else 0.0
        heard = face[label] if label == "surprise" else spoken * (1 - unspeakable)
        shares[label] = (1 - weight) * face[label] + weight * heard
    if voice.claimed:
        evidence += weight * voice.claimed
        probability += weight * voice.claimed_prob
    return _rounded(shares), round(probability / evidence, 4) if evidence else 0.0


def _rounded(shares: Mapping[str, float]) -> dict[str, float]:
    """Four digits each; what rounding leaves over goes to the largest, so the sum stays 1."""
    rounded = {label: round(share, 4) for label, share in shares.items()}
    largest = max(rounded, key=rounded.__getitem__)
    rounded[largest] = round(rounded[largest] + 1 - sum(rounded.values()), 4)
    return rounded
