"""Tables on disk: written whole or not at all, read as spreadsheets of any country save them."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from edge.types import SettingsError

Row = dict[str, str]

_SEPARATORS = ";,\t"
_HEADER_WITHIN = 20
"""Lines in which the row of column names must stand."""


def write(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write a table in plain CSV; a kill, a full disk or a power cut leaves the previous one.

    Raises:
        SettingsError: the disk refused.
    """
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_bytes(path, text.getvalue().encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        SettingsError: the disk refused.
    """
    draft = path.with_name(f"{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # else the new name may outlive a power cut and its contents not
        draft.replace(path)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be written ({error.strerror or error})") from error


def read(path: Path, columns: Collection[str]) -> tuple[list[str], list[tuple[int, Row]]]:
    """A table that people edit: any separator, any encoding of spreadsheets, odd spacing, remarks on top.

    Args:
        path: the file.
        columns: names that its header must hold; capitals do not matter.

    Returns:
        The remarks above the header, and the rows with their numbers as the spreadsheet shows them. Cells are
        stripped; empty rows and those whose first cell begins with ``#`` are left out.

    Raises:
        SettingsError: missing, no CSV, or no such header.
    """
    lines = _text(path)
    for separator in _SEPARATORS:
        try:
            cells = [
                [cell.strip() for cell in row] for row in csv.reader(io.StringIO(lines), delimiter=separator)
            ]
        except csv.Error as error:
            raise SettingsError(f"{path}: not a CSV file ({error})") from error
        for place, row in enumerate(cells[:_HEADER_WITHIN]):
            names = [name.lower() for name in row]
            if set(columns) <= set(names):
                remarks = [separator.join(above).strip(separator) for above in cells[:place] if any(above)]
                numbered = enumerate(cells[place + 1 :], place + 2)
                rows = [
                    (number, dict(zip(names, row, strict=False)))
                    for number, row in numbered
                    if _says_something(row)
                ]
                return remarks, [(number, dict.fromkeys(names, "") | row) for number, row in rows]
    raise SettingsError(f"{path}: has no row with the column names {' and '.join(columns)}")


def _says_something(row: Sequence[str]) -> bool:
    return any(row) and not row[0].startswith("#")


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise SettingsError(f"{path}: not found") from None
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror or error}") from error
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise SettingsError(f"{path}: is a spreadsheet's own format; save it as CSV")
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")  # what Excel on Windows calls plain CSV
