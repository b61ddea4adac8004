"""A room's readings as CSV files with a codebook, in one zip. Pure."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from dashboard.lessons import Lesson
from edge.events import format_time
from edge.words import LABELS, UNCERTAIN

SHARES = (*LABELS, UNCERTAIN)

CODEBOOK: Sequence[tuple[str, str, str, str, str]] = (
    ("file", "column", "unit", "meaning", "arti"),
    ("windows", "kit", "", "name of the kit", "nama kit"),
    ("windows", "start", "UTC, RFC 3339", "beginning of the window", "awal jendela waktu"),
    ("windows", "end", "UTC, RFC 3339", "end of the window", "akhir jendela waktu"),
    ("windows", "window_s", "s", "length of the window", "panjang jendela waktu"),
    (
        "windows",
        "mood",
        "label",
        "largest share of the group; a model's guess about the room, not what anybody feels",
        "bagian terbesar kelompok; tebakan model tentang ruangan, bukan perasaan seseorang",
    ),
    (
        "windows",
        "suppressed",
        "reason",
        "why there is no mood: too_few_people, nobody, capture_off; empty when there is one",
        "mengapa tidak ada suasana: too_few_people, nobody, capture_off; kosong bila ada",
    ),
    (
        "windows",
        "confidence",
        "0..1",
        "mean calibrated probability of what is claimed",
        "rata-rata peluang terkalibrasi dari yang dinyatakan",
    ),
    ("windows", "people", "faces", "median of faces in view", "median wajah yang terlihat"),
    *(
        (
            "windows",
            f"share_{label}",
            "0..1",
            f"part of the group read as {label}; all shares of a window sum to 1",
            f"bagian kelompok yang terbaca {label}; jumlah semua bagian adalah 1",
        )
        for label in SHARES
    ),
    ("windows", "lesson", "id", "the lesson that the window lies in", "pelajaran tempat jendela ini berada"),
    (
        "lessons",
        "lesson",
        "id",
        "name of the lesson within this export",
        "pengenal pelajaran dalam ekspor ini",
    ),
    ("lessons", "title", "text", "what it was called", "judulnya"),
    ("lessons", "start", "UTC, RFC 3339", "when it began", "waktu mulai"),
    (
        "lessons",
        "end",
        "UTC, RFC 3339",
        "when it ended; empty: it goes on",
        "waktu selesai; kosong: berlangsung",
    ),
    ("lessons", "consent", "0 or 1", "may be used for research", "boleh dipakai untuk penelitian"),
    ("notes", "at", "UTC, RFC 3339", "the moment that the note is about", "saat yang dicatat"),
    ("notes", "text", "text", "the teacher's words", "kata-kata guru"),
)


def pack(
    kit: str,
    windows: Iterable[Mapping[str, Any]],
    lessons: Sequence[Lesson],
    notes: Sequence[Mapping[str, Any]] | None,
) -> bytes:
    """The zip: windows.csv, lessons.csv, codebook.csv, and notes.csv unless *notes* is None."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("windows.csv", _windows(kit, windows, lessons))
        archive.writestr("lessons.csv", _lessons(lessons))
        archive.writestr("codebook.csv", _table(CODEBOOK))
        if notes is not None:
            rows = [(_time(note["at"]), note["text"]) for note in notes]
            archive.writestr("notes.csv", _table([("at", "text"), *rows]))
    return packed.getvalue()


def _windows(kit: str, windows: Iterable[Mapping[str, Any]], lessons: Sequence[Lesson]) -> str:
    names = [column for file, column, *_ in CODEBOOK if file == "windows"]
    return _table(chain([names], _window_rows(kit, windows, lessons)))


def _window_rows(
    kit: str, windows: Iterable[Mapping[str, Any]], lessons: Sequence[Lesson]
) -> Iterator[Sequence[Any]]:
    for window in windows:
        ends, length = window["ends"], window["window_s"]
        middle = ends - length / 2
        inside = next(
            (
                one.id
                for one in lessons
                if one.starts <= middle < (one.ends if one.ends is not None else ends + 1)
            ),
            "",
        )
        shares = [_number(window["shares"].get(label)) for label in SHARES]
        reading = [
            window["mood"] or "",
            window["suppressed"] or "",
            _number(window["confidence"]),
            window["people"],
        ]
        yield [kit, _time(ends - length), _time(ends), f"{length:g}", *reading, *shares, inside]


def _lessons(lessons: Sequence[Lesson]) -> str:
    rows: list[Sequence[Any]] = [("lesson", "title", "start", "end", "consent")]
    for one in lessons:
        ends = "" if one.ends is None else _time(one.ends)
        rows.append((one.id, one.title, _time(one.starts), ends, int(one.consent)))
    return _table(rows)


def _table(rows: Iterable[Sequence[Any]]) -> str:
    """RFC 4180, with a byte order mark: Excel takes anything else for its own code page."""
    text = io.StringIO()
    csv.writer(text).writerows([_cell(value) for value in row] for row in rows)
    return "\ufeff" + text.getvalue()


def _cell(value: Any) -> Any:
    """A text that a spreadsheet would run as a formula gets an apostrophe before it (CWE-1236)."""
    if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"}:
        return f"'{value}"
    return value


def _time(seconds: float) -> str:
    return format_time(seconds)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
