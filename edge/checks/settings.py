"""Are the settings readable, and do they allow this kit to run?"""

from __future__ import annotations

from collections.abc import Iterator

from edge.checks import Finding, Patient, finding
from edge.settings import check_mode
from edge.types import SettingsError


def examine(patient: Patient) -> Iterator[Finding]:
    """One line: readable and complete, or what is missing."""
    if patient.settings is None:
        yield finding("settings.refused", reason=patient.trouble)
        return
    if not patient.settings.mode:
        yield finding("settings.unasked")
        return
    try:
        check_mode(patient.settings)
    except SettingsError as error:
        yield finding("settings.forbidden", reason=str(error))
        return
    if patient.path is None:
        yield finding("settings.default")
    else:
        yield finding("settings.ok", path=str(patient.path))
