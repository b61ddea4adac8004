"""Which machine this is, in words and numbers."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

BOARD = Path("/proc/device-tree/model")
PACKAGES = ("numpy", "opencv-python-headless", "onnxruntime", "ai-edge-litert")
INT8 = ("avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")
"""Instructions that matter for int8, as /proc/cpuinfo calls them."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What was measured on."""

    board: str
    architecture: str
    processor: str
    cores: int
    memory_mb: int
    int8: tuple[str, ...]
    system: str
    python: str
    packages: dict[str, str]
    load: float
    """Processes that wanted to run in the last minute; above the cores, wall times mean little."""

    def __str__(self) -> str:
        name = self.board or self.processor
        return f"{self.architecture}, {name}, {self.cores} cores, {self.memory_mb} MB, {self.system}"


def look() -> Machine:
    """Describe this machine. Names no user, host or address."""
    cpuinfo = _read(Path("/proc/cpuinfo"))
    facts: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        facts.setdefault(key.strip().lower(), value.strip())
    flags = f"{facts.get('flags', '')} {facts.get('features', '')}".split()
    return Machine(
        board=_read(BOARD).strip("\0\n "),
        architecture=platform.machine(),
        processor=facts.get("model name", "") or platform.processor() or "unknown",
        cores=os.cpu_count() or 1,
        memory_mb=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 10**6,
        int8=tuple(name for name in INT8 if name in flags),
        system=f"Linux {platform.release()}" if platform.system() == "Linux" else platform.platform(),
        python=platform.python_version(),
        packages={name: found for name in PACKAGES if (found := _version(name))},
        load=round(os.getloadavg()[0], 2),
    )


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
