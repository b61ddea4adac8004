"""The programs of a rung, each a process of its own, and what they take of the memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.faults.patience import NeverHappened, NotMeasured, wait_for
from benchmarks.faults.stage import answers, free_port

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
    talks: bool = False
    """It reads orders on standard input, see ``say``."""
    lanes: int = 1
    """Threads of it that can work side by side; with one, it is full once its busiest thread is."""
    strangers: set[int] = field(default_factory=set)
    """Processes of its family that work for the measurement only, and are not counted."""
    _process: subprocess.Popen[bytes] | None = None

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
                stdin=subprocess.PIPE if self.talks else subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                cwd=ROOT if self.user is None else self.folder,
                env={**os.environ, **self.environment},
                start_new_session=True,
                user=self.user,
            )
        return self

    def say(self, line: str) -> None:
        """An order, if it still runs."""
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()

    def fall_silent(self) -> None:
        """There will be no more orders."""
        if self._process is not None and self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()

    def kill(self) -> None:
        """As a power cut would; all of it."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def stop(self, patience_s: float = 20.0) -> None:
        """As its administrator would; by force if it does not listen."""
        if self._process is None:
            return
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

    def rss_mb(self) -> float:
        """Resident memory, MB (10^6 bytes); what processes share counts once per process."""
        return sum(_resident(pid) for pid in self.family()) / 1e6

    def private_mb(self) -> float:
        """Memory that is its alone, MB."""
        return sum(_private_kb(pid) for pid in self.family()) / 1e3

    def family(self) -> list[int]:
        """Its processes, without strangers; none while it does not run."""
        return [pid for pid in family(self.pid) if pid not in self.strangers]

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


def _resident(pid: int) -> int:
    with suppress(OSError, IndexError, ValueError):
        return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * PAGE_B
    return 0


def _private_kb(pid: int) -> int:
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
    return 0


__all__ = [
    "ROOT",
    "NeverHappened",
    "NotMeasured",
    "Program",
    "answers",
    "family",
    "free_port",
    "python",
    "wait_for",
]
