"""The load test itself: start the kits, tend them when they have news, cut them off, end them, sum up."""

from __future__ import annotations

import heapq
import json
import logging
import os
import resource
import sys
import time
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random
from threading import Event as Flag
from typing import Any, TextIO
from urllib.parse import quote, urlsplit

from edge import vitals
from edge.contract.commands import Command
from edge.events import KIT_NAME, Event, MoodWindow, format_time
from edge.outbox import Outbox
from edge.outbox.disk import DiskOutbox
from edge.outbox.memory import MemoryOutbox
from edge.simulation.kit import SimulatedKit, names
from edge.simulation.room import SimulatedRoom
from edge.simulation.steering import Steering
from edge.sinks import Access
from edge.sinks.crowd import Crowd
from edge.sinks.mqtt import Mqtt
from edge.stamp import Stamp
from edge.types import EdgeError

TEND_EVERY_S = 0.5
"""A kit without news is tended this often, for what only the clock tells; a daemon does it more often."""
TELL_EVERY_S = 1.0
SPARE_FILES = 64
"""Descriptors besides the kits' sockets."""
PARTS = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
MOST_COMPLAINTS = 3
"""Of one kind that are told; a storm would tell the same a thousand times."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What to simulate."""

    url: str
    kits: int = 30
    rate: float = 0.2
    """Windows per second and kit; a window lasts 1 / rate seconds."""
    seconds: float = 60.0
    storm_every_s: float = 0.0
    """0 is no storm."""
    storm_part: float = 1.0
    connects_per_s: float = 200.0
    pattern: str = "sim-{n}"
    sites: int = 1
    first: int = 0
    """The first kit's number, so that several processes can share one crowd."""
    login: bool = False
    """Each kit under its own name as MQTT user."""
    access: Access = field(default_factory=Access)
    certificates: Path | None = None
    """A folder for each kit: ``client.pem``, ``client.key``, ``ca.pem``, as `suasana site` makes them."""
    outbox: Path | None = None
    """Folder for outboxes on disk; None keeps them in memory."""
    ledger: Path | None = None
    """Gets a line for every event once it is in its outbox, and one when it is acknowledged."""
    patience_s: float = 30.0
    """How long the end waits for acknowledgements."""
    seed: int = 1
    quiet: bool = False
    orders: Iterable[str] | None = None
    """Lines that change the load while it goes on; its end, and not ``seconds``, then ends it."""


@dataclass(slots=True)
class Tally:
    """What is counted."""

    made: int = 0
    windows: int = 0
    """Of those that were made, once all kits had begun."""
    storms: int = 0
    cut: int = 0
    waits_s: array[float] = field(default_factory=lambda: array("d"))
    """From the closing of a window to the broker's acknowledgement."""


class Simulation:
    """All kits of one process, on one thread."""

    def __init__(self, wishes: Wishes) -> None:
        """Prepare.

        Raises:
            EdgeError: a wish cannot be fulfilled.
        """
        check(wishes)
        self._wishes, self.tally, self.crowd = wishes, Tally(), Crowd()
        self._random = Random(wishes.seed)
        self._ledger: TextIO | None = (
            wishes.ledger.open("w", encoding="utf-8", buffering=1) if wishes.ledger else None
        )
        self.kits = [
            self._make(number, name)
            for number, name in enumerate(names(wishes.pattern, wishes.kits, wishes.sites, wishes.first))
        ]
        self._began = 0
        self._due: list[tuple[float, int]] = []
        self._sweep, self._swept = 0, time.monotonic()

    @property
    def waiting(self) -> int:
        """Events that are not acknowledged."""
        return sum(kit.sink.waiting for kit in self.kits)

    @property
    def dropped(self) -> int:
        """Events that outboxes gave up for want of room."""
        return sum(kit.sink.dropped for kit in self.kits)

    @property
    def connected(self) -> int:
        """Kits that the broker greeted."""
        return sum(kit.sink.connected for kit in self.kits[: self._began])

    def run(self, stop: Flag, told: Callable[[float], None]) -> float:
        """Simulate until *stop* or the end. Returns the CPU seconds that the kits took once all had begun."""
        wishes = self._wishes
        start = time.monotonic()
        steering = Steering(wishes.orders) if wishes.orders is not None else None
        ready, cpu = start, time.process_time()
        storm = start + wishes.storm_every_s if wishes.storm_every_s else float("inf")
        tell = start
        while not stop.is_set():
            now = time.monotonic()
            if self._began < len(self.kits):
                self._begin_more(now, int((now - start) * wishes.connects_per_s) + 1)
                if self._began == len(self.kits):
                    ready, cpu = now, time.process_time()
                    storm = now + wishes.storm_every_s if wishes.storm_every_s else float("inf")
            elif steering is not None:
                self._follow(steering, now)
                if steering.ended:
                    break
            elif now - ready >= wishes.seconds:
                break
            if now >= storm:
                storm += wishes.storm_every_s
                self._storm()
            self._turn(now)
            if now >= tell:
                tell = now + TELL_EVERY_S
                told(min(1.0, (now - ready) / wishes.seconds) if self._began == len(self.kits) else 0.0)
        spent_s = time.process_time() - cpu
        self._end(stop)
        return spent_s

    def _make(self, number: int, name: str) -> SimulatedKit:
        wishes, random = self._wishes, Random(f"{self._wishes.seed} {self._wishes.first + number}")
        address = urlsplit(wishes.url)
        if wishes.login:
            host = address.netloc.rpartition("@")[2]
            address = address._replace(netloc=f"{quote(name)}@{host}")
        outbox: Outbox = MemoryOutbox()
        if wishes.outbox is not None:
            outbox = DiskOutbox(wishes.outbox / f"{name}.outbox", mono_id=vitals.mono_id())
        commands: list[SimulatedKit] = []

        def obey(command: Command) -> None:
            commands[0].commands.append(command)

        sink = Mqtt(
            address,
            kit=name,
            on_command=obey,
            access=self._access(name),
            outbox=outbox,
            make_client=partial(self.crowd.make, number),
        )
        kit = SimulatedKit(
            stamp=Stamp(name, quality=lambda: "synced"),
            room=SimulatedRoom(random, window_s=1 / wishes.rate),
            sink=sink,
            outbox=outbox,
            window_s=1 / wishes.rate,
            random=random,
            told=self._note,
            acknowledged=self._note_acknowledged,
        )
        commands.append(kit)
        return kit

    def _access(self, name: str) -> Access:
        wishes = self._wishes
        if wishes.certificates is None:
            return wishes.access
        files = [wishes.certificates / name / file for file in ("client.pem", "client.key", "ca.pem")]
        for file in files:
            if not file.is_file():
                raise EdgeError(f"{file}: there is no such file; `suasana site add-kit` makes it")
        certificate, key, authority = map(str, files)
        return replace(wishes.access, cert_file=certificate, key_file=key, ca_file=authority)

    def _note(self, event: Event) -> None:
        self.tally.made += 1
        self.tally.windows += self._began == len(self.kits) and isinstance(event.data, MoodWindow)
        if self._ledger is not None:
            stamp = {"kit": event.kit, "boot_id": event.boot_id, "seq": event.seq, "type": event.type}
            self._ledger.write(json.dumps(stamp | {"at": event.at, "closed": time.time()}) + "\n")

    def _note_acknowledged(self, waited_s: float) -> None:
        self.tally.waits_s.append(waited_s)
        if self._ledger is not None:
            line = {"acknowledged": time.time(), "waited_s": round(waited_s, 6)}
            self._ledger.write(json.dumps(line) + "\n")

    def _begin_more(self, now: float, wanted: int) -> None:
        while self._began < min(wanted, len(self.kits)):
            kit = self.kits[self._began]
            kit.begin(now)
            heapq.heappush(self._due, (kit.due, self._began))
            self._began += 1

    def _turn(self, now: float) -> None:
        """Let those kits work who have news, a window to close, or had no turn for a while."""
        patience_s = 0.05
        if self._due:
            patience_s = min(patience_s, max(0.0, self._due[0][0] - now))
        stirred = self.crowd.turn(patience_s)
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            number = heapq.heappop(self._due)[1]
            self.kits[number].tend(now)
            stirred.discard(number)
            heapq.heappush(self._due, (self.kits[number].due, number))
        for number in stirred:
            self.kits[number].tend(now)
        self._tend_some(now)

    def _tend_some(self, now: float) -> None:
        """So many of the others that everybody has a turn in TEND_EVERY_S."""
        count = int(min(1.0, (now - self._swept) / TEND_EVERY_S) * self._began)
        if count:
            self._swept = now
        for number in range(self._sweep, self._sweep + count):
            self.kits[number % self._began].tend(now)
        self._sweep = (self._sweep + count) % max(1, self._began)

    def _follow(self, steering: Steering, now: float) -> None:
        for order in steering.orders():
            if order.rate is None:
                self._storm()
                continue
            for kit in self.kits:
                kit.change_window(1 / order.rate, now)
            self._due = [(kit.due, number) for number, kit in enumerate(self.kits)]
            heapq.heapify(self._due)

    def _storm(self) -> None:
        struck = self._random.sample(range(len(self.kits)), round(self._wishes.storm_part * len(self.kits)))
        self.tally.storms += 1
        self.tally.cut += self.crowd.cut(set(struck))

    def _end(self, stop: Flag) -> None:
        """Every kit ends its session, and leaves once nothing waits or patience is over."""
        for kit in self.kits[: self._began]:
            kit.end(time.monotonic())
        deadline = time.monotonic() + (self._wishes.patience_s if not stop.is_set() else 2.0)
        while self.waiting and time.monotonic() < deadline:
            for number in self.crowd.turn(0.05):
                self.kits[number].tend_sink(time.monotonic())
            for kit in self.kits[: self._began]:
                kit.tend_sink(time.monotonic())
        for kit in self.kits[: self._began]:
            kit.leave()
        while self.crowd.connections and time.monotonic() < deadline + 2:
            self.crowd.turn(0.05)
        self.crowd.close()
        if self._ledger is not None:
            self._ledger.close()


def run(wishes: Wishes, stop: Flag) -> int:
    """Simulate, print the summary as JSON; 1 if an event was dropped or is still waiting."""
    began = time.time()
    spread_complaints()
    simulation = Simulation(wishes)
    tell = partial(_bar, simulation) if not wishes.quiet else lambda _part: None
    cpu_s = simulation.run(stop, tell)
    summary = summarise(simulation, wishes, cpu_s) | {"began": format_time(began)}
    if not wishes.quiet and sys.stderr.isatty():
        print(file=sys.stderr)
    print(json.dumps(summary, indent=2))
    return int(summary["waiting"] > 0 or summary["dropped"] > 0)


def summarise(simulation: Simulation, wishes: Wishes, cpu_s: float) -> dict[str, Any]:
    """What happened, as plain values."""
    tally = simulation.tally
    waits = sorted(tally.waits_s)

    def after_ms(part: float) -> float | None:
        return round(waits[min(len(waits) - 1, int(part * len(waits)))] * 1000, 1) if waits else None

    return {
        "kits": wishes.kits,
        "windows_per_s_and_kit": wishes.rate,
        "seconds": wishes.seconds,
        "made": tally.made,
        "acknowledged": len(waits),
        "waiting": simulation.waiting,
        "dropped": simulation.dropped,
        "storms": tally.storms,
        "connections_cut": tally.cut,
        "acknowledged_after_ms": {name: after_ms(part) for name, part in PARTS.items()},
        "cpu_s": round(cpu_s, 3),
        "cpu_ms_per_window": round(cpu_s * 1000 / max(1, tally.windows), 3),
        "rss_mb": vitals.rss_mb(),
    }


def check(wishes: Wishes) -> None:
    """Refuse what cannot be, and make room for the sockets.

    Raises:
        EdgeError: says what.
    """
    for name in names(wishes.pattern, min(2, wishes.kits), wishes.sites, wishes.first):
        if not KIT_NAME.fullmatch(name):
            raise EdgeError(f"{name!r} is no kit's name: lower-case letters, digits and hyphens, at most 63")
    if len(set(names(wishes.pattern, wishes.kits, wishes.sites, wishes.first))) < wishes.kits:
        raise EdgeError(f"--names {wishes.pattern}: all kits would have the same name; put {{n}} into it")
    if not urlsplit(wishes.url).hostname or urlsplit(wishes.url).scheme not in {"mqtt", "mqtts"}:
        raise EdgeError(f"{wishes.url}: not a broker's address; give mqtt://[user@]host[:port]")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wishes.kits * (2 if wishes.outbox else 1) + SPARE_FILES
    if needed > hard != resource.RLIM_INFINITY:
        raise EdgeError(
            f"{wishes.kits} kits need {needed} open files, and this user may have {hard}: ulimit -n"
        )
    if needed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


class _FewComplaints(logging.Filter):
    """Lets the same words through a few times only."""

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        words = record.getMessage()
        self._told[words] = self._told.get(words, 0) + 1
        return self._told[words] <= MOST_COMPLAINTS and len(self._told) < 20


def spread_complaints() -> None:
    """Thousands of kits complain about one broker: hear the first of them."""
    logging.getLogger("edge.sinks.mqtt").addFilter(_FewComplaints())


def _bar(simulation: Simulation, part: float) -> None:
    """How far it is, on a terminal; in a log, a line now and then would say less than the summary."""
    if not sys.stderr.isatty():
        return
    filled = int(24 * part)
    text = (
        f"[{'#' * filled}{'.' * (24 - filled)}] {simulation.connected} of {len(simulation.kits)} connected,"
    )
    text += f" {simulation.tally.made} made, {simulation.waiting} waiting, {simulation.tally.storms} storms"
    width = os.get_terminal_size(sys.stderr.fileno()).columns - 1
    print("\r" + text[:width].ljust(width), end="", file=sys.stderr, flush=True)
