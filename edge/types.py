"""What flows through the kit, and the one error family it may raise.

Every type is frozen: a stage hands on a new value, it never edits an old one. Time is data: ``at`` is
``time.monotonic()`` in seconds as stamped by the source, and no stage reads a clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from threading import Thread
from typing import Literal

import numpy as np
import numpy.typing as npt

from edge.words import LABELS, VOICE_LABELS

ImageArray = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]
Modality = Literal["face", "voice"]

RATE_HZ = 16_000
"""Sample rate of all audio inside the kit."""


class EdgeError(Exception):
    """An expected failure, told in one line. A lane recovers from it; the command line exits with 2."""


class SourceError(EdgeError):
    """A camera, microphone or file cannot be opened, or stopped delivering."""


class StuckError(SourceError):
    """A driver does not return, and holds the device in the thread that called it."""

    def __init__(self, text: str, thread: Thread) -> None:
        super().__init__(f"{text}; unplug the device, or wait for the restart")
        self._thread = thread

    @property
    def freed(self) -> bool:
        """Whether it has returned after all, so that the device may be opened again."""
        return not self._thread.is_alive()


class SettingsError(EdgeError):
    """A setting is unknown, has the wrong type or is out of range."""


class ModelError(EdgeError):
    """A model folder is incomplete, altered or does not fit the runtime."""


class SinkError(EdgeError):
    """Events cannot be delivered, and waiting will not help."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture from a camera."""

    source: str
    seq: int
    at: float
    image: ImageArray
    """H x W x 3, BGR as capture hardware and OpenCV deliver it, so no frame is converted twice."""


@dataclass(frozen=True, slots=True)
class AudioBlock:
    """Consecutive samples from a microphone."""

    source: str
    seq: int
    at: float
    """Time of the first sample."""
    samples: FloatArray
    """Mono, -1..1, any length; 512 samples (32 ms) by custom."""
    rate_hz: int = RATE_HZ


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle in fractions of the frame: 0,0 is top left, 1,1 bottom right."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Face:
    """A face in one frame."""

    at: float
    track: int
    """Random number that lives for seconds and never leaves the kit."""
    box: Box
    score: float
    """The detector's confidence, 0..1."""
    crop: ImageArray
    """h x w x 3 BGR, square, margin included, at the camera's resolution; mostly a view into the frame."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """A stretch of audio that holds speech."""

    at: float
    """Time of the first sample."""
    duration_s: float
    samples: FloatArray
    """Mono, -1..1, RATE_HZ."""


@dataclass(frozen=True, slots=True)
class Scores:
    """A classifier's calibrated answer for one face or one utterance."""

    labels: tuple[str, ...]
    probs: tuple[float, ...]
    """One probability per label; they sum to 1."""
    model: str
    """``name@version``."""

    def __post_init__(self) -> None:
        if len(self.labels) != len(self.probs):
            raise ValueError(f"{len(self.labels)} labels but {len(self.probs)} probabilities")
        if not all(math.isfinite(p) and -1e-6 <= p <= 1 + 1e-6 for p in self.probs):
            raise ValueError(f"probabilities out of 0..1: {self.probs}")
        if abs(sum(self.probs) - 1) > 1e-3:
            raise ValueError(f"probabilities sum to {sum(self.probs):.4f}, not 1")

    @property
    def best(self) -> tuple[str, float]:
        """The most probable label and its probability."""
        index = max(range(len(self.probs)), key=self.probs.__getitem__)
        return self.labels[index], self.probs[index]


@dataclass(frozen=True, slots=True)
class Presence:
    """How many faces one frame showed, read or not. The group-size guard counts people with it."""

    at: float
    people: int
    tracks: tuple[int, ...] = ()
    """Those of them that can be read, whether they were read in this frame or not."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One reading, ready to be counted into the room's mood. Holds no picture and no sound."""

    modality: Modality
    at: float
    scores: Scores
    weight: float
    """How much this reading counts, 0..1."""
    track: int = 0
    """The face's track, so that one face counts once per window; 0 for the room's microphone."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the nearest face, or one sentence heard, in the practice game."""

    sense: Modality
    at: float
    """Of the frame, or of the sentence's end."""
    reading: Observation | None
    """None when there is nobody, or the face is too small to be read."""
    people: int = 0
    """Faces in the frame."""
    plain: Scores | None = None
    """What the model says without what the kit learned; only that may teach it. Never leaves the kit."""


__all__ = [
    "LABELS",
    "RATE_HZ",
    "VOICE_LABELS",
    "AudioBlock",
    "Box",
    "EdgeError",
    "Face",
    "FloatArray",
    "Frame",
    "ImageArray",
    "Look",
    "Modality",
    "ModelError",
    "Observation",
    "Presence",
    "Scores",
    "SettingsError",
    "SinkError",
    "SourceError",
    "StuckError",
    "Utterance",
]
