"""Does looking only where faces were find the same faces as searching every frame, and read them the same?

    python -m benchmarks.glances --json benchmarks/results/glances.json

Each clip is looked at five times a second, once with every frame searched whole and once as the kit does
(edge.faces.Glances). A face counts as the same when both boxes share two fifths of their union. Expressions
are read in both crops with the shipped model. What the searches differ in anyway is told by a third one,
whole frames at 960 instead of 1280 pixels. Processor time is the thread's own.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from statistics import fmean, median
from typing import Any

import cv2

from edge import runtimes
from edge.expression import ExpressionReader
from edge.faces import Detector, FaceFinder, Glances
from edge.models import weights
from edge.models.choice import find_model
from edge.runtimes import retinaface
from edge.settings import Classifier, Faces
from edge.sources import open_camera, replay_uri
from edge.types import Box, Face, Frame

CLIPS = (
    "classroom",
    "face-demographics-walking",
    "face-demographics-walking-and-pause",
    "head-pose-face-detection-female-and-male",
    "head-pose-face-detection-female",
    "head-pose-face-detection-male",
)
EVERY_S = 0.19
"""Just under a fifth of a second: frames do not come exactly on time."""
SAME = 0.4


def main(argv: Sequence[str] | None = None) -> int:
    """Compare, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.glances", description=__doc__)
    parser.add_argument("--media", type=Path, default=Path("../shared/data/media/intel_sample_videos"))
    parser.add_argument(
        "--frames", type=int, default=150, help="of each clip, at most (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the results")
    arguments = parser.parse_args(argv)
    cv2.setNumThreads(1)
    model = find_model(Classifier(model="face-expression"))
    reader = ExpressionReader(model, runtimes.load(model))
    uris = {"staged class": f"scene:{weights.FOLDER}?fps=5&frames={arguments.frames}&speed=0"}
    for clip in CLIPS:
        if (path := arguments.media / f"{clip}.mp4").exists():
            uris[clip] = replay_uri(str(path), speed=0)
    results = [compare(name, uri, arguments.frames, reader) for name, uri in uris.items()]
    if arguments.json:
        arguments.json.write_text(json.dumps({"clips": results}, indent=2) + "\n", "utf-8")
    print(table(results))
    return 0


def compare(name: str, uri: str, frames: int, reader: ExpressionReader) -> dict[str, Any]:
    """Look at one clip in all three ways."""
    weights_file = weights.find("retinaface")
    whole, narrower = retinaface.open(weights_file), retinaface.open(weights_file, side=960)
    glancing = retinaface.open(weights_file)
    margin = reader.model.input.margin  # type: ignore[union-attr] # an expression model reads images
    glances = Glances(glancing.glance, Faces().look_around_s, near=glancing.near)
    finders: list[tuple[Detector, Glances | None]] = [(whole, None), (glancing, glances), (narrower, None)]
    ways = [FaceFinder(each, margin=margin, random=Random(0), glances=how) for each, how in finders]
    spent: list[list[float]] = [[], [], []]
    found: list[list[tuple[Face, ...]]] = [[], [], []]
    for frame in some(uri, frames):
        for way, find in enumerate(ways):
            since = time.thread_time()
            found[way].append(find(frame))
            spent[way].append(time.thread_time() - since)
    glanced, noise = agreement(found[0], found[1], reader), agreement(found[0], found[2], reader)
    return {
        "clip": name,
        "frames": len(found[0]),
        "faces": sum(map(len, found[0])),
        "face_px": round(median(f.box.width * w for f, w in sized(found[0], uri))) if any(found[0]) else 0,
        "whole_ms": round(1000 * fmean(spent[0]), 2),
        "glances_ms": round(1000 * fmean(spent[1]), 2),
        "times_less": round(fmean(spent[0]) / fmean(spent[1]), 1),
        "glances": glanced,
        "at_960": noise,
        "tracks_whole": len({face.track for faces in found[0] for face in faces}),
        "tracks_glances": len({face.track for faces in found[1] for face in faces}),
    }


def some(uri: str, frames: int) -> Iterator[Frame]:
    """Frames a fifth of a second apart."""
    due, count = float("-inf"), 0
    with open_camera(uri) as camera:
        for frame in camera:
            if frame.at >= due and count < frames:
                due, count = frame.at + EVERY_S, count + 1
                yield frame


def sized(found: Sequence[tuple[Face, ...]], uri: str) -> Iterator[tuple[Face, int]]:
    """Each face with its frame's width."""
    width = next(some(uri, 1)).image.shape[1]
    return ((face, width) for faces in found for face in faces)


def agreement(
    wanted: Sequence[tuple[Face, ...]], got: Sequence[tuple[Face, ...]], reader: ExpressionReader
) -> dict[str, float]:
    """Parts of the wanted faces that are missed and read differently, faces too many, and how boxes lie."""
    missed = extra = total = 0
    shared: list[float] = []
    growth: list[float] = []
    pairs: list[tuple[Face, Face]] = []
    for one, other in zip(wanted, got, strict=True):
        total += len(one)
        extra += sum(max((overlap(face.box, known.box) for known in one), default=0) < SAME for face in other)
        for face in one:
            best = max(other, key=lambda each: overlap(each.box, face.box), default=None)
            if best is None or (share := overlap(best.box, face.box)) < SAME:
                missed += 1
            else:
                shared.append(share)
                growth.append(best.box.width / face.box.width)
                pairs.append((face, best))
    read = [reader([face for face, _ in pairs]), reader([face for _, face in pairs])]
    same = [a.best[0] == b.best[0] for a, b in zip(*read, strict=True)]
    return {
        "missed": round(missed / max(total, 1), 4),
        "extra": round(extra / max(total, 1), 4),
        "overlap": round(median(shared), 3) if shared else 0.0,
        "growth": round(median(growth), 3) if growth else 0.0,
        "same_expression": round(fmean(same), 3) if same else 0.0,
        "same_when_claimed": _share(
            [
                a.best[0] == b.best[0]
                for a, b in zip(*read, strict=True)
                if min(a.best[1], b.best[1]) >= reader.model.uncertain_below
            ]
        ),
    }


def _share(flags: Sequence[bool]) -> float:
    return round(fmean(flags), 3) if flags else 0.0


def overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    across = max(0.0, min(a.x + a.width, b.x + b.width) - max(a.x, b.x))
    down = max(0.0, min(a.y + a.height, b.y + b.height) - max(a.y, b.y))
    return across * down / (a.width * a.height + b.width * b.height - across * down)


def table(results: Sequence[dict[str, Any]]) -> str:
    """In Markdown: what docs/speed.md shows."""
    lines = [
        "| clip | face, px | ms a frame, whole | glances | missed | extra | overlap | same expression |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in results:
        ours, noise = one["glances"], one["at_960"]
        lines.append(
            f"| {one['clip']} | {one['face_px']} | {one['whole_ms']} | {one['glances_ms']} "
            f"| {ours['missed']:.1%} ({noise['missed']:.1%}) | {ours['extra']:.1%} ({noise['extra']:.1%}) "
            f"| {ours['overlap']:.2f} ({noise['overlap']:.2f}) "
            f"| {ours['same_expression']:.1%} ({noise['same_expression']:.1%}) |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
