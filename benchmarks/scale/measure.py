"""One rung from start to end: nobody, everybody, storms, ever more, and, in the district, parts killed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.scale import faults, gauge, ramp
from benchmarks.scale.cluster import Work
from benchmarks.scale.course import Course, Load, Told, measure_quiet
from benchmarks.scale.rungs import Rung, district, room, room_on_mosquitto, school
from dashboard.database import open_database
from dashboard.history import History

STILL = 0.001
"""Windows a second and kit: the first would be closed when all is over."""
RUNGS = ("room", "mosquitto", "school", "district", "queues")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done on a rung."""

    load: Load
    step_s: float = ramp.STEP_S
    """0: the load is not raised."""
    kills: Load | None = None
    queues: int = 1
    """That share a district's events."""
    still_s: float = 0.0
    """How long the kits only are there and send no windows; 0: not at all."""


FULL = {
    "room": Plan(Load(30, seconds=20)),
    "mosquitto": Plan(Load(30, seconds=20)),
    "school": Plan(Load(30, seconds=20)),
    "district": Plan(
        Load(200, seconds=30, storms=1, connects=10.0),
        kills=Load(50, rate=0.5, connects=10.0),
        still_s=20.0,
    ),
    "queues": Plan(Load(100, seconds=20, connects=10.0), kills=Load(50, rate=0.5, connects=10.0), queues=3),
}
QUICK = {
    "room": Plan(Load(2, rate=1.0, seconds=5), step_s=2.0),
    "mosquitto": Plan(Load(2, rate=1.0, seconds=5), step_s=2.0),
    "school": Plan(Load(6, rate=0.5, seconds=5), step_s=2.0),
    "district": Plan(
        Load(12, rate=0.5, seconds=8, storms=1, storm_s=5.0), 4.0, Load(12, rate=0.5), still_s=5.0
    ),
    "queues": Plan(Load(12, rate=0.5, seconds=8), 4.0, Load(12, rate=0.5), queues=3),
}


@contextmanager
def standing(name: str, folder: Path, kits: int, queues: int = 1) -> Iterator[Rung]:
    """A rung of that name, for so many kits."""
    makers = {
        "room": lambda: room(folder),
        "mosquitto": lambda: room_on_mosquitto(folder, [f"sim-{number}" for number in range(kits)]),
        "school": lambda: school(folder, kits),
        "district": lambda: district(folder, kits, queues=queues),
        "queues": lambda: district(folder, kits, queues=queues),
    }
    with makers[name]() as rung:
        yield rung


def measure(name: str, plan: Plan, folder: Path, told: Told) -> dict[str, Any]:
    """Everything about one rung, as plain values."""
    began, load_average = time.monotonic(), os.getloadavg()[0]
    most = max(plan.load.kits, plan.kills.kits if plan.kills else 0)
    with standing(name, folder, most, plan.queues) as rung:
        rung.name = name
        told(f"{name}: stands")
        found = perform(rung, plan, told)
        if plan.kills is not None:
            found["faults"] = faults.play(rung, plan.kills, told)
            found["everything"] = {"count": faults.sum_up([found], found["faults"])}
        if rung.district is not None:
            found["history"] = ask_history(rung)
    took_s = round(time.monotonic() - began)
    told(f"{name}: took {took_s} s")
    return {"load_average": round(load_average, 1), "took_s": took_s, **found}


def perform(rung: Rung, plan: Plan, told: Told) -> dict[str, Any]:
    """One crowd: calm, storms, and the ramp."""
    load, quiet = plan.load, measure_quiet(rung)
    memory = _memory(rung)
    disk, rows = rung.disk(), sum(rung.stored().values())
    with Course(rung, load) as course:
        course.arrive()
        told(f"{rung.name}: {load.kits} kits have arrived")
        grown = {name: value - memory[name] for name, value in _memory(rung).items()}
        figures: dict[str, Any] = {}
        if plan.still_s:
            figures["still"] = _hold_still(course, plan.still_s, quiet)
        calm = course.hold(load.seconds)
        figures["calm"] = course.costs(calm, quiet)
        storm = None
        if load.storms:
            storm = course.storm()
            figures["storm"] = course.costs(storm, quiet)
            told(f"{rung.name}: {load.storms} storms are over")
        stand = _stand(course) if rung.district is not None and plan.queues == 1 else None
        climb = ramp.climb(course, quiet, calm, told, plan.step_s) if plan.step_s else None
        if stand is not None:
            figures["queue_process"] = cost_of_queue(stand, _stand(course))
        rss = {one.name: round(one.rss_mb(), 1) for one in rung.programs}
        count = course.finish()
    figures["calm"] |= course.waits(calm)
    if storm is not None:
        figures["storm"] |= course.waits(storm)
        figures["storm"]["connections_cut"] = course.told("connections_cut")
    told(f"{rung.name}: {count['made']} made, {count['lost']} lost, {count['doubled']} doubled")
    stored = sum(rung.stored().values()) - rows
    return {
        "kits": load.kits,
        "rate": load.rate,
        "connects": load.connects,
        "quiet_cores": {name: round(value, 4) for name, value in quiet.items()},
        **figures,
        **({"ramp": climb.complete(course)} if climb is not None else {}),
        "count": count,
        "memory_kb_per_kit": round(1000 * sum(max(0.0, mb) for mb in grown.values()) / load.kits, 1),
        "rss_mb": rss,
        "bytes_per_event": round((rung.disk() - disk) / max(1, stored), 1),
    }


def _hold_still(course: Course, seconds: float, quiet: Mapping[str, float]) -> dict[str, Any]:
    """What the rung spends on kits that are there and send no windows: pings, and how they are."""
    course.say_rate(STILL)
    course.calm_down()
    costs = course.costs(course.hold(seconds), quiet)
    course.change_rate(course.load.rate)
    return {name: costs[name] for name in ("seconds", "windows_per_s", "cores", "idle")}


def ask_history(rung: Rung) -> dict[str, Any]:
    """How long a page's usual question takes, with a month and with a year of partitions."""
    import psycopg  # noqa: PLC0415

    database, _ = rung.district
    found: dict[str, Any] = {}
    for days in (30, 365):
        with closing(psycopg.connect(database.url, autocommit=True)) as owner:
            for back in range(days):
                owner.execute("SELECT suasana.make_day(current_date - %s)", (back,))
        with closing(open_database(database.url_as("site_s0"))) as site:
            history, waits = History(site), []
            for _ in range(20):
                now, before = time.time(), time.perf_counter()
                history.windows("s0--k0", now - 2400, now)
                waits.append((time.perf_counter() - before) * 1000)
        found[f"ms_with_{days}_days"] = round(sorted(waits)[len(waits) // 2], 1)
    return found


@dataclass(frozen=True, slots=True)
class Stand:
    """Of the node that leads a queue, at one moment."""

    work: Work
    sample: gauge.Sample
    events: int


def _stand(course: Course) -> Stand:
    _, cluster = course.rung.district
    work = cluster.work()
    return Stand(work, gauge.look([cluster.nodes[work.node]]), len(course.ledger.read().acknowledged))


def cost_of_queue(before: Stand, after: Stand) -> dict[str, float] | None:
    """What a queue's leading process, and the log of its node, spend on an event, ms: a bound of each.

    Erlang counts steps; a process's part of its node's steps is taken for its part of the node's time.

    Returns:
        None if another node leads by now, or nothing was done.
    """
    steps, events = after.work.every - before.work.every, after.events - before.events
    if after.work.node != before.work.node or steps <= 0 or events <= 0:
        return None
    spent_s = sum(gauge.spent(before.sample, after.sample).values())
    per_event = 1000 * spent_s / steps / events
    return {
        "events": events,
        "leader_ms_per_event": round((after.work.queue - before.work.queue) * per_event, 4),
        "log_ms_per_event": round((after.work.log - before.work.log) * per_event, 4),
    }


def _memory(rung: Rung) -> dict[str, float]:
    return {one.name: one.private_mb() for one in rung.connections()}
