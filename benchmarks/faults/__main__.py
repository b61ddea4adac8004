"""The command line: ``python -m benchmarks.faults [--quick] [--json]``."""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

from benchmarks.faults import scenes, wear
from benchmarks.faults.patience import NeverHappened, NotMeasured
from benchmarks.faults.stage import mosquitto
from benchmarks.faults.verdict import Verdict
from benchmarks.footprint import RESULTS, cpu_name

FULL = {"kills": 100, "hammer_kills": 100, "breaks": 100, "rounds": 120, "files": 500, "hours": 24}
QUICK = {"kills": 4, "hammer_kills": 6, "breaks": 6, "rounds": 20, "files": 60, "hours": 2}
MUST_BE_NONE = (
    "lost",
    "altered_duplicates",
    "out_of_order",
    "gaps_uncounted",
    "boots_miscounted",
    "torn_altered",
    "torn_silent",
    "switches_changed_by_garbage",
    "descriptors_leaked",
    "daemon_descriptors_leaked",
)
MUST_BE_KNOWN = ("rss_growth_percent", "daemon_rss_growth_percent", "descriptors_leaked")
MUST_BE_ALL: Mapping[str, str | int] = {
    "clock_steps_told": "clock_steps",
    "disk_refusals_told": 1,
    "commands_answered": 1,
    "source_failures": 1,
    "clock_unknown_events": 1,
    "cable_pulls": 1,
}
"""At least another figure, or so many; less would prove nothing."""
AT_MOST = {"rss_growth_percent": 5.0, "daemon_rss_growth_percent": 5.0, "clock_misplaced_ms": 1000.0}
NAMES = {
    "made": "events made",
    "duplicates": "told twice, the same",
    "altered_duplicates": "told twice, altered",
    "gaps_uncounted": "lost, and nobody can count it",
    "lost_behind_broker": "acknowledged by the broker, and lost there",
    "boots_miscounted": "boots whose events the next one told wrong",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Break everything, print, keep; 1 if the claim does not hold, 3 if that could not be found out."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute or two instead of half an hour")
    parser.add_argument("--json", action="store_true", help="print JSON only")
    parser.add_argument("--hours", type=int, help="of the day at speed (default: 24, quick: 1)")
    parser.add_argument("--kills", type=int, help="of daemon and of broker (default: 100, quick: a few)")
    parser.add_argument("--seed", type=int, help="of what happens when (default: any)")
    parser.add_argument("--at-once", type=int, default=1, help="scenes that play at the same time")
    parser.add_argument("--only", choices=["storm", "abuse", "full_disk", "torn", "clock", "day", "wear"])
    arguments = parser.parse_args(argv)
    if mosquitto() is None:
        print("faults: Mosquitto is not installed (Debian: apt-get install mosquitto)", file=sys.stderr)
        return 2
    logging.disable(logging.WARNING)  # torn files are told one by one
    size: dict[str, Any] = dict(QUICK if arguments.quick else FULL)
    if arguments.kills:
        size |= {"kills": arguments.kills, "hammer_kills": arguments.kills, "breaks": arguments.kills}
    size["hours"] = arguments.hours or size["hours"]
    seed = arguments.seed if arguments.seed is not None else SystemRandom().randrange(10**6)
    result = run(size, seed, only=arguments.only, at_once=arguments.at_once, quiet=arguments.json)
    result = {"quick": arguments.quick, **result}
    text = json.dumps(result, indent=2)
    if result["not_measured"]:
        print("faults: not all of it could be measured; the figures kept stay as they are", file=sys.stderr)
    elif not arguments.quick and arguments.only is None:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "faults.json").write_text(text + "\n", "utf-8")
    print(text if arguments.json else describe(result))
    return 1 if result["broken_claims"] else 3 if result["not_measured"] else 0


def run(
    size: Mapping[str, Any], seed: int, *, only: str | None = None, at_once: int = 1, quiet: bool
) -> dict[str, Any]:
    """All scenes, or one of them."""
    began = time.monotonic()
    plays: dict[str, Callable[..., Any]] = {
        "storm": lambda *play: scenes.storm(
            *play, kills=size["kills"], hammer_kills=size["hammer_kills"], breaks=size["breaks"]
        ),
        "day": lambda *play: scenes.day(*play, hours=size["hours"]),
        "abuse": lambda *play: scenes.abuse(*play, rounds=size["rounds"]),
        "torn": lambda *play: scenes.torn(*play, files=size["files"]),
        "full_disk": scenes.full_disk,
        "clock": scenes.clock,
        "wear": lambda folder, _random, _told: wear.measure(folder),
    }
    figures: dict[str, Any] = {}
    total = Verdict()
    failed: list[str] = []
    unknown: list[str] = []

    def perform(name: str) -> dict[str, Any] | Exception:
        scratch = "/dev/shm" if name == "torn" and Path("/dev/shm").is_dir() else None  # noqa: S108 -- many small files
        with tempfile.TemporaryDirectory(prefix=f"suasana-faults-{name}-", dir=scratch) as folder:
            try:
                return dict(plays[name](Path(folder), Random(f"{seed} {name}"), progress(quiet=quiet)))
            except (NeverHappened, NotMeasured) as error:
                return error

    names = [name for name in plays if only in (None, name)]
    alone = [name for name in names if name == "wear"]  # what others write would count as its own
    with ThreadPoolExecutor(at_once) as stages:
        first = [perform(name) for name in alone]
        rest = [name for name in names if name not in alone]
        for name, found in zip([*alone, *rest], [*first, *stages.map(perform, rest)], strict=True):
            if isinstance(found, Exception):
                (failed if isinstance(found, NeverHappened) else unknown).append(f"{name}: {found}")
                continue
            total += found.pop("verdict", Verdict())
            torn = found.pop("torn", None)
            figures |= found | ({f"torn_{key}": value for key, value in asdict(torn).items()} if torn else {})
    if not quiet:
        print("\r" + " " * 70 + "\r", end="", file=sys.stderr)
    result = {
        "machine": f"{platform.machine()}, {cpu_name()}, {os.cpu_count()} cores, Linux {platform.release()}",
        "python": platform.python_version(),
        "seed": seed,
        "seconds": round(time.monotonic() - began, 1),
        **figures,
        **asdict(total),
    }
    result["broken_claims"] = failed + [name for name in MUST_BE_NONE if result.get(name)]
    result["broken_claims"] += [name for name, whole in MUST_BE_ALL.items() if untold(result, name, whole)]
    result["broken_claims"] += [name for name, most in AT_MOST.items() if (result.get(name) or 0) > most]
    result["not_measured"] = unknown + [name for name in MUST_BE_KNOWN if result.get(name, 0) is None]
    if total.lost_behind_broker:
        result["not_measured"].append(f"events behind the broker: {total.lost_behind_broker}")
    return result


def untold(result: Mapping[str, Any], name: str, whole: str | int) -> bool:
    """Whether *name* was measured and is less than it has to be: a number, or another figure."""
    wanted = result.get(whole) if isinstance(whole, str) else whole
    return name in result and result[name] < (wanted or 0)


def progress(*, quiet: bool) -> scenes.Told:
    """A bar on standard error, for people."""

    def tell(what: str, part: float) -> None:
        if not quiet and sys.stderr.isatty():
            filled = round(min(1.0, part) * 40)
            print(f"\r{what:<14}[{'#' * filled}{'.' * (40 - filled)}] {part:4.0%}", end="", file=sys.stderr)
            sys.stderr.flush()

    return tell


def describe(result: Mapping[str, Any]) -> str:
    """A table for people."""
    rows = [f"{NAMES.get(key, key.replace('_', ' ')):<45} {value}" for key, value in result.items()]
    claim = "holds"
    if result["broken_claims"]:
        claim = "DOES NOT HOLD: " + ", ".join(result["broken_claims"])
    elif result["not_measured"]:
        claim = "NOT MEASURED: " + ", ".join(result["not_measured"])
    return "\n".join([*rows[:-2], f"No event lost, none altered, gaps countable, memory flat: {claim}"])


if __name__ == "__main__":
    sys.exit(main())
