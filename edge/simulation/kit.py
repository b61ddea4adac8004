"""One kit without a camera: the real mood, stamp, outbox and MQTT sink, on a class that is made up."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from random import Random

from edge import __version__
from edge.contract.commands import Answer, Command, read_request
from edge.events import (
    SCHEMA,
    Capture,
    Event,
    EventError,
    Health,
    Info,
    Model,
    Session,
    SourceDetail,
    to_json,
)
from edge.mood import RoomMood, Rules
from edge.outbox import Outbox
from edge.simulation.room import SimulatedRoom
from edge.sinks.mqtt import Mqtt
from edge.stamp import Stamp, state_of
from edge.types import EdgeError
from edge.words import LABELS

HEALTH_EVERY_S = 30.0
SOURCES = ("camera", "microphone")
MODELS = (
    Model("expression", "simulated-expression@0", "fake", "0" * 64),
    Model("tone", "simulated-tone@0", "fake", "0" * 64),
)


@dataclass
class SimulatedKit:
    """Does what a daemon's main thread does, whenever it is tended."""

    stamp: Stamp
    room: SimulatedRoom
    sink: Mqtt
    outbox: Outbox
    window_s: float
    random: Random
    told: Callable[[Event], None]
    """Hears of every event once it is in the outbox."""
    acknowledged: Callable[[float], None]
    """Hears how long (s) an event waited for the broker's acknowledgement."""
    commands: deque[Command] = field(default_factory=deque)
    _waiting: deque[float] = field(default_factory=deque)
    """When each event that is not acknowledged went into the outbox; they are acknowledged in order."""

    def begin(self, now: float) -> None:
        """Connect, say who we are, begin a session. The first window starts somewhere in the next one."""
        self._born = now
        self._rules = Rules(window_s=self.window_s)
        self._window = now + self.random.uniform(0, self.window_s)
        self._health_due = now + self.random.uniform(0, HEALTH_EVERY_S)
        self._mood = RoomMood(self._rules, start=self._window)
        self.sink.__enter__()
        self.sink.retain("info", to_json(self.info()))
        for source in SOURCES:
            self.sink.retain(f"source/{source}/status", "online")
            detail = SourceDetail(SCHEMA, self.stamp.time(now), "online", None, "")
            self.sink.retain(f"source/{source}/detail", to_json(detail))
        self._publish(self.stamp.event(Session("start", "boot"), at=now), now)

    @property
    def due(self) -> float:
        """When the next window closes (s, monotonic); a window stays open a little for late readings."""
        return self._window + self.window_s + self._rules.grace_s

    def change_window(self, window_s: float, now: float) -> None:
        """Windows last so long from now on; the one that is open is left out, as when a kit starts anew."""
        self.window_s = self.room.window_s = window_s
        self._rules = replace(self._rules, window_s=window_s)
        self._window = now + self.random.uniform(0, window_s)
        self._mood = RoomMood(self._rules, start=self._window)
        self.sink.retain("info", to_json(self.info()))

    def tend(self, now: float) -> None:
        """Close what is due, answer, report, let the sink work."""
        while self.due <= now:
            for item in self.room.window(self._window):
                self._mood.add(item)
            self._window += self.window_s
            for window in self._mood.close(now):
                event = self.stamp.window(window)
                self._publish(event, now)
                self.sink.retain("state", to_json(state_of(event)))
        if now >= self._health_due:
            self._health_due += HEALTH_EVERY_S
            self.sink.tell("health", to_json(self.health(now)))
        while self.commands:
            self._answer(self.commands.popleft(), now)
        self.tend_sink(now)

    def tend_sink(self, now: float) -> None:
        """Only send what waits and hear what is acknowledged."""
        self.sink.tend()
        self._count_acknowledged(now)

    def end(self, now: float) -> None:
        """The session ends; the sink says goodbye once its events are through, see ``leave``."""
        self._publish(self.stamp.event(Session("end", "shutdown"), at=now), now)
        self.sink.tend()

    def leave(self) -> None:
        """Say ``stopped`` and disconnect."""
        self.sink.__exit__(None, None, None)

    def info(self) -> Info:
        """What the info topic says. ``replay``: nobody is in this room."""
        on = Capture("on", "on", "on")
        return Info(
            schema=SCHEMA,
            kit=self.stamp.kit,
            room=f"Simulasi {self.stamp.kit}",
            software=f"suasana {__version__} simulate",
            mode="class",
            labels=LABELS,
            models=MODELS,
            capture=on,
            window_s=self.window_s,
            min_people=self._rules.min_people,
            replay=True,
        )

    def health(self, now: float) -> Health:
        """What a kit in good health says."""
        return Health(
            schema=SCHEMA,
            at=self.stamp.time(now),
            time_quality=self.stamp.quality(),
            uptime_s=round(now - self._born, 1),
            fps=round(self.random.uniform(4.7, 5.0), 2),
            latency_p50_s=0.07,
            latency_p95_s=0.13,
            dropped_frames=0,
            dropped_blocks=0,
            rss_mb=round(self.random.uniform(230, 240), 1),
            temperature_c=round(self.random.uniform(50, 65), 1),
            throttled=False,
            outbox=self.sink.waiting,
            dropped_events=self.sink.dropped,
        )

    def _publish(self, event: Event, now: float) -> None:
        self._waiting.append(now)
        dropped = self.sink.dropped
        self.sink.publish(event)
        for _ in range(self.sink.dropped - dropped):
            self._waiting.popleft()
        self.told(event)

    def _count_acknowledged(self, now: float) -> None:
        while len(self._waiting) > self.sink.waiting:
            self.acknowledged(now - self._waiting.popleft())

    def _answer(self, command: Command, now: float) -> None:
        kind, _, name = command.leaf.partition("/")
        try:
            asked = None if command.refusal or kind == "set" else read_request(command).transaction
            if command.refusal or asked is None:
                answer = Answer(ok=False, error=command.refusal or "a simulated kit has no switches")
            elif name == "info":
                answer = Answer(ok=True, transaction=asked, info=self.info())
            elif name == "health":
                answer = Answer(ok=True, transaction=asked, health=self.health(now))
            elif name == "ping":
                answer = Answer(ok=True, transaction=asked)
            else:
                answer = Answer(
                    ok=False, transaction=asked, error="a simulated kit answers info, health and ping"
                )
        except EventError as error:
            answer = Answer(ok=False, error=str(error))
        leaf = "response/set" if kind == "set" else f"response/{name[:40]}"
        self.sink.tell(leaf, answer.to_json(), qos=1, to=command)


def names(pattern: str, count: int, sites: int, first: int = 0) -> Iterator[str]:
    """The kits' names: *pattern* with ``{n}`` counting them from *first* and ``{site}`` the sites, in turn.

    Raises:
        EdgeError: the pattern has something else in braces.
    """
    try:
        for number in range(first, first + count):
            yield pattern.format(n=number, site=number % sites)
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise EdgeError(f"--names {pattern}: knows {{n}} and {{site}} only") from error
