"""Writes the figures into the README, from where the commands that measured them left them.

``python -m benchmarks.readme`` rewrites what stands between the markers; ``--check`` only says whether it is
what the model folders and benchmarks/results hold. Nothing in those places is typed by hand.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.footprint import RESULTS, Footprint, describe
from edge import manifest
from edge.types import EdgeError

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
FORMATS_HEAD = ("| | TFLite | ONNX |", "|---|---|---|")


def main(argv: Sequence[str] | None = None) -> int:
    """Rewrite or check."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.readme", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit 1 if the README is out of date"
    )
    arguments = parser.parse_args(argv)
    try:
        before = README.read_text("utf-8")
        after = refreshed(before)
    except (EdgeError, OSError, KeyError, TypeError) as error:
        print(f"benchmarks.readme: {error}", file=sys.stderr)
        return 2
    if arguments.check:
        if before != after:
            print("README.md: figures are out of date; run python -m benchmarks.readme")
        return int(before != after)
    README.write_text(after, "utf-8")
    return 0


def refreshed(text: str) -> str:
    """The README with every marked part as the measurements say."""
    parts = {"expression": expression(), "tone": tone(), "footprint": footprint(), "faults": faults()}
    for name, figures in parts.items():
        marked = re.compile(rf"(<!-- {name}: [^>]*-->\n).*?(<!-- end -->)", re.DOTALL)
        if not marked.search(text):
            raise KeyError(f"README.md has no part marked {name}")
        text = marked.sub(lambda match, figures=figures: f"{match[1]}\n{figures}\n\n{match[2]}", text)  # type: ignore[misc]
    return text


def expression() -> str:
    """The expression model's own figures."""
    metrics = manifest.load(ROOT / "models" / "face-expression").metrics
    unseen = metrics["without_near_duplicates"]
    facts = (
        f"{metrics['images']} images of FER-2013's {metrics['split'].capitalize()}Test, one plain pass,",
        f"int8, {metrics['parameters']:,} parameters.",
        f"Accuracy {_interval(metrics, 'accuracy')} with a 95 % bootstrap",
        f"interval, {_percent(unseen['accuracy'])} on the {unseen['images']} of them that have no copy,",
        "exact or cropped anew, in FER-2013's training split (where copies were taken out before training);",
        f"calibration error {_percent(metrics['ece'])}.",
        f"The kit claims an expression for {_percent(metrics['claimed'])} of these faces and is right about",
        f"{_percent(metrics['claimed_accuracy'])} of those; the others read `uncertain`.",
        f"Under {len(metrics['robustness'])} worse conditions, from small and blurred to dark and covered by",
        f"a hand, accuracy is {_percent(metrics['robustness_mean'])} on average; the card lists each.",
    )
    formats = [_both("accuracy", metrics, "accuracy"), _both("macro-F1", metrics, "macro_f1")]
    recalls = {label: figures["recall"] for label, figures in metrics["per_class"].items()}
    return "\n".join([*facts, "", *FORMATS_HEAD, *formats, "", _table("recall", recalls)])


def tone() -> str:
    """The tone model's own figures."""
    metrics = manifest.load(ROOT / "models" / "voice-tone").metrics
    facts = (
        f"{metrics['clips']} clips of {metrics['speakers']} RAVDESS speakers it was never trained on, six",
        f"classes, int8, {metrics['parameters']:,} parameters.",
        f"Unweighted average recall {_interval(metrics, 'uar')} with a 95 % bootstrap interval over",
        f"speakers. The kit claims a tone for {_percent(metrics['claimed'])} of the utterances and is right",
        f"about {_percent(metrics['claimed_accuracy'])} of those.",
        f"In {metrics['false_hours'] * 60:.0f} minutes of",
        "coughing, laughing, singing, children's talk and noises it claimed a negative emotion",
        f"{metrics['false_per_hour']:.1f} times an hour; a kit, which waits until the next utterance agrees,",
        f"{metrics['false_per_hour_twice']:.1f} times.",
    )
    formats = [_both("unweighted average recall", metrics, "uar")]
    return "\n".join([*facts, "", *FORMATS_HEAD, *formats, "", _table("recall", metrics["per_class_recall"])])


def footprint() -> str:
    """What a running kit costs."""
    result = Footprint(**json.loads((RESULTS / "footprint.json").read_text("utf-8")))
    machine, *rows = describe(result).splitlines()
    return "\n".join([machine + ".", "", "| | |", "|---|---|", *rows])


def faults() -> str:
    """What was broken, and what came of it."""
    found = json.loads((RESULTS / "faults.json").read_text("utf-8"))
    lost = "lost {lost}, behind the broker {lost_behind_broker}, altered {altered_duplicates}, "
    lost += "out of order {out_of_order}, uncounted {gaps_uncounted}"
    torn = "{torn_recovered} of {torn_waited} events in {torn_files} files, altered {torn_altered}"
    missing = "{torn_counted}, at the newest end {torn_tails}, unnoticed {torn_silent}"
    rows = {
        "broker killed and back": "{broker_restarts}, and {day_broker_restarts} in the day at speed",
        "kit killed (`kill -9`)": "{kills}, and {hammer_kills} with 50 events a second",
        # A program that is killed between the two has put an event into its outbox and not printed it.
        "events printed when they were made, arrived": "{made}, {arrived}",
        "of them": lost,
        "told twice, with the same content": "{duplicates}",
        "outboxes torn at random: read back": torn,
        "missing from them and counted": missing,
        "garbage sent, pictures gone, cables pulled": "{commands_fuzzed}, {source_failures}, {cable_pulls}",
        "made without the time, placed afterwards": "{clock_unknown_events}, {clock_misplaced_ms} ms off",
        "clock stepped by a day and by ten years": "{clock_steps}, told {clock_steps_told}",
        "{day_hours} h at speed": "memory {rss_growth_percent:+.1f} %, descriptors {descriptors_leaked:+d}",
        "written to the card per hour": "{mb_per_hour_online} MB; {mb_per_hour_offline} MB without a broker",
    }
    lines = [f"| {title.format(**found)} | {row.format(**found)} |" for title, row in rows.items()]
    return "\n".join([f"{found['machine']}.", "", "| | |", "|---|---|", *lines])


def _both(title: str, metrics: Mapping[str, Any], key: str) -> str:
    formats = metrics["formats"]
    return f"| {title} | {_percent(formats['tflite'][key])} | {_percent(formats['onnx'][key])} |"


def _interval(metrics: Mapping[str, Any], key: str) -> str:
    low, high = (f"{100 * end:.1f}" for end in metrics[f"{key}_interval"])
    return f"{_percent(metrics[key])} ({low} to {high})"


def _table(title: str, values: Mapping[str, float]) -> str:
    head = f"| | {' | '.join(values)} |"
    line = "|---" * (len(values) + 1) + "|"
    return "\n".join(
        [head, line, f"| {title} | {' | '.join(_percent(value) for value in values.values())} |"]
    )


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


if __name__ == "__main__":
    sys.exit(main())
