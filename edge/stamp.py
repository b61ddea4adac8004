"""Windows get their place in time and in sequence here: the only module that knows the wall clock.

The steady clock is CLOCK_MONOTONIC. Time services slew it together with the wall clock, so the difference
between the two changes only when the wall clock is set; that is how a jump is noticed. CLOCK_BOOTTIME would
also count while the machine sleeps, but sources stamp what they deliver with the monotonic clock, boards do
not sleep, and a laptop that did shows it as a jump, after which every event is placed right again.
"""

from __future__ import annotations

import ctypes
import time
import uuid
from collections.abc import Callable
from functools import cache

from edge import vitals
from edge.events import SCHEMA, Clock, Data, Event, MoodWindow, State, TimeQuality, format_time, name_event
from edge.mood import Window

TIME_ERROR = 5
"""What ntp_adjtime(3) answers while the clock is not synchronised."""
LOOK_EVERY_S = 1.0
STEP_S = 0.5
"""Both clocks are slewed alike, so a smaller change is only the time between reading one and the other."""
SLOW_READ_S = 0.05
LATEST_S = 253_402_300_799.0
"""The end of the year 9999, the last that RFC 3339 can write."""


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
        mono_id: str | None = None,
    ) -> None:
        """Count from 0 under *boot_id* (new if empty). The clocks can be replaced, as replay does.

        *mono_id* names the start of the machine, which it is asked for; empty leaves monotonic times out.
        """
        self.kit = kit
        self.boot_id = boot_id or uuid.uuid4().hex
        self._wall, self._monotonic = wall, monotonic
        self._quality = quality or time_quality
        self._mono_id = vitals.mono_id() if mono_id is None else mono_id
        self._seq = 0
        self._looked = monotonic()
        self._ahead_s, self._known = wall() - self._looked, self._quality()

    def time(self, at: float) -> str:
        """A monotonic time as UTC, by what the wall clock shows right now."""
        return format_time(min(max(0.0, self._wall() - (self._monotonic() - at)), LATEST_S))

    def quality(self) -> TimeQuality:
        """Whether the wall clock can be believed."""
        return self._quality()

    def look(self) -> Clock | None:
        """What happened to the wall clock since the last look; at most once a second, mostly nothing."""
        before = self._monotonic()
        if before - self._looked < LOOK_EVERY_S:
            return None
        wall, after = self._wall(), self._monotonic()
        if after - before > SLOW_READ_S:
            return None  # something came between the two clocks; the next look tells
        self._looked = after
        ahead_s, quality = wall - before, self._quality()
        step_s = ahead_s - self._ahead_s if abs(ahead_s - self._ahead_s) > STEP_S else 0.0
        changed, self._known, self._ahead_s = quality != self._known, quality, ahead_s
        if changed:
            return Clock(quality, round(step_s, 3))
        return Clock("stepped", round(step_s, 3)) if step_s else None

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
            mono_s=round(max(0.0, at), 3) if self._mono_id else None,
            mono_id=self._mono_id,
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


def state_of(event: Event) -> State:
    """The retained state that goes with a mood event."""
    data = event.data
    assert isinstance(data, MoodWindow)
    return State(
        schema=SCHEMA,
        at=event.at,
        time_quality=event.time_quality,
        mood=data.mood,
        shares=data.shares,
        confidence=data.confidence,
        people=data.people,
        suppressed=data.suppressed,
    )


def time_quality() -> TimeQuality:
    """Ask the kernel whether a time service disciplines the clock; that needs no rights.

    chrony tells the kernel only with ``rtcsync``, which Debian sets; without it the clock counts as unsynced.
    """
    try:
        request = ctypes.create_string_buffer(512)  # struct timex, modes = 0: only ask
        answer = _libc().adjtimex(request)
    except (OSError, AttributeError):
        return "unsynced"
    return "synced" if 0 <= answer < TIME_ERROR else "unsynced"


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
