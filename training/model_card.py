"""The measured part of a MODEL_CARD.md, so that no figure in it is ever typed by hand."""

from __future__ import annotations

from pathlib import Path

from edge.types import ModelError

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def refresh(folder: Path, measured: str) -> None:
    """Replace what stands between the two marks in folder/MODEL_CARD.md by *measured* (Markdown).

    Raises:
        ModelError: there is no card, or it lacks the marks.
    """
    path = folder / "MODEL_CARD.md"
    try:
        text = path.read_text("utf-8")
        before, rest = text.split(BEGIN, 1)
        after = rest.split(END, 1)[1]
    except FileNotFoundError:
        raise ModelError(f"{path}: not found, so the figures have no place to stand") from None
    except (ValueError, IndexError):
        raise ModelError(f"{path}: lacks the marks {BEGIN} and {END}") from None
    path.write_text(f"{before}{BEGIN}\n\n{measured.strip()}\n\n{END}{after}", "utf-8")
