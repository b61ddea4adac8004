"""Is what a camera or microphone delivers worth reading? Frame or AudioBlock in, a Verdict out; time is data.

A device that delivers is not yet a device that works: the driver repeats one picture, a cap sits on the lens,
the microphone is muted. A class that froze would have one mood for ever. The thresholds come from
``python -m benchmarks.verdicts``, which also counts false alarms and takes the time.

Pictures are judged by every tenth pixel or so:

* ``frozen``: the same picture again. A room without anybody in it still has the sensor's noise.
* ``black``: dark, and without that noise: a shutter, or a driver that delivers empty pictures.
* ``dark``: no light, but a sensor that works. Night is no failure; a taped lens in a lit room looks the same.
* ``covered``: light without any shape in it: paper or a finger on the lens, or a wall in front of it.

Sound is ``silent`` when it is digital zero or far below any microphone's own noise, and ``clipped`` when
speech hits the rails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, sqrt
from typing import Literal

import numpy as np

from edge.types import AudioBlock, FloatArray, Frame, ImageArray

Problem = Literal["frozen", "black", "dark", "covered", "silent", "clipped"]

ROWS, COLUMNS = 60, 80
"""About so many pixels of a picture are looked at."""
CHANGED = 0.001
"""A smaller part of changed values is no new picture: a frozen one may be packed anew by the camera."""
DARK_LEVEL, BLACK_LEVEL = 24, 16
"""A picture is dark when 95 % of it is below the one, black when all of it is below the other, of 255."""
BLOCK = 4
"""Pixels looked at are averaged by blocks of so many squared, which takes the noise out of shapes."""
SHAPELESS = 0.1
"""A picture has no shape when 95 % of the bends (second differences) between such blocks are below this part
of its mean level."""

SILENT_RMS = 1e-5
"""-100 dBFS. The quietest microphones have noise of about -90."""
RAIL, CLIPPED_PART = 0.99, 0.02
"""A block is clipped when so much of it lies at the end of the scale."""
CLIPPED_BLOCKS, CLIPPED_MEMORY_S = 0.2, 10.0
"""Of the blocks in the last seconds; speech has pauses."""

ABOUT: Mapping[Problem, str] = {
    "frozen": "delivers the same picture again and again",
    "black": "delivers black pictures: a cap, a closed shutter, or a driver that gives nothing",
    "dark": "sees no light: night, or something on the lens",
    "covered": "sees light without shape: something is on the lens or right before it",
    "silent": "delivers digital silence: muted, or nothing is plugged into it",
    "clipped": "is overdriven: lower its gain, or move it away",
}

CLEARED_AFTER_S, GAP_S = 1.0, 5.0
"""A problem is over once nothing was found for so long, silence with the first sound. After a gap a problem
has to last anew."""
REOPEN_EVERY_S = 300.0
"""What opening anew did not cure is tried again this often; in between the device is open and watched."""
CURABLE: tuple[Problem, ...] = ("frozen", "black", "silent")
"""Opening anew helps a driver; it takes no tape off a lens."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with one item."""

    problem: Problem | None = None
    """What has been wrong for long enough to be told."""
    read: bool = True
    """Whether it is worth reading: new, and of a device without a problem other than the dark."""
    reopen: bool = False
    """Whether closing and opening the device may help now."""


@dataclass(slots=True)
class _Course:
    """Makes a problem of what is found again and again."""

    after_s: Mapping[Problem, float]
    """How long each has to be found; 0 seconds and less: it is never told."""
    problem: Problem | None = None
    _found: Problem | None = None
    _since: float = 0.0
    _at: float = 0.0
    _clean_since: float | None = None
    _reopen_at: float = 0.0

    def follow(self, found: Problem | None, at: float) -> bool:
        """Count what was found at *at*; whether to open the device anew."""
        if found is not None and self.after_s.get(found, 0.0) <= 0:
            found = None
        if found != self._found or at - self._at > GAP_S:
            self._found, self._since, self._clean_since = found, at, None
        self._at = at
        if found is None:
            self._clean_since = at if self._clean_since is None else self._clean_since
            if at - self._clean_since >= CLEARED_AFTER_S or self.problem == "silent":
                self.problem = None
        else:
            self._clean_since = None
            if found != self.problem and at - self._since >= self.after_s[found]:
                self.problem, self._reopen_at = found, at
        if self.problem in CURABLE and at >= self._reopen_at:
            self._reopen_at = at + REOPEN_EVERY_S
            return True
        return False


class PictureJudge:
    """Keeps a few thousand pixels of the last frame, over reopenings, and nothing else."""

    def __init__(self, *, after_s: float) -> None:
        """Tell a problem once it lasted *after_s*; 0 judges nothing."""
        self._course = _Course(dict.fromkeys(("frozen", "black", "dark", "covered"), after_s))
        self._off = after_s <= 0
        self._last: ImageArray = np.empty((0, 0, 3), np.uint8)

    @property
    def problem(self) -> Problem | None:
        """What has been wrong for long enough to be told."""
        return self._course.problem

    def __call__(self, frame: Frame) -> Verdict:
        """Judge the frame by itself, by the one before, and by how long that lasts."""
        if self._off:
            return Verdict()
        looked_at = thin(frame.image)
        changed = 1.0
        if looked_at.shape == self._last.shape:
            changed = np.count_nonzero(looked_at != self._last) / looked_at.size
        self._last = looked_at
        reopen = self._course.follow(judge_picture(looked_at, changed), frame.at)
        problem = self._course.problem
        return Verdict(problem, changed > 0 and problem in (None, "dark"), reopen)


class SoundJudge:
    """Keeps how much was clipped lately."""

    def __init__(self, *, after_s: float) -> None:
        """Tell silence once it lasted *after_s*; 0 judges nothing. Clipping has a memory of its own."""
        self._course = _Course({"silent": after_s, "clipped": 1.0})
        self._off = after_s <= 0
        self._clipped = 0.0

    @property
    def problem(self) -> Problem | None:
        """What has been wrong for long enough to be told."""
        return self._course.problem

    def __call__(self, block: AudioBlock) -> Verdict:
        """Judge the block by itself and by how long that lasts."""
        if self._off:
            return Verdict()
        found = judge_sound(block.samples)
        share = exp(-len(block.samples) / block.rate_hz / CLIPPED_MEMORY_S)
        self._clipped = share * self._clipped + (1 - share) * (found == "clipped")
        if self._clipped > CLIPPED_BLOCKS:
            found = "clipped"  # a gate's digital silence between overdriven words is no silence
        elif found == "clipped" or self._course.problem == "clipped":
            found = None
        reopen = self._course.follow(found, block.at)
        return Verdict(self._course.problem, self._course.problem is None, reopen)


def thin(image: ImageArray) -> ImageArray:
    """A copy of every so-manieth pixel: about ROWS x COLUMNS x 3."""
    rows, columns = max(1, image.shape[0] // ROWS), max(1, image.shape[1] // COLUMNS)
    return image[rows // 2 :: rows, columns // 2 :: columns].copy()


def judge_picture(looked_at: ImageArray, changed: float) -> Problem | None:
    """What is wrong with one thinned picture of which the part *changed* differs from the one before."""
    still = changed <= CHANGED
    grey = looked_at.mean(axis=2, dtype=np.float32)
    if np.percentile(grey, 95) < DARK_LEVEL:
        return "black" if still and looked_at.max() < BLACK_LEVEL else "dark"
    if still:
        return "frozen"
    return "covered" if shape_in(grey) < SHAPELESS * float(grey.mean()) else None


def shape_in(grey: FloatArray) -> float:
    """How much there is to see: what 5 % of the bends between neighbouring blocks exceed, in grey levels.

    Bends, because light that falls off towards a side is no shape, and tape over a lens shows just that.
    """
    rows, columns = (length // BLOCK for length in grey.shape)
    blocks = grey[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK).mean(axis=(1, 3))
    bends = [np.abs(np.diff(blocks, 2, axis=axis)).ravel() for axis in (0, 1)]
    return float(np.percentile(np.concatenate(bends), 95)) if min(rows, columns) > 2 else np.inf


def judge_sound(samples: FloatArray) -> Problem | None:
    """What is wrong with one block. A microphone's constant offset is no sound."""
    if sqrt(float(np.var(samples))) < SILENT_RMS:
        return "silent"
    return "clipped" if np.count_nonzero(np.abs(samples) >= RAIL) > CLIPPED_PART * len(samples) else None
