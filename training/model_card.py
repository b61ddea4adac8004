"""The measured part of a MODEL_CARD.md, so that no figure in it is ever typed by hand."""

from __future__ import annotations

from pathlib import Path

from edge.types import ModelError


def refresh(folder: Path, measured: str, part: str = "measured") -> None:
    """Replace what stands between the two marks of a *part* in folder/MODEL_CARD.md by *measured* (Markdown).

    Raises:
        ModelError: there is no card, or it lacks the marks.
    """
    path = folder / "MODEL_CARD.md"
    begin, end = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
    try:
        text = path.read_text("utf-8")
        before, rest = text.split(begin, 1)
        after = rest.split(end, 1)[1]
    except FileNotFoundError:
        raise ModelError(f"{path}: not found, so the figures have no place to stand") from None
    except (ValueError, IndexError):
        raise ModelError(f"{path}: lacks the marks {begin} and {end}") from None
    path.write_text(f"{before}{begin}\n\n{measured.strip()}\n\n{end}{after}", "utf-8")
