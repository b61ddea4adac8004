"""Audio blocks in, utterances out: a speech probability per 32 ms, made into stretches by hysteresis.

The probability comes from a gate that is handed in (edge.runtimes.silero); what is here is arithmetic on
it. The answer does not depend on how the sound was cut into blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edge.types import RATE_HZ, AudioBlock, FloatArray, SourceError, Utterance

WINDOW = 512
"""Samples per probability, 32 ms."""


class SpeechGate(Protocol):
    """Tells speech from other sound; remembers what it heard."""

    def __call__(self, window: FloatArray) -> float:
        """Probability of speech in the next WINDOW samples."""
        ...

    def reset(self) -> None:
        """Forget what was heard."""
        ...


@dataclass(frozen=True, slots=True)
class Segmentation:
    """When speech starts and ends. Times are rounded to whole windows of 32 ms."""

    enter: float = 0.5
    """Probability that opens an utterance."""
    leave: float = 0.35
    """Probability under which a window counts as a pause; lower than enter, so that it does not flicker."""
    pause_s: float = 0.3
    """A pause this long ends the utterance."""
    shortest_s: float = 0.4
    """Less speech than this says nothing about its tone and is dropped."""
    longest_s: float = 4.8
    """Longer speech is cut, so that a reading is never later than this."""
    margin_s: float = 0.1
    """Kept before and after: soft onsets and endings lie under the thresholds."""


class SpeechSegmenter:
    """Follows one microphone. Not thread-safe: one lane owns it."""

    def __init__(self, gate: SpeechGate, rules: Segmentation | None = None) -> None:
        """Listen with *gate*, which this segmenter alone may call."""
        rules = rules or Segmentation()
        self._gate, self._enter, self._leave = gate, rules.enter, rules.leave
        self._pause, self._shortest = _windows(rules.pause_s), _windows(rules.shortest_s)
        self._longest, self._margin = _windows(rules.longest_s), _windows(rules.margin_s)
        self.reset()

    def reset(self) -> None:
        """Forget everything: another microphone, or a gap."""
        self._gate.reset()
        self._anchor_s = 0.0
        """Time of sample 0."""
        self._samples = 0
        """Received since the anchor; 0 means that the next block sets it."""
        self._seq = 0
        self._rest: FloatArray = np.zeros(0, np.float32)
        """What does not fill a window yet."""
        self._kept: list[FloatArray] = []
        """The open utterance with its margin; in silence, the last windows that may become a margin."""
        self._first = 0
        """Number of the first kept window since the anchor."""
        self._lead = 0
        """How many of the kept windows are margin."""
        self._quiet = 0
        """How many windows the current pause has lasted."""
        self._speaking = False

    def __call__(self, block: AudioBlock) -> list[Utterance]:
        """The utterances that end in *block*.

        A missing block, or times that do not fit the samples, end the open utterance where it was.

        Raises:
            SourceError: the block is not at 16 kHz.
        """
        if block.rate_hz != RATE_HZ:
            raise SourceError(f"{block.source}: sound at {block.rate_hz} Hz, not {RATE_HZ}")
        found = self.flush() if self._is_gap(block) else []
        if not self._samples:
            self._anchor_s = block.at
        self._seq = block.seq
        self._samples += len(block.samples)
        pending = np.concatenate([self._rest, block.samples])
        whole = len(pending) // WINDOW * WINDOW
        self._rest = pending[whole:]
        for window in pending[:whole].reshape(-1, WINDOW):
            found += self._hear(window)
        return found

    def flush(self) -> list[Utterance]:
        """The open utterance, if it is long enough, as if the sound ended here; then reset."""
        found = self._close() if self._speaking else []
        self.reset()
        return found

    def _is_gap(self, block: AudioBlock) -> bool:
        if not self._samples:
            return False
        expected = self._anchor_s + self._samples / RATE_HZ
        # A quarter of a second lets drivers stamp unevenly; the crystal's drift takes an hour to get there.
        return block.seq != self._seq + 1 or abs(block.at - expected) > 0.25

    def _hear(self, window: FloatArray) -> list[Utterance]:
        probability = self._gate(window)
        self._kept.append(window)
        if not self._speaking:
            if probability >= self._enter:
                self._speaking, self._quiet, self._lead = True, 0, len(self._kept) - 1
            else:
                self._forget(len(self._kept) - self._margin)
            return []
        self._quiet = self._quiet + 1 if probability < self._leave else 0
        if self._quiet >= self._pause:
            found = self._close()
            self._speaking = False
            self._forget(len(self._kept) - self._margin)
            return found
        if len(self._kept) >= self._longest:
            found = self._close()
            # Speech goes on: what follows has no margin, because nothing is counted twice.
            self._forget(len(self._kept))
            self._lead = self._quiet = 0
            return found
        return []

    def _forget(self, windows: int) -> None:
        """Drop the oldest kept windows."""
        if windows > 0:
            del self._kept[:windows]
            self._first += windows

    def _close(self) -> list[Utterance]:
        """The kept windows up to the margin after the last speech, if that is long enough."""
        end = len(self._kept) - self._quiet
        if end - self._lead < self._shortest:
            return []
        samples = np.concatenate(self._kept[: end + min(self._quiet, self._margin)])
        at = self._anchor_s + self._first * WINDOW / RATE_HZ
        return [Utterance(at, len(samples) / RATE_HZ, samples)]


def _windows(seconds: float) -> int:
    return max(1, round(seconds * RATE_HZ / WINDOW))
