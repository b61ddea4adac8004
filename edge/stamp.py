"""Windows get their place in time and in sequence here: the only module that knows the wall clock."""

from __future__ import annotations

import ctypes
import time
import uuid
from collections.abc import Callable

from edge.events import Data, Event, MoodWindow, TimeQuality, format_time, name_event
from edge.mood import Window

TIME_ERROR = 5
"""What ntp_adjtime(3) answers while the clock is not synchronised."""


class Stamp:
    """Numbers and dates events of one boot of one kit."""

    def __init__(
        self,
        kit: str,
        *,
        boot_id: str = "",
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        quality: Callable[[], TimeQuality] | None = None,
    ) -> None:
        """Count from 0 under *boot_id* (new if empty). The clocks can be replaced, as replay does."""
        self.kit = kit
        self.boot_id = boot_id or uuid.uuid4().hex
        self._wall, self._monotonic = wall, monotonic
        self._quality = quality or time_quality
        self._seq = 0

    def time(self, at: float) -> str:
        """A monotonic time as UTC, by what the wall clock shows right now."""
        return format_time(self._wall() - (self._monotonic() - at))

    def quality(self) -> TimeQuality:
        """Whether the wall clock can be believed."""
        return self._quality()

    def event(self, data: Data, *, at: float) -> Event:
        """The next event."""
        seq, self._seq = self._seq, self._seq + 1
        return Event(
            id=name_event(self.kit, self.boot_id, seq),
            kit=self.kit,
            boot_id=self.boot_id,
            seq=seq,
            at=self.time(at),
            time_quality=self.quality(),
            data=data,
        )

    def window(self, window: Window) -> Event:
        """A closed window as an event."""
        return self.event(
            MoodWindow(
                start=self.time(window.start),
                window_s=round(window.end - window.start, 3),
                mood=window.mood,
                shares=window.shares,
                confidence=window.confidence,
                people=window.people,
                suppressed=window.suppressed,
                face_readings=window.face_readings,
                voice_readings=window.voice_readings,
            ),
            at=window.end,
        )


def time_quality() -> TimeQuality:
    """Ask the kernel whether a time service disciplines the clock."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        request = ctypes.create_string_buffer(512)  # struct timex, modes = 0: only ask
        answer = libc.adjtimex(request)
    except (OSError, AttributeError):
        return "unsynced"
    return "synced" if 0 <= answer < TIME_ERROR else "unsynced"
