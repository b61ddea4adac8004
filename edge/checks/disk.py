"""Is there room, may the kit write where it remembers, and is what it remembers in order?"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edge.checks import Finding, Patient, finding
from edge.kit import OUTBOX
from edge.outbox.look import look
from edge.state.switches import damage

LOW_MB, FULL_MB = 500, 50


def examine(patient: Patient) -> Iterator[Finding]:
    """A line about the folder, one about its disk, and one about each thing in it that is not in order."""
    assert patient.settings is not None
    folder = patient.settings.state_folder
    there = next(path for path in (folder, *folder.parents) if path.exists())
    disk = os.statvfs(there)
    free_mb = disk.f_bavail * disk.f_frsize // 1_000_000
    if disk.f_flag & os.ST_RDONLY:
        yield finding("disk.readonly", folder=str(there))
        return
    if free_mb < FULL_MB:
        yield finding("disk.full", free_mb=free_mb, folder=str(there))
    elif free_mb < LOW_MB:
        yield finding("disk.low", free_mb=free_mb, folder=str(there))
    else:
        yield finding("disk.ok", free_mb=free_mb, folder=str(there))
    yield from _folder(folder)
    yield from _outbox(patient, folder / OUTBOX)


def _folder(folder: Path) -> Iterator[Finding]:
    try:
        list(folder.iterdir())
    except FileNotFoundError:
        yield finding("disk.new", folder=str(folder))
        return
    except PermissionError:
        yield finding("disk.unseen", folder=str(folder))
        return
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"doctor")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        yield finding("disk.unwritable", folder=str(folder), reason=error.strerror or str(error))
        return
    yield finding("disk.writable", folder=str(folder))
    reason = damage(folder / "switches.json")
    if reason:
        yield finding("disk.switches", path=str(folder / "switches.json"), reason=reason)


def _outbox(patient: Patient, path: Path) -> Iterator[Finding]:
    """The kit in operation tells about its own; otherwise the file itself is looked at."""
    if patient.running is not None:
        health = patient.running.health
        if health is not None:
            yield finding("disk.outbox", waiting=health.outbox)
            if (
                health.outbox_keeping == "memory"
                and patient.settings
                and patient.settings.outbox.keep == "disk"
            ):
                yield finding("disk.outbox_memory")
            if health.outbox_damaged:
                yield finding("disk.outbox_aside", count=health.outbox_damaged)
        return
    try:
        sight = look(path)
    except OSError:
        return  # the line about the folder says so
    if sight is None:
        return
    if sight.trouble:
        yield finding("disk.outbox_damaged", path=str(path), reason=sight.trouble)
    else:
        yield finding("disk.outbox", waiting=sight.waiting)
    if sight.aside:
        yield finding("disk.outbox_aside", count=sight.aside)
