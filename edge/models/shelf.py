"""Installed models: which version is in use, which one before it, and whether it is still on trial.

    <state folder>/models/<name>/<version>/   model.toml, weights, golden.toml, card, the package they came in
    <state folder>/models/<name>/state.json   the only truth about which of them counts

state.json is replaced as a whole, after everything it names lies on the disk for good. A power cut therefore
leaves the old model or the new one in use, never a part of one.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edge.state import durable
from edge.types import ModelError

logger = logging.getLogger(__name__)

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
VERSION = re.compile(r"(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})")
PACKAGE = "package.suasana"
"""The signed file as it came, so that ``models verify`` can judge the signature again."""
MOST_STARTS = 3
"""So often may a model on trial be cut off in its first minutes, by power cuts, before it is given up."""
LONGEST_REASON = 200

Order = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Trial:
    """A new model has yet to prove itself."""

    cut_off: int = 0
    """Starts that ended without a word."""
    boot: str = ""
    """The machine's boot in which a start is under way; empty when none is."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of one model's name; the empty version is the shipped model."""

    current: str = ""
    previous: str = ""
    """Where a rollback leads."""
    over: str = ""
    """Version of the shipped model when ``current`` was installed."""
    highest: str = ""
    """Highest version ever installed: an older package is not taken for an update."""
    trial: Trial | None = None
    failed: str = ""
    """Version that was given up, until another one is installed."""
    why: str = ""


class Shelf:
    """The folder of installed models. Several processes may use it at once."""

    def __init__(self, folder: Path) -> None:
        """Nothing is read or made before it is needed."""
        self.folder = folder

    def names(self) -> list[str]:
        """Every name of which something was ever installed."""
        return sorted(path.parent.name for path in self.folder.glob("*/state.json"))

    def record(self, name: str) -> Record:
        """What is known of *name*; a damaged file counts as nothing installed: the shipped model is used."""
        path = self.folder / name / "state.json"
        try:
            return _read(json.loads(path.read_bytes()))
        except FileNotFoundError:
            return Record()
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            logger.warning("models: %s is not readable (%s); the shipped model is used", path, error)
            # Whatever lies there was once the highest: an attacker gains nothing by damage.
            versions = sorted((path.name for path in self._versions(name)), key=order)
            return Record(highest=versions[-1] if versions else "")

    def place(self, name: str, version: str) -> Path:
        """Folder of an installed version."""
        return self.folder / name / version

    def candidates(self, name: str, shipped: str) -> list[str]:
        """Versions to use, best first; the empty one, the shipped model, is always among them.

        Args:
            name: of the model.
            shipped: version of the shipped model of that name; empty where there is none.
        """
        record = self.record(name)
        current = record.current
        newer = VERSION.fullmatch(shipped) and shipped != record.over
        if current and newer and order(shipped) > order(current):
            current = ""  # the software was updated and brought a newer one
        wanted = [current, record.previous, ""] if current else [""]
        return [
            version for version in dict.fromkeys(wanted) if not version or self.place(name, version).is_dir()
        ]

    # ── Installing ───────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def draft(self, files: Mapping[str, bytes]) -> Iterator[Path]:
        """A folder with *files*, on the disk for good; gone at the end unless ``adopt`` took it.

        Raises:
            ModelError: another installation is under way, or the disk refuses.
        """
        with self._refusing(), self._lock("install.lock", wait=False):
            for left in self.folder.glob(".draft-*"):
                shutil.rmtree(left)  # of an installation that was cut off
            folder = Path(tempfile.mkdtemp(prefix=".draft-", dir=self.folder))
            try:
                folder.chmod(0o755)
                for name, data in files.items():
                    durable.write(folder / name, data)
                durable.sync_folder(folder)
                yield folder
            finally:
                for left in self.folder.glob(f"{folder.name}*"):
                    shutil.rmtree(left, ignore_errors=True)

    def adopt(self, draft: Path, name: str, version: str, *, over: str) -> None:
        """Make the drafted folder the version in use, on trial. The last confirmed one stays to return to.

        Raises:
            ModelError: the disk refuses.
        """
        target = self.place(name, version)
        with self._refusing():
            target.parent.mkdir(exist_ok=True)
            if not _same(draft, target):
                if target.is_dir():  # damaged, or of an installation that was cut off
                    target.rename(draft.with_name(f"{draft.name}-old"))
                draft.rename(target)
            self._own(target.parent)
            durable.sync_folder(target.parent)
            durable.sync_folder(self.folder)
            self._change(name, lambda record: _switched(record, version, over))
            self._tidy(name)

    def roll_back(self, name: str, *, version: str = "", why: str = "") -> Record:
        """Return to the version before; with *version*, only if that one is still in use.

        Raises:
            ModelError: nothing is installed, or the disk refuses.
        """
        if not self.record(name).current:
            raise ModelError(f"{name}: the shipped model is in use; there is nothing to roll back")

        def change(record: Record) -> Record:
            if not record.current or (version and record.current != version):
                return record
            return replace(
                record,
                current=record.previous,
                previous="",
                trial=None,
                failed=record.current if why else "",
                why=" ".join(why.split())[:LONGEST_REASON],
            )

        with self._refusing():
            return self._change(name, change)

    # ── Trial ────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, name: str, version: str, boot: str) -> str:
        """A start with *version* begins; if that is on trial, it is noted before the model is touched.

        Args:
            name: of the model.
            version: that is about to be loaded.
            boot: of the machine. A start that ended without a word in the same boot was a crash; in another
                one it was a power cut, which happens to good models too.

        Returns:
            Why the model must be given up; empty if it may be tried.

        Raises:
            ModelError: the disk refuses.
        """
        record = self.record(name)
        if record.current != version or record.trial is None:
            return ""
        if record.trial.boot == boot:
            return "the program ended in its first minutes without a word"
        cut_off = record.trial.cut_off + bool(record.trial.boot)
        if cut_off >= MOST_STARTS:
            return f"{cut_off} starts were cut off in their first minutes"
        self._change_trial(name, version, Trial(cut_off, boot))
        return ""

    def settle(self, name: str, version: str) -> None:
        """The start under way lasted, or ended in good order; the trial goes on."""
        self._change_trial(name, version, Trial())

    def pause(self, name: str, version: str) -> None:
        """The start under way ended early, in good order: it counts neither for the model nor against it."""
        trial = self.record(name).trial
        self._change_trial(name, version, Trial(trial.cut_off if trial else 0))

    def confirm(self, name: str, version: str) -> None:
        """The model proved itself."""
        self._change_trial(name, version, None)

    def _change_trial(self, name: str, version: str, trial: Trial | None) -> None:
        def change(record: Record) -> Record:
            return (
                record if record.current != version or record.trial is None else replace(record, trial=trial)
            )

        with self._refusing():
            self._change(name, change)

    # ── The disk ─────────────────────────────────────────────────────────────────────────────────────

    def _change(self, name: str, change: Callable[[Record], Record]) -> Record:
        """Replace one record as a whole; readers see the old one or the new one."""
        path = self.folder / name / "state.json"
        with self._lock("state.lock", wait=True):
            old = self.record(name)
            new = change(old)
            if new != old:
                self._own(path.parent)
                durable.replace(path, json.dumps(asdict(new), indent=1).encode() + b"\n")
        return new

    def _tidy(self, name: str) -> None:
        """Remove the versions that no rollback leads to."""
        record = self.record(name)
        for path in self._versions(name):
            if path.name not in (record.current, record.previous):
                shutil.rmtree(path, ignore_errors=True)

    def _versions(self, name: str) -> list[Path]:
        return [path for path in (self.folder / name).glob("*.*.*") if VERSION.fullmatch(path.name)]

    @contextmanager
    def _lock(self, name: str, *, wait: bool) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._own(self.folder)
        with (self.folder / name).open("w") as file:
            self._own(self.folder / name)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise ModelError("another installation is under way") from None
            yield

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ModelError(f"{error.filename or self.folder}: {error.strerror or error}") from error

    def _own(self, path: Path) -> None:
        """Under ``sudo`` the files become those of whom the state folder belongs to: the daemon's user."""
        if os.geteuid() != 0:
            return
        owner = self.folder.parent.stat()
        for one in (path, *path.rglob("*")) if path.is_dir() else (path,):
            os.chown(one, owner.st_uid, owner.st_gid, follow_symlinks=False)


def order(version: str) -> Order:
    """A version as it sorts.

    Raises:
        ModelError: it is not three whole numbers.
    """
    match = VERSION.fullmatch(version)
    if match is None:
        raise ModelError(f"version {version[:30]!r} is not three whole numbers like 1.2.0")
    return int(match[1]), int(match[2]), int(match[3])


def _switched(record: Record, version: str, over: str) -> Record:
    if version == record.current:
        return record  # the same bytes again: what was proved stays proved
    # A model on trial is nothing to return to: the one before it is.
    previous = record.previous if record.trial else record.current
    highest = version if not record.highest or order(version) > order(record.highest) else record.highest
    return Record(
        current=version,
        previous="" if previous == version else previous,
        over=over,
        highest=highest,
        trial=Trial(),
    )


def _read(table: Any) -> Record:
    trial = table.pop("trial")
    record = Record(**table, trial=None if trial is None else Trial(**trial))
    texts = (record.current, record.previous, record.over, record.highest, record.failed)
    if not all(text == "" or (isinstance(text, str) and VERSION.fullmatch(text)) for text in texts):
        raise ValueError("a version is none")
    if record.trial and not (type(record.trial.cut_off) is int and isinstance(record.trial.boot, str)):
        raise ValueError("the trial is none")
    return record


def _same(folder: Path, other: Path) -> bool:
    """Whether two folders hold the same files, byte for byte."""
    names = sorted(path.name for path in folder.iterdir())
    try:
        return names == sorted(path.name for path in other.iterdir()) and all(
            (folder / name).read_bytes() == (other / name).read_bytes() for name in names
        )
    except OSError:
        return False
