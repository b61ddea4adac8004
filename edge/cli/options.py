"""Options that several commands have."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_config(parser: argparse.ArgumentParser) -> None:
    """The settings of a kit that is installed here."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="settings of the kit (default: /etc/suasana/kit.toml where there is one)",
    )
