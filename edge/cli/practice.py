"""``suasana practice``: what the game taught the kit."""

from __future__ import annotations

import argparse

from edge.cli.options import add_config


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command; nothing else is imported until it runs."""
    text = "show what this machine's kit learned in the practice game, or forget it"
    practice = commands.add_parser("practice", help=text, description=text)
    practice.add_argument("what", nargs="?", choices=["forget"])
    add_config(practice)
    practice.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show or forget what was learned."""
    from edge import remote

    wanted = remote.settings_of(arguments.config)
    if arguments.what == "forget":
        outcome = remote.forget(wanted)
        print("Forgotten." if outcome.found else "Nothing was learned.")
        if outcome.why:
            print(f"No kit answered: {outcome.why}. One that runs looks at the file and forgets too.")
        return 0
    heads = remote.learned(wanted)
    for sense, head in heads.items():
        print(f"{sense:<6} {head.model}, {head.rounds} rounds, {head.made}")
        print("       " + ", ".join(f"{label} {value:+.2f}" for label, value in head.offsets.items()))
    if not heads:
        print("Nothing was learned.")
    return 0
