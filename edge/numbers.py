"""Numbers on a command line, for argparse's ``type=``: what is wrong with one is said in words."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def number(most: float, what: str) -> Callable[[str], float]:
    """A checker for numbers above 0, up to *most*; *what* says what was asked for."""

    def check(text: str) -> float:
        try:
            found = float(text)
        except ValueError:
            found = 0.0
        if not 0 < found <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no {what}")
        return found

    return check


def whole(least: int, most: int, what: str) -> Callable[[str], int]:
    """A checker for whole numbers from *least* to *most*."""

    def check(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no {what}: {least} to {most}")
        return int(text)

    return check


positive = number(1e6, "number above 0")
part = number(1, "part of 1")
minutes = number(60, "number of minutes up to 60")
days = number(3650, "number of days up to 3650")
"""How long something is kept."""
count = whole(1, 1_000_000, "count")
port = whole(1, 65_535, "port")
free_port = whole(0, 65_535, "port")
"""0 is any that nobody uses."""
