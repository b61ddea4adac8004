"""``opencv:/dev/v4l/by-id/...``, ``opencv:name=C920`` or ``opencv:0``, with ``?width=640&height=480&fps=15``.

A USB camera. Its number changes when something is plugged in, its path in by-id or by-path and its name do
not; they are looked up anew at every opening. ``suasana devices`` lists what is here.

A camera that was pulled out may block inside the driver for as long as it likes. So opening and reading
happen in a thread of their own; that they failed, or that there is silence, is an error of the iteration.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import cv2
import numpy as np

from edge.flow import Mailbox
from edge.sources import Device, Query, closest, hush_opencv
from edge.types import Frame, ImageArray, SourceError, StuckError

SILENT_S = 5.0
"""No picture for this long is a failure. The first one may take twice as long: cameras warm up."""
SYS, DEV = Path("/sys/class/video4linux"), Path("/dev")
QUERYCAP, CAPABILITY_BYTES = 0x80685600, 104
"""ioctl VIDIOC_QUERYCAP, and the size of struct v4l2_capability (linux/videodev2.h)."""
VIDEO_CAPTURE = 0x00000001
PI_DRIVERS = ("unicam", "rp1-cfe", "bcm2835-isp", "pispbe", "bcm2835-codec", "rpivid")
"""These give raw or processed pictures of the ribbon cable's camera: a matter for picamera2."""


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
        if isinstance(self._device, str):
            self._device = _find(self._device)
            if not Path(self._device).exists():
                raise SourceError(f"{self._name}: no such device; is the camera plugged in?")
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self._reader.join(SILENT_S)  # a driver that hangs must not hang the kit
        if self._reader.is_alive():
            raise StuckError(f"{self._name}: the driver does not return", self._reader) from error

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
        hush_opencv()
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
    """The camera with a path below /dev, with a name, or with a number."""
    device = int(target) if target.isdecimal() else target
    named = target.startswith("name=") and target != "name="
    if isinstance(device, str) and not device.startswith("/dev/") and not named:
        raise SourceError(
            f"{query.uri}: name a number or a path, opencv:0, opencv:/dev/v4l/by-id/... or opencv:name=..."
        )
    return UsbCamera(
        device,
        query.whole("width", 640, 16, 4096),
        query.whole("height", 480, 16, 4096),
        query.number("fps", 15, 1, 240),
    )


def cameras() -> list[Device]:
    """The USB cameras here, each under the most lasting URI that it has: by-id, by-path, name, number."""
    nodes = _nodes()
    names = [node.name for node in nodes]
    links = {
        link.resolve(): link
        for folder in ("by-path", "by-id")  # the later one wins
        for link in sorted((DEV / "v4l" / folder).glob("*"))
    }
    found = []
    for node in nodes:
        path = Path(node.uri)
        if path.resolve() in links:
            target = str(links[path.resolve()])
        else:
            target = f"name={node.name}" if names.count(node.name) == 1 else str(path)
        found.append(Device("opencv:" + quote(target, safe="/:=()+,. "), node.name))
    return found


def _find(target: str) -> str:
    """The device's path now, whatever its number became.

    Raises:
        SourceError: no camera has this name, or several have.
    """
    if not target.startswith("name="):
        return target
    try:
        return closest(target.removeprefix("name="), _nodes()).uri
    except SourceError as error:
        raise SourceError(f"opencv:{target}: {error}") from None


def _nodes() -> list[Device]:
    """Path in /dev and name of everything that captures video."""
    found = []
    for folder in sorted(SYS.glob("video*"), key=lambda folder: (len(folder.name), folder.name)):
        path = DEV / folder.name
        if _captures(path, folder):
            found.append(Device(str(path), _read(folder / "name") or folder.name))
    return found


def _captures(path: Path, folder: Path) -> bool:
    """Whether pictures come out of this node: a USB camera has others beside it for what it knows of them."""
    try:
        device = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return _read(folder / "index") == "0"  # not ours to open: the first node of a device is the camera
    try:
        answer = fcntl.ioctl(device, QUERYCAP, bytes(CAPABILITY_BYTES))
    except OSError:
        return False
    finally:
        os.close(device)
    driver = answer[:16].rstrip(b"\0").decode("ascii", "replace")
    (abilities,) = struct.unpack_from("I", answer, 88)  # device_caps: of this node, not of the whole device
    return bool(abilities & VIDEO_CAPTURE) and driver not in PI_DRIVERS


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
