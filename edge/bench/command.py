"""``suasana bench``: measures, shows, keeps."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from edge.types import EdgeError

YUNET = Path("../shared/data/detectors/face_detection_yunet_2023mar.onnx")
"""Where it lies beside a checkout that has it."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command; nothing else is imported until it runs."""
    text = "measure what the kit costs on this machine, beside OpenCV Zoo's pipeline on the same frames"
    bench = commands.add_parser("bench", help=text, description=text)
    bench.add_argument("--quick", action="store_true", help="about a minute; leaves the sweeps out")
    bench.add_argument("--json", action="store_true", help="for programs: print the result as JSON")
    bench.add_argument("--out", type=Path, metavar="FOLDER", help="also write bench.json and bench.md there")
    bench.add_argument(
        "--yunet",
        type=Path,
        metavar="FILE",
        help="face_detection_yunet_2023mar.onnx of OpenCV Zoo (default: faces.yunet of the settings, or "
        f"{YUNET}, or a detector that takes as long)",
    )
    bench.add_argument(
        "--float", type=Path, action="append", default=[], metavar="FOLDER", help="of float model files"
    )
    bench.add_argument("--config", type=Path, metavar="FILE", help="settings to measure with")
    bench.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure.

    Raises:
        EdgeError: something that is measured is not in order.
    """
    from edge import settings  # noqa: PLC0415
    from edge.bench import plan, report  # noqa: PLC0415

    wanted = settings.load(arguments.config) if arguments.config else settings.Settings()
    yunet = arguments.yunet or (Path(wanted.faces.yunet) if wanted.faces.yunet else None)
    if yunet is not None and not yunet.exists():
        raise EdgeError(f"{yunet}: no such file")
    if yunet is None and YUNET.exists():
        yunet = YUNET
    if arguments.out is not None:
        try:
            arguments.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EdgeError(f"{arguments.out}: {error.strerror or error}") from error
    wishes = plan.Wishes(quick=arguments.quick, yunet=yunet, floats=tuple(arguments.float))
    result = plan.measure(wishes, wanted, bar)
    text = json.dumps(result["headline"] | result, indent=2)
    if arguments.out is not None:
        (arguments.out / "bench.json").write_text(text + "\n", "utf-8")
        (arguments.out / "bench.md").write_text(report.page(result), "utf-8")
    print(text if arguments.json else report.page(result))  # noqa: T201
    return 0


def bar(what: str, part: float) -> None:
    """How far it is, on a terminal."""
    if not sys.stderr.isatty():
        return
    filled = round(30 * part)
    text = f"\r[{'#' * filled}{'.' * (30 - filled)}] {part:4.0%} {what:<12}"
    print(text, end="\n" if part >= 1 else "", file=sys.stderr, flush=True)  # noqa: T201
