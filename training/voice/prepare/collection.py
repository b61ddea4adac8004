"""The folder in which recordings become training data: clips, who speaks, who said what about them.

``manifest.csv`` has the columns of the speech corpora's own, so that training reads the folder as it is, and
four more: recording, start_s, end_s, split. Columns that somebody added stay.
"""

from __future__ import annotations

import csv
import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edge.types import SettingsError
from training.voice.prepare import tables
from training.voice.prepare.tables import Row

CORPUS_COLUMNS = (
    "path",
    "corpus",
    "language",
    "speaker",
    "sex",
    "emotion",
    "emotion5",
    "text_id",
    "licence",
    "intensity",
    "duration_s",
    "src_rate",
    "src_path",
)
COLUMNS = (*CORPUS_COLUMNS, "recording", "start_s", "end_s", "split")
SEVERAL = "+"
"""Between the names of people who speak in one recording."""


def read(folder: Path) -> list[Row]:
    """The rows of the folder's manifest; none where nothing was cut yet.

    Raises:
        SettingsError: the manifest is damaged or another kind of table.
    """
    path = folder / "manifest.csv"
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (table.fieldnames or ())]
            rows = list(table)
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(f"{path}: not a readable manifest ({error})") from error
    if missing:
        raise SettingsError(f"{path}: lacks {', '.join(missing)}; `voice prepare cut` writes such a manifest")
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise SettingsError(f"{path}, row {number}: torn, not as many cells as columns")
    return rows


def read_cut(folder: Path) -> list[Row]:
    """As ``read``, for what needs clips.

    Raises:
        SettingsError: there are none.
    """
    rows = read(folder)
    if not rows:
        raise SettingsError(f"{folder}: holds no clips; `voice prepare cut` makes some")
    return rows


def write(folder: Path, rows: Sequence[Row]) -> None:
    """Write the manifest whole or not at all; SettingsError where the disk refuses."""
    columns = dict.fromkeys([*COLUMNS, *(name for row in rows for name in row)])
    tables.write(folder / "manifest.csv", list(columns), rows)


def clip_name(row: Row) -> str:
    """What a clip is called in sheets and votes."""
    return Path(row["path"]).stem


def speakers(row: Row) -> list[str]:
    """Everybody who speaks in the clip's recording, as far as it is known."""
    return [name for name in (part.strip() for part in row["speaker"].split(SEVERAL)) if name]


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other commands from changing the folder meanwhile; a kill ends this too.

    Raises:
        SettingsError: another command is at it, or the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise SettingsError(f"{folder}: {error.strerror or error}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise SettingsError(f"{folder}: another command is changing it, wait for its end") from error
        yield
