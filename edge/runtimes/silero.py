"""Silero VAD 6 on onnxruntime: how likely it is that 32 ms of sound hold speech.

The file is silero_vad_16k_op15.onnx from the silero-vad package (MIT). It keeps its memory in a state that
is handed back on every call, and wants the last 64 samples of the previous window in front of each one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edge.runtimes.onnx import refusing, start_session
from edge.types import RATE_HZ, FloatArray

WINDOW = 512
"""New samples per call."""
CONTEXT = 64


class SpeechGate:
    """One listener with its memory. Not thread-safe: one lane owns it."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._rate = np.array(RATE_HZ, np.int64)
        self._state: FloatArray = np.zeros((2, 1, 128), np.float32)
        self._context: FloatArray = np.zeros(CONTEXT, np.float32)

    def __call__(self, window: FloatArray) -> float:
        """Probability of speech in the next 512 samples.

        Sound that is not finite counts as no speech, and the memory starts afresh after it.
        """
        if not np.isfinite(window).all():
            self.reset()
            return 0.0
        heard = np.concatenate([self._context, window])
        feed = {"input": heard[None], "state": self._state, "sr": self._rate}
        output, self._state = self._session.run(None, feed)
        self._context = heard[-CONTEXT:]
        return float(output[0, 0])

    def reset(self) -> None:
        """Forget what was heard."""
        self._state = np.zeros((2, 1, 128), np.float32)
        self._context = np.zeros(CONTEXT, np.float32)


def open(path: Path) -> SpeechGate:
    """Load the file, already checked against its sha256.

    Raises:
        ModelError: onnxruntime is not installed, or the file is not Silero's.
    """
    with refusing(path, "Silero VAD file"):
        gate = SpeechGate(start_session(path, threads=1))
        gate(np.zeros(WINDOW, np.float32))
    gate.reset()
    return gate
