"""A district in the middle of whose work something is killed, and what is there afterwards.

Each scene has a load of its own. The witness counts by (kit, boot_id, seq) what the simulated kits put into
their outboxes against what the tables hold. A kit has one broker's address, so kits whose node is killed wait
until it is back: that is a kit's part of the claim.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.scale.rungs import Load, Rung, Told, drained, simulator, summary_of
from benchmarks.scale.stage import Program
from benchmarks.scale.witness import Made, compare, read_ledger

FIRST_S = 10.0
"""Of quiet work, before something is killed."""
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
    return f"node {leader + 1} of 3, which led the queue; kits were on node 1"


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
        kits = simulator(rung, load, f"simulate-{name}")
        kits.start()
        time.sleep(load.kits / load.connects + FIRST_S)
        killed = scene(rung)
        made = _finish(rung, load, kits)
        stored = rung.stored()
        own = {key: times for key, times in stored.items() if key in {one.key for one in made}}
        summary = summary_of(kits)
        results[name] = {
            "killed": killed,
            "count": asdict(compare(made, own, windows_only=False)),
            "acknowledged_after_ms": summary.get("acknowledged_after_ms"),
            "dropped": summary.get("dropped"),
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


def _finish(rung: Rung, load: Load, kits: Program) -> list[Made]:
    kits.wait(load.seconds + 600)
    made = read_ledger(rung.folder / f"{kits.name}.ledger")
    drained(rung, made)
    return made
