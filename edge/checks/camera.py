"""Does the camera of the settings deliver pictures, and what other cameras are there?

Pictures are looked at and forgotten. Nothing is opened that a running kit uses or that somebody switched off.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import numpy as np

from edge.checks import Finding, Patient, finding
from edge.sources import Device, cameras_here, open_camera
from edge.types import SourceError

PICTURES = 10
DARK = 6.0
"""Mean brightness, 0..255: a lens cap or a covered camera."""


def examine(patient: Patient) -> Iterator[Finding]:
    """One line about the camera in the settings, one per other camera."""
    assert patient.settings is not None
    uri = patient.settings.camera.uri
    here = cameras_here()
    if uri == "none":
        yield finding("camera.none")
    elif patient.running is not None:
        yield finding(f"camera.kit_{patient.running.sources.get('camera', 'unknown')}", uri=uri)
    elif patient.is_off("camera"):
        yield finding("camera.off", uri=uri)
    else:
        yield from _try(uri, here)
    for device in here:
        if device.uri != uri:
            yield finding("camera.other", name=device.name, uri=device.uri)


def _try(uri: str, here: list[Device]) -> Iterator[Finding]:
    began, first, last, seen = time.monotonic(), 0.0, 0.0, 0
    brightness: list[float] = []
    prints: set[int] = set()
    size = ""
    try:
        with open_camera(uri) as camera, closing(iter(camera)) as frames:  # type: ignore[type-var]
            for frame in frames:
                last = time.monotonic()
                first = first or last
                seen += 1
                size = f"{frame.image.shape[1]}x{frame.image.shape[0]}"
                brightness.append(float(frame.image.mean()))
                prints.add(hash(frame.image.tobytes()))
                if seen >= PICTURES:
                    break
    except SourceError as error:
        known = ", ".join(f'"{device.uri}"' for device in here)
        yield finding("camera.failed" if here else "camera.absent", uri=uri, reason=str(error), known=known)
        return
    if not seen:
        yield finding("camera.empty", uri=uri)
        return
    fps = (seen - 1) / (last - first) if last > first else 0.0
    values: dict[str, str | float] = {
        "uri": uri,
        "size": size,
        "fps": round(fps, 1),
        "first_s": round(first - began, 1),
    }
    if np.mean(brightness) < DARK:
        yield finding("camera.dark", **values)
    elif seen > 1 and len(prints) == 1:
        yield finding("camera.frozen", **values)
    else:
        yield finding("camera.ok", **values)
