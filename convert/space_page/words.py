"""Every sentence of the page, in Indonesian (id.json) and in English (en.json).

What the page shows holds both languages, and one rule of its style sheet hides the other one: switching keeps
what was read, and the server need not remember it.
"""

from __future__ import annotations

import json
from html import escape
from math import floor
from pathlib import Path
from typing import Literal

Language = Literal["id", "en"]
LANGUAGES: tuple[Language, ...] = ("id", "en")
"""Indonesian first."""

HERE = Path(__file__).resolve().parent
TEXTS: dict[Language, dict[str, str]] = {
    language: json.loads((HERE / f"{language}.json").read_text("utf-8")) for language in LANGUAGES
}


def say(key: str, language: Language, **values: float | str) -> str:
    """The sentence called *key*, plain text; numbers are written as the language writes them."""
    return TEXTS[language][key].format(**{name: _written(value, language) for name, value in values.items()})


def both(key: str, **values: float | str) -> str:
    """HTML with the sentence in both languages, of which the page shows one.

    A value that is itself a key of TEXTS, as a label is, is translated.
    """
    return "".join(
        f'<span class="{language}" lang="{language}">{escape(say(key, language, **values))}</span>'
        for language in LANGUAGES
    )


def percent(share: float) -> str:
    """Whole per cents, rounded down, so that what lies below a limit never looks as if it reached it."""
    return f"{floor(100 * share + 1e-6)}%"


def _written(value: float | str, language: Language) -> str:
    if isinstance(value, str):
        return TEXTS[language].get(value, value)
    text = f"{value:.1f}".removesuffix(".0")
    return text.replace(".", ",") if language == "id" else text
