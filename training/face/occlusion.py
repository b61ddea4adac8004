"""What comes before a face: a hand or glasses, drawn in grey on a copy of the picture.

Everything is drawn four times as large and shrunk, so that edges are as soft as a camera's.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from edge.types import ImageArray

FINE = 4
EYES = (0.31, 0.40), (0.69, 0.40)
"""Where eyes are in a face that fills its square: right, down, in sides."""
FINGERS = (0.24, 0.31, 0.33, 0.28)
"""Lengths from the edge of the palm, in sides of the face."""

Layer = npt.NDArray[np.uint8]
Point = npt.NDArray[np.float64]


def hand(face: ImageArray, at: tuple[float, float], towards: float, random: Generator) -> ImageArray:
    """A copy of *face* with a flat hand before it: a palm, four fingers and a thumb in the face's own tone.

    Args:
        face: square, grey.
        at: what the roots of the fingers cover, right and down, in sides of the face.
        towards: where the fingers point, degrees; 0 is right, 90 is up.
        random: moves and turns the hand a little, and sets its tone.
    """
    side = len(face) * FINE
    tone = float(np.median(face)) * random.uniform(0.85, 1.15) + random.uniform(0, 12)
    skin, line = float(np.clip(tone, 20, 235)), float(np.clip(0.62 * tone, 8, 200))
    centre = np.array(at) + random.uniform(-0.05, 0.05, 2)
    turn = towards + random.uniform(-15, 15)
    ahead, across = _direction(turn), _direction(turn - 90)
    palm = centre - 0.17 * ahead
    ink, cover = np.zeros((side, side), np.uint8), np.zeros((side, side), np.uint8)

    def stroke(start: Point, end: Point, width: float) -> None:
        for layer, grey, extra in ((cover, 255.0, 0.02), (ink, line, 0.02), (ink, skin, 0.0)):
            ends = [tuple(np.round(point * side).astype(int).tolist()) for point in (start, end)]
            cv2.line(layer, ends[0], ends[1], grey, max(1, round((width + extra) * side)), cv2.LINE_AA)

    stroke(palm - 0.10 * ahead, palm - 0.50 * ahead, 0.26)  # wrist
    sign = 1.0 if random.random() < 0.5 else -1.0
    stroke(palm - sign * 0.12 * across, palm - sign * 0.27 * across + 0.14 * ahead, 0.085)  # thumb
    for place, length in zip((-1.5, -0.5, 0.5, 1.5), FINGERS[:: int(sign)], strict=True):
        root = palm + 0.12 * ahead + 0.092 * place * across
        stroke(root, root + length * _direction(turn - 7 * place), 0.08)
    middle = tuple(np.round(palm * side).astype(int).tolist())
    axes = round(0.19 * side), round(0.175 * side)
    cv2.ellipse(cover, middle, axes, -turn, 0, 360, 255.0, -1, cv2.LINE_AA)
    cv2.ellipse(ink, middle, axes, -turn, 0, 360, skin, -1, cv2.LINE_AA)
    return _over(face, ink, cover)


def glasses(face: ImageArray, *, dark: bool) -> ImageArray:
    """A copy of *face* behind glasses: rims, bridge and temples; *dark* lenses hide the eyes."""
    side = len(face) * FINE
    cover = np.zeros((side, side), np.uint8)
    rim = max(1, round(0.024 * side))

    def at(right: float, down: float) -> tuple[int, int]:
        return round(right * side), round(down * side)

    for right, down in EYES:
        axes = round(0.16 * side), round(0.12 * side)
        cv2.ellipse(cover, at(right, down), axes, 0, 0, 360, 255.0, -1 if dark else rim, cv2.LINE_AA)
    bars = ((0.455, 0.545), (-0.05, 0.16), (0.84, 1.05))
    for left, right in bars:
        cv2.line(cover, at(left, 0.385), at(right, 0.385), 255.0, rim, cv2.LINE_AA)
    return _over(face, np.full((side, side), 28, np.uint8), cover)


def _direction(degrees: float) -> Point:
    """One side long; pictures count downwards."""
    return np.array([np.cos(np.radians(degrees)), -np.sin(np.radians(degrees))])


def _over(face: ImageArray, ink: Layer, cover: Layer) -> ImageArray:
    """*face* with what is drawn in *ink* where *cover* is not 0."""
    whole = cv2.resize(face, ink.shape[::-1], interpolation=cv2.INTER_LINEAR)
    mixed = np.where(cover > 127, ink, whole).astype(np.float32)
    small = cv2.resize(mixed, face.shape[::-1], interpolation=cv2.INTER_AREA)
    share = cv2.resize(cover, face.shape[::-1], interpolation=cv2.INTER_AREA) > 0
    return np.asarray(np.where(share, np.round(small), face), np.uint8)
