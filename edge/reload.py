"""SIGHUP: new settings, if they would do, by a fresh process under the same number.

A child process tries the settings first, because what refuses them (a model, a file, a path) is known
only by loading it. If they do, the daemon ends gracefully and replaces itself: a start is what each power cut
tests, and the only way that surely gives back devices, threads and what native runtimes keep. If they do not,
nothing changes.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
TERMINAL = Path("/dev/tty")


class Reload:
    """Listens for SIGHUP; ``tend`` does what it asks for. Owned by the main thread."""

    def __init__(self, stop: threading.Event, command: Sequence[str] | None = None) -> None:
        """Set *stop* once new settings do. *command* is this process's own command line unless given.

        In a terminal SIGHUP means that the terminal is gone, and then nobody may go on watching: it ends.
        """
        self._stop = stop
        self._command = [sys.executable, *sys.orig_argv[1:]] if command is None else list(command)
        self._asked = False
        self._trial: subprocess.Popen[str] | None = None
        self.due = False
        """Whether this process is to be replaced once it has ended gracefully."""
        self.trying = [*self._command, "--check"]
        """What another process has to be told to try settings without opening anything."""
        signal.signal(signal.SIGHUP, self._end if has_terminal() else self._ask)
        signal.pthread_sigmask(
            signal.SIG_UNBLOCK, SIGNALS
        )  # the process before this one may have blocked them

    def tend(self) -> None:
        """Begin or look after a trial of the new settings; returns at once."""
        if self._trial is None:
            if self._asked:
                self._asked = False
                self._trial = subprocess.Popen(  # noqa: S603 -- our own command line
                    self.trying, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
                )
        elif self._trial.poll() is not None:
            _, complaint = self._trial.communicate()
            code, self._trial = self._trial.returncode, None
            if code == 0:
                logger.info("settings: new ones are good; beginning anew with them")
                self.renew()
            else:
                reason = complaint.strip().splitlines()[-1:] or [f"the trial ended with {code}"]
                logger.error("settings: the old ones stay: %s", reason[0].removeprefix("suasana: "))

    def renew(self) -> None:
        """End gracefully and begin anew: what is on the disk has changed and was tried."""
        self.due = True
        self._stop.set()

    def close(self) -> None:
        """End a trial that nobody waits for any more."""
        if self._trial is not None:
            self._trial.kill()
            self._trial.communicate()
            self._trial = None

    def begin_anew(self) -> None:
        """Replace this process, which has ended everything it did. Returns if somebody asked it to stop."""
        # Blocked signals wait through the replacement: one that comes now is obeyed by the process to come.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        if (
            signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
            or signal.getsignal(signal.SIGINT) is signal.SIG_DFL
        ):
            return  # supervisor.stop_flag took a signal meanwhile
        logging.shutdown()
        os.execv(self._command[0], self._command)  # noqa: S606 -- our own command line

    def _ask(self, _number: int, _frame: object) -> None:
        self._asked = True

    def _end(self, _number: int, _frame: object) -> None:
        self._stop.set()


def has_terminal() -> bool:
    """Whether this process hangs on a terminal."""
    try:
        os.close(os.open(TERMINAL, os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
