"""How hard the board works, measured; and how hard the eyes look, set by what edge.load makes of that."""

from __future__ import annotations

import time

from edge import vitals
from edge.events import Mode
from edge.eyes import Eyes, full_effort
from edge.flow import Mailbox
from edge.load import Ceiling, Governor, Strain, ladder
from edge.practice.closeup import close_effort
from edge.settings import Settings
from edge.sources import BLOCK_SAMPLES
from edge.types import RATE_HZ, AudioBlock


class Brake:
    """Owned by the main thread."""

    def __init__(self, settings: Settings, eyes: Eyes, blocks: Mailbox[AudioBlock], mode: Mode) -> None:
        """Hold back *eyes* where *blocks* of sound wait, or the settings' limits are reached."""
        self._settings, self._eyes, self._blocks = settings, eyes, blocks
        self._measured = (time.monotonic(), time.process_time(), 0)
        self.cpu_percent: float | None = None
        """Of one core, the whole process; None until it was measured."""
        self.release(mode)

    def release(self, mode: Mode) -> None:
        """Look as hard as the settings ask for in *mode*, and begin to hold back from there."""
        full = full_effort(self._settings)
        self._eyes.gaze.effort = full
        self._gaze = self._eyes.gaze
        if mode == "practice":
            self._gaze = self._eyes.close_up.gaze
            full = self._gaze.effort = close_effort(full)
        efforts = ladder(full, window_s=self._settings.mood.window_s, resizable=self._gaze.resizable)
        load = self._settings.load
        self.governor = Governor(efforts, Ceiling(load.cpu_percent, load.temperature_c))

    def tend(self, now: float) -> bool:
        """Measure when that is due, and look less hard or harder; whether so."""
        if not self.governor.due(now):
            return False
        (at, cpu_s, lost), self._measured = (
            self._measured,
            (now, time.process_time(), self._blocks.dropped),
        )
        self.cpu_percent = round(100 * (self._measured[1] - cpu_s) / max(now - at, 1e-3), 1)
        strain = Strain(
            at=now,
            cpu_percent=self.cpu_percent,
            temperature_c=vitals.temperature_c(),
            throttled=vitals.throttled(),
            heard_late_s=len(self._blocks) * BLOCK_SAMPLES / RATE_HZ,
            lost_blocks=self._blocks.dropped - lost,
        )
        changed = self.governor.heed(strain)
        self._gaze.effort = self.governor.effort
        return changed
