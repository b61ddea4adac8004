"""A check in a process of its own: a driver that hangs or a kernel that crashes takes only that with it."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from typing import IO

from edge.checks import Finding, Patient, attempt, finding

PATIENCE_S = 45.0
"""For one check: a slow board loads OpenCV, a runtime and a camera that warms up."""

CODE = "import sys; sys.path[:] = {path!r}; from edge.checks.apart import main; main()"
"""The child gets our module path, and nothing from the folder that it happens to start in."""


class Apart:
    """One check, started at once; ``findings`` waits for it."""

    def __init__(self, name: str, patient: Patient) -> None:
        """Start looking."""
        self._name = name
        self._deadline = time.monotonic() + PATIENCE_S
        self._told: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 -- closed in findings
        self._noise: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(  # noqa: S603 -- our own words
            [sys.executable, "-I", "-c", CODE.format(path=sys.path)],
            stdin=subprocess.PIPE,
            stdout=self._told,
            stderr=self._noise,
        )
        assert self._process.stdin is not None
        with suppress(BrokenPipeError), self._process.stdin as pipe:  # it may be dead already
            pickle.dump((name, patient), pipe)

    def findings(self) -> list[Finding]:
        """What the check found, or how it ended."""
        with self._told, self._noise:
            try:
                code = self._process.wait(max(0.0, self._deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._process.kill()  # not waited for: what hangs inside the kernel cannot be killed
                return [finding(f"{self._name}.hung", seconds=round(PATIENCE_S))]
            if code == 0:
                self._told.seek(0)
                last = self._told.read().decode("utf-8").splitlines()[-1]
                return [Finding(id, values) for id, values in json.loads(last)]
            self._noise.seek(0)
            lines = self._noise.read().decode("utf-8", "replace").strip().splitlines()
            reason = f"signal {-code}" if code < 0 else (lines or [f"exit code {code}"])[-1][:200]
            return [finding(f"{self._name}.crashed", reason=reason)]


def main() -> None:
    """In the child: read who is to be looked at, and print what was found as the last line."""
    name, patient = pickle.load(sys.stdin.buffer)  # noqa: S301 -- from our own parent
    found = [(item.id, dict(item.values)) for item in attempt(name, patient)]
    print(f"\n{json.dumps(found)}", flush=True)  # noqa: T201
