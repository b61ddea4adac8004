"""``suasana replay``: recordings, as fast as they can be read."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command; nothing else is imported until it runs."""
    text = "read recordings as fast as possible and print the events; publishes nothing"
    replay = commands.add_parser("replay", help=text, description=text)
    replay.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="a video, photo or folder, and/or a sound"
    )
    replay.add_argument(
        "--jsonl", action="store_true", help="one JSON event a line instead of a line for people"
    )
    replay.add_argument(
        "--config", type=Path, metavar="FILE", help="settings; sources and broker are not used"
    )
    replay.add_argument(
        "--min-people",
        type=int,
        metavar="N",
        help="smallest group to speak about (default: 0, for nothing leaves this terminal; a kit takes 5)",
    )
    replay.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the events of recordings."""
    from edge import offline, settings
    from edge.sinks import open_sink

    wanted = settings.load(arguments.config) if arguments.config else settings.Settings()
    wanted = replace(wanted, mood=replace(wanted.mood, min_people=arguments.min_people or 0))
    with open_sink("jsonl:-" if arguments.jsonl else "console:", kit="replay") as sink:
        for event in offline.replay(wanted, arguments.files):
            sink.publish(event)
    return 0
