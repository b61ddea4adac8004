"""One ingester: takes a batch, writes it, acknowledges it once it is committed. Run as many as needed.

What a fault costs: an ingester that dies gives its batch back, the next one writes it again and changes
nothing. While the database is away the ingester takes nothing, so the queue holds what comes; while the
broker is away there is nothing to take, and kits hold it.
"""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

from dashboard.database import DatabaseError
from dashboard.district.queue import QueueError
from dashboard.district.sorting import Batch, Message, sort
from dashboard.district.store import Written

logger = logging.getLogger(__name__)

MOST = 500
"""Messages in a batch."""
LINGER_S = 0.2
"""How long a batch that is not full waits for more."""
TEND_EVERY_S = 3600.0
TELL_EVERY_S = 5.0
BACK_OFF_S = (0.5, 30.0)


class Source(Protocol):
    """Where messages come from; dashboard.district.queue.Intake."""

    def connect(self) -> None: ...
    def take(self, most: int, linger_s: float, patience_s: float) -> Sequence[Message]: ...
    def acknowledge(self, messages: Sequence[Message]) -> None: ...
    def close(self) -> None: ...


class Target(Protocol):
    """Where rows go; dashboard.district.store.Store."""

    def connect(self) -> None: ...
    def write(self, batch: Batch) -> Written: ...
    def tend(self, keep_days: float) -> int: ...
    def close(self) -> None: ...


@dataclass
class Ingester:
    """The loop."""

    source: Source
    target: Target
    keep_days: float
    clock: Callable[[], float] = time.time
    status: Path | None = None
    """A file that says how it goes, for whoever watches."""
    written: Written = field(default_factory=Written)
    batches: int = 0
    again: int = 0
    """Messages that had been given out before."""
    troubles: int = 0
    _tended: float = float("-inf")
    _told: float = float("-inf")

    def run(self, stop: threading.Event) -> None:
        """Until *stop*."""
        failures = 0
        while not stop.is_set():
            try:
                self.target.connect()
                self.source.connect()
                logger.info("ingest: at work")
                while not stop.is_set():
                    self.tend()
                    self.step()
                    failures = 0
            except (DatabaseError, QueueError) as error:  # noqa: PERF203 -- a loop over connections
                failures, self.troubles = failures + 1, self.troubles + 1
                logger.warning("ingest: %s; trying again", error)
                self.source.close()  # what is not acknowledged is somebody else's until then
                stop.wait(min(BACK_OFF_S[1], random.uniform(*_spread(failures))))
        self.source.close()
        self.target.close()
        self._tell()

    def step(self, patience_s: float = 1.0) -> Written:
        """One batch, if there is one. Raises DatabaseError or QueueError; nothing is lost by either."""
        messages = self.source.take(MOST, LINGER_S, patience_s)
        if not messages:
            return Written()
        written = self.target.write(sort(messages, self.clock(), self.keep_days))
        self.source.acknowledge(messages)
        self.written += written
        self.batches += 1
        self.again += sum(message.again for message in messages)
        if written.refused:
            logger.warning("ingest: %d messages went aside, see the table suasana.refused", written.refused)
        return written

    def tend(self) -> None:
        """Make and drop days now and then, and say how it goes."""
        now = time.monotonic()
        if now - self._tended > TEND_EVERY_S:
            self._tended = now
            if dropped := self.target.tend(self.keep_days):
                logger.info("ingest: dropped %d partitions", dropped)
        if now - self._told > TELL_EVERY_S:
            self._told = now
            self._tell()

    def counts(self) -> dict[str, int]:
        """How it went so far."""
        return asdict(self.written) | {
            "batches": self.batches,
            "again": self.again,
            "troubles": self.troubles,
        }

    def _tell(self) -> None:
        if self.status is not None:
            draft = self.status.with_suffix(".new")
            draft.write_text(json.dumps(self.counts()) + "\n", "utf-8")
            draft.replace(self.status)


def _spread(failures: int) -> tuple[float, float]:
    return BACK_OFF_S[0], BACK_OFF_S[0] * 2.0 ** min(failures, 6)
