"""``suasana doctor``: what is wrong with the kit, and what to do."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from edge.cli.options import add_config
from edge.types import EdgeError


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command; nothing else is imported until it runs."""
    text = (
        "look at every part of the kit and say what is wrong and what to do; exit code 1 if something failed"
    )
    doctor = commands.add_parser("doctor", help=text, description=text)
    add_config(doctor)
    doctor.add_argument("--json", action="store_true", help="for programs, with ids that stay the same")
    doctor.add_argument(
        "--bundle",
        type=Path,
        metavar="FILE",
        help="also write a zip file for a helper, with nothing secret in it",
    )
    doctor.add_argument(
        "--language", choices=["id", "en"], help="id (bahasa Indonesia) or en; default: as $LANG says"
    )
    doctor.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what is found as it is found; 1 when something failed."""
    from edge import bundle, doctor, remote

    if arguments.bundle and arguments.bundle.exists():
        raise EdgeError(f"{arguments.bundle}: is there already")
    installed = remote.INSTALLED if remote.INSTALLED.exists() else None
    patient = doctor.admit(arguments.config or installed)
    region = patient.settings.region if patient.settings else ""
    language = arguments.language or doctor.choose_language(os.environ, region)
    table = doctor.terminal_table(language, is_terminal=sys.stdout.isatty())
    found = []
    for item in doctor.examine(patient):
        found.append(item)
        for line in () if arguments.json else table.lines(item):
            print(line, flush=True)
    report = doctor.report(found)
    print(report.to_json(language) if arguments.json else f"\n{table.summary(found)}")
    if arguments.bundle:
        bundle.write(arguments.bundle, report, patient, language)
        print(f"{arguments.bundle}", file=sys.stderr)
    return 1 if report.failures else 0
