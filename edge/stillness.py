"""What has not changed since a detector looked: known faces, and the picture around them.

A detector has to be asked again only where something changed. A known face is compared with what it looked
like when a detector last saw it, as a picture of 16 x 16 cells: where it is the same but for a little shift
and light, it is the same face, shifted. That is believed for a second at most, and a face that turns or is
covered looks different at once. The rest of the frame is compared on a small picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from edge.preprocess import cut_square
from edge.types import Box, FloatArray, ImageArray

CELLS, CONTEXT = 16, 1.2
"""Of a face's picture, per side; and how many face widths it shows."""
DIFFERENT_SHARE = 0.3
"""Part of the contrast of a face's picture that shift and light need not explain."""
FARTHEST = 0.8
"""Cells by which a face may shift from one look to the next: further is beyond what a slope can tell."""
LIGHT = 0.3
"""Part by which its contrast may rise or fall; all of it goes where a face gave way to a wall."""
SMALL_WIDTH = 160
"""Of the small picture of a whole frame: a face 12 pixels wide of 640 still fills nine of its cells."""
CHANGED = 12
"""Grey levels by which one of those cells differs."""
HEAD = 1.4
"""A known head and what moves with it lie within so many face widths of the face's centre."""


@dataclass(slots=True)
class Patch:
    """One face as a detector last saw it, and where it has shifted since."""

    box: Box
    """Where it is now."""
    score: float
    seen_at: float
    origin: Box
    """Where the detector saw it."""
    square: tuple[int, int, int]
    """Left, top and side of what ``values`` shows, in pixels of the frame."""
    values: FloatArray
    """CELLS * CELLS grey levels, less their mean."""
    slopes: FloatArray
    """3 x CELLS * CELLS: how the values change with a shift across and down, in cells, and with the light."""
    solver: FloatArray
    """A difference of pictures into shifts and light, in least squares."""
    energy: float
    """Sum of the squared values."""


def take(image: ImageArray, box: Box, score: float, at: float) -> Patch:
    """Remember a face that a detector has just seen.

    Args:
        image: H x W grey.
        box: in fractions of the image.
        score: the detector's.
        at: the frame's time.
    """
    square = _square(image, box)
    values = _values(image, *square)
    picture = values.reshape(CELLS, CELLS)
    # What was at x lies at x + shift now, so the values change against the slope.
    across = cv2.Sobel(picture, cv2.CV_32F, 1, 0, ksize=1, scale=-0.5)
    down = cv2.Sobel(picture, cv2.CV_32F, 0, 1, ksize=1, scale=-0.5)
    slopes = np.stack([across.ravel(), down.ravel(), values])
    # An even picture has no slopes: one grey level more keeps the equations solvable.
    solver = np.linalg.solve(slopes @ slopes.T + np.eye(3, dtype=np.float32), slopes)
    return Patch(box, score, at, box, square, values, slopes, solver, float(values @ values))


def follow(image: ImageArray, patch: Patch) -> bool:
    """Whether the face is where it was but for a small shift, which then moves ``patch.box``.

    Args:
        image: H x W grey, a frame of the same size.
        patch: changed only if the answer is yes.
    """
    height, width = image.shape
    left, top, side = _square(image, patch.box, patch.square[2])
    difference = _values(image, left, top, side) - patch.values
    shift = patch.solver @ difference
    across, down, light = shift.tolist()
    if abs(across) > FARTHEST or abs(down) > FARTHEST or abs(light) > LIGHT:
        return False
    rest = difference - shift @ patch.slopes
    if float(rest @ rest) > DIFFERENT_SHARE**2 * patch.energy:
        return False
    origin = patch.origin
    patch.box = Box(
        origin.x + (left - patch.square[0] + across * side / CELLS) / width,
        origin.y + (top - patch.square[1] + down * side / CELLS) / height,
        origin.width,
        origin.height,
    )
    return True


def _square(image: ImageArray, box: Box, side: int = 0) -> tuple[int, int, int]:
    height, width = image.shape
    side = side or max(4, round(max(box.width * width, box.height * height) * CONTEXT))
    left = round((box.x + box.width / 2) * width - side / 2)
    top = round((box.y + box.height / 2) * height - side / 2)
    return left, top, side


def _values(image: ImageArray, left: int, top: int, side: int) -> FloatArray:
    square = cut_square(image, left, top, side)
    values = cv2.resize(square, (CELLS, CELLS), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    values -= values.sum() / values.size
    return values


@dataclass(slots=True)
class Backdrop:
    """The frame around known heads, as it was when it was last searched for all faces."""

    _small: ImageArray | None = None
    _heads: list[Box] = field(default_factory=list)

    def keep(self, image: ImageArray, heads: Sequence[Box]) -> None:
        """Compare with this frame from now on, H x W grey; *heads*, the faces found in it, are not kept."""
        self._small, self._heads = _shrink(image), list(heads)
        _blank(self._small, heads)

    def forget(self) -> None:
        """Another camera, or a gap."""
        self._small = None

    def is_still(self, image: ImageArray, heads: Sequence[Box]) -> bool:
        """Whether nothing has changed but around heads that were known then or are now."""
        small = _shrink(image)
        if self._small is None or self._small.shape != small.shape:
            return False
        changed = np.asarray(cv2.absdiff(small, self._small), np.uint8)
        _blank(changed, [*self._heads, *heads])
        return bool(changed.max() <= CHANGED)


def _shrink(image: ImageArray) -> ImageArray:
    height, width = image.shape
    size = (SMALL_WIDTH, max(1, round(height * SMALL_WIDTH / width)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _blank(small: ImageArray, heads: Sequence[Box]) -> None:
    height, width = small.shape
    for box in heads:
        x, y = box.x + box.width / 2, box.y + box.height / 2
        left, right = round((x - HEAD * box.width) * width), round((x + HEAD * box.width) * width)
        top, bottom = round((y - HEAD * box.height) * height), round((y + HEAD * box.height) * height)
        small[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = 0
