"""Is the processor too hot? A Raspberry Pi slows down from 80 °C and more at 85 °C."""

from __future__ import annotations

from collections.abc import Iterator

from edge import vitals
from edge.checks import Finding, Patient, finding

WARM_C, HOT_C = 70, 80


def examine(patient: Patient) -> Iterator[Finding]:
    """One line."""
    degrees = vitals.temperature_c(patient.root / vitals.THERMAL.relative_to("/"))
    if degrees is None:
        yield finding("temperature.untold")
    elif degrees >= HOT_C:
        yield finding("temperature.hot", degrees=degrees)
    elif degrees >= WARM_C:
        yield finding("temperature.warm", degrees=degrees)
    else:
        yield finding("temperature.ok", degrees=degrees)
