"""One crowd of simulated kits on a rung, from the arrival of the last of them to the last event stored.

Nothing here waits for a time to pass where it can wait for a fact: a phase begins when every kit has a window
in the history and nothing queues, and a storm is over when everything is as it was before.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from typing import Any
from urllib.request import urlopen

from benchmarks.scale import gauge
from benchmarks.scale.rungs import Rung
from benchmarks.scale.stage import NeverHappened, NotMeasured, Program, python, wait_for
from benchmarks.scale.witness import Key, Ledger, Made, StreamWatcher, compare, quantiles_ms, waits_ms
from edge.events import parse_time

DRAIN_S = 180.0
ARRIVAL_S = 300.0
SETTLE_S = 2.0
QUIET_S = 10.0
LOOK_S = 0.5
CALM_S = 2.5
"""The oldest window that is not stored is younger where nothing is late: a page writes once a second."""
GRACE_S = 1.0
"""A window is closed so long after its end, for late readings."""
KITS = "simulate"
"""The part that makes the load."""
PROCESSES = 2
"""That share the kits: one is full before a page is."""
Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Load:
    """How much is simulated."""

    kits: int
    rate: float = 0.2
    """Windows per second and kit."""
    seconds: float = 40.0
    """Of calm, once all have arrived."""
    storms: int = 0
    """Times that all connections are cut after that."""
    storm_s: float = 15.0
    connects: float = 50.0
    """Kits that begin per second."""

    @property
    def windows_per_s(self) -> float:
        """Of all kits together."""
        return self.kits * self.rate


@dataclass(frozen=True, slots=True)
class Phase:
    """A time, in seconds since 1970."""

    began: float
    ended: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began

    def covers(self, one: Made) -> bool:
        """Whether it was made in this time."""
        return self.began <= one.closed < self.ended


def simulators(rung: Rung, load: Load, name: str = KITS) -> list[Program]:
    """The kits, not yet started: processes that share them, and go on until told to end; a ledger each."""
    found, first = [], 0
    for number in range(PROCESSES):
        kits = (load.kits - first) // (PROCESSES - number)
        if not kits:
            continue
        own = f"{name}-{number}"
        command = python("edge", "simulate", "--quiet", "--steer", *rung.simulate)
        command += ["--kits", str(kits), "--first", str(first), "--rate", str(load.rate)]
        command += ["--connects", str(load.connects / PROCESSES), "--patience", str(DRAIN_S)]
        command += ["--ledger", str(rung.folder / f"{own}.ledger")]
        found.append(Program(own, command, rung.folder, talks=True))
        first += kits
    return found


class Course:
    """A context: entering starts the kits, leaving stops what still runs."""

    def __init__(self, rung: Rung, load: Load, name: str = KITS) -> None:
        """Prepare."""
        self.rung, self.load = rung, load
        self.kits = simulators(rung, load, name)
        paths = [rung.folder / f"{one.name}.ledger" for one in self.kits]
        for path in (*paths, *(one.log for one in self.kits)):
            path.unlink(missing_ok=True)
        self.ledger = Ledger(*paths)
        self.stream, self.store = StreamWatcher(rung.page), rung.watch_stored()
        self.recorder = gauge.Recorder([*rung.programs, *self.kits], rung.waiting)
        self._read_to = 0
        self._late: dict[Key, float] = {}
        """Windows that are looked for and not stored yet, and when they closed."""
        self._stack = ExitStack()

    def __enter__(self) -> Course:
        for watcher in (self.stream, self.store):
            self._stack.enter_context(watcher)
        for one in self.kits:
            self._stack.callback(one.start().kill)
        self._stack.enter_context(self.recorder)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def arrive(self) -> None:
        """Until a window of every kit is stored and nothing queues."""
        known = set(self.rung.boots())
        self._until(
            lambda: len(self.rung.boots() - known) >= self.load.kits, "all kits have arrived", ARRIVAL_S
        )
        self.calm_down()

    def calm_down(self) -> None:
        """Until acknowledging and storing are as prompt as they are with nothing to do."""
        self._until(self._is_calm, "nothing queues", DRAIN_S)

    def hold(self, seconds: float) -> Phase:
        """Let the load go on for *seconds*."""
        began = time.time()
        time.sleep(seconds)
        return Phase(began, time.time())

    def say_rate(self, rate: float) -> None:
        """Windows per second and kit from now on."""
        self._say(f"rate {rate:g}")

    def change_rate(self, rate: float) -> None:
        """The same; returns once windows of the new length are closed everywhere, and were stored."""
        self.say_rate(rate)
        time.sleep(2 / rate + GRACE_S + SETTLE_S)

    def storm(self) -> Phase:
        """Cut all connections a few times; over when everybody is back and nothing queues."""
        began = time.time()
        for _ in range(self.load.storms):
            self._say("storm")
            time.sleep(self.load.storm_s)
        self.calm_down()
        return Phase(began, time.time())

    def finish(self) -> dict[str, Any]:
        """End the load, wait until all of it is stored, and count; what is missing after that is lost."""
        for one in self.kits:
            one.fall_silent()
        for one in self.kits:
            one.wait(DRAIN_S + 60)
        made = self.ledger.read().made
        drained(self.rung, made)
        keys = {one.key for one in made}
        boots = {key[:2] for key in keys}
        stored = {key: times for key, times in self.rung.stored().items() if key[:2] in boots}
        return asdict(compare(made, stored, windows_only=self.rung.windows_only))

    def told(self, what: str) -> int:
        """A number that the simulators printed, all of them together."""
        return sum(int(_summary(one)[what]) for one in self.kits)

    def behind_s(self) -> float:
        """How long the oldest window that should be stored has waited for that."""
        made = self.ledger.read().made
        for one in made[self._read_to :]:
            if one.window and self.store.covers(one.key[0]):
                self._late[one.key] = one.closed
        self._read_to = len(made)
        for key in [key for key in self._late if key in self.store.seen]:
            del self._late[key]
        return max(0.0, time.time() - min(self._late.values())) if self._late else 0.0

    def unacknowledged(self) -> int:
        """Events that the broker has yet to acknowledge."""
        self.ledger.read()
        return len(self.ledger.made) - len(self.ledger.acknowledged)

    def costs(self, phase: Phase, quiet: Mapping[str, float]) -> dict[str, Any]:
        """What a phase cost and who was how busy. Costs are without the *quiet* ones."""
        samples = self.recorder.between(phase.began, phase.ended)
        before, after = samples[0], samples[-1]
        elapsed_s = max(1e-9, after.at - before.at)
        spent = gauge.spent(before, after)
        kits_s = spent.pop(KITS, 0.0)
        windows = [one for one in self.ledger.read().made if one.window]
        counted = sum(before.at <= one.closed < after.at for one in windows)
        per_window = 1000 / max(1, counted)
        queue = [one.waiting for one in samples if one.waiting is not None]
        return {
            "seconds": round(phase.seconds, 1),
            "windows_per_s": round(sum(map(phase.covers, windows)) / phase.seconds, 2),
            "cpu_ms_per_window": {
                name: round(max(0.0, value - quiet.get(name, 0.0) * elapsed_s) * per_window, 4)
                for name, value in spent.items()
            },
            "cores": {name: round(value / elapsed_s, 3) for name, value in spent.items()},
            "busy": {
                name: round(share, 3)
                for name, share in gauge.busy(before, after, [*self.rung.programs, *self.kits]).items()
            },
            "idle": round(gauge.idle(before, after), 3),
            "simulator_cpu_ms_per_window": round(kits_s * per_window, 3),
            "queue": {"first": queue[0], "most": max(queue), "last": queue[-1]} if queue else None,
        }

    def waits(self, phase: Phase) -> dict[str, Any]:
        """What became of the windows of a phase; to be asked once all of it is stored."""
        of = [one for one in self.ledger.read().made if one.window and phase.covers(one)]
        shown = [one for one in of if one.key[0].startswith(self.rung.page_kits)]
        ends = {(one.key[0], round(parse_time(one.at), 3)): one.closed for one in shown}
        acknowledged = [wait for at, wait in self.ledger.acknowledged if phase.began <= at < phase.ended]
        return {
            "windows": len(of),
            "page_windows": len(shown),
            "acknowledged_after_ms": quantiles_ms(acknowledged),
            "stored_after_ms": waits_ms({one.key: one.closed for one in of}, self.store.seen.copy()),
            "shown_after_ms": waits_ms(ends, self.stream.seen.copy()),
        }

    def _say(self, order: str) -> None:
        for one in self.kits:
            one.say(order)

    def _is_calm(self) -> bool:
        waiting = self.rung.waiting()
        a_second = max(2.0, self.load.windows_per_s)
        return (
            self.behind_s() < CALM_S
            and self.unacknowledged() <= a_second
            and (waiting is None or waiting <= a_second)
        )

    def _until(self, holds: Callable[[], bool], what: str, patience_s: float) -> None:
        def looks() -> bool:
            for one in self.kits:
                if not one.pid:
                    raise NeverHappened(f"{what}: the kits ended: {one.log.read_text('utf-8')[-300:]}")
            time.sleep(LOOK_S)  # asking costs the programs that are measured
            return holds()

        wait_for(looks, what, of=[one.pid for one in self.kits], patience_s=patience_s)


def _summary(program: Program) -> dict[str, Any]:
    text = program.log.read_text("utf-8", "replace")
    begin, end = text.find('{\n  "kits"'), text.rfind("}")
    found: dict[str, Any] = json.loads(text[begin : end + 1])
    return found


def drained(rung: Rung, made: list[Made]) -> None:
    """Until everything that was made is stored, or patience is over: then the count tells what is missing."""

    def complete() -> bool:
        time.sleep(LOOK_S)
        return compare(made, rung.stored(), windows_only=rung.windows_only).lost == 0

    with suppress(NeverHappened, NotMeasured):
        wait_for(complete, "everything is stored", patience_s=DRAIN_S)


def measure_quiet(rung: Rung, seconds: float = QUIET_S) -> dict[str, float]:
    """Processor seconds a second of each part while nobody is there: clusters talk to themselves."""
    wait_for(lambda: _hears_broker(rung.page), "the page hears the broker")
    time.sleep(SETTLE_S)  # what a start costs is no part of what a window costs
    before = gauge.look(rung.programs)
    time.sleep(seconds)
    after = gauge.look(rung.programs)
    return {name: value / (after.at - before.at) for name, value in gauge.spent(before, after).items()}


def _hears_broker(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
            return bool(json.load(answer)["broker"])
    except OSError:
        return False
