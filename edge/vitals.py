"""How the board itself is doing, read from /proc and /sys; None where the board does not tell."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
from pathlib import Path

logger = logging.getLogger(__name__)

THERMAL = Path("/sys/class/thermal/thermal_zone0/temp")
THROTTLED = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")
"""Raspberry Pi firmware: bit 0 under-voltage now, 1 frequency capped now, 2 throttled now, 3 hot now."""


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Of mallopt(3), glibc's malloc.h."""
LARGE = 2**20
"""Bytes: a frame of 640x480 pixels stays in the store, what a detector makes of it does not."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def mono_id(path: Path = BOOT_ID) -> str:
    """Names this start of the machine without naming the machine; empty where the kernel does not tell."""
    try:
        return hashlib.sha256(b"suasana " + path.read_bytes().strip()).hexdigest()[:12]
    except OSError:
        return ""


def rss_mb(statm: Path = Path("/proc/self/statm")) -> float:
    """Resident memory of this process in MB (10^6 bytes)."""
    try:
        pages = int(statm.read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def give_back_memory() -> None:
    """Have the C library return large pieces at once and not keep a store per thread. Does nothing elsewhere.

    By itself it learns from the first large piece that is freed to keep all pieces of that size.
    """
    tune = getattr(ctypes.CDLL(None), "mallopt", None)
    for option, value in ((M_MMAP_THRESHOLD, LARGE), (M_TRIM_THRESHOLD, LARGE), (M_ARENA_MAX, 1)):
        if tune is not None:
            tune(option, value)


def temperature_c(path: Path = THERMAL) -> float | None:
    """Of the processor."""
    try:
        return round(int(path.read_text("ascii")) / 1000, 1)
    except (OSError, ValueError):
        return None


def throttled(path: Path = THROTTLED) -> bool | None:
    """Whether the board is slowed down right now, by heat or by a weak power supply."""
    try:
        return bool(int(path.read_text("ascii"), 16) & 0xF)
    except (OSError, ValueError):
        return None
