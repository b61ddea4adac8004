"""The pages' HTML: what all of them begin with stands once, in head.html."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from starlette.responses import HTMLResponse

STATIC = Path(__file__).parent / "static"


def page(name: str, **places: str) -> HTMLResponse:
    """The page *name*; *places* are what else it has gaps for, as HTML."""
    return HTMLResponse(filled(name, **places))


@cache
def filled(name: str, **places: str) -> str:
    """The text of a page with each ``<!-- gap -->`` filled."""
    text = (STATIC / f"{name}.html").read_text("utf-8")
    for gap, html in {"head": (STATIC / "head.html").read_text("utf-8").rstrip(), **places}.items():
        text = text.replace(f"<!-- {gap} -->", html)
    return text
