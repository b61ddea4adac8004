"""``replay:FILE?loop=1&speed=1``: a video, a picture, a folder of pictures or a sound, as if it were live.

``speed=0`` does not wait and stamps media time, so the same file gives the same items twice. A folder shows
``fps`` pictures a second, 1 by default. A file that breaks off is delivered as far as it decodes. Sound is
mixed to mono and resampled to 16 kHz.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Callable, Generator, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import soundfile
from typing_extensions import Self

from edge.sources import BLOCK_SAMPLES, Pace, Query, conform, hush_opencv
from edge.types import RATE_HZ, AudioBlock, FloatArray, Frame, ImageArray, SourceError

Part = TypeVar("Part")
Own = TypeVar("Own", bound="Recording[Any]")

LONGEST_SIDE = 1920
"""Larger pictures are shrunk: a face needs a few dozen pixels, and a kit has little memory."""
PLAUSIBLE_FPS = (0.5, 240.0)
FALLBACK_FPS = 25.0
LONGEST_STILL_S = 10.0
"""A gap between two video frames that is longer is a lie of the file's clock."""
FILM_SUFFIXES = (".mjpg", ".mjpeg", ".gif")
"""These start like one picture and hold many, so the name has to tell."""


class Recording(Generic[Part]):
    """What both have in common: it is opened by reading its beginning, and read again where it loops."""

    def __init__(
        self, path: Path, read: Callable[[], Generator[Part, None, None]], *, loop: bool, pace: Pace
    ) -> None:
        """*read* goes once through: at least one part, or SourceError."""
        self._name = f"replay:{path.name}"
        self._read, self._loop, self._pace = read, loop, pace
        self._pass = read()

    def __enter__(self) -> Self:
        self._first = next(self._pass)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self._pass.close()

    def close(self) -> None:
        self._pace.close()

    def _passes(self) -> Iterator[Iterator[Part]]:
        """Once through, or again and again."""
        yield chain([self._first], self._pass)
        while self._loop:
            self._pass = self._read()
            yield self._pass


class Pictures(Recording[tuple[float, ImageArray]]):
    """The camera. A part is media time and a picture."""

    def __init__(self, path: Path, *, fps: float, loop: bool, pace: Pace) -> None:
        super().__init__(path, partial(_pictures, path, fps), loop=loop, pace=pace)
        self._fps = fps

    def __iter__(self) -> Iterator[Frame]:
        seq, start = 0, 0.0
        for parts in self._passes():
            media_s, step = 0.0, 1 / self._fps
            for when, image in parts:
                step = when - media_s or step
                media_s = when
                at = self._pace.wait(start + media_s)
                if at is None:
                    return
                yield Frame(self._name, seq, at, image)
                seq += 1
            start += media_s + step


class Sound(Recording[FloatArray]):
    """The microphone. A part is a block."""

    overflows = 0

    def __init__(self, path: Path, *, loop: bool, pace: Pace) -> None:
        super().__init__(path, partial(_sound, path), loop=loop, pace=pace)

    def __iter__(self) -> Iterator[AudioBlock]:
        seq = 0
        for parts in self._passes():
            for samples in parts:
                at = self._pace.wait(seq * BLOCK_SAMPLES / RATE_HZ)
                if at is None:
                    return
                yield AudioBlock(self._name, seq, at, samples)
                seq += 1


def open_camera(target: str, query: Query) -> Pictures:
    """Frames of the video, picture or folder *target*."""
    loop, speed = query.flag("loop"), query.number("speed", 1, 0, 100)
    return Pictures(_path(target, query), fps=query.number("fps", 1, 0.01, 240), loop=loop, pace=Pace(speed))


def open_microphone(target: str, query: Query) -> Sound:
    """Samples of the sound file *target*."""
    loop, speed = query.flag("loop"), query.number("speed", 1, 0, 100)
    return Sound(_path(target, query), loop=loop, pace=Pace(speed))


def _path(target: str, query: Query) -> Path:
    if not target:
        raise SourceError(f"{query.uri}: name a file, replay:FILE")
    return Path(target)


def _check_readable(path: Path) -> None:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for its writer
            raise SourceError(f"{path}: is a folder, pipe or device, not a file")
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from error
    if empty:
        raise SourceError(f"{path}: the file is empty")


def _pictures(path: Path, fps: float) -> Generator[tuple[float, ImageArray], None, None]:
    paths = _pictures_in(path)
    yield from _stills(path, paths, fps) if paths else _video(path)


def _pictures_in(path: Path) -> list[Path]:
    """The pictures that *path* is or holds; none when it is a file of another kind."""
    if path.is_dir():
        try:
            paths = sorted(entry for entry in path.iterdir() if entry.is_file() and _is_picture(entry))
        except OSError as error:
            raise SourceError(f"{path}: {error.strerror or error}") from error
        if not paths:
            raise SourceError(f"{path}: no pictures in this folder")
        return paths
    _check_readable(path)
    return [path] if path.suffix.lower() not in FILM_SUFFIXES and _is_picture(path) else []


def _is_picture(path: Path) -> bool:
    return bool(cv2.haveImageReader(str(path)))


def _stills(origin: Path, paths: list[Path], fps: float) -> Iterator[tuple[float, ImageArray]]:
    shown = 0
    for path in paths:
        try:
            data = np.fromfile(path, np.uint8)
            image = None if _is_torn_png(data) else cv2.imdecode(data, cv2.IMREAD_COLOR)
        except (OSError, cv2.error):
            continue
        if image is not None:
            yield shown / fps, _bounded(np.asarray(image, np.uint8))
            shown += 1
    if not shown:
        raise SourceError(f"{origin}: no picture in it can be decoded, it is torn or of another kind")


def _is_torn_png(data: npt.NDArray[np.uint8]) -> bool:
    """Whether a PNG lacks its end; libpng would find that out too, but tell it on stderr."""
    return data[1:4].tobytes() == b"PNG" and b"IEND" not in data[-64:].tobytes()


def _video(path: Path) -> Iterator[tuple[float, ImageArray]]:
    # What is wrong with a file is told in one line, by SourceError; these two would add theirs to stderr.
    # FFmpeg reads its variable once, when the process opens its first file.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    hush_opencv()
    capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    try:
        clock = _MediaClock(capture.get(cv2.CAP_PROP_FPS))
        grabbed, image = capture.read()
        if not grabbed:
            raise SourceError(f"{path}: no picture can be decoded, it is torn or no video")
        while grabbed:
            yield clock.read(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000), _bounded(np.asarray(image, np.uint8))
            grabbed, image = capture.read()
    finally:
        capture.release()


class _MediaClock:
    """Times of a video's frames, starting at 0 and rising, whatever the file's own clock and header say."""

    def __init__(self, fps: float) -> None:
        self._step = 1 / (fps if PLAUSIBLE_FPS[0] <= fps <= PLAUSIBLE_FPS[1] else FALLBACK_FPS)
        self._now: float | None = None
        self._told = 0.0

    def read(self, told: float) -> float:
        """The time of the next frame, given what the file tells."""
        if self._now is None:
            self._now = 0.0
        else:
            step = told - self._told
            self._now += step if math.isfinite(step) and 0 < step <= LONGEST_STILL_S else self._step
        self._told = told
        return self._now


def _bounded(image: ImageArray) -> ImageArray:
    height, width = image.shape[:2]
    scale = LONGEST_SIDE / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _sound(path: Path) -> Generator[FloatArray, None, None]:
    _check_readable(path)
    try:
        with soundfile.SoundFile(path) as file:
            blocks = conform(_chunks(file), file.samplerate, name=str(path))
            first = next(blocks, None)
            if first is None:
                raise SourceError(f"{path}: holds no sound")
            yield first
            yield from blocks
    except soundfile.LibsndfileError as error:
        raise SourceError(f"{path}: has no sound that can be read (wav, flac, ogg and mp3 can)") from error


def _chunks(file: soundfile.SoundFile) -> Iterator[FloatArray]:
    while True:
        try:
            chunk = file.read(8192, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError:
            return  # torn: what came before was delivered
        if not len(chunk):
            return
        yield chunk.mean(axis=1)
