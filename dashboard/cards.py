"""Model cards, read from beside this package or from where ``pip install`` put the models."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
LONGEST = 200_000


def card_folders() -> tuple[Path, ...]:
    """Where models are looked for, in order."""
    return Path(__file__).resolve().parent.parent / "models", Path(
        sys.prefix
    ) / "share" / "suasana" / "models"


def find_card(folders: Iterable[Path], name: str) -> str | None:
    """The card of the model called *name* (without its version), or None where there is none."""
    if not NAME.fullmatch(name):
        return None
    for folder in folders:
        card = folder / name / "MODEL_CARD.md"
        if card.is_file():
            return card.read_text("utf-8", "replace")[:LONGEST]
    return None
