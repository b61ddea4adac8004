"""``scene:FOLDER?fps=10&frames=0&speed=1&player=1``: a class of photographs, for a demo without a camera.

The photographs are real and so is everything that is then recognised in them. The class is not: it is two
public-domain portraits, NASA's of Eileen Collins and the US Navy's of Grace Hopper, set in eight places like
a video call, mirrored, scaled, lit differently and gently moving. Who sits where changes over a minute, from
mostly smiling to mostly serious and back, so that the mood has something to say. With ``player`` one of
them at a time plays the practice game, near the camera. *FOLDER* holds the two files named below, which come
out of pinned packages at set-up. Without ``frames`` it never ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from math import ceil, pi, sin
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from edge.sources import Pace, Query
from edge.types import Frame, ImageArray, SourceError

WIDTH, HEIGHT = 640, 480
COLUMNS, ROWS = 4, 2
PLACE = (WIDTH // COLUMNS, HEIGHT // ROWS)
PERIOD_S = 60.0
"""From smiling to serious and back."""
BLINK_S = 0.6
"""How long a place is dark when somebody else sits down there."""


@dataclass(frozen=True, slots=True)
class Portrait:
    """A file, and where in it the head is: centre and width of the face in pixels."""

    file: str
    x: int
    y: int
    face: int


SMILING = Portrait("astronaut.png", 222, 116, 95)
SERIOUS = Portrait("grace_hopper.jpg", 266, 222, 176)


@dataclass(frozen=True, slots=True)
class Place:
    """One of the eight: how whoever sits there looks."""

    mirrored: bool
    face: int
    """Width of the face in the scene, pixels."""
    brightness: float
    turn: int
    """Order in which the places change hands, 0..7."""


PLACES = (
    Place(mirrored=False, face=56, brightness=1.00, turn=0),
    Place(mirrored=True, face=48, brightness=0.92, turn=4),
    Place(mirrored=False, face=52, brightness=1.08, turn=2),
    Place(mirrored=True, face=60, brightness=0.85, turn=6),
    Place(mirrored=True, face=50, brightness=1.05, turn=3),
    Place(mirrored=False, face=62, brightness=0.90, turn=7),
    Place(mirrored=True, face=54, brightness=1.10, turn=1),
    Place(mirrored=False, face=46, brightness=0.96, turn=5),
)


PLAYER = Place(mirrored=True, face=150, brightness=1.0, turn=0)
TURN_S = 7.0
"""The one player gives way to the other after so long."""


class Class:
    """The camera."""

    def __init__(self, folder: Path, fps: float, frames: int, pace: Pace, *, player: bool = False) -> None:
        self._folder = folder
        self._places = (PLAYER,) if player else PLACES
        self._size = (WIDTH, HEIGHT) if player else PLACE
        self._fps = fps
        self._frames = frames
        self._pace = pace
        self._smiling: list[ImageArray] = []
        self._serious: list[ImageArray] = []

    def __enter__(self) -> Class:
        self._smiling, self._serious = (
            [_seated(_read(self._folder / who.file), who, place, self._size) for place in self._places]
            for who in (SMILING, SERIOUS)
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        for seq in range(self._frames) if self._frames else count():
            media_s = seq / self._fps
            at = self._pace.wait(media_s)
            if at is None:
                return
            yield Frame("scene", seq, at, self._draw(media_s))

    def close(self) -> None:
        self._pace.close()

    def _draw(self, media_s: float) -> ImageArray:
        image = np.empty((HEIGHT, WIDTH, 3), np.uint8)
        width, height = self._size
        for number, place in enumerate(self._places):
            smiles, change_s = _plays(media_s) if place is PLAYER else _sits(place.turn, media_s)
            picture = (self._smiling if smiles else self._serious)[number]
            phase = 2 * pi * number / len(self._places)
            left = 8 + round(7 * sin(media_s / 1.7 + phase))
            top = 8 + round(4 * sin(media_s / 2.3 + 2 * phase))
            light = (
                place.brightness * (1 + 0.06 * sin(media_s / 5 + phase)) * min(1.0, change_s / BLINK_S * 2)
            )
            row, column = divmod(number, COLUMNS)
            image[row * height : (row + 1) * height, column * width : (column + 1) * width] = (
                cv2.convertScaleAbs(picture[top : top + height, left : left + width], alpha=light)
            )
        return image


def open_camera(target: str, query: Query) -> Class:
    """The class whose portraits lie in the folder *target*."""
    if not target:
        raise SourceError(f"{query.uri}: name the folder of the portraits, scene:FOLDER")
    return Class(
        Path(target),
        query.number("fps", 10, 0.1, 60),
        query.whole("frames", 0, 0, 10**9),
        Pace(query.number("speed", 1, 0, 100)),
        player=query.flag("player"),
    )


def _sits(turn: int, media_s: float) -> tuple[bool, float]:
    """Whether the smiling one sits at the place with this turn, and how long ago or hence that changes."""
    level = (turn + 0.5) / len(PLACES) * 0.5 * PERIOD_S  # time after each half period at which it changes
    since = (media_s - level) % PERIOD_S
    half = PERIOD_S / 2
    return since >= half, min(since % half, half - since % half)


def _plays(media_s: float) -> tuple[bool, float]:
    """Whether the smiling one plays, and how long ago or hence that changes."""
    since = media_s % TURN_S
    return media_s // TURN_S % 2 == 0, min(since, TURN_S - since)


def _read(path: Path) -> ImageArray:
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from error
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        raise SourceError(f"{path}: is no picture, or torn")
    return np.asarray(image, np.uint8)


def _seated(image: ImageArray, who: Portrait, place: Place, size: tuple[int, int]) -> ImageArray:
    """Head and shoulders, 16 pixels larger than the place so that there is room to move."""
    scale = place.face / who.face
    width, height = size[0] + 16, size[1] + 16
    # The face's centre lands in the middle, at 40 % of the height.
    move = np.array(
        [[scale, 0, width / 2 - who.x * scale], [0, scale, 0.4 * height - who.y * scale]], np.float32
    )
    shrunk = image
    if scale < 0.5:  # bilinear sampling alone would leave out pixels
        factor = ceil(0.5 / scale)
        shrunk = np.asarray(
            cv2.resize(image, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
        )
        move[:, :2] *= factor
    seated = cv2.warpAffine(shrunk, move, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.flip(seated, 1) if place.mirrored else seated, np.uint8)
