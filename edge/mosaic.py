"""Known faces' surroundings as one small picture, and what a detector finds in it back in the frame's place.

A detector's time goes with the pixels it looks at. Where a face was a fifth of a second ago is known, so
nearly all of a frame need not be searched again: ``python -m benchmarks.glances`` compares both ways.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edge.preprocess import cut_square
from edge.types import Box, ImageArray

TILE_PX, CONTEXT = 80, 2.0
"""Side of one tile, and how many face widths it shows: a face is then 40 pixels wide, which every detector
here finds nearly always, and may have moved by half its width."""
OFF_CENTRE = 0.3
"""A box whose centre is further than this part of the tile from the tile's centre is somebody else's."""
GROWTH = 1.8
"""A box so much larger or smaller than the known one is somebody else's."""


@dataclass(frozen=True, slots=True)
class Mosaic:
    """The picture, a row of tiles, and which square of the frame each of them shows."""

    image: ImageArray
    squares: tuple[tuple[int, int, int], ...]
    """Left, top and side in the frame's pixels."""


def lay(image: ImageArray, known: Sequence[Box]) -> Mosaic:
    """Cut the surroundings of the *known* boxes out of a frame, one tile each, in a row.

    Args:
        image: H x W x 3 BGR.
        known: fractions of the image, at least one.
    """
    canvas = np.empty((TILE_PX, len(known) * TILE_PX, 3), np.uint8)
    squares = []
    for number, box in enumerate(known):
        left, top, side = _square(image, box)
        tile = canvas[:, number * TILE_PX : (number + 1) * TILE_PX]
        # Averaging areas takes ten times as long; up to half the size, bilinear sampling leaves out no pixel.
        way = cv2.INTER_AREA if side > 2 * TILE_PX else cv2.INTER_LINEAR
        tile[...] = cv2.resize(cut_square(image, left, top, side), (TILE_PX, TILE_PX), interpolation=way)
        squares.append((left, top, side))
    return Mosaic(canvas, tuple(squares))


def lift(
    mosaic: Mosaic, found: Sequence[tuple[Box, float]], size: tuple[int, int]
) -> list[tuple[Box, float] | None]:
    """The face of each tile in fractions of the frame; None where it is not seen any more.

    Args:
        mosaic: from ``lay``.
        found: what a detector answers to the mosaic's picture.
        size: height and width of the frame.
    """
    height, width = mosaic.image.shape[:2]
    nearest: dict[int, tuple[float, Box, float]] = {}
    for box, score in found:
        x, y, across, down = box.x * width, box.y * height, box.width * width, box.height * height
        number = int((x + across / 2) // TILE_PX)
        if not 0 <= number < len(mosaic.squares):
            continue
        x -= number * TILE_PX
        off = max(abs(x + across / 2 - TILE_PX / 2), abs(y + down / 2 - TILE_PX / 2)) / TILE_PX
        growth = max(across, down) * CONTEXT / TILE_PX
        if off > OFF_CENTRE or not 1 / GROWTH < growth < GROWTH:
            continue
        if number not in nearest or off < nearest[number][0]:
            left, top, side = mosaic.squares[number]
            scale = side / TILE_PX
            place = Box(
                (left + x * scale) / size[1],
                (top + y * scale) / size[0],
                across * scale / size[1],
                down * scale / size[0],
            )
            nearest[number] = (off, place, score)
    return [nearest[number][1:] if number in nearest else None for number in range(len(mosaic.squares))]


def _square(image: ImageArray, box: Box) -> tuple[int, int, int]:
    height, width = image.shape[:2]
    side = max(4, round(max(box.width * width, box.height * height) * CONTEXT))
    left = round((box.x + box.width / 2) * width - side / 2)
    top = round((box.y + box.height / 2) * height - side / 2)
    return left, top, side
