"""The command line: ``suasana demo | run | replay | simulate | dashboard | models | devices | …``."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable

from edge import __version__
from edge.bench import command as bench
from edge.cli import dashboard, demo, devices, doctor, models, practice, replay, run, simulate, switch
from edge.pair import command as pair
from edge.site import command as site
from edge.types import EdgeError

COMMANDS = (
    demo,
    run,
    replay,
    simulate,
    dashboard,
    models,
    devices,
    switch,
    practice,
    doctor,
    bench,
    site,
    pair,
)
"""As the help lists them."""
COMMANDS_HELP = "`suasana COMMAND --help` tells the options of a command"


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit code is 0, or 2 after one line about what was wrong."""
    arguments = parse(argv)
    level = logging.DEBUG if arguments.verbose else arguments.level
    logging.basicConfig(level=level, format="%(levelname)s %(message)s")
    command: Callable[[argparse.Namespace], int] = arguments.run
    try:
        return command(arguments)
    except EdgeError as error:
        print(f"suasana: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `| head` had enough
        return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Arguments, with the function to run as ``run`` and how much it logs by itself as ``level``."""
    parser = argparse.ArgumentParser(
        prog="suasana",
        description="The mood of a room, read on the device and told over MQTT.",
        epilog=COMMANDS_HELP,
    )
    parser.add_argument("--version", action="version", version=f"suasana {__version__}")
    parser.add_argument("--verbose", action="store_true", help="tell more on standard error")
    parser.set_defaults(level=logging.WARNING)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
