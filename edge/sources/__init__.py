"""Cameras and microphones, opened by URI: ``scheme:target?key=value&key=value``.

A camera or a microphone belongs to one thread, which opens it, iterates it and leaves it:

    with open_camera("opencv:0?width=640") as camera:
        for frame in camera:
            ...

* ``open_*`` checks the URI and touches no device; entering the ``with`` block opens the device, leaving it
  releases the device.
* Items come in order: ``seq`` rises by one from 0, ``at`` never falls. The receiver owns each item's array.
* The iteration ends when the source is over (a file) or was closed; a device that fails raises SourceError.
* ``close`` may be called from any thread and any number of times. It never waits; it makes the iteration end
  within a fraction of a second, and the device is released when its own thread leaves the block.
* A driver may hang; a source does not. It calls what may not return in a thread that it can leave behind
  (``within``), and raises StuckError when it had to: while that thread lasts, the device stays closed.

Adding one: a file here with ``open_camera`` or ``open_microphone(target, query)``, and a line in the table.
Hardware that can be listed also has ``cameras()`` or ``microphones()``.
"""

from __future__ import annotations

import importlib
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypeVar
from urllib.parse import parse_qsl, quote, unquote

import numpy as np

from edge.types import RATE_HZ, AudioBlock, FloatArray, Frame, SourceError, StuckError

Result = TypeVar("Result")

BLOCK_SAMPLES = 512
"""Samples per AudioBlock: 32 ms, what the speech gate eats."""

_CAMERAS = {
    "opencv": "edge.sources.opencv",
    "picamera2": "edge.sources.picamera2",
    "replay": "edge.sources.replay",
    "scene": "edge.sources.scene",
    "pattern": "edge.sources.pattern",
    "faulty": "edge.sources.faulty",
}
_MICROPHONES = {
    "pyaudio": "edge.sources.pyaudio",
    "replay": "edge.sources.replay",
    "pattern": "edge.sources.pattern",
    "faulty": "edge.sources.faulty",
}
_RECORDED = ("replay", "scene", "pattern")
"""These show no room; a photo that does not move is as it should be."""
_LISTED_CAMERAS = ("edge.sources.opencv", "edge.sources.picamera2")
_LISTED_MICROPHONES = ("edge.sources.pyaudio",)
"""These can say what is plugged in: ``cameras()`` or ``microphones()``, without a driver an empty list."""


class Camera(Protocol):
    """A source of frames; the module's docstring says who owns what."""

    def __enter__(self) -> Camera:
        """Open the device.

        Raises:
            SourceError: it is missing, in use, or not what the URI says.
        """
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the device."""
        ...

    def __iter__(self) -> Iterator[Frame]:
        """Deliver frames until the source is over or closed.

        Raises:
            SourceError: the device failed or went silent.
        """
        ...

    def close(self) -> None:
        """End the iteration, from any thread."""
        ...


class Microphone(Protocol):
    """A source of sound: mono, 16 kHz, BLOCK_SAMPLES each; the module's docstring says who owns what."""

    overflows: int
    """Times that the device dropped sound because nobody took it."""

    def __enter__(self) -> Microphone:
        """Open the device.

        Raises:
            SourceError: it is missing, in use, or not what the URI says.
        """
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the device."""
        ...

    def __iter__(self) -> Iterator[AudioBlock]:
        """Deliver sound until the source is over or closed.

        Raises:
            SourceError: the device failed or went silent.
        """
        ...

    def close(self) -> None:
        """End the iteration, from any thread."""
        ...


def open_camera(uri: str) -> Camera:
    """A camera, not opened yet.

    Raises:
        SourceError: the URI names no known source, an unknown key or an impossible value.
    """
    target, query, module = _resolve(uri, _CAMERAS, "camera")
    camera: Camera = importlib.import_module(module).open_camera(target, query)
    query.done()
    return camera


def open_microphone(uri: str) -> Microphone:
    """A microphone, not opened yet.

    Raises:
        SourceError: the URI names no known source, an unknown key or an impossible value.
    """
    target, query, module = _resolve(uri, _MICROPHONES, "microphone")
    microphone: Microphone = importlib.import_module(module).open_microphone(target, query)
    query.done()
    return microphone


def cameras_here() -> list[Device]:
    """The cameras that can be opened here, under URIs that survive a replug."""
    return [device for name in _LISTED_CAMERAS for device in importlib.import_module(name).cameras()]


def microphones_here() -> list[Device]:
    """The microphones that can be opened here, under URIs that survive a replug."""
    return [device for name in _LISTED_MICROPHONES for device in importlib.import_module(name).microphones()]


def is_recorded(uri: str, *, behind_faults: bool = False) -> bool:
    """Whether this is a recording or made up; a ``faulty:`` source pretends to be hardware."""
    if behind_faults and uri.startswith("faulty:"):
        uri = uri.partition("|")[2]
    return uri.partition(":")[0] in _RECORDED


def replay_uri(path: str, *, loop: bool = False, speed: float = 1.0) -> str:
    """The URI that replays the file or folder at *path*, whatever characters it holds."""
    return f"replay:{quote(path, safe='/ ')}?loop={int(loop)}&speed={speed:g}"


def as_camera_uri(text: str) -> str:
    """What people type as a source URI: ``0`` and ``/dev/video0`` are cameras, a file is replayed."""
    if text.isdigit() or text.startswith("/dev/"):
        return f"opencv:{text}"
    return replay_uri(text, loop=True) if Path(text).exists() else text


def as_microphone_uri(text: str) -> str:
    """What people type as a source URI: an existing file is replayed, a bare word is a device's name."""
    if Path(text).exists():
        return replay_uri(text, loop=True)
    return text if ":" in text or text == "none" else f"pyaudio:{text}"


def hush_opencv() -> None:
    """Keep OpenCV's own words off standard error: what goes wrong is told in one line, by SourceError.

    The switch moved between 4.11, the last version that goes with numpy 1, and 4.14.
    """
    opencv = importlib.import_module("cv2")
    getattr(opencv.utils, "logging", opencv).setLogLevel(0)


def within(seconds: float, call: Callable[[], Result], *, name: str) -> Result:
    """What *call*, a driver's function, returns or raises.

    Raises:
        StuckError: it did not return within *seconds*; its thread is left behind.
    """
    answer: futures.Future[Result] = futures.Future()

    def ask() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:  # noqa: BLE001 -- raised again where it was asked
            answer.set_exception(error)

    thread = threading.Thread(target=ask, name=name, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise StuckError(f"{name}: the driver does not return", thread)
    return answer.result()


class Query:
    """The part of a URI after the question mark. Each take removes a key; ``done`` refuses what is left."""

    def __init__(self, uri: str, values: dict[str, str]) -> None:
        self.uri = uri
        self._values = values
        self._known: list[str] = []

    def whole(self, key: str, default: int, low: int, high: int) -> int:
        """A whole number from *low* to *high*."""
        value = self.number(key, default, low, high)
        if value != int(value):
            raise SourceError(f"{self.uri}: {key} must be a whole number, not {value:g}")
        return int(value)

    def number(self, key: str, default: float, low: float, high: float) -> float:
        """A number from *low* to *high*."""
        self._known.append(key)
        text = self._values.pop(key, None)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise SourceError(f"{self.uri}: {key} must be {low:g} to {high:g}, not {text!r}")
        return value

    def flag(self, key: str) -> bool:
        """``1`` or ``0``; absent is 0."""
        self._known.append(key)
        text = self._values.pop(key, "0")
        if text not in ("0", "1"):
            raise SourceError(f"{self.uri}: {key} must be 0 or 1, not {text!r}")
        return text == "1"

    def hand_on(self) -> str:
        """The URI behind a bar, ``outer:target|inner:...``; all keys are the inner source's."""
        self._values.clear()
        return self.uri.partition("|")[2]

    def done(self) -> None:
        """Raise SourceError if a key was not taken."""
        if self._values:
            known = f"known: {', '.join(self._known)}" if self._known else "it takes none"
            raise SourceError(f"{self.uri}: unknown key {next(iter(self._values))!r} ({known})")


def _resolve(uri: str, modules: dict[str, str], what: str) -> tuple[str, Query, str]:
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme not in modules:
        raise SourceError(f"{uri!r} is no {what}: use {', '.join(f'{name}:' for name in modules)}")
    target, _, text = rest.partition("?")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text))
    except ValueError:
        raise SourceError(f"{uri}: what follows the ? must be key=value&key=value") from None
    values = dict(pairs)
    if len(values) < len(pairs):
        raise SourceError(f"{uri}: a key stands there twice")
    return unquote(target), Query(uri, values), modules[scheme]


def conform(chunks: Iterable[FloatArray], rate_hz: int, *, name: str) -> Iterator[FloatArray]:
    """Mono chunks of any length and rate as blocks of BLOCK_SAMPLES at RATE_HZ; zeros fill the last.

    The resampler is soxr: band-limited, so nothing above 8 kHz folds into speech, and it keeps its state from
    chunk to chunk, so there is no click where they meet.

    Raises:
        SourceError: no sound has such a rate.
    """
    if not 1000 <= rate_hz <= 768_000:
        raise SourceError(f"{name}: {rate_hz} Hz is no sample rate of sound")
    held: FloatArray = np.empty(0, np.float32)
    sane = (np.nan_to_num(chunk, posinf=1, neginf=-1) for chunk in chunks)
    for chunk in sane if rate_hz == RATE_HZ else _resampled(sane, rate_hz):
        held = np.concatenate([held, np.clip(chunk, -1, 1)])
        whole = len(held) - len(held) % BLOCK_SAMPLES
        yield from held[:whole].reshape(-1, BLOCK_SAMPLES).copy()
        held = held[whole:]
    if len(held):
        yield np.pad(held, (0, BLOCK_SAMPLES - len(held)))


def _resampled(chunks: Iterable[FloatArray], rate_hz: int) -> Iterator[FloatArray]:
    import soxr

    stream = soxr.ResampleStream(rate_hz, RATE_HZ, 1, dtype="float32")
    for chunk in chunks:
        yield stream.resample_chunk(chunk)
    yield stream.resample_chunk(np.empty(0, np.float32), last=True)


class Pace:
    """When recorded items are due, and the way to be woken before that.

    At speed 0 nothing waits and ``at`` is media time, so the same file gives the same items twice. At any
    other speed each item waits until it is due and ``at`` is monotonic time.
    """

    LATE_S = 0.5
    """Further behind than this, the recording is slowed down rather than stamped with times long past."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._origin: float | None = None
        self._closed = threading.Event()

    def close(self) -> None:
        """Wake the waiter for good."""
        self._closed.set()

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._closed.is_set()

    def wait(self, media_s: float) -> float | None:
        """Wait until *media_s* from the start is due; its ``at``, or None when closed meanwhile."""
        if self._speed == 0:
            return None if self.closed else media_s
        now = time.monotonic()
        if self._origin is None:
            self._origin = now - media_s / self._speed
        due = self._origin + media_s / self._speed
        if now - due > self.LATE_S:
            self._origin += now - due
            due = now
        return None if self._closed.wait(max(0.0, due - now)) else due


@dataclass(frozen=True, slots=True)
class Device:
    """Something that can be opened here."""

    uri: str
    name: str


def closest(wanted: str, devices: Sequence[Device]) -> Device:
    """The one device whose name is, or else contains, *wanted*; capitals do not matter.

    Raises:
        SourceError: none, or several.
    """
    same = [device for device in devices if device.name.lower() == wanted.lower()]
    like = same or [device for device in devices if wanted.lower() in device.name.lower()]
    if len(like) == 1:
        return like[0]
    names = ", ".join(repr(device.name) for device in like or devices) or "no device at all"
    if like:
        raise SourceError(f"{wanted!r} fits more than one device: {names}")
    raise SourceError(f"no device is called {wanted!r}; there is {names}")
