"""The kit's way of pictures and OpenCV Zoo's, in turns on the same frames."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from edge.bench.clock import Stopwatch
from edge.bench.crowd import Crowd
from edge.bench.stages import CAMERA_FPS, timed_eyes
from edge.bench.zoo import Zoo
from edge.models import weights
from edge.settings import Settings

TURN = 10
"""Frames that one way gets before it is the other's turn."""


@dataclass(frozen=True, slots=True)
class Versus:
    """Both, in processor seconds per second of video."""

    faces: int
    seconds: float
    ours: float
    zoo: float
    ratio: float
    zoo_faces: float
    """Faces that it read, of all that were there."""
    yunet_ms: float
    """Median of one frame."""
    mobilefacenet_ms: float
    """Median of one face, with its alignment."""
    yunet: str
    """Which detector ran: YuNet's own file, or a stand-in."""


def measure(
    settings: Settings, scratch: Path, *, yunet: Path | None, seconds: float, faces: int = 10
) -> Versus:
    """Look at a class in both ways.

    Raises:
        EdgeError: a weights file or a model is not in order.
    """
    crowd = Crowd(faces)
    frames = crowd.frames(weights.FOLDER, seconds, CAMERA_FPS)
    eyes, _ = timed_eyes(settings, Stopwatch())
    zoo = Zoo(scratch, yunet=yunet, size=(crowd.width, crowd.height))
    eyes(frames[0])
    eyes.reset()
    zoo(frames[0])
    zoo.faces = 0
    ours = 0.0
    finding: list[float] = []
    reading: list[float] = []
    for start in range(0, len(frames), TURN):
        turn = frames[start : start + TURN]
        since = time.thread_time()
        for frame in turn:
            eyes(frame)
        ours += time.thread_time() - since
        for frame in turn:
            since = time.thread_time()
            found = zoo.detect(frame.image)
            finding.append(time.thread_time() - since)
            for marks in found:
                since = time.thread_time()
                zoo.read(frame.image, marks)
                reading.append(time.thread_time() - since)
    whole = sum(finding) + sum(reading)
    return Versus(
        faces=faces,
        seconds=seconds,
        ours=round(ours / seconds, 4),
        zoo=round(whole / seconds, 4),
        ratio=round(whole / ours, 1),
        zoo_faces=round(zoo.faces / len(frames) / faces, 3),
        yunet_ms=round(1000 * median(finding), 2),
        mobilefacenet_ms=round(1000 * median(reading), 2) if reading else 0.0,
        yunet="RetinaFace at 640 pixels, in its place" if zoo.stands_in else "YuNet",
    )
