"""What the latency benchmarks of both models have in common: their command line, and where results lie."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge.types import EdgeError


def run(
    name: str,
    about: str | None,
    argv: Sequence[str] | None,
    measure: Callable[[Path, bool], Any],
    describe: Callable[[Any], str],
    *,
    model: Path,
    results: Path,
) -> tuple[int, Any]:
    """Measure, print, keep.

    Args:
        name: of the benchmark and its result.
        about: what it measures.
        argv: the command line.
        measure: of a model folder, quickly or not; gives a dataclass, or raises EdgeError.
        describe: the result for people.
        model: the usual folder.
        results: where it is kept.

    Returns:
        The exit code, 2 for a model that cannot be measured; and the result if it is to be kept.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=about)
    parser.add_argument("--model", type=Path, default=model, help="model folder (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and keep no result")
    parser.add_argument("--json", action="store_true", help="print JSON only")
    arguments = parser.parse_args(argv)
    try:
        result = measure(arguments.model, arguments.quick)
    except EdgeError as error:
        print(f"benchmarks.{name}: {error}", file=sys.stderr)
        return 2, None
    text = json.dumps(asdict(result), indent=2)
    if not arguments.quick:
        results.mkdir(exist_ok=True)
        (results / f"{name}.json").write_text(text + "\n", "utf-8")
    print(text if arguments.json else describe(result))
    return 0, None if arguments.quick else result
