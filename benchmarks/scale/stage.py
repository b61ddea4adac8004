"""The programs of a rung, each a process of its own, and what they cost in processor time and memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.faults.patience import NeverHappened, NotMeasured, wait_for
from benchmarks.faults.stage import answers, free_port
from benchmarks.footprint import TICKS

ROOT = Path(__file__).resolve().parents[2]
PAGE_B = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Program:
    """A process and everything that it starts."""

    name: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    _process: subprocess.Popen[bytes] | None = None
    _spent_s: float = 0.0
    """Of earlier runs, as far as they were looked at."""

    @property
    def log(self) -> Path:
        """What it said."""
        return self.folder / f"{self.name}.log"

    @property
    def pid(self) -> int:
        """Of its first process; 0 while it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    def start(self) -> Program:
        """Run, in a process group of its own."""
        with self.log.open("ab") as words:
            self._process = subprocess.Popen(  # noqa: S603 -- our own words
                self.command,
                stdout=words,
                stderr=words,
                cwd=ROOT if self.user is None else self.folder,
                env={**os.environ, **self.environment},
                start_new_session=True,
                user=self.user,
            )
        return self

    def kill(self) -> None:
        """As a power cut would; all of it."""
        self._spent_s += self._now_s()
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def stop(self, patience_s: float = 20.0) -> None:
        """As its administrator would; by force if it does not listen."""
        if self._process is None:
            return
        self._spent_s += self._now_s()
        with suppress(ProcessLookupError):
            self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_s)
        self._signal(signal.SIGKILL)
        self._process.wait()

    def wait(self, patience_s: float) -> int:
        """Until it ends by itself.

        Raises:
            NeverHappened: it did not.
        """
        assert self._process is not None
        try:
            return self._process.wait(patience_s)
        except subprocess.TimeoutExpired as error:
            raise NeverHappened(f"{self.name} did not end within {patience_s:.0f} s") from error

    def cpu_s(self) -> float:
        """Processor seconds so far, of it and all that it started."""
        return self._spent_s + self._now_s()

    def rss_mb(self) -> float:
        """Resident memory, MB (10^6 bytes); what processes share counts once per process."""
        return sum(_resident(pid) for pid in family(self.pid)) / 1e6

    def private_mb(self) -> float:
        """Memory that is its alone, MB."""
        return sum(_private_kb(pid) for pid in family(self.pid)) / 1e3

    def _now_s(self) -> float:
        return _family_cpu_s(self.pid) if self.pid else 0.0

    def _signal(self, number: int) -> None:
        if self._process is not None:
            for pid in {*family(self._process.pid)}:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)


def python(*arguments: str) -> list[str]:
    """A command line of this project's own."""
    return [sys.executable, "-m", *arguments]


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    found, queue = [], [pid] if pid else []
    while queue:
        one = queue.pop()
        found.append(one)
        with suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                queue += map(int, (task / "children").read_text().split())
    return found


def _family_cpu_s(pid: int) -> float:
    """Children that ended and were waited for count with their parents."""
    total = 0
    for one in family(pid):
        with suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
            own = (int(fields[11]), int(fields[12]))
            waited_for = (int(fields[13]), int(fields[14]))
            total += sum(own) + sum(waited_for)
    return total / TICKS


def _resident(pid: int) -> int:
    with suppress(OSError, IndexError, ValueError):
        return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * PAGE_B
    return 0


def _private_kb(pid: int) -> int:
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
    return 0


@dataclass(frozen=True, slots=True)
class Meter:
    """Processor seconds of several programs at one moment."""

    at: float
    spent: Mapping[str, float]

    @classmethod
    def read(cls, programs: Iterable[Program]) -> Meter:
        """Now. Programs of one name (node-1, node-2 …) count together as what stands before the hyphen."""
        spent: dict[str, float] = {}
        for one in programs:
            kind = one.name.split("-")[0]
            spent[kind] = spent.get(kind, 0.0) + one.cpu_s()
        return cls(time.monotonic(), spent)

    def since(self, before: Meter) -> dict[str, float]:
        """What was spent between the two."""
        return {name: round(value - before.spent.get(name, 0.0), 3) for name, value in self.spent.items()}


__all__ = [
    "ROOT",
    "Meter",
    "NeverHappened",
    "NotMeasured",
    "Program",
    "answers",
    "family",
    "free_port",
    "python",
    "wait_for",
]
