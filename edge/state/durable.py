"""What is written and named here is on the disk when the call returns: a power cut does not take it back."""

from __future__ import annotations

import os
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Put *data* at *path*. Its name survives a power cut only after ``sync_folder``.

    Raises:
        OSError: the disk refuses.
    """
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace(path: Path, data: bytes) -> None:
    """Put *data* at *path*, in a folder made if need be, whole or not at all, and for good.

    What root writes becomes the folder's owner's, who is the one to read it: a choice made under ``sudo``
    counts for the daemon.

    Raises:
        OSError: the folder or the disk refuses; what was there stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.new")
    try:
        write(draft, data)
        if os.geteuid() == 0:
            owner = path.parent.stat()
            os.chown(draft, owner.st_uid, owner.st_gid)
        draft.replace(path)
        sync_folder(path.parent)  # without this a power cut may bring the old name back
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Names in *folder* survive a power cut.

    Raises:
        OSError: the disk refuses.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
