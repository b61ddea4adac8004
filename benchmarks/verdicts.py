"""How far good pictures are from what edge/verdict.py calls a problem: ``python -m benchmarks.verdicts``.

Takes photographs and the first frames of clips (``--media``), as a camera in a dim room with a sensor's noise
would give them, and judges each; covers and frozen pictures are made up. Prints the margins, the false alarms
and the time per frame and per block of sound.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import TypeVar

import cv2
import numpy as np

from edge.types import RATE_HZ, AudioBlock, Frame, ImageArray
from edge.verdict import CHANGED, SHAPELESS, PictureJudge, SoundJudge, judge_picture, shape_in, thin

Item = TypeVar("Item")

SIZE = (640, 480)
GAINS = (1.0, 0.3, 0.15)
NOISES = (0.1, 0.5, 2.0)
"""Standard deviation of a sensor's noise in grey levels; webcams in daylight have about 1."""
QUALITIES = (None, 80, 50)
REPEATS = 200


def main() -> int:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verdicts", description=__doc__)
    parser.add_argument(
        "--media", type=Path, default=Path("../shared/data/media"), help="default: %(default)s"
    )
    parser.add_argument("--scenes", type=int, default=60, help="at most so many (default: %(default)s)")
    arguments = parser.parse_args()
    scenes = list(read_scenes(arguments.media))[: arguments.scenes]
    if not scenes:
        print(f"verdicts: {arguments.media}: no photographs and no clips", file=sys.stderr)
        return 2
    print(json.dumps({"scenes": len(scenes), **measure(scenes), **take_times(scenes)}, indent=1))
    return 0


def read_scenes(media: Path) -> Iterator[ImageArray]:
    """Every photograph and the first frame of every clip, 640x480."""
    for path in sorted(media.rglob("*")):
        image = None
        if path.suffix.lower() in (".jpg", ".png"):
            image = cv2.imread(str(path))
        elif path.suffix.lower() in (".mp4", ".mkv"):
            _, image = cv2.VideoCapture(str(path)).read()
        if image is not None:
            yield np.asarray(cv2.resize(image, SIZE, interpolation=cv2.INTER_AREA), np.uint8)


def measure(scenes: list[ImageArray]) -> dict[str, object]:
    """Margins to the thresholds, and false alarms."""
    rng = np.random.default_rng(0)

    def shown(scene: ImageArray, gain: float, noise: float, quality: int | None = None) -> ImageArray:
        grain = rng.standard_normal(scene.shape, np.float32)
        image = np.clip(scene * np.float32(gain) + noise * grain, 0, 255).astype(np.uint8)
        if quality is not None:
            packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
            image = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
        return thin(image)

    def shape(looked_at: ImageArray) -> float:
        grey = looked_at.mean(axis=2, dtype=np.float32)
        return shape_in(grey) / float(grey.mean())

    room = [shown(scene, gain, 2.0) for scene in scenes for gain in GAINS]
    alarms = [judge_picture(each, 1.0) for each in room]
    row, column = np.mgrid[: SIZE[1], : SIZE[0]]
    dim_edges = 140 - 90 * (((column - 320) / 400) ** 2 + ((row - 240) / 400) ** 2)
    paper = np.repeat(dim_edges.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    still = [
        np.mean(shown(scene, gain, noise, quality) != shown(scene, gain, noise, quality))
        for scene in scenes[:12]
        for gain in (1.0, 0.3)
        for noise in NOISES
        for quality in QUALITIES
    ]
    return {
        "shape_least": round(min(shape(each) for each in room), 3),
        "shape_of_paper": {str(noise): round(shape(shown(paper, 1, noise)), 3) for noise in (0.5, 2, 5, 10)},
        "shape_threshold": SHAPELESS,
        "changed_least": round(float(min(still)), 4),
        "changed_threshold": CHANGED,
        "false_alarms": {str(name): alarms.count(name) for name in set(alarms) - {None, "dark"}},
        "dark": alarms.count("dark"),
        "judged": len(alarms),
    }


def take_times(scenes: list[ImageArray]) -> dict[str, object]:
    """Median microseconds of one judgement."""
    found: dict[str, object] = {}
    for width, height in ((640, 480), (1280, 720), (1920, 1080)):
        judge = PictureJudge(after_s=10)
        frames = [
            Frame("bench", 0, 0.0, np.asarray(cv2.resize(each, (width, height)))) for each in scenes[:5]
        ]
        found[f"us_{width}x{height}"] = _median_us(judge, [frames[n % len(frames)] for n in range(REPEATS)])
    listen = SoundJudge(after_s=60)
    noise = np.random.default_rng(0).standard_normal(512, np.float32) * np.float32(0.01)
    blocks = [AudioBlock("bench", n, n * 512 / RATE_HZ, noise) for n in range(REPEATS)]
    found["us_sound"] = _median_us(listen, blocks)
    return found


def _median_us(judge: Callable[[Item], object], items: Sequence[Item]) -> float:
    times = []
    for item in items:
        begun = time.perf_counter()
        judge(item)
        times.append(time.perf_counter() - begun)
    return round(median(times) * 1e6, 1)


if __name__ == "__main__":
    sys.exit(main())
