"""What a kit learned in the practice game: a few numbers per sense in one file, and nothing they came from.

The file belongs to a model by name, version and the sha256 of its weights; with any other it is left alone,
for a model may come back. A damaged one is set aside and counts as nothing learned. To forget is to delete
it, which ``suasana practice forget`` can do without the daemon; the daemon looks here several times a second.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

from edge.events import Sense
from edge.manifest import Manifest
from edge.state import durable

logger = logging.getLogger(__name__)

FILE = "learned.json"
"""In the state folder."""
FORMAT = 1
MOST = 2.0
"""No offset in a file may be larger, whoever wrote it."""
ASIDE = ".damaged"
"""What the name of a damaged file ends in."""


@dataclass(frozen=True, slots=True)
class Head:
    """What was learned for one sense."""

    model: str
    """``name@version``."""
    files: Mapping[str, str]
    """The model's weights, sha256 by runtime."""
    offsets: Mapping[str, float]
    """By label, added to the calibrated log-probabilities."""
    rounds: int
    made: str
    """UTC, RFC 3339."""

    def belongs(self, model: Manifest) -> bool:
        """Whether it was learned with *model*, byte for byte."""
        hashes = {runtime: file.sha256 for runtime, file in model.files.items()}
        return self.model == model.id and self.files == hashes and set(self.offsets) == set(model.labels)


@dataclass(slots=True)
class Learned:
    """Written by the daemon's main thread; another process may only take the file away."""

    path: Path
    heads: dict[Sense, Head] = field(default_factory=dict)
    remembered: bool = True
    """Whether a restart finds what ``heads`` holds."""
    _seen: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self.refresh()

    def keep(self, sense: Sense, head: Head) -> None:
        """Use *head* from now on, and after a restart if the disk allows it."""
        self.heads = {**self.heads, sense: head}
        table = {"format": FORMAT, "heads": {name: asdict(one) for name, one in self.heads.items()}}
        try:
            durable.replace(self.path, json.dumps(table, indent=1).encode())
            self.remembered = True
        except OSError as error:
            self.remembered = False
            logger.warning("practice: what was learned cannot be remembered over a restart: %s", error)
        self._seen = self._signature()

    def forget(self) -> bool:
        """Drop everything, on the disk too; whether there was anything.

        Raises:
            OSError: the disk refuses; nothing is used any more all the same.
        """
        had = bool(self.heads)
        self.heads, self.remembered = {}, True
        gone = delete(self.path)
        self._seen = ()
        return had or gone

    def refresh(self) -> bool:
        """Take over what another process did to the file; True if that changed anything."""
        signature = self._signature()
        if signature == self._seen or not self.remembered:
            return False
        before, self.heads = self.heads, self._read() if signature else {}
        self._seen = self._signature()
        return self.heads != before

    def _signature(self) -> tuple[int, ...]:
        try:
            state = self.path.stat()
        except OSError:
            return ()
        return state.st_mtime_ns, state.st_ino, state.st_size

    def _read(self) -> dict[Sense, Head]:
        try:
            return read(self.path)
        except FileNotFoundError:
            return {}
        except OSError as error:
            logger.warning("practice: %s: %s; nothing that was learned is used", self.path, error.strerror)
        except ValueError as error:
            aside = self.path.with_name(self.path.name + ASIDE)
            logger.warning("practice: %s is damaged (%s); set aside as %s", self.path, error, aside.name)
            try:
                self.path.replace(aside)
            except OSError as refused:
                logger.warning("practice: %s: %s", aside, refused.strerror)
        return {}


def read(path: Path) -> dict[Sense, Head]:
    """The heads in the file.

    Raises:
        OSError: it is not there or not readable.
        ValueError: it holds something else; in one line.
    """
    try:
        table = json.loads(path.read_text("utf-8"))
        if table["format"] != FORMAT:
            raise ValueError(f"format {table['format']!r} is not known")
        return {sense: _head(table["heads"][sense]) for sense in get_args(Sense) if sense in table["heads"]}
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not what was learned ({type(error).__name__} {error})") from error


def _head(table: Mapping[str, Any]) -> Head:
    offsets = {str(label): float(value) for label, value in table["offsets"].items()}
    if not offsets or not all(math.isfinite(value) and abs(value) <= MOST for value in offsets.values()):
        raise ValueError(f"offsets are not within {MOST:g}")
    files = {str(runtime): str(sha256) for runtime, sha256 in table["files"].items()}
    return Head(str(table["model"]), files, offsets, int(table["rounds"]), str(table["made"]))


def delete(path: Path) -> bool:
    """Take the file away, and one that was set aside; whether there was one.

    Raises:
        OSError: the disk refuses.
    """
    found = False
    for one in (path, path.with_name(path.name + ASIDE)):
        if one.exists():
            one.unlink()
            found = True
    if found:
        durable.sync_folder(path.parent)
    return found
