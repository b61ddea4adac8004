"""Which mode the kit is in: the settings say what it may be, a person's choice survives a power cut.

Class mode has to be asked for by name, in the settings, by whoever looks after the kit; nothing that comes
over the network can turn a game into the watching of a class. A kit whose settings say ``class`` may be
switched to ``practice`` and back; one whose settings say ``practice`` plays, and that is all.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import get_args

from edge.events import EventError, Mode
from edge.state import durable

logger = logging.getLogger(__name__)


class ChosenMode:
    """Written by the main thread only; lanes read ``now``."""

    def __init__(self, path: Path, allowed: Mode) -> None:
        """Read the choice kept at *path*; *allowed* is the settings' mode.

        A file that is not readable means practice: nobody is looked at there until somebody plays.
        """
        self._path, self._allowed = path, allowed
        self.now: Mode = "practice" if allowed == "practice" else self._read() or allowed
        self.remembered = True
        """Whether ``now`` would survive a power cut."""

    def set(self, mode: Mode) -> bool:
        """Take *mode* and keep it; True if that changed anything.

        Raises:
            EventError: the settings do not ask for class mode.
        """
        if mode == "class" and self._allowed != "class":
            raise EventError(
                'class mode has to be asked for by name, with mode = "class" in the kit\'s settings'
            )
        if mode == self.now and self.remembered:
            return False
        changed, self.now = mode != self.now, mode
        try:
            durable.replace(self._path, json.dumps({"mode": mode}).encode())
            self.remembered = True
        except OSError as error:
            self.remembered = False
            logger.warning("mode: cannot be remembered over a restart: %s", error)
        return changed

    def _read(self) -> Mode | None:
        """The choice in the file; None where there is no file."""
        try:
            mode = json.loads(self._path.read_text("utf-8"))["mode"]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            logger.warning("mode: %s is not readable (%s)", self._path, error)
            mode = ""
        if mode in get_args(Mode):
            return mode  # type: ignore[no-any-return]
        logger.warning("mode: practice until somebody chooses")
        return "practice"
