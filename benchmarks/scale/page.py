"""docs/scale.md, between its markers."""

from __future__ import annotations

from typing import Any


def write(found: dict[str, Any]) -> None:
    """Write the page."""
