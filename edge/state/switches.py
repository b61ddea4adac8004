"""The capture switches: what a person chose survives a power cut, and off means the device is closed."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal, get_args

from edge.events import Capture, Switch
from edge.state import durable

logger = logging.getLogger(__name__)

Name = Literal["capture", "camera", "microphone"]


class Switches:
    """Written by the main thread only; lanes read ``now``, which is replaced as a whole.

    ``suasana switch`` may write the same file when there is no broker to send a command through. It is put in
    place whole, so that a reader finds the old choice or the new one.
    """

    def __init__(self, path: Path) -> None:
        """Read the choice kept at *path*; a torn or foreign file counts as everything off.

        Off is the safe reading: nobody is filmed because a file was damaged.
        """
        self._path = path
        self._seen = self._signature()
        self.now = self._read() or Capture(capture="on", camera="on", microphone="on")
        self.remembered = True
        """Whether ``now`` would survive a power cut."""

    def set(self, name: Name, value: Switch) -> bool:
        """Flip one switch and keep it; True if that changed anything."""
        self.refresh()
        changed = replace(self.now, **{name: value})
        if changed == self.now and self.remembered:
            return False
        self.now, before = changed, self.now  # first obey, then remember: a full disk must not keep it on
        try:
            durable.replace(self._path, json.dumps(asdict(changed)).encode())
            self.remembered = True
        except OSError as error:
            self.remembered = False
            logger.warning("switches: cannot be remembered over a restart: %s", error)
        self._seen = self._signature()
        return changed != before

    def refresh(self) -> bool:
        """Take over what another process wrote; True if that changed anything."""
        signature = self._signature()
        if signature == self._seen:
            return False
        self._seen = signature
        now = self._read() or self.now  # a file that was taken away is no choice
        changed, self.now = now != self.now, now
        return changed

    def allows(self, name: Literal["camera", "microphone"]) -> bool:
        """Whether the device may be open."""
        return self.now.capture == "on" and getattr(self.now, name) == "on"

    def _signature(self) -> tuple[int, ...]:
        """Differs after every write; empty where there is no file."""
        try:
            state = self._path.stat()
        except OSError:
            return ()
        return state.st_mtime_ns, state.st_ino, state.st_size

    def _read(self) -> Capture | None:
        """The choice in the file; None where there is no file."""
        try:
            return _choice(self._path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            logger.warning("switches: %s is not readable (%s)", self._path, error)
        logger.warning("switches: everything stays off until somebody switches it on")
        return Capture(capture="off", camera="off", microphone="off")


def damage(path: Path) -> str:
    """What is wrong with the file at *path*; empty where it is in order or not there yet."""
    try:
        _choice(path)
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def _choice(path: Path) -> Capture:
    """The switches in the file.

    Raises:
        OSError: it is not there or not readable.
        ValueError: it holds something else.
    """
    try:
        capture = Capture(**json.loads(path.read_text("utf-8")))
    except (TypeError, RecursionError) as error:
        raise ValueError("no switches in it") from error
    if not all(getattr(capture, name) in get_args(Switch) for name in get_args(Name)):
        raise ValueError("a switch is neither on nor off")
    return capture
