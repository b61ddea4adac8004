"""``pattern:?width=640&height=480&fps=15&frames=0&speed=1``: made-up pictures and sound, the same every time.

Pictures are a gradient that moves one pixel a frame; sound is a 440 Hz tone, half a second on, half a second
off (``frames`` counts blocks there). ``frames=0`` never ends; ``speed=0`` does not wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from types import TracebackType

import numpy as np

from edge.sources import BLOCK_SAMPLES, Pace, Query
from edge.types import RATE_HZ, AudioBlock, Frame, SourceError

TONE_HZ, LOUDNESS = 440, 0.3


class Gradient:
    """The camera."""

    def __init__(self, width: int, height: int, fps: float, frames: int, pace: Pace) -> None:
        ramp = np.arange(width)[None, :] + np.arange(height)[:, None]
        self._picture = np.stack([ramp, ramp + 85, ramp + 170], axis=-1).astype(np.uint8)
        self._fps = fps
        self._frames = frames
        self._pace = pace

    def __enter__(self) -> Gradient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        for seq in range(self._frames) if self._frames else count():
            at = self._pace.wait(seq / self._fps)
            if at is None:
                return
            yield Frame("pattern", seq, at, self._picture + np.uint8(seq % 256))

    def close(self) -> None:
        self._pace.close()


class Beeps:
    """The microphone."""

    overflows = 0

    def __init__(self, blocks: int, pace: Pace) -> None:
        self._blocks = blocks
        self._pace = pace

    def __enter__(self) -> Beeps:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[AudioBlock]:
        for seq in range(self._blocks) if self._blocks else count():
            clock = (seq * BLOCK_SAMPLES + np.arange(BLOCK_SAMPLES)) / RATE_HZ
            at = self._pace.wait(seq * BLOCK_SAMPLES / RATE_HZ)
            if at is None:
                return
            tone = LOUDNESS * np.sin(2 * np.pi * TONE_HZ * clock) * (clock % 1 < 0.5)
            yield AudioBlock("pattern", seq, at, tone.astype(np.float32))

    def close(self) -> None:
        self._pace.close()


def open_camera(target: str, query: Query) -> Gradient:
    """A gradient; *target* is empty."""
    _refuse(target, query)
    return Gradient(
        query.whole("width", 640, 16, 4096),
        query.whole("height", 480, 16, 4096),
        query.number("fps", 15, 0.1, 240),
        query.whole("frames", 0, 0, 10**9),
        Pace(query.number("speed", 1, 0, 1000)),
    )


def open_microphone(target: str, query: Query) -> Beeps:
    """Beeps; *target* is empty."""
    _refuse(target, query)
    return Beeps(query.whole("frames", 0, 0, 10**9), Pace(query.number("speed", 1, 0, 1000)))


def _refuse(target: str, query: Query) -> None:
    if target:
        raise SourceError(f"{query.uri}: a pattern has no name, write pattern:")
