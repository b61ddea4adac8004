"""A made-up class of any number of faces: the demo's two portraits, swaying, in places of one size."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, pi, sin
from pathlib import Path

import cv2
import numpy as np

from edge.sources import open_camera
from edge.types import Frame, ImageArray

PORTRAITS = (("astronaut.png", 222, 116, 95), ("grace_hopper.jpg", 266, 222, 176))
"""File, centre and width of the face, in pixels: as in edge.sources.scene."""
CONTEXT = 2.2
"""Side of what is cut out around a face, in face widths."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """So many faces of so many pixels in a picture of so many."""

    faces: int
    width: int = 640
    height: int = 480

    @property
    def grid(self) -> tuple[int, int]:
        """Columns and rows of places."""
        columns = max(1, round((self.faces * self.width / self.height) ** 0.5))
        return columns, ceil(self.faces / columns)

    @property
    def face_px(self) -> int:
        """Width of a face: what fits, at most a tenth of the picture's width."""
        columns, rows = self.grid
        place = min(self.width // columns, self.height // rows)
        return max(10, min(round(place / CONTEXT) - 2, self.width // 10))

    def frames(self, folder: Path, seconds: float, fps: float) -> list[Frame]:
        """The class on film, at *fps* pictures a second from time 0.

        Raises:
            SourceError: the portraits are not in *folder*.
        """
        people = [_cut(folder / file, x, y, width, self.face_px) for file, x, y, width in PORTRAITS]
        return [
            Frame("crowd", seq, seq / fps, self._draw(people, seq / fps))
            for seq in range(round(seconds * fps))
        ]

    def _draw(self, people: list[ImageArray], at: float) -> ImageArray:
        image = np.full((self.height, self.width, 3), 96, np.uint8)
        image[..., 2] = np.linspace(80, 140, self.width).astype(np.uint8)
        columns, rows = self.grid
        across, down = self.width // columns, self.height // rows
        for number in range(self.faces):
            row, column = divmod(number, columns)
            person = people[(number + row) % len(people)]
            side = person.shape[0]
            phase = 2 * pi * number / self.faces
            spare_x, spare_y = (across - side) / 2, (down - side) / 2
            left = round(column * across + spare_x + min(spare_x, side / 12) * sin(at / 1.7 + phase))
            top = round(row * down + spare_y + min(spare_y, side / 20) * sin(at / 2.3 + 2 * phase))
            light = 0.9 + 0.15 * sin(at / 5 + phase)
            image[top : top + side, left : left + side] = cv2.convertScaleAbs(person, alpha=light)
        noise = np.random.default_rng(round(at * 1000)).integers(0, 5, image.shape, np.uint8)
        return np.asarray(cv2.add(image, noise), np.uint8)


def _cut(path: Path, x: int, y: int, face: int, wanted: int) -> ImageArray:
    with open_camera(f"replay:{path}?speed=0") as camera:
        image = next(iter(camera)).image
    half = round(face * CONTEXT / 2)
    cut = image[max(0, y - half) : y + half, max(0, x - half) : x + half]
    side = round(wanted * CONTEXT)
    return np.asarray(cv2.resize(cut, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
