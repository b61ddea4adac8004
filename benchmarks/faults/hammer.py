"""The kit's real sink and outbox, far faster than a class: ``python -m benchmarks.faults.hammer``.

Prints every event after it went into the outbox, like ``suasana run --jsonl``.
"""

from __future__ import annotations

import argparse
import logging
import math
import time
from pathlib import Path
from random import Random

from edge import vitals
from edge.events import Session
from edge.mood import Window
from edge.outbox.disk import DiskOutbox
from edge.sinks import Access, open_sink
from edge.stamp import Stamp
from edge.supervisor import stop_flag
from edge.words import LABELS

AT_ONCE = 10


def main() -> int:
    """Until SIGTERM, or until *count* events are made and delivered."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.hammer", description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kit", default="hammer")
    parser.add_argument("--rate", type=float, default=50.0, help="events per second")
    parser.add_argument("--count", type=float, default=math.inf, help="then only deliver")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    stop = stop_flag()
    outbox = DiskOutbox(arguments.folder / "outbox.db", mono_id=vitals.mono_id())
    access = Access(protocol="3.1.1")
    uri = f"mqtt://127.0.0.1:{arguments.port}"
    stamp, random = Stamp(arguments.kit), Random()
    with (
        open_sink(uri, kit=arguments.kit, access=access, outbox=outbox) as sink,
        open_sink("jsonl:-", kit=arguments.kit) as ledger,
    ):
        made, began = 0, time.monotonic()
        while not stop.is_set():
            due = min(arguments.count, (time.monotonic() - began) * arguments.rate)
            # On a slow disk it falls behind rather than forget to send.
            for _ in range(min(AT_ONCE, math.ceil(due - made))):
                start = Session("start", "boot", outbox.previous)
                now = time.monotonic()
                event = stamp.window(window(random, now)) if made else stamp.event(start, at=now)
                sink.publish(event)
                ledger.publish(event)
                made += 1
            sink.tend()
            stop.wait(0.005)
    return 0


def window(random: Random, end: float) -> Window:
    """Any mood."""
    weights = [random.random() for _ in LABELS]
    shares = {label: round(weight / sum(weights), 4) for label, weight in zip(LABELS, weights, strict=True)}
    return Window(end - 5, end, random.choice(LABELS), shares, random.random(), 8, None, 200, 1)


if __name__ == "__main__":
    raise SystemExit(main())
