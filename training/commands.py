"""What the command lines of both models have in common."""

from __future__ import annotations

import argparse
from typing import Any


def add(
    commands: Any, common: argparse.ArgumentParser, name: str, command: Any, text: str
) -> argparse.ArgumentParser:
    """A command called *name* that takes what *common* takes, too; *command* is what it runs."""
    one: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text, parents=[common])
    one.set_defaults(command=command)
    return one
