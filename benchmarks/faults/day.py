"""A day at speed: the real desk, mood, outbox and sink under a simulated clock, as a process of its own.

Synthetic faces take the place of the cameras' and the models' work; everything behind them is what the
daemon runs. The wall clock is stepped every hour, by a day or ten years, forth and back. Events are printed
as JSON lines, and SAMPLES_PER_HOUR times an hour ``# resident_mb descriptors``, see Watch.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from threading import Event as Flag

from paho.mqtt.client import Client

from benchmarks.faults.patience import NeverHappened, wait_for
from benchmarks.faults.stage import descriptors, resident_mb
from edge import settings as kit_settings
from edge.desk import Desk
from edge.events import TimeQuality
from edge.kit import Kit
from edge.sinks import Sink, open_sink
from edge.stamp import Stamp
from edge.types import Observation, Presence, Scores
from edge.words import LABELS

STEP_S = 0.5
PEOPLE = 6
HOUR_S = 3600
SAMPLES_PER_HOUR = 6
LOOK_EVERY, MANY = 10, 10**6
JUMPS_S = (86_400.0, -86_400.0, 3.2e8, -3.2e8)
MOST_WAITING = 50
"""The simulated day must not outrun the broker, or everything in it would have waited."""


@dataclass
class Clock:
    """Both clocks of a simulated machine."""

    mono_s: float = 1000.0
    wall_s: float = 1_772_413_200.0
    quality: TimeQuality = "unsynced"

    def run(self, seconds: float) -> None:
        """Time goes by."""
        self.mono_s += seconds
        self.wall_s += seconds


def main() -> int:
    """Run the day."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.day", description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--hours", type=int, default=24)
    arguments = parser.parse_args()
    settings = kit_settings.load(arguments.config)
    kit, clock = Kit(settings, stop=Flag()), Clock()
    with kit.open_mqtt() as mqtt, open_sink("jsonl:-", kit=settings.kit_name) as ledger:
        stamp = Stamp(
            settings.kit_name,
            wall=lambda: clock.wall_s,
            monotonic=lambda: clock.mono_s,
            quality=lambda: clock.quality,
        )
        desk = Desk(kit, [mqtt, ledger], stamp=stamp, clock=lambda: clock.mono_s)
        desk.begin()
        watch = Watch(mqtt)
        for hour in range(arguments.hours):
            clock.quality = "synced" if hour % 3 else "unsynced"
            clock.wall_s += JUMPS_S[hour % len(JUMPS_S)]
            for item in an_hour(Random(hour), clock):
                if item is not None:
                    desk.count(item)
                    continue
                desk.tend(clock.mono_s)
                hold_back(mqtt)
                watch.step()
        desk.end()
        while mqtt.waiting:
            mqtt.tend()
            time.sleep(0.01)
        watch.end()
    return 0


class Watch:
    """Prints what the process holds.

    Descriptors are the fewest at moments with a connection: without one there are fewer, and just after one
    was lost the old client's are still there. ``-`` where there was no such moment.
    """

    def __init__(self, sink: Sink) -> None:
        """Of the process around *sink*."""
        self._sink = sink
        self._steps, self._ever, self._fewest = 0, MANY, MANY

    def step(self) -> None:
        """A step of the day is over."""
        self._steps += 1
        if self._steps % LOOK_EVERY == 0:
            self._look()
        if self._steps % int(HOUR_S / STEP_S / SAMPLES_PER_HOUR) == 0:
            self._tell()

    def end(self) -> None:
        """A last sample, when what lost connections left has had its time to go."""

        def calm() -> bool:
            self._sink.tend()
            self._look()
            return self._fewest <= self._ever

        with suppress(NeverHappened):
            wait_for(calm, "descriptors are closed", patience_s=60)
        self._tell()

    def _look(self) -> None:
        """Count, if the connection is there before and afterwards."""
        before = self._socket()
        count = descriptors(os.getpid())
        if before is not None and self._socket() is before:
            self._fewest = min(self._fewest, count)

    def _socket(self) -> object:
        client: Client = self._sink._client  # type: ignore[attr-defined] # noqa: SLF001 -- nobody else asks
        return client.socket()

    def _tell(self) -> None:
        opened = "-" if self._fewest == MANY else self._fewest
        print(f"# {resident_mb(os.getpid()):.2f} {opened}")
        sys.stdout.flush()
        self._ever, self._fewest = min(self._ever, self._fewest), MANY


def an_hour(random: Random, clock: Clock) -> Iterator[Observation | Presence | None]:
    """What a class shows; None after each step, when the desk is due."""
    for step in range(int(HOUR_S / STEP_S)):
        clock.run(STEP_S)
        yield Presence(clock.mono_s, PEOPLE)
        for place in range(PEOPLE):
            probs = [random.random() for _ in LABELS]
            total = sum(probs)
            scores = Scores(LABELS, tuple(prob / total for prob in probs), "day@1.0.0")
            # Tracks live for seconds: a thousand steps see many of them.
            yield Observation("face", clock.mono_s, scores, 1.0, place + PEOPLE * (step // 20))
        yield None


def hold_back(sink: Sink) -> None:
    """Wait for the broker, unless it is away."""
    deadline = time.monotonic() + 1.0
    while sink.waiting > MOST_WAITING and time.monotonic() < deadline:
        sink.tend()
        time.sleep(0.002)


if __name__ == "__main__":
    raise SystemExit(main())
