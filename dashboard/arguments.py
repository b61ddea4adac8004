"""Words of the command line that the page's and the district's commands share."""

from __future__ import annotations

import argparse


def days(text: str) -> float:
    """How long something is kept, in days, up to ten years.

    Raises:
        argparse.ArgumentTypeError: it is no such number.
    """
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 < number <= 3650:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days up to 3650")
    return number
