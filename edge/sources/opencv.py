"""``opencv:0`` or ``opencv:/dev/v4l/by-id/...``, with ``?width=640&height=480&fps=15``: a USB camera.

A camera that was pulled out may block inside the driver for as long as it likes. So opening and reading
happen in a thread of their own; that they failed, or that there is silence, is an error of the iteration.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from edge.flow import Mailbox
from edge.sources import Query
from edge.types import Frame, ImageArray, SourceError

SILENT_S = 5.0
"""No picture for this long is a failure. The first one may take twice as long: cameras warm up."""


class UsbCamera:
    """The newest picture wins, so a slow reader sees no old ones."""

    def __init__(self, device: int | str, width: int, height: int, fps: float) -> None:
        self._device = device
        # USB 2 is too slow for large pictures at more than a few per second unless the camera packs them.
        packed = {cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*"MJPG")} if width * height > 640 * 480 else {}
        self._wanted = packed | {
            cv2.CAP_PROP_FRAME_WIDTH: width,
            cv2.CAP_PROP_FRAME_HEIGHT: height,
            cv2.CAP_PROP_FPS: fps,
            cv2.CAP_PROP_BUFFERSIZE: 1,
        }
        self._newest: Mailbox[tuple[float, ImageArray] | SourceError] = Mailbox(1)
        self._closed = threading.Event()
        self._name = f"opencv:{device}"
        self._reader = threading.Thread(target=self._capture, name=self._name, daemon=True)

    def __enter__(self) -> UsbCamera:
        if isinstance(self._device, str) and not Path(self._device).exists():
            raise SourceError(f"{self._name}: no such device; is the camera plugged in?")
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self._reader.join(SILENT_S)  # a driver that hangs must not hang the kit

    def __iter__(self) -> Iterator[Frame]:
        seq, deadline = 0, time.monotonic() + 2 * SILENT_S
        while not self._closed.is_set():
            item = self._newest.get(timeout_s=0.1)
            if isinstance(item, SourceError):
                raise item
            if item is not None:
                at, image = item
                yield Frame(self._name, seq, at, image)
                seq, deadline = seq + 1, time.monotonic() + SILENT_S
            elif time.monotonic() > deadline:
                raise SourceError(
                    f"{self._name}: no picture for {SILENT_S:g} s; is the camera still plugged in?"
                )

    def close(self) -> None:
        self._closed.set()

    def _capture(self) -> None:
        """Own the device: open, read, release. Runs in its own thread, the only one that touches it."""
        cv2.utils.logging.setLogLevel(0)  # what goes wrong is told in one line, by SourceError
        capture = cv2.VideoCapture(self._device, cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY)
        try:
            if not capture.isOpened():
                self._newest.put(SourceError(f"{self._name}: cannot be opened; is it plugged in, or in use?"))
                return
            for key, value in self._wanted.items():
                capture.set(key, value)
            while not self._closed.is_set():
                grabbed, image = capture.read()
                at = time.monotonic()
                if not grabbed:
                    self._newest.put(SourceError(f"{self._name}: the camera stopped delivering"))
                    return
                self._newest.put((at, np.asarray(image, np.uint8)))
        finally:
            capture.release()


def open_camera(target: str, query: Query) -> UsbCamera:
    """The camera with a number, or with a path below /dev."""
    device = int(target) if target.isdecimal() else target
    if not target or (isinstance(device, str) and not device.startswith("/dev/")):
        raise SourceError(f"{query.uri}: name a number or a path, opencv:0 or opencv:/dev/v4l/by-id/...")
    return UsbCamera(
        device,
        query.whole("width", 640, 16, 4096),
        query.whole("height", 480, 16, 4096),
        query.number("fps", 15, 1, 240),
    )
