"""Waiting that a busy machine can stretch and never turn into a verdict.

What counts against a program is time that it had to itself: while one of its threads, or of ours, stands in
the queue for a processor, the clock of its patience stands still. The kernel says how long they stood there
(/proc/PID/task/*/schedstat). A program that hangs does not stand in that queue, so it is found out; a
machine that does not let it run only makes a scene impossible to measure, and that is said so.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

PATIENCE_S = 120.0
LONGEST_S = 1800.0
"""By the wall clock; then the machine is too busy to tell."""
LOOK_S = 0.02
ASK_KERNEL_S = 2.0


class NeverHappened(Exception):  # noqa: N818 -- read as: raise NeverHappened
    """What a scene waits for did not come, though nothing kept it from coming."""


class NotMeasured(Exception):  # noqa: N818 -- read as: raise NotMeasured
    """The machine was too busy, or a tool is missing: nothing is known about this."""


def wait_for(
    holds: Callable[[], object], what: str, *, of: Iterable[int] = (), patience_s: float = PATIENCE_S
) -> None:
    """Until *holds*, which the processes *of* are to bring about.

    Raises:
        NeverHappened: they had *patience_s* to themselves and it does not hold.
        NotMeasured: they never had that.
    """
    processes = {os.getpid(), *of}
    began = asked = time.monotonic()
    queued_s, had_s = _queued_s(processes), 0.0
    while not holds():
        now = time.monotonic()
        if now - asked > min(ASK_KERNEL_S, patience_s):
            before, queued_s = queued_s, _queued_s(processes)
            had_s += max(0.0, now - asked - max(0.0, queued_s - before))
            asked = now
            if had_s > patience_s:
                raise NeverHappened(f"{what}: not within {patience_s:.0f} s")
            if now - began > LONGEST_S:
                raise NotMeasured(f"{what}: not within {LONGEST_S:.0f} s, on a machine that was too busy")
        time.sleep(LOOK_S)


def _queued_s(processes: Iterable[int]) -> float:
    """Seconds that threads of these processes stood in the queue for a processor, so far and added up."""
    return sum(
        _one_queued_s(path) for pid in processes for path in Path(f"/proc/{pid}/task").glob("*/schedstat")
    )


def _one_queued_s(path: Path) -> float:
    try:
        return int(path.read_text("ascii").split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0  # it has just ended, or this kernel does not tell
