"""One daemon per state folder: two would share one name, take turns at the broker and spoil one outbox."""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path
from types import TracebackType

from edge.types import SettingsError

logger = logging.getLogger(__name__)

FILE = "daemon.lock"


class Claim:
    """Held for as long as the daemon runs; the kernel lets go of it however the process ends."""

    def __init__(self, folder: Path) -> None:
        """Claim *folder* when the block is entered."""
        self._path = folder / FILE
        self._fd: int | None = None

    def __enter__(self) -> Claim:
        """Take it.

        Raises:
            SettingsError: another daemon has it.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._let_go()
            raise SettingsError(
                f"another kit runs already with the state folder {self._path.parent}"
            ) from None
        except OSError as error:
            logger.warning("%s: %s; a second kit would not be noticed", self._path, error.strerror or error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._let_go()

    def _let_go(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def is_held(folder: Path) -> bool | None:
    """Whether a daemon runs on *folder*; None when we may not look."""
    try:
        fd = os.open(folder / FILE, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(fd)
    return False
