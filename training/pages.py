"""Tables, pictures and sentences in one order, as Markdown for a terminal and as a page for a browser."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from edge.types import SettingsError

STYLE = Path(__file__).with_name("pages.css")
DENSITY = 1.5625
"""Pixels of a picture per CSS pixel: figures.DPI against the browser's 96."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with what belongs under it; empty parts are left out."""

    title: str
    text: str = ""
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    """Of as many cells as *head*; the first column is text, the others are numbers."""
    picture: str = ""
    """File name beside the page."""
    caption: str = ""


def markdown(sections: Sequence[Section], level: int = 2) -> str:
    """Everything but the pictures, with columns that line up and headings of *level*."""
    return "\n\n".join("\n\n".join(_markdown(one, level)) for one in sections if one.text or one.rows)


def _markdown(section: Section, level: int) -> Iterator[str]:
    yield f"{'#' * level} {section.title}"
    if section.text:
        yield section.text
    if section.rows:
        table = [section.head, *section.rows]
        widths = [max(3, *(len(row[column]) for row in table)) for column in range(len(section.head))]
        lines = [
            [cell.rjust(width) if column else cell.ljust(width) for column, (cell, width) in enumerate(pairs)]
            for pairs in (list(zip(row, widths, strict=True)) for row in table)
        ]
        lines.insert(1, ["-" * widths[0], *(f"{'-' * (width - 1)}:" for width in widths[1:])])
        yield "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write(
    path: Path,
    title: str,
    summary: str,
    sections: Sequence[Section],
    *,
    notice: str = "",
    cards: Sequence[tuple[str, str, str]] = (),
) -> None:
    """Write the page; its pictures lie beside it.

    Args:
        path: of the page.
        title: heading.
        summary: what this is, in a line or two.
        sections: in order.
        notice: a warning before everything else.
        cards: the figures to see first: name, value, and a small line below.

    Raises:
        SettingsError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [
            *_head(title, summary),
            *_lead(notice, cards),
            *_body(sections),
            "</body>",
            "</html>",
        ]
        path.write_text("\n".join(lines) + "\n", "utf-8")
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror or error}") from error


def _head(title: str, summary: str) -> Iterator[str]:
    yield f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<style>\n{STYLE.read_text('utf-8')}</style>"
    yield f"</head>\n<body>\n<h1>{escape(title)}</h1>\n<p class=faint>{escape(summary)}</p>"


def _lead(notice: str, cards: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    if notice:
        yield f"<p class=notice>{escape(notice)}</p>"
    if cards:
        yield "<div class=cards>"
        for name, value, below in cards:
            shown = f"<span>{escape(name)}</span><b>{escape(value)}</b><span>{escape(below)}</span>"
            yield f"<div class=card>{shown}</div>"
        yield "</div>"


def _body(sections: Sequence[Section]) -> Iterator[str]:
    for one in sections:
        yield f"<h2>{escape(one.title)}</h2>"
        if one.text:
            yield f"<p>{escape(one.text)}</p>"
        if one.picture:
            name, caption = escape(one.picture), escape(one.caption)
            # A source, since a browser takes what stands in src at one pixel per CSS pixel.
            source, image = f'<source srcset="{name} {DENSITY}x">', f'<img src="{name}" alt="{caption}">'
            yield f"<figure><picture>{source}{image}</picture><figcaption>{caption}</figcaption></figure>"
        if one.rows:
            yield "<div class=scroll><table>"
            yield f"<tr>{''.join(f'<th>{escape(cell)}</th>' for cell in one.head)}</tr>"
            yield from (f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in one.rows)
            yield "</table></div>"
