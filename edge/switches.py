"""The capture switches: what a person chose survives a power cut, and off means the device is closed."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal, get_args

from edge.events import Capture, Switch

logger = logging.getLogger(__name__)

Name = Literal["capture", "camera", "microphone"]


class Switches:
    """Written by the main thread only; lanes read ``now``, which is replaced as a whole."""

    def __init__(self, path: Path) -> None:
        """Read the choice kept at *path*; a torn or foreign file counts as everything off.

        Off is the safe reading: nobody is filmed because a file was damaged.
        """
        self._path = path
        self.now = self._read()

    def set(self, name: Name, value: Switch) -> bool:
        """Flip one switch and keep it; True if that changed anything."""
        changed = replace(self.now, **{name: value})
        if changed == self.now:
            return False
        self.now = changed  # first obey, then remember: a full disk must not keep the camera on
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            draft = self._path.with_suffix(".new")
            with draft.open("w", encoding="utf-8") as file:
                json.dump(asdict(changed), file)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
        except OSError as error:
            logger.warning("switches: cannot be remembered over a restart: %s", error)
        return True

    def allows(self, name: Literal["camera", "microphone"]) -> bool:
        """Whether the device may be open."""
        return self.now.capture == "on" and getattr(self.now, name) == "on"

    def _read(self) -> Capture:
        try:
            table = json.loads(self._path.read_text("utf-8"))
            capture = Capture(**table)
            if all(getattr(capture, name) in get_args(Switch) for name in get_args(Name)):
                return capture
        except FileNotFoundError:
            return Capture(capture="on", camera="on", microphone="on")
        except (OSError, ValueError, TypeError) as error:
            logger.warning("switches: %s is not readable (%s)", self._path, error)
        logger.warning("switches: everything stays off until somebody switches it on")
        return Capture(capture="off", camera="off", microphone="off")
