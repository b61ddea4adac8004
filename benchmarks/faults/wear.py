"""What the outbox costs the card and how fast it is."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

from benchmarks.faults.hammer import window
from edge.events import Event
from edge.outbox.disk import DiskOutbox
from edge.outbox.file import journal
from edge.stamp import Stamp

WINDOW_S = 5.0
SPEED_S = 2.0


def measure(folder: Path) -> dict[str, float]:
    """An hour of five-second windows with a broker that answers and without one, and as fast as it goes.

    Bytes are what the kernel charges this process for (/proc/self/io): pages made dirty, each time they are
    made so. After each event the journal is synchronised, as a kernel would that writes back within 5 s;
    what the file system's own journal adds is not in it.
    """
    return {
        "mb_per_hour_online": hour(folder / "online.db", online=True),
        "mb_per_hour_offline": hour(folder / "offline.db", online=False),
        "events_per_s": speed(folder / "fast.db"),
    }


def hour(path: Path, *, online: bool, events: int = 720) -> float:
    """MB (10^6 bytes) that an hour makes, from so many *events* of it."""
    now = [0.0]
    outbox = DiskOutbox(path, clock=lambda: now[0])
    outbox.open()
    before = written_bytes()
    for event in some_events(events):
        outbox.put(event)
        if online:
            outbox.done(event.id)
        now[0] += WINDOW_S
        outbox.tend()
        if journal(path).exists():
            outbox._file.sync()  # type: ignore[union-attr] # noqa: SLF001 -- the kernel's part
    made = written_bytes() - before
    outbox.close()
    return round(made / 1e6 * 3600 / WINDOW_S / events, 2)


def speed(path: Path) -> float:
    """Events per second into the outbox while nobody acknowledges any."""
    outbox = DiskOutbox(path)
    outbox.open()
    events = some_events(20_000)
    began, put = time.monotonic(), 0
    for event in events:
        outbox.put(event)
        put += 1
        if time.monotonic() - began > SPEED_S:
            break
    rate = put / (time.monotonic() - began)
    outbox.close()
    return round(rate)


def some_events(count: int) -> list[Event]:
    """Any events."""
    stamp, random = Stamp("wear"), Random(1)
    return [stamp.window(window(random, 1000.0 + number * WINDOW_S)) for number in range(count)]


def written_bytes() -> int:
    """Bytes that this process has caused to be written to disks."""
    lines = Path("/proc/self/io").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))
