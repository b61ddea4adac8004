"""``suasana devices``: what is plugged in."""

from __future__ import annotations

import argparse
import json
import sys


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command; nothing else is imported until it runs."""
    text = "cameras and microphones that can be opened here, with the URI for the settings"
    devices = commands.add_parser("devices", help=text, description=text)
    devices.add_argument("--json", action="store_true", help="for programs: a list of kind, name, uri")
    devices.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """List what is plugged in, under names that survive a replug."""
    from edge.sources import cameras_here, microphones_here

    found = [("camera", device) for device in cameras_here()]
    found += [("microphone", device) for device in microphones_here()]
    if arguments.json:
        print(json.dumps([{"kind": kind, "name": device.name, "uri": device.uri} for kind, device in found]))
        return 0
    for kind, device in found:
        print(f"{kind:<11} {device.name:<40} {device.uri}")
    for kind, advice in (
        ("camera", "plug one in, or see whether this user is in the group video"),
        ("microphone", "plug one in, install PyAudio, or see whether this user is in the group audio"),
    ):
        if kind not in dict(found):
            print(f"no {kind} found: {advice}", file=sys.stderr)
    return 0
