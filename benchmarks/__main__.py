"""``make bench``: everything that is measured about speed, in one run of about ten minutes.

`suasana bench` on this checkout, the packages that others use instead (``make bench-rivals`` sets them up),
wav2vec2-base where PyTorch is installed, and from all of it benchmarks/results/bench.json,
docs/speed-measured.md and the drawings in docs/speed/.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import drawings, floats
from benchmarks.rivals import compare
from edge.bench import plan, report
from edge.bench.command import YUNET, bar
from edge.settings import Settings
from edge.types import EdgeError

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGE, PICTURES = ROOT / "docs" / "speed-measured.md", ROOT / "docs" / "speed"
KIT_SHARE = 0.75
"""Of the time."""
PER_FACE_TARGET, SPEECH_TARGET = 50, 40


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, keep, draw; 2 after one line about what cannot be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and no sweeps; keeps nothing")
    parser.add_argument("--json", action="store_true", help="print JSON only")
    parser.add_argument("--yunet", type=Path, default=YUNET, help="of OpenCV Zoo (default: %(default)s)")
    parser.add_argument(
        "--float",
        type=Path,
        action="append",
        default=[],
        help="folder of float files of one model (default: the int8 files' own weights as float numbers)",
    )
    parser.add_argument(
        "--rivals",
        type=Path,
        default=ROOT / ".venv-rivals",
        help="folder of the rivals' environments (default: %(default)s)",
    )
    arguments = parser.parse_args(argv)
    try:
        result = measure(arguments)
    except EdgeError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    text = json.dumps(result["headline"] | result, indent=2)
    if not arguments.quick:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "bench.json").write_text(text + "\n", "utf-8")
        PAGE.write_text(page(result), "utf-8")
        drawings.draw(result, PICTURES)
    print(text if arguments.json else page(result))
    return 0


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """The kit, then the rivals.

    Raises:
        EdgeError: something of the kit is not in order.
    """
    yunet = arguments.yunet if arguments.yunet.exists() else None
    with tempfile.TemporaryDirectory(prefix="suasana-floats-") as folder:
        twins = arguments.float or ([] if arguments.quick else floats.twins(Path(folder), Settings()))
        wishes = plan.Wishes(quick=arguments.quick, yunet=yunet, floats=tuple(twins))
        result = plan.measure(wishes, Settings(), lambda what, part: bar(what, KIT_SHARE * part))
    with tempfile.TemporaryDirectory(prefix="suasana-rivals-") as folder:
        result["rivals"] = compare.measure(
            Path(folder), arguments.rivals, lambda what, part: bar(what, KIT_SHARE + 0.15 * part)
        )
    compare.count_as_used(result["rivals"], result["opencv_zoo"])
    result["headline"]["times_less_a_face"] = compare.times_less(result["rivals"])
    bar("speech", 0.9)
    result["speech"] = speech(quick=arguments.quick)
    bar("done", 1.0)
    return result


def speech(*, quick: bool) -> dict[str, Any]:
    """The tone model beside wav2vec2-base."""
    if not (find_spec("torch") and find_spec("transformers")):
        return {"missing": "PyTorch and transformers are not installed: make train-env"}
    from benchmarks import voice_latency  # noqa: PLC0415 -- it imports PyTorch

    found = voice_latency.measure(ROOT / voice_latency.MODEL, voice_latency.QUICK_ROUNDS if quick else 20)
    return {"ms": found.ms, "ratios": found.ratios, "bytes": found.bytes}


def page(result: dict[str, Any]) -> str:
    """All of it as Markdown."""
    parts = [report.page(result).rstrip(), "## Beside what others install"]
    parts.append(
        f"{compare.FACES} faces in a picture of 640x480, processor time of the whole process, one thread. "
        "*Reading* is from the picture and the face's place to the answer; *as used* is the rival's one call "
        "on the whole picture, detection included, by the faces that are there; ours is the whole vision "
        "path at ten pictures a second, by faces and pictures. Accuracy is on "
        f"{compare.SAMPLE} faces of FER-2013's PrivateTest, one plain pass each."
    )
    rows = [
        (name, row["missing"], "", "", "", "", "")
        if "missing" in row
        else (
            f"{name} ({row['package']})" if "package" in row else name,
            row["weights"],
            f"{row['ms_a_face']:g} ({row['times_ours']:g})",
            f"{row['as_used_ms']:g} ({row['as_used_times']:g})" if "as_used_ms" in row else "",
            row.get("peak_rss_mb", ""),
            row.get("installed_mb", ""),
            "" if row.get("accuracy") is None else f"{row['accuracy']:.1%}",
        )
        for name, row in result["rivals"].items()
    ]
    head = (
        "",
        "weights",
        "reading, ms (times ours)",
        "as used, ms a face (times ours)",
        "peak MB",
        "installed, MB",
        "accuracy",
    )
    parts.append(report.table(head, rows))
    parts.append("## Speech")
    speech = result["speech"]
    if "missing" in speech:
        parts.append(speech["missing"] + ".")
    else:
        spoken = [(name, f"{ms:.2f}") for name, ms in speech["ms"].items()]
        parts.append(report.table(("three seconds of speech", "CPU, ms"), spoken))
        ratios = ", ".join(f"{ratio:g} times ({name})" for name, ratio in speech["ratios"].items())
        parts.append(f"wav2vec2-base takes {ratios} what ours takes.")
    if drawings.NAMES and not result["quick"]:
        parts.append("\n".join(f"![{what}](speed/{name}.svg)" for name, what in drawings.NAMES.items()))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.exit(main())
