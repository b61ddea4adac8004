"""Frame -> Faces: where faces are, which of them was here a moment ago, and what each looks like.

A track is a random number that follows one face for as long as it stays in sight. It exists so that a window
counts a person once. It is made of positions only, never of looks: who leaves and comes back is somebody new.

A whole frame is searched only so often; in between, only where faces are known to be (edge.mosaic), and there
only what changed since a detector looked (edge.stillness).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot
from random import Random
from typing import Protocol

import cv2
import numpy as np

from edge import mosaic, stillness
from edge.preprocess import crop_face
from edge.stillness import Backdrop, Patch
from edge.types import Box, Face, Frame, ImageArray

INSIDE = 0.7
"""A box that lies in a surer one with more than this part of its area is the same face again."""
CLOSE, SPEED, FARTHEST = 0.5, 5.0, 2.0
"""Between two looks a face moves at most CLOSE of its widths and SPEED widths a second (somebody who walks
past), FARTHEST in all: the next child sits about four widths away."""
LARGEST_GROWTH = 1.8
NEAR, NEAR_SEARCHES = 1 / 16, 3
"""A face of this part of the frame's width is near; so many searches for near ones, then one for all."""
ILLEGIBLE_PX, LEGIBLE_PX = 10, 32
"""Side of a crop at which an expression cannot be read, and from which it reads nearly as well as any:
`python -m benchmarks.legibility`. A face's crop is about 1.3 times as wide as the face."""


class Detector(Protocol):
    """Finds faces in one picture. Not thread-safe: one lane owns it. Adapters live in edge.runtimes."""

    def __call__(self, image: ImageArray) -> list[tuple[Box, float]]:
        """Box (fractions of the picture) and confidence 0..1 of each face in H x W x 3 BGR, best first."""
        ...


@dataclass(frozen=True, slots=True)
class Glances:
    """How faces are found again without searching the whole frame."""

    detector: Detector
    """Answers to a small picture at its own size, and takes less to be sure: it looks where faces are."""
    every_s: float
    """Between two searches of a whole frame; half of that once a face is out of sight."""
    near: Detector | None = None
    """Searches a whole frame for near faces only, faster: mostly enough where all that are known are near."""
    believed_s: float = 1.0
    """A known face that looks the same is believed to be one for so long without asking the detector."""
    patience: int = 4
    """So many times ``every_s`` may pass between two searches while nothing moves but known heads."""


@dataclass(frozen=True, slots=True)
class _Track:
    id: int
    at: float
    box: Box


class FaceFinder:
    """Detects, follows and cuts out faces.

    Holds the last seconds' boxes and, with glances, what is compared: 16 x 16 grey cells of each face for a
    second, and a small picture of the room in which known heads are blank.
    """

    def __init__(
        self,
        detector: Detector,
        *,
        margin: float,
        random: Random,
        min_px: int = 10,
        max_age_s: float = 2.0,
        glances: Glances | None = None,
    ) -> None:
        """Set up.

        Args:
            detector: owned from here on.
            margin: of the crops; the expression model's ``ImageInput.margin``.
            random: where track numbers come from. A secret one on a kit, a seeded one where the same
                input has to give the same output.
            min_px: width under which a box is not believed to be a face.
            max_age_s: a face out of sight for longer gets a new track.
            glances: without, every frame is searched whole.
        """
        self._detector = detector
        self._margin = margin
        self._random = random
        self._min_px = min_px
        self._max_age_s = max_age_s
        self._tracks: list[_Track] = []
        self._glances = glances
        self._known: list[Box] = []
        """Where faces were when last seen, since the last search of a whole frame."""
        self._patches: list[Patch | None] = []
        """What each of them looked like; None for one that is out of sight."""
        self._backdrop = Backdrop()
        self._searched_at = self._checked_at = float("-inf")
        self._lost = False
        self._near_searches = 0

    def __call__(self, frame: Frame) -> tuple[Face, ...]:
        """All faces in the frame, surest first. Depends on the frame, on its time and on those before it."""
        height, width = frame.image.shape[:2]
        found = distinct(
            [(box, score) for box, score in self._find(frame) if box.width * width >= self._min_px]
        )
        ids = self._follow([box for box, _ in found], frame.at, aspect=height / width)
        return tuple(
            Face(frame.at, id, box, score, crop_face(frame.image, box, margin=self._margin))
            for id, (box, score) in zip(ids, found, strict=True)
        )

    def reset(self) -> None:
        """Forget all tracks: another camera, or a gap."""
        self._tracks.clear()
        self._know([])
        self._backdrop.forget()
        self._searched_at = self._checked_at = float("-inf")

    def _find(self, frame: Frame) -> list[tuple[Box, float]]:
        """Look where faces are known to be, or search the whole frame when that is due."""
        if self._glances is None:
            return self._detector(frame.image)
        grey = np.asarray(cv2.cvtColor(frame.image, cv2.COLOR_BGR2GRAY), np.uint8)
        if not self._is_due(grey, frame.at, self._glances):
            again = self._glance(frame.image, grey, frame.at, self._glances)
            seen = [face for face in again if face is not None]
            if 2 * len(seen) >= len(again):  # with most of them gone it is another picture: look anew at once
                self._lost = len(seen) < len(again)
                self._known = [face[0] if face else box for face, box in zip(again, self._known, strict=True)]
                return seen
        self._searched_at = self._checked_at = frame.at
        self._lost = False
        return self._search(frame.image, grey, frame.at)

    def _is_due(self, grey: ImageArray, at: float, glances: Glances) -> bool:
        """Whether to search the whole frame: not while nothing but known heads moved since the last time."""
        if 0 <= at - self._checked_at < glances.every_s / (1 + self._lost):
            return False
        rested = 0 <= at - self._searched_at < glances.every_s * glances.patience
        if rested and not self._lost and self._backdrop.is_still(grey, self._known):
            self._checked_at = at
            return False
        return True

    def _search(self, image: ImageArray, grey: ImageArray, at: float) -> list[tuple[Box, float]]:
        """Search a whole frame: mostly for near faces where no others are known, else for all."""
        near = self._glances.near if self._glances is not None else None
        all_near = bool(self._known) and all(box.width >= NEAR for box in self._known)
        if near is not None and all_near and self._near_searches < NEAR_SEARCHES:
            self._near_searches += 1
            found = distinct(near(image))
            # Who is not found keeps the place until all are searched for: a face that turns is hard to see.
            away = [old for old in self._known if all(_apart(old, box) for box, _ in found)]
            self._know([stillness.take(grey, box, score, at) for box, score in found], away)
            return found
        self._near_searches = 0
        found = distinct(self._detector(image))
        self._know([stillness.take(grey, box, score, at) for box, score in found])
        self._backdrop.keep(grey, self._known)
        return found

    def _know(self, seen: Sequence[Patch], away: Sequence[Box] = ()) -> None:
        self._known = [*(patch.box for patch in seen), *away]
        self._patches = [*seen, *(None for _ in away)]

    def _glance(
        self, image: ImageArray, grey: ImageArray, at: float, glances: Glances
    ) -> list[tuple[Box, float] | None]:
        """Each known face where it is now, or None; a detector is asked about those that changed."""
        again: list[tuple[Box, float] | None] = [None] * len(self._known)
        asked = []
        for number, patch in enumerate(self._patches):
            if (
                patch is not None
                and 0 <= at - patch.seen_at < glances.believed_s
                and stillness.follow(grey, patch)
            ):
                again[number] = (patch.box, patch.score)
            else:
                asked.append(number)
        if not asked:
            return again
        laid = mosaic.lay(image, [self._known[number] for number in asked])
        found = mosaic.lift(laid, glances.detector(laid.image), (image.shape[0], image.shape[1]))
        for number, face in zip(asked, found, strict=True):
            again[number] = face
            self._patches[number] = None if face is None else stillness.take(grey, *face, at)
        return again

    def _follow(self, boxes: Sequence[Box], at: float, *, aspect: float) -> list[int]:
        alive = [track for track in self._tracks if 0 <= at - track.at <= self._max_age_s]
        pairs = sorted(
            (shift, t, b)
            for t, track in enumerate(alive)
            for b, box in enumerate(boxes)
            if (shift := _shift(track.box, box, aspect)) <= min(FARTHEST, CLOSE + SPEED * (at - track.at))
        )
        matches: dict[int, int] = {}
        taken: set[int] = set()
        for _, t, b in pairs:
            if t not in taken and b not in matches:
                taken.add(t)
                matches[b] = alive[t].id
        ids = [matches[b] if b in matches else self._random.getrandbits(48) for b in range(len(boxes))]
        lost = [track for t, track in enumerate(alive) if t not in taken]
        self._tracks = lost + [_Track(id, at, box) for id, box in zip(ids, boxes, strict=True)]
        return ids


def distinct(found: Sequence[tuple[Box, float]]) -> list[tuple[Box, float]]:
    """Drop boxes that lie mostly inside a surer one; surest first."""
    kept: list[tuple[Box, float]] = []
    for box, score in sorted(found, key=lambda pair: -pair[1]):
        if all(_shared(box, other) <= INSIDE * min(_area(box), _area(other)) for other, _ in kept):
            kept.append((box, score))
    return kept


def legibility(crop: ImageArray) -> float:
    """How much a reading of this crop's expression should count, 0..1, by the crop's size alone.

    Far faces are found and counted as people, yet say little: docs/detectors.md has the measured curve.
    """
    side = int(crop.shape[0])
    return min(1.0, max(0.0, (side - ILLEGIBLE_PX) / (LEGIBLE_PX - ILLEGIBLE_PX)))


def _shift(before: Box, after: Box, aspect: float) -> float:
    """Distance of the centres in face widths; infinite when one is much larger, or far away."""
    larger, smaller = max(before.width, after.width), min(before.width, after.width)
    across = before.x + before.width / 2 - after.x - after.width / 2
    if smaller <= 0 or larger > LARGEST_GROWTH * smaller or abs(across) > FARTHEST * larger:
        return float("inf")
    down = (before.y + before.height / 2 - after.y - after.height / 2) * aspect
    return hypot(across, down) / larger


def _shared(a: Box, b: Box) -> float:
    if a.x >= b.x + b.width or b.x >= a.x + a.width:  # most do, and all are compared with all
        return 0.0
    across = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    down = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    return across * max(0.0, down)


def _apart(a: Box, b: Box) -> bool:
    return 2 * _shared(a, b) < min(_area(a), _area(b))


def _area(box: Box) -> float:
    return box.width * box.height
