"""Board, operating system, Python, memory."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator

from edge import __version__
from edge.checks import Finding, Patient, finding, read

LEAST_MEMORY_MB = 150
"""Available; a kit takes about 250 MB, which a running one has already."""


def examine(patient: Patient) -> Iterator[Finding]:
    """One line about the machine, and what is too old or too small about it."""
    board = read(patient.root / "proc/device-tree/model") or platform.machine()
    python = platform.python_version()
    yield finding("system.ok", board=board, os=_os(patient), python=python, software=f"suasana {__version__}")
    if sys.maxsize <= 2**32:
        yield finding("system.narrow")
    memory_mb = _available_mb(patient)
    if memory_mb is not None and memory_mb < LEAST_MEMORY_MB:
        yield finding("system.memory", memory_mb=memory_mb)


def _os(patient: Patient) -> str:
    for line in (read(patient.root / "etc/os-release") or "").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return platform.system()


def _available_mb(patient: Patient) -> int | None:
    for line in (read(patient.root / "proc/meminfo") or "").splitlines():
        key, _, rest = line.partition(":")
        amount = rest.split()
        if key == "MemAvailable" and amount and amount[0].isdigit():
            return int(amount[0]) // 1000
    return None
