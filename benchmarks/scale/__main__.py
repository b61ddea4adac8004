"""The command line: ``python -m benchmarks.scale [--quick] [--only room|school|district]``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.faults.stage import mosquitto
from benchmarks.footprint import RESULTS, cpu_name
from benchmarks.scale import faults, page
from benchmarks.scale.cluster import Missing, find_postgres, find_rabbitmq
from benchmarks.scale.paper import extrapolate
from benchmarks.scale.rungs import Load, Rung, district, perform, room, school
from dashboard.database import open_database
from dashboard.history import History

FULL = {
    "room": [Load(5, seconds=40), Load(30, seconds=40)],
    "school": [Load(30, seconds=60), Load(120, seconds=40)],
    "district": [Load(200, seconds=60, connects=10.0), Load(200, seconds=40, storm_s=15.0, connects=10.0)],
    "faults": Load(60, rate=0.5, seconds=40),
}
QUICK = {
    "room": [Load(2, rate=1.0, seconds=6)],
    "school": [Load(30, rate=0.5, seconds=8)],
    "district": [Load(24, rate=0.5, seconds=10)],
    "faults": Load(24, rate=0.5, seconds=20),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, kill, compute, write; 1 if anything was lost or doubled."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small loads; writes neither results nor page")
    parser.add_argument("--only", action="append", choices=["room", "school", "district"], help="repeat it")
    parser.add_argument("--no-faults", action="store_true", help="kill nothing")
    parser.add_argument("--page", action="store_true", help="only write docs/scale.md from the results")
    arguments = parser.parse_args(argv)
    if arguments.page:
        page.write(json.loads((RESULTS / "scale.json").read_text("utf-8")))
        return 0
    wanted = arguments.only or ["room", "school", "district"]
    try:
        check_programs(wanted)
    except Missing as error:
        print(f"scale: {error}", file=sys.stderr)
        return 2
    sizes: dict[str, Any] = QUICK if arguments.quick else FULL
    results = RESULTS / "scale.json"
    known = json.loads(results.read_text("utf-8")) if results.exists() and not arguments.quick else {}
    found = {**known, **machine()}
    for name in wanted:
        found |= climb(name, sizes, kills=not arguments.no_faults)
        if not arguments.quick:
            results.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    if not arguments.quick:
        page.write(found)
    else:
        print(json.dumps(found, indent=1))
    broken = [count for count in _counts(found) if count["lost"] or count["doubled"] or count["unmade"]]
    return int(bool(broken))


def check_programs(wanted: Sequence[str]) -> None:
    """Refuse what cannot run here.

    Raises:
        Missing: names the program and its package.
    """
    if "school" in wanted and mosquitto() is None:
        raise Missing("Mosquitto is not installed (Debian: apt-get install mosquitto)")
    if "district" in wanted:
        find_rabbitmq()
        find_postgres()


def climb(name: str, sizes: dict[str, Any], *, kills: bool) -> dict[str, Any]:
    """One rung with all its loads."""
    loads: list[Load] = sizes[name]
    most = max([load.kits for load in loads] + ([sizes["faults"].kits] if name == "district" else []))
    with tempfile.TemporaryDirectory(prefix=f"suasana-scale-{name}-", ignore_cleanup_errors=True) as folder:
        scratch = Path(folder)
        scratch.chmod(0o755)  # brokers and databases give up root, and have to find their files
        if name == "room":
            with room(scratch) as rung:
                return {name: [perform(rung, load, tell) for load in loads]}
        if name == "school":
            with school(scratch, most) as rung:
                return {name: [perform(rung, load, tell) for load in loads]}
        with district(scratch, most) as rung:
            return measure_district(rung, loads, sizes["faults"] if kills else None)


def measure_district(rung: Rung, loads: list[Load], kills: Load | None) -> dict[str, Any]:
    """The loads, the kills, how long the history takes to be asked, and the extrapolation."""
    made = []
    for load in loads:
        figures = perform(rung, load, tell)
        made.append(figures)
    found: dict[str, Any] = {"district": made, "history": ask_history(rung)}
    calm = next(figures for figures in made if not figures["storm_s"])
    storm = next((figures for figures in made if figures["storm_s"]), None)
    found["paper"] = extrapolate(calm, storm)
    if kills is not None:
        found["faults"] = faults.play(rung, kills, tell)
        found["everything"] = {"count": faults.sum_up(made, found["faults"])}
    return found


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


def machine() -> dict[str, Any]:
    """Where it was measured, and how busy that was."""
    return {
        "machine": f"{platform.machine()}, {cpu_name()}, {os.cpu_count()} cores, Linux {platform.release()}",
        "load_average": round(os.getloadavg()[0], 1),
    }


def tell(what: str) -> None:
    """Progress, a line each."""
    print(f"scale: {time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def _counts(found: Any) -> list[dict[str, int]]:
    """Every count in the results."""
    if isinstance(found, dict):
        own = [found["count"]] if isinstance(found.get("count"), dict) else []
        return own + [count for value in found.values() for count in _counts(value)]
    return [count for value in found for count in _counts(value)] if isinstance(found, list) else []


if __name__ == "__main__":
    sys.exit(main())
