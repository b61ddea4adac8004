"""The command line: ``python -m benchmarks.scale [--quick] [--only RUNG] [--no-ramp] [--no-kills]``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.faults.stage import mosquitto
from benchmarks.footprint import RESULTS, cpu_name
from benchmarks.scale import page
from benchmarks.scale.cluster import Missing, find_postgres, find_rabbitmq
from benchmarks.scale.measure import FULL, QUICK, RUNGS, measure
from benchmarks.scale.paper import extrapolate
from benchmarks.scale.ramp import judge_anew


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, kill, compute, write; 1 if anything was lost or doubled."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small loads; writes neither results nor page")
    parser.add_argument(
        "--only", action="append", choices=RUNGS, help="repeat it; other rungs keep the figures they have"
    )
    parser.add_argument("--no-ramp", action="store_true", help="do not raise the load")
    parser.add_argument("--no-kills", action="store_true", help="kill nothing")
    parser.add_argument("--page", action="store_true", help="only write docs/scale.md from the results")
    arguments = parser.parse_args(argv)
    results = RESULTS / "scale.json"
    if arguments.page:
        page.write(finish(json.loads(results.read_text("utf-8"))))
        return 0
    wanted = arguments.only or RUNGS
    try:
        check_programs(wanted)
    except Missing as error:
        print(f"scale: {error}", file=sys.stderr)
        return 2
    known = json.loads(results.read_text("utf-8")) if results.exists() and not arguments.quick else {}
    found: dict[str, Any] = known | machine()
    for name in wanted:
        plan = (QUICK if arguments.quick else FULL)[name]
        plan = replace(plan, step_s=0.0) if arguments.no_ramp else plan
        plan = replace(plan, kills=None) if arguments.no_kills else plan
        with tempfile.TemporaryDirectory(
            prefix=f"suasana-scale-{name}-", ignore_cleanup_errors=True
        ) as folder:
            Path(folder).chmod(0o755)  # brokers and databases give up root, and have to find their files
            found[name] = keep_other_stages(found.get(name, {}), measure(name, plan, Path(folder), tell))
        if not arguments.quick:
            results.write_text(json.dumps(finish(found), indent=1) + "\n", "utf-8")
            page.write(found)
    if arguments.quick:
        print(json.dumps(finish(found), indent=1))
    broken = [count for count in _counts(found) if count["lost"] or count["doubled"] or count["unmade"]]
    return int(bool(broken))


def keep_other_stages(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """The ramp and the kills of an earlier run stay where this one left them out."""
    return {name: before[name] for name in ("ramp", "faults", "everything") if name in before} | now


def finish(found: dict[str, Any]) -> dict[str, Any]:
    """Everything that is computed from what was measured."""
    for rung in (found[name] for name in RUNGS if "ramp" in found.get(name, ())):
        rung["ramp"] = judge_anew(rung["ramp"])
    if "district" in found:
        found["paper"] = extrapolate(found["district"])
    return found


def check_programs(wanted: Sequence[str]) -> None:
    """Refuse what cannot run here.

    Raises:
        Missing: names the program and its package.
    """
    if {"mosquitto", "school"} & {*wanted} and mosquitto() is None:
        raise Missing("Mosquitto is not installed (Debian: apt-get install mosquitto)")
    if {"district", "queues"} & {*wanted}:
        find_rabbitmq()
        find_postgres()


def machine() -> dict[str, Any]:
    """Where it was measured."""
    return {
        "machine": f"{platform.machine()}, {cpu_name()}, {os.cpu_count()} cores, Linux {platform.release()}",
        "processors": os.cpu_count() or 1,
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
