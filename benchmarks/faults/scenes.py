"""The scenes: each breaks something, waits until what can arrive has arrived, and tells what came of it."""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import shutil
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import cv2

from benchmarks.faults.day import SAMPLES_PER_HOUR
from benchmarks.faults.patience import NeverHappened, NotMeasured
from benchmarks.faults.stage import (
    Broker,
    Cable,
    Process,
    Stage,
    Witness,
    config,
    descriptors,
    open_files,
    resident_mb,
    set_stage,
)
from benchmarks.faults.tap import id_of
from benchmarks.faults.tear import Torn, tear_and_open
from benchmarks.faults.verdict import Verdict, judge
from edge.events import Clock, Event, parse_time
from edge.models import weights
from edge.sources import open_camera

Told = Callable[[str, float], None]
"""What is being done, and how much of it is done (0..1)."""
PATTERN = ["--camera", "pattern:?width=160&height=120&fps=2", "--microphone", "none"]
LIBFAKETIME = "/usr/lib/*/faketime/libfaketimeMT.so.1"
IN_START = 0.2
"""Kills while a program starts; the others come in the seconds after its first event."""
LONG_AGO = "-7300d"
JUMPS = ("+1d", "-1d", "+3650d", "-3650d")
DISK_BYTES = 6_000_000
WARM_ROUNDS = 6
"""By then garbage, a lost camera and a lost broker have each been there once."""


def storm(folder: Path, random: Random, told: Told, *, kills: int, hammer_kills: int, breaks: int) -> Any:
    """Broker, daemon and a sink that sends 50 events a second, all killed at random moments at once."""
    with set_stage(folder) as stage:
        daemon = stage.process("kit", _run(config(folder, "kit", stage.cable.port)))
        hammer = stage.process("hammer", _hammer(stage.cable, folder / "hammer"))
        wishes = [
            (daemon, kills, 3.0),
            (hammer, hammer_kills, 2.0),
        ]
        seeds = [random.random() for _ in wishes]
        killers = ThreadPoolExecutor(len(wishes))
        threads = [
            killers.submit(_keep_killing, stage, process, number, longest_s, Random(seed))
            for (process, number, longest_s), seed in zip(wishes, seeds, strict=True)
        ]
        most = kills + hammer_kills + breaks
        while stage.broker.kills < breaks or not all(thread.done() for thread in threads):
            time.sleep(random.uniform(0.2, 2.0))
            early = 2 + breaks * daemon.kills / kills  # all along, not all at first
            if stage.broker.kills < (breaks if threads[0].done() else min(breaks, early)):
                if random.random() < 0.3:
                    stage.cable.pull()  # the kit notices first, and in the middle of a packet
                stage.restart_broker(random.uniform(0.0, 1.5))
            told("storm", (daemon.kills + hammer.kills + stage.broker.kills) / most)
        for thread in threads:
            thread.result()  # raises what kept it from killing
        killers.shutdown()
        verdicts = [_settle(stage, process) for process in (daemon, hammer)]
        return {
            "kills": daemon.kills,
            "hammer_kills": hammer.kills,
            "broker_restarts": stage.broker.kills,
            "verdict": verdicts[0] + verdicts[1],
        }


def _keep_killing(stage: Stage, process: Process, kills: int, longest_s: float, random: Random) -> None:
    while process.kills < kills:
        before = process.size
        process.start()
        if random.random() < IN_START:
            time.sleep(random.uniform(0, 4))
        else:
            stage.wait_for(lambda before=before: process.size > before, f"{process.name} begins")  # type: ignore[misc]
            time.sleep(random.uniform(0, longest_s))
        process.kill()


def _settle(stage: Stage, process: Process) -> Verdict:
    """Run once more, end as it should, have what is left delivered, and judge.

    A program that ends makes last events and has little time for them. So a courier takes over its outbox,
    who makes one event, the first of a new boot, and otherwise only delivers until nothing is left.
    """
    if not process.alive:
        process.start()
    before = len(process.told())
    stage.wait_for(lambda: len(process.told()) > before, f"{process.name} makes events")
    process.stop()
    courier = stage.process("courier", _hammer(stage.cable, stage.folder / process.name, process.name, "1"))
    courier.start()
    stage.wait_for(lambda: len(courier.told()) == 1, "the courier begins")
    made = [*process.told(), *courier.told()]
    with contextlib.suppress(NeverHappened):  # then they are lost, and counted so
        stage.wait_for(lambda: not _missing(made, stage.witness), "what was made arrives")
    courier.stop()
    courier.ledger.unlink()
    return judge(made, _of(process.name, stage.witness), stage.cable.acknowledged)


def _missing(made: list[bytes], witness: Witness) -> set[bytes]:
    time.sleep(0.2)
    return {id_of(body) for body in made} - witness.arrived


def _of(kit: str, witness: Witness) -> list[bytes]:
    source = f'"source":"suasana/{kit}"'.encode()
    return [body for body in list(witness.events) if source in body]


def abuse(folder: Path, random: Random, told: Told, *, rounds: int) -> Any:
    """A daemon on faces, whose pictures vanish, whose cable is pulled and who is sent garbage."""
    pictures = folder / "pictures"
    photograph(pictures)
    with set_stage(folder) as stage:
        camera = ["--camera", f"replay:{pictures}?loop=1&fps=2", "--microphone", "none"]
        daemon = stage.process("kit", _run(config(folder, "kit", stage.cable.port), camera))
        daemon.start()
        stage.wait_for(lambda: len(_of("kit", stage.witness)) > 3, "the first events arrive")
        begin: list[str] = []
        resident: list[float] = []
        commands = failures = pulls = 0
        for number in range(rounds):
            told("abuse", number / rounds)
            for topic, payload in garbage(random, 20):
                stage.witness.say(topic, payload)
                commands += 1
            if number == 1 or random.random() < 0.2:
                failures += _unplug(stage, pictures)
            if number == 2 or random.random() < 0.2:
                stage.cable.pull()
                time.sleep(random.uniform(0, 1))
                stage.cable.plug()
                pulls += 1
            before = daemon.size
            stage.wait_for(lambda before=before: daemon.size > before, "it goes on making events")  # type: ignore[misc]
            resident.append(resident_mb(daemon.pid))
            if number == WARM_ROUNDS:  # whatever is opened once and for all is open
                begin = _calm_files(stage, daemon, "begin")
        refused = len(stage.witness.answers)
        stage.wait_for(lambda: stage.witness.camera.get("kit") == b"online", "its camera comes back")
        with contextlib.suppress(NeverHappened):  # then some stay open
            stage.wait_for(lambda: descriptors(daemon.pid) <= len(begin), "descriptors are closed")
        end = _calm_files(stage, daemon, "end")
        capture = json.loads(stage.witness.info["kit"])["capture"]
        verdict = _settle(stage, daemon)
    return {
        "commands_fuzzed": commands,
        "commands_answered": refused,
        "switches_changed_by_garbage": int(
            capture != dict.fromkeys(("capture", "camera", "microphone"), "on")
        ),
        "source_failures": failures,
        "cable_pulls": pulls,
        "daemon_rss_growth_percent": growth_percent(resident),
        "daemon_descriptors_leaked": max(0, len(end) - len(begin)),
        "daemon_descriptors_new": sorted((Counter(end) - Counter(begin)).elements()),
        "verdict": verdict,
    }


def _unplug(stage: Stage, pictures: Path) -> bool:
    """Take the pictures away until the kit has said so; False while it still waits after the last time."""
    if stage.witness.camera.get("kit") != b"online":
        return False
    with absent(pictures):
        stage.wait_for(lambda: stage.witness.camera.get("kit") == b"recovering", "a lost camera is told")
    return True


def _calm_files(stage: Stage, daemon: Process, word: str) -> list[str]:
    """What is open once it has answered; the fewest of some looks, since sockets come and go."""
    stage.wait_for(lambda: stage.witness.ask("kit", word), "it answers")
    looks: list[list[str]] = []
    for _ in range(8):
        before = daemon.size
        looks.append(open_files(daemon.pid))
        stage.wait_for(lambda before=before: daemon.size > before, "it goes on making events")  # type: ignore[misc]
    return min(looks, key=len)


def photograph(folder: Path) -> None:
    """Three pictures of the staged class."""
    folder.mkdir()
    with open_camera(f"scene:{weights.FOLDER}?fps=2&frames=3&speed=0") as camera:
        for number, frame in enumerate(camera):
            cv2.imwrite(str(folder / f"{number}.jpg"), frame.image)


@contextlib.contextmanager
def absent(folder: Path) -> Iterator[None]:
    """Somebody unplugged it."""
    away = folder.with_name(folder.name + ".away")
    folder.rename(away)
    try:
        yield
    finally:
        away.rename(folder)


def garbage(random: Random, count: int) -> Iterator[tuple[str, bytes]]:
    """Commands that mean nothing, are torn, or are far too long; none that would be right."""
    leaves = ["set/capture", "set/camera", "set/microphone", "set/", "set/mode", "request/ping", "request/x"]
    leaves += ["request/info", "request/health", "set/" + "a" * 300, "request/ümlaut"]
    words: list[bytes] = [
        b"",
        b"ON!",
        b"1",
        b"null",
        b"{",
        b'{"transaction":',
        b"[" * 2000,
        b"off\0",
        b"\xff\xfe",
    ]
    for _ in range(count):
        kind = random.randrange(4)
        payload = random.choice(words)
        if kind == 0:
            payload = random.randbytes(random.choice([1, 60, 5000]))
        elif kind == 1:
            payload = b'{"transaction": %s}' % random.choice(
                [b"1e999", b'"' + b"x" * 3000 + b'"', b"{}", b"[[]]"]
            )
        elif kind == 2 and random.random() < 0.2:
            payload = random.randbytes(200_000)
        yield f"suasana/kit/{random.choice(leaves)}", payload


def full_disk(folder: Path, random: Random, told: Told) -> Any:  # noqa: ARG001 -- as every scene
    """The disk fills while the broker is away; the process is killed once there is room again."""
    told("full disk", 0)
    with set_stage(folder) as stage, small_disk(folder / "hammer") as disk:
        stage.cable.pull()
        hammer = stage.process("hammer", _hammer(stage.cable, disk.folder, "hammer", "900"))
        hammer.start()
        stage.wait_for(lambda: len(hammer.told()) >= 50, "the first events")
        disk.fill(hammer)
        stage.wait_for(lambda: len(hammer.told()) >= 900, "events on a full disk")
        told("full disk", 0.5)
        words = hammer.words.read_text()
        disk.make_room(hammer)
        stage.wait_for(
            lambda: "takes events again" in hammer.words.read_text(), "the disk takes events again"
        )
        hammer.kill()
        stage.cable.plug()
        verdict = _settle(stage, hammer)
    return {
        "disk": disk.kind,
        "disk_refusals_told": words.count("stay in memory"),
        "verdict": verdict,
    }


class SmallDisk:
    """A folder with little room: a file system of its own for root, a limit on file sizes for others."""

    def __init__(self, folder: Path) -> None:
        """Make the folder."""
        self.folder = folder
        folder.mkdir()
        self.kind = "a limit on the size of files"
        if os.geteuid() == 0:
            mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
            if subprocess.run(mount, capture_output=True, check=False).returncode == 0:  # noqa: S603
                self.kind = f"a file system of {DISK_BYTES / 1e6:g} MB"

    @property
    def mounted(self) -> bool:
        """Whether it is a file system."""
        return self.folder.is_mount()

    def fill(self, process: Process) -> None:
        """No more room."""
        if not self.mounted:
            largest = max(file.stat().st_size for file in self.folder.iterdir())
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
            return
        with contextlib.suppress(OSError), (self.folder / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(1024))

    def make_room(self, process: Process) -> None:
        """Room again."""
        if self.mounted:
            (self.folder / "filler").unlink()
        else:
            free = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, free)


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """A disk that can be filled."""
    disk = SmallDisk(folder)
    try:
        yield disk
    finally:
        if disk.mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False)  # noqa: S603, S607


def torn(folder: Path, random: Random, told: Told, *, files: int) -> Any:
    """Outboxes torn at random."""
    total = Torn()
    first = random.randrange(10**6)
    for number in range(files):
        total += tear_and_open(folder / "torn", first + number)
        if number % 10 == 0:
            told("torn files", number / files)
    return {"torn": total}


def clock(folder: Path, random: Random, told: Told) -> Any:  # noqa: ARG001 -- as every scene
    """A daemon starts twenty years ago, learns the time, and then its clock is stepped forth and back."""
    library = next(iter(sorted(Path("/").glob(LIBFAKETIME[1:]))), None)
    if library is None:
        raise NotMeasured("libfaketime is not installed (Debian: faketime)")
    offset, known = folder / "offset", folder / "known"
    offset.write_text(LONG_AGO + "\n")
    environment = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with set_stage(folder) as stage:
        run = _run(config(folder, "kit", stage.cable.port))
        daemon = stage.process("kit", ["-m", "benchmarks.faults.clockless", str(known), *run[2:]])
        daemon.start(environment)
        stage.wait_for(lambda: len(_of("kit", stage.witness)) > 2, "the first events arrive")
        early = _of("kit", stage.witness)
        offset.write_text("+0\n")
        known.touch()
        stage.wait_for(lambda: _clock_events(stage.witness, "synced"), "it tells that it knows the time")
        misplaced_s = _misplaced_s(early, _clock_events(stage.witness, "synced")[0])
        steps = 0
        for number, jump in enumerate(JUMPS):
            told("clock", number / len(JUMPS))
            before = len(_clock_events(stage.witness, "stepped"))
            offset.write_text(jump + "\n")
            stage.wait_for(
                lambda before=before: len(_clock_events(stage.witness, "stepped")) > before,  # type: ignore[misc]
                "the jump is told",
            )
            steps += 1
        daemon.kill()  # libfaketime breaks Python's sleep, with which it would end; another start delivers
        verdict = _settle(stage, daemon)
    return {
        "clock_unknown_events": len(early),
        "clock_misplaced_ms": round(1000 * misplaced_s, 2),
        "clock_steps": len(JUMPS),
        "clock_steps_told": steps,
        "verdict": verdict,
    }


def _misplaced_s(early: Sequence[bytes], known: Event) -> float:
    """How far off events from before the time was known are, at most, once a reader has placed them anew.

    A reader has both clocks of the event that knows, and the steady one of the others. What is true the
    scene knows, since it runs on the same machine.
    """
    worst = 0.0
    for event in (Event.from_json(body.decode()) for body in early):
        ours = event.time_quality == "unsynced" and event.mono_id == known.mono_id
        if not ours or event.mono_s is None or known.mono_s is None:
            return math.inf
        placed = parse_time(known.at) - (known.mono_s - event.mono_s)
        true = time.time() - (time.monotonic() - event.mono_s)
        worst = max(worst, abs(placed - true))
    return worst


def _clock_events(witness: Witness, reason: str) -> list[Event]:
    found = [Event.from_json(body.decode()) for body in _of("kit", witness) if b"suasana.clock.v1" in body]
    return [event for event in found if isinstance(event.data, Clock) and event.data.reason == reason]


def day(folder: Path, random: Random, told: Told, *, hours: int) -> Any:
    """A day at speed, while the broker is killed and garbage comes in."""
    with set_stage(folder) as stage:
        path = config(folder, "day", stage.cable.port)
        path.write_text(path.read_text().replace("window_s = 1.0", "window_s = 5.0"))
        arguments = ["-m", "benchmarks.faults.day", str(path), "--hours", str(hours)]
        process = stage.process("day", arguments)
        process.start()
        samples = _samples(process.ledger)
        while process.alive:
            time.sleep(random.uniform(1.0, 4.0))
            samples = _samples(process.ledger)
            told("day at speed", len(samples) / hours / SAMPLES_PER_HOUR)
            if process.alive and len(samples) < hours * SAMPLES_PER_HOUR:
                stage.restart_broker(random.uniform(0, 0.5))
            for topic, payload in garbage(random, 5):
                stage.witness.say(topic.replace("/kit/", "/day/"), payload)
        process.stop()
        samples = _samples(process.ledger)
        made = process.told()
        with contextlib.suppress(NeverHappened):  # then some are lost, and counted so
            stage.wait_for(lambda: not _missing(made, stage.witness), "the day arrives")
        verdict = judge(made, _of("day", stage.witness), stage.cable.acknowledged)
    return {
        "day_hours": hours,
        "day_broker_restarts": stage.broker.kills,
        "rss_growth_percent": growth_percent([resident for resident, _ in samples]),
        "descriptors_leaked": leaked([opened for _, opened in samples]),
        "verdict": verdict,
    }


def _samples(ledger: Path) -> list[tuple[float, int | None]]:
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    words = [line.split() for line in lines if line.startswith("# ")]
    whole = [word for word in words if len(word) == 3]
    return [(float(word[1]), None if word[2] == "-" else int(word[2])) for word in whole]


def growth_percent(resident: list[float]) -> float | None:
    """From the second eighth to the last of a run, since it warms up before; None of too short a run."""
    part = len(resident) // 8
    if not part:
        return None
    begin, end = resident[part : 2 * part], resident[-part:]
    return round((statistics.median(end) / statistics.median(begin) - 1) * 100, 2)


def leaked(opened: Sequence[int | None]) -> int | None:
    """Descriptors more in the last quarter than in the one after the first, which is warming up.

    The fewest of each, since sockets come and go; None where too little is known.
    """
    part = len(opened) // 4
    begin, end = ([count for count in opened[at:][:part] if count is not None] for at in (part, -part))
    return max(0, min(end) - min(begin)) if begin and end else None


def _run(path: Path, camera: list[str] | None = None) -> list[str]:
    return ["-m", "edge", "run", "--config", str(path), "--jsonl", *(camera or PATTERN)]


def _hammer(cable: Cable, folder: Path, kit: str = "hammer", count: str = "inf") -> list[str]:
    where = [str(cable.port), str(folder)]
    return ["-m", "benchmarks.faults.hammer", *where, "--kit", kit, "--count", count]


__all__ = ["Broker", "abuse", "clock", "day", "full_disk", "shutil", "storm", "torn"]
