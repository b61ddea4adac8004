"""Is the wall clock right? A Raspberry Pi has no clock battery unless somebody added one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timezone

from edge.checks import Finding, Patient, finding
from edge.stamp import time_quality

WRITTEN = datetime(2026, 11, 26, tzinfo=timezone.utc).timestamp()
"""When this was written: a clock before that is wrong."""


def examine(patient: Patient) -> Iterator[Finding]:
    """One line."""
    now = time.time()
    battery = any((patient.root / "sys/class/rtc").glob("rtc*"))
    shown = datetime.fromtimestamp(now, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    if now < WRITTEN:
        yield finding("clock.past", now=shown)
    elif time_quality() == "synced":
        yield finding("clock.ok", now=shown)
    else:
        yield finding("clock.unsynced" if battery else "clock.adrift", now=shown)
