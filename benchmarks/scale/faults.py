"""A district in the middle of whose work something is killed, and what is there afterwards.

Each scene has a load of its own. The witness counts by (kit, boot_id, seq) what the simulated kits put into
their outboxes against what the tables hold. A kit has one broker's address, so kits whose node is killed wait
until it is back: that is a kit's part of the claim.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.scale.course import Course, Load, Told
from benchmarks.scale.rungs import Rung
from benchmarks.scale.witness import quantiles_ms

FIRST_S = 5.0
"""Of quiet work, before something is killed."""
LAST_S = 5.0
"""Of work afterwards."""
AWAY_S = 10.0
"""How long a node or the database stays away."""


def kill_node(rung: Rung) -> str:
    """The node that leads the events' queue, which is the hardest to do without."""
    _, cluster = rung.district
    leader = cluster.leader()
    cluster.nodes[leader].kill()
    time.sleep(AWAY_S)
    cluster.nodes[leader].start()
    cluster.await_node(leader)
    return f"node {leader + 1} of 3, which led the queue or most of them; kits were on node 1"


def kill_database(rung: Rung) -> str:
    """PostgreSQL with all its processes."""
    database, _ = rung.district
    database.program.kill()
    time.sleep(AWAY_S)
    database.start()
    return "PostgreSQL, all its processes at once"


def kill_ingester(rung: Rung) -> str:
    """One of them three times, right after it began again."""
    one = next(program for program in rung.programs if program.name == "ingest-0")
    for _ in range(3):
        one.kill()
        time.sleep(2.0)
        one.start()
        time.sleep(3.0)
    return "one of two ingesters, three times"


SCENES: dict[str, Callable[[Rung], str]] = {
    "database": kill_database,
    "ingester": kill_ingester,
    "node": kill_node,
}


def play(rung: Rung, load: Load, told: Told) -> dict[str, Any]:
    """Every scene with its count, and how many events the tables hold in the end."""
    results: dict[str, Any] = {}
    for name, scene in SCENES.items():
        told(f"killing: {name}")
        with Course(rung, load, f"kits_{name}") as course:
            course.arrive()
            course.hold(FIRST_S)
            killed = scene(rung)
            course.hold(LAST_S)
            count = course.finish()
        waits = [wait for _, wait in course.ledger.acknowledged]
        results[name] = {
            "killed": killed,
            "count": count,
            "acknowledged_after_ms": quantiles_ms(waits),
            "dropped": course.told("dropped"),
        }
    results["stored_at_the_end"] = len(rung.stored())
    return results


def sum_up(loads: Sequence[Mapping[str, Any]], scenes: Mapping[str, Any]) -> dict[str, int]:
    """All loads and scenes of the rung together, against what the tables hold in the end."""
    counts = [one["count"] for one in loads]
    counts += [scene["count"] for scene in scenes.values() if isinstance(scene, dict)]
    total = {name: sum(count[name] for count in counts) for name in ("made", "lost", "doubled")}
    stored = scenes["stored_at_the_end"]
    return {**total, "stored": stored, "unmade": max(0, stored - total["made"])}
