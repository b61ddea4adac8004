"""``picamera2:0?width=640&height=480&fps=15``: a Raspberry Pi camera on its ribbon cable.

The package comes with Raspberry Pi OS (``apt install python3-picamera2``; the environment then needs
``--system-site-packages``), because libcamera has no wheels.
"""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from types import TracebackType
from typing import Any

import numpy as np

from edge.sources import Device, Query, within
from edge.types import Frame, SourceError, StuckError

SILENT_S = 5.0
"""No picture for this long is a failure."""
DRIVER_S = 15.0
"""Opening and closing take a second or two; longer than this, the driver hangs."""
STEP_S = 0.2
"""How long one wait for a picture lasts, and so how soon ``close`` is noticed."""


class RibbonCamera:
    """Asks for the newest picture; the driver keeps few."""

    def __init__(self, number: int, width: int, height: int, fps: float) -> None:
        self._number = number
        self._size = (width, height)
        self._fps = fps
        self._name = f"picamera2:{number}"
        self._closed = threading.Event()
        self._device: Any = None

    def __enter__(self) -> RibbonCamera:
        try:
            driver = importlib.import_module("picamera2")
        except ImportError as error:
            raise SourceError(
                f"{self._name}: needs the package picamera2: sudo apt-get install python3-picamera2"
            ) from error
        try:
            within(DRIVER_S, lambda: self._start(driver), name=self._name)
        except StuckError as error:
            self.close()  # what hangs still uses the device: nothing may be closed under it
            if error.freed:
                self._release()
            raise
        except (IndexError, RuntimeError, ValueError, OSError) as error:
            self._release()
            raise SourceError(f"{self._name}: cannot be opened ({error})") from error
        return self

    def _start(self, driver: Any) -> None:
        device = self._device = driver.Picamera2(self._number)
        # libcamera's RGB888 lies in memory as B, G, R: the order in which a Frame has them.
        main = {"format": "RGB888", "size": self._size}
        device.configure(device.create_video_configuration(main=main, controls={"FrameRate": self._fps}))
        device.start()
        if self._closed.is_set():
            self._release()  # too late: nobody waits for it any more

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        within(DRIVER_S, self._release, name=self._name)

    def __iter__(self) -> Iterator[Frame]:
        seq, job, deadline = 0, None, time.monotonic() + SILENT_S
        while not self._closed.is_set():
            try:
                job = job or self._device.capture_array("main", wait=False)
                image = self._device.wait(job, timeout=STEP_S)
            except (TimeoutError, futures.TimeoutError):  # two classes before Python 3.11
                if time.monotonic() > deadline:
                    raise SourceError(
                        f"{self._name}: no picture for {SILENT_S:g} s; check the cable"
                    ) from None
                continue
            except (RuntimeError, OSError, futures.CancelledError) as error:
                raise SourceError(f"{self._name}: stopped delivering ({error})") from error
            at = time.monotonic()
            yield Frame(self._name, seq, at, np.ascontiguousarray(image[..., :3], np.uint8))
            seq, job, deadline = seq + 1, None, at + SILENT_S

    def close(self) -> None:
        self._closed.set()

    def _release(self) -> None:
        device, self._device = self._device, None
        if device is not None:
            device.stop()
            device.close()


def open_camera(target: str, query: Query) -> RibbonCamera:
    """The camera with number *target*."""
    if not target.isdecimal():
        raise SourceError(f"{query.uri}: name the camera's number, picamera2:0")
    return RibbonCamera(
        int(target),
        query.whole("width", 640, 64, 4096),
        query.whole("height", 480, 64, 4096),
        query.number("fps", 15, 1, 120),
    )


def cameras() -> list[Device]:
    """The cameras on ribbon cables; none without picamera2. libcamera lists USB cameras too, but not here."""
    try:
        driver = importlib.import_module("picamera2")
    except ImportError:
        return []
    infos = driver.Picamera2.global_camera_info()
    return [
        Device(f"picamera2:{info['Num']}", str(info["Model"]))
        for info in infos
        if "usb" not in str(info.get("Id", "")).lower()
    ]
