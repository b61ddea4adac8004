"""``suasana dashboard``: the teacher's page on its own."""

from __future__ import annotations

import argparse
import subprocess
import sys


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command; nothing else is imported until it runs."""
    text = "the teacher's page on its own (python -m dashboard)"
    dashboard = commands.add_parser(
        "dashboard", help=text, description=text, add_help=False, prefix_chars="\0"
    )
    dashboard.add_argument("rest", nargs="*", help="what `python -m dashboard --help` tells")
    dashboard.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Hand over to the dashboard's own command line; edge does not import it."""
    return subprocess.run([sys.executable, "-m", "dashboard", *arguments.rest], check=False).returncode  # noqa: S603
