"""Frame -> Look: the nearest face alone, read at once, for the practice game."""

from __future__ import annotations

from dataclasses import replace

from edge.expression import ExpressionReader
from edge.faces import legibility
from edge.gaze import Gaze
from edge.load import Effort
from edge.practice.game import nearest
from edge.types import Frame, Look, Observation

LOOKS_PER_S = 10.0
"""Somebody waits for the answer: a class is looked at half as often."""
SEARCH_PX = 480
"""A player stands near: at two metres a face is still 25 pixels wide here, and a look takes a seventh of the
time that the class's 1280 pixels need."""


def close_effort(full: Effort) -> Effort:
    """How hard to look at one player, where the settings ask for *full* in class."""
    return replace(full, fps=LOOKS_PER_S, search_px=min(full.search_px, SEARCH_PX), reads_per_s=LOOKS_PER_S)


class CloseUp:
    """Not thread-safe: one lane owns it."""

    def __init__(self, gaze: Gaze, reader: ExpressionReader) -> None:
        """Look with *gaze*, read with *reader*."""
        self.gaze, self._reader = gaze, reader
        self._track: int | None = None

    def __call__(self, frame: Frame) -> Look | None:
        """What the nearest face is like; None for a frame that comes sooner than needed."""
        faces = self.gaze(frame)
        if faces is None:
            return None
        place = nearest([(face.track, face.box.width) for face in faces], self._track)
        if place is None:
            self._track = None
            return Look("face", frame.at, None)
        face = faces[place]
        self._track = face.track
        weight = legibility(face.crop)
        if not weight:
            return Look("face", frame.at, None, len(faces))
        scores, plain = self._reader.read_one(face)
        reading = Observation("face", frame.at, scores, weight, face.track)
        return Look("face", frame.at, reading, len(faces), plain)

    def reset(self) -> None:
        """Another round, another camera, or a gap."""
        self._track = None
        self.gaze.reset()
