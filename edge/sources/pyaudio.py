"""``pyaudio:default`` or ``pyaudio:NAME``: a microphone through PortAudio, found by name or part of it.

Numbers (``pyaudio:2``) work too, but they change when something is plugged in. So does the end of an ALSA
name, ``(hw:2,0)``, which can be left out; ``suasana devices`` lists what is here. A device that refuses
16 kHz is opened at its own rate and resampled.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import re
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any
from urllib.parse import quote

import numpy as np

from edge.flow import Mailbox
from edge.sources import BLOCK_SAMPLES, Device, Query, closest, conform, within
from edge.types import RATE_HZ, AudioBlock, FloatArray, SourceError, StuckError

SILENT_S = 5.0
"""No sound at all for this long, not even quiet, is a failure."""
DRIVER_S = 10.0
"""PortAudio asks every sound card when it starts, about a second; longer than this, one hangs."""
LARGEST_DRIFT_S = 0.2
"""Blocks are stamped one after the other, and anew when that and the clock are this far apart."""
CARD_NUMBER = re.compile(r"\s*\(hw:\d+,\d+\)$")
HELD_BLOCKS = 64
"""About two seconds; a reader that is further behind loses the oldest, and it is counted."""


class Capture:
    """PortAudio calls back from its own thread with each block; here they become a queue."""

    def __init__(self, wanted: str) -> None:
        self._wanted = wanted
        self._name = f"pyaudio:{wanted}"
        self._heard: Mailbox[FloatArray] = Mailbox(HELD_BLOCKS)
        self._closed = threading.Event()
        self._lost = 0
        self._driver: Any = None
        self._audio: Any = None
        self._stream: Any = None
        self._rate_hz = RATE_HZ

    @property
    def overflows(self) -> int:
        return self._lost + self._heard.dropped

    def __enter__(self) -> Capture:
        try:
            self._driver = importlib.import_module("pyaudio")
        except ImportError as error:
            raise SourceError(
                f"{self._name}: needs the package PyAudio: "
                "sudo apt-get install portaudio19-dev && pip install PyAudio"
            ) from error
        try:
            within(DRIVER_S, self._start, name=self._name)
        except StuckError as error:
            self.close()  # what hangs still uses the device: nothing may be closed under it
            if error.freed:
                self._release()
            raise
        except (OSError, ValueError) as error:
            self._release()
            raise SourceError(f"{self._name}: cannot be opened ({error})") from error
        except SourceError:
            self._release()
            raise
        return self

    def _start(self) -> None:
        self._audio = self._driver.PyAudio()
        self._stream = self._open(self._find())
        if self._closed.is_set():
            self._release()  # too late: nobody waits for it any more

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        within(DRIVER_S, self._release, name=self._name)

    def __iter__(self) -> Iterator[AudioBlock]:
        step, at = BLOCK_SAMPLES / RATE_HZ, -math.inf
        for seq, samples in enumerate(conform(self._chunks(), self._rate_hz, name=self._name)):
            begun = time.monotonic() - step * (1 + len(self._heard))
            follows = at + step
            at = follows if abs(begun - follows) < LARGEST_DRIFT_S else max(begun, at)
            yield AudioBlock(self._name, seq, at, samples)

    def close(self) -> None:
        self._closed.set()

    def _chunks(self) -> Iterator[FloatArray]:
        deadline = time.monotonic() + SILENT_S
        while not self._closed.is_set():
            chunk = self._heard.get(timeout_s=0.1)
            if chunk is not None:
                deadline = time.monotonic() + SILENT_S
                yield chunk
            elif not self._alive():
                raise SourceError(f"{self._name}: the microphone stopped delivering; is it still plugged in?")
            elif time.monotonic() > deadline:
                raise SourceError(f"{self._name}: no sound for {SILENT_S:g} s; is it still plugged in?")

    def _alive(self) -> bool:
        try:
            return bool(self._stream.is_active())
        except OSError:
            return False

    def _find(self) -> Any:
        """PortAudio's description of the wanted device."""
        if self._wanted == "default":
            return self._audio.get_default_input_device_info()
        if self._wanted.isdecimal():
            return self._audio.get_device_info_by_index(int(self._wanted))
        number = closest(self._wanted, _inputs(self._audio)).uri.removeprefix("pyaudio:")
        return self._audio.get_device_info_by_index(int(number))

    def _open(self, device: Any) -> Any:
        *likely, last = dict.fromkeys((RATE_HZ, 48_000, 44_100, int(device["defaultSampleRate"])))
        for rate_hz in likely:
            with contextlib.suppress(OSError, ValueError):
                return self._open_at(rate_hz, device)
        return self._open_at(last, device)

    def _open_at(self, rate_hz: int, device: Any) -> Any:
        stream = self._audio.open(
            format=self._driver.paFloat32,
            channels=1,
            rate=rate_hz,
            input=True,
            input_device_index=int(device["index"]),
            frames_per_buffer=BLOCK_SAMPLES * rate_hz // RATE_HZ,
            stream_callback=self._take,
        )
        self._rate_hz = rate_hz
        return stream

    def _take(self, data: bytes | None, _count: int, _timing: object, status: int) -> tuple[None, int]:
        """PortAudio's callback: copy and return, whatever happens."""
        self._lost += bool(status & self._driver.paInputOverflow)
        self._heard.put(np.frombuffer(data or b"", np.float32).copy())
        return None, int(self._driver.paContinue)

    def _release(self) -> None:
        stream, self._stream = self._stream, None
        audio, self._audio = self._audio, None
        if stream is not None:
            stream.close()
        if audio is not None:
            audio.terminate()


def open_microphone(target: str, query: Query) -> Capture:
    """The microphone called *target*."""
    if not target:
        raise SourceError(f"{query.uri}: name a microphone, pyaudio:default or part of its name")
    return Capture(target)


def _inputs(audio: Any) -> list[Device]:
    infos = (audio.get_device_info_by_index(index) for index in range(audio.get_device_count()))
    return [
        Device(f"pyaudio:{info['index']}", str(info["name"]))
        for info in infos
        if info["maxInputChannels"] > 0
    ]


def microphones() -> list[Device]:
    """The inputs that PortAudio finds, without the part of the name that changes; none without PyAudio."""
    try:
        driver = importlib.import_module("pyaudio")
    except ImportError:
        return []
    audio = driver.PyAudio()
    try:
        names = [device.name for device in _inputs(audio)]
    finally:
        audio.terminate()
    lasting = [CARD_NUMBER.sub("", name) for name in names]
    told = [short if lasting.count(short) == 1 else name for short, name in zip(lasting, names, strict=True)]
    return [Device("pyaudio:" + quote(name, safe="/:=()+,. "), name) for name in told]
