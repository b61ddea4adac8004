"""Are the files of others whole, and do they load: the face detector and the speech gate in use?"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from edge.checks import Finding, Patient, finding
from edge.eyes import make_detector
from edge.models import weights
from edge.runtimes import silero
from edge.types import EdgeError


def examine(patient: Patient) -> Iterator[Finding]:
    """One line per file in use."""
    settings = patient.settings
    assert settings is not None
    if settings.camera.uri != "none":
        yield _try(
            settings.faces.detector, lambda: make_detector(settings)(np.zeros((480, 640, 3), np.uint8))
        )
    if settings.microphone.uri != "none":
        yield _try("silero-vad", lambda: silero.open(weights.find("silero-vad")))


def _try(name: str, use: Callable[[], object]) -> Finding:
    try:
        use()
    except EdgeError as error:
        return finding("weights.refused", name=name, reason=str(error))
    return finding("weights.ok", name=name)
