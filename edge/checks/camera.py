"""Does the camera of the settings deliver pictures, and what other cameras are there?

Pictures are looked at and forgotten. Nothing is opened that a running kit uses or that somebody switched off.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing

import numpy as np

from edge.checks import Finding, Patient, finding
from edge.sources import Device, cameras_here, open_camera
from edge.types import SourceError
from edge.verdict import Problem, judge_picture, thin

PICTURES = 10
PICTURE_PROBLEMS = ("frozen", "black", "dark", "covered")


def examine(patient: Patient) -> Iterator[Finding]:
    """One line about the camera in the settings, one per other camera."""
    assert patient.settings is not None
    uri = patient.settings.camera.uri
    here = cameras_here()
    if uri == "none":
        yield finding("camera.none")
    elif patient.running is not None:
        yield finding(f"camera.kit_{patient.running.sources.get('camera', 'unknown')}", uri=uri)
        health = patient.running.health
        if health is not None and health.camera_problem in PICTURE_PROBLEMS:
            yield finding(f"camera.{health.camera_problem}", uri=uri)
    elif patient.is_off("camera"):
        yield finding("camera.off", uri=uri)
    else:
        yield from _try(uri, here)
    for device in here:
        if device.uri != uri:
            yield finding("camera.other", name=device.name, uri=device.uri)


def _try(uri: str, here: list[Device]) -> Iterator[Finding]:
    began, times, wrong = time.monotonic(), [], []
    last, size = None, ""
    try:
        with open_camera(uri) as camera, closing(iter(camera)) as frames:  # type: ignore[type-var]
            for frame in frames:
                times.append(time.monotonic())
                size = f"{frame.image.shape[1]}x{frame.image.shape[0]}"
                picture = thin(frame.image)
                same_size = last is not None and last.shape == picture.shape
                changed = np.count_nonzero(picture != last) / picture.size if same_size else 1.0
                wrong.append(judge_picture(picture, changed))
                last = picture
                if len(times) >= PICTURES:
                    break
    except SourceError as error:
        known = ", ".join(f'"{device.uri}"' for device in here)
        yield finding("camera.failed" if here else "camera.absent", uri=uri, reason=str(error), known=known)
        return
    if not times:
        yield finding("camera.empty", uri=uri)
    elif (problem := _all_of(wrong[1:] or wrong)) is not None:
        yield finding(f"camera.{problem}", uri=uri)
    else:
        fps = (len(times) - 1) / max(times[-1] - times[0], 1e-3)
        yield finding("camera.ok", uri=uri, size=size, fps=round(fps, 1), first_s=round(times[0] - began, 1))


def _all_of(wrong: Sequence[Problem | None]) -> Problem | None:
    """What is wrong with every picture but the first, which has none before it."""
    return wrong[0] if len(set(wrong)) == 1 else None
