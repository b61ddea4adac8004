"""Does the power supply hold? The Raspberry Pi's firmware tells, now and since it was switched on."""

from __future__ import annotations

from collections.abc import Iterator

from edge import vitals
from edge.checks import Finding, Patient, finding, read

WEAK, CAPPED, SLOWED, HOT = 0x1, 0x2, 0x4, 0x8
"""Now; shifted by SINCE_BOOT: at some time since it was switched on."""
SINCE_BOOT = 16


def examine(patient: Patient) -> Iterator[Finding]:
    """The worst of what the firmware tells."""
    flags = _flags(patient)
    if flags is None:
        yield finding("power.untold")
    elif flags & WEAK:
        yield finding("power.weak")
    elif flags & (CAPPED | SLOWED | HOT):
        yield finding("power.slowed")
    elif flags >> SINCE_BOOT & WEAK:
        yield finding("power.was_weak")
    elif flags >> SINCE_BOOT & (CAPPED | SLOWED | HOT):
        yield finding("power.was_slowed")
    else:
        yield finding("power.ok")


def _flags(patient: Patient) -> int | None:
    told = read(patient.root / vitals.THROTTLED.relative_to("/"))
    if told is not None:
        try:
            return int(told, 16)
        except ValueError:
            return None
    for name in (patient.root / "sys/class/hwmon").glob("*/name"):
        if read(name) == "rpi_volt":  # kernels that do not show the firmware's flags tell this much
            return WEAK if read(name.with_name("in0_lcrit_alarm")) == "1" else 0
    return None
