"""``suasana switch``: camera, microphone or all capture, on or off."""

from __future__ import annotations

import argparse
import sys

from edge.cli.options import add_config
from edge.events import Capture
from edge.types import EdgeError


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command; nothing else is imported until it runs."""
    text = "switch camera, microphone or all capture of this machine's kit; without a name, show the switches"
    switch = commands.add_parser("switch", help=text, description=text)
    switch.add_argument("name", nargs="?", choices=["capture", "camera", "microphone"])
    switch.add_argument("value", nargs="?", choices=["on", "off"])
    add_config(switch)
    switch.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Flip or show the switches; 1 when a device that was switched off is still open."""
    from edge import remote

    if arguments.name and not arguments.value:
        raise EdgeError(f"switch {arguments.name}: say on or off")
    wanted = remote.settings_of(arguments.config)
    if not arguments.name:
        _print_switches(remote.current(wanted))
        return 0
    outcome = remote.switch(wanted, arguments.name, arguments.value)
    _print_switches(outcome.capture)
    if outcome.how == "file":
        print(f"Kept for the kit, which looks for it while it runs. It did not answer: {outcome.why}.")
    for source in outcome.still_open:
        print(f"suasana: the {source} is not closed yet; `suasana doctor` tells more", file=sys.stderr)
    return 1 if outcome.still_open else 0


def _print_switches(capture: Capture) -> None:
    for name in ("capture", "camera", "microphone"):
        print(f"{name:<11} {getattr(capture, name)}")
