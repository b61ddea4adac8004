"""Orders while a load goes on, a line each: ``rate 0.5`` or ``storm``. Their end is the end of the load."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import isfinite
from queue import Empty, SimpleQueue

logger = logging.getLogger(__name__)

STORM = "storm"
RATE = "rate"


@dataclass(frozen=True, slots=True)
class Order:
    """A new rate for all kits, or a storm."""

    rate: float | None = None
    """Windows per second and kit; None is a storm."""


def read_order(line: str) -> Order:
    """One line.

    Raises:
        ValueError: it is no order; the message says what is.
    """
    words = line.split()
    if words == [STORM]:
        return Order()
    if len(words) == 2 and words[0] == RATE:
        try:
            rate = float(words[1])
        except ValueError:
            rate = 0.0
        if isfinite(rate) and rate > 0:
            return Order(rate)
    raise ValueError(f"{line.strip()[:60]!r} is no order: give `{RATE} R` with R above 0, or `{STORM}`")


class Steering:
    """Reads orders on a thread of its own, for reading waits and kits must not."""

    def __init__(self, lines: Iterable[str]) -> None:
        """Begin to read *lines*."""
        self._found: SimpleQueue[Order | None] = SimpleQueue()
        self.ended = False
        """Every order was given, and there will be no more."""
        threading.Thread(target=self._read, args=(lines,), name="steering", daemon=True).start()

    def orders(self) -> Iterator[Order]:
        """What was ordered since the last time."""
        while not self.ended:
            try:
                order = self._found.get_nowait()
            except Empty:
                return
            if order is None:
                self.ended = True
            else:
                yield order

    def _read(self, lines: Iterable[str]) -> None:
        for line in lines:
            try:
                self._found.put(read_order(line))
            except ValueError as error:  # noqa: PERF203 -- the next line may be an order
                logger.warning("simulate: %s", error)
        self._found.put(None)
