"""``faulty:freeze@5-15,unplug@30-40|scene:FOLDER?fps=10``: another source with faults by the clock.

For tests and for ``python -m benchmarks.faults``: as strict as hardware, and as ill-behaved. Each fault
begins and ends so many seconds after this module was first used; without an end it stays.

* ``absent``: cannot be opened. ``unplug``: stops delivering, then cannot be opened.
* ``hang``: the driver's read does not return, and the device is not free before it does.
* ``block``: hangs in the lane's own thread, as no source should: a case for the watchdog.
* Pictures: ``freeze``, ``black``, ``dark``, ``cover``. Sound: ``silence``, ``clip``.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

import numpy as np

from edge.sources import Camera, Microphone, Query
from edge.sources import open_camera as open_inner_camera
from edge.sources import open_microphone as open_inner_microphone
from edge.types import AudioBlock, Frame, SourceError, StuckError

BORN = time.monotonic()
SILENT_S = 5.0
"""Nothing for this long is a failure, as with the real ones."""
ANYWHERE = ("absent", "unplug", "hang", "block")
PICTURES = ("freeze", "black", "dark", "cover")
SOUNDS = ("silence", "clip")
FAULT = re.compile(r"([a-z]+)@(\d+(?:\.\d+)?)(?:-(\d+(?:\.\d+)?))?")


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong from when to when, in seconds of the clock."""

    kind: str
    start: float
    end: float


def clock() -> float:
    """Seconds since this module was first used."""
    return time.monotonic() - BORN


class Faulty:
    """A camera or a microphone, spoilt."""

    def __init__(self, inner: Any, faults: Sequence[Fault], name: str) -> None:
        self._inner = inner
        self._faults = faults
        self._name = name
        self._closed = threading.Event()
        self.overflows = 0
        self._frozen: Frame | None = None
        self._noise = np.random.default_rng(0)

    def __enter__(self) -> Faulty:
        if self._during("absent", "unplug"):
            raise SourceError(f"{self._name}: no such device; is it plugged in?")
        self._inner.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self._inner.__exit__(kind, error, trace)
        hang = self._during("hang")
        if hang:
            driver = threading.Thread(target=_sleep_until, args=(hang.end,), name=self._name, daemon=True)
            driver.start()
            raise StuckError(f"{self._name}: the driver does not return", driver) from error

    def __iter__(self) -> Iterator[Any]:
        for item in self._inner:
            self.overflows = getattr(self._inner, "overflows", 0)
            if self._during("unplug"):
                raise SourceError(f"{self._name}: stopped delivering; is it still plugged in?")
            if block := self._during("block"):
                _sleep_until(block.end)
            if (hang := self._during("hang")) and not self._closed.wait(min(SILENT_S, hang.end - clock())):
                raise SourceError(f"{self._name}: nothing for {SILENT_S:g} s; is it still plugged in?")
            yield self._picture(item) if isinstance(item, Frame) else self._sound(item)

    def close(self) -> None:
        self._closed.set()
        self._inner.close()

    def _during(self, *kinds: str) -> Fault | None:
        now = clock()
        return next(
            (each for each in self._faults if each.kind in kinds and each.start <= now < each.end), None
        )

    def _picture(self, frame: Frame) -> Frame:
        if self._during("freeze"):
            self._frozen = self._frozen or frame
            return replace(frame, image=self._frozen.image.copy())
        self._frozen = None
        if self._during("black"):
            return replace(frame, image=np.zeros_like(frame.image))
        if self._during("dark"):
            return replace(frame, image=self._light(frame, level=6))
        return replace(frame, image=self._light(frame, level=120)) if self._during("cover") else frame

    def _light(self, frame: Frame, *, level: float) -> Any:
        """Nothing but light of one level and the sensor's noise."""
        noise = self._noise.standard_normal(frame.image.shape, np.float32)
        return np.clip(level + 2 * noise, 0, 255).astype(np.uint8)

    def _sound(self, block: AudioBlock) -> AudioBlock:
        if self._during("silence"):
            return replace(block, samples=np.zeros_like(block.samples))
        return replace(block, samples=np.clip(block.samples * 100, -1, 1)) if self._during("clip") else block


def open_camera(target: str, query: Query) -> Camera:
    """The camera whose URI stands behind the bar."""
    return _wrap(target, query, (*ANYWHERE, *PICTURES), open_inner_camera)


def open_microphone(target: str, query: Query) -> Microphone:
    """The microphone whose URI stands behind the bar."""
    return _wrap(target, query, (*ANYWHERE, *SOUNDS), open_inner_microphone)


def _wrap(target: str, query: Query, kinds: Sequence[str], open_inner: Callable[[str], Any]) -> Faulty:
    plan, bar, _ = target.partition("|")
    faults = []
    for text in plan.split(","):
        match = FAULT.fullmatch(text)
        if not bar or match is None or match[1] not in kinds:
            raise SourceError(
                f"{query.uri}: write faulty:FAULT@FROM-TO,...|URI, seconds, with faults of {', '.join(kinds)}"
            )
        faults.append(Fault(match[1], float(match[2]), float(match[3] or math.inf)))
    return Faulty(open_inner(query.hand_on()), faults, f"faulty:{plan}")


def _sleep_until(end: float) -> None:
    while (left := end - clock()) > 0:
        time.sleep(min(left, 0.05))
