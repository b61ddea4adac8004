"""``suasana models``: what is here, and another one in its place."""

from __future__ import annotations

import argparse
import sys

from edge.cli.options import add_config


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command; nothing else is imported until it runs."""
    text = "list, check, install or take back models; set up the weights of others"
    models = commands.add_parser("models", help=text, description=text)
    models.set_defaults(run=run, verb="list", config=None)
    verbs = models.add_subparsers(title="verbs", metavar="VERB")
    for verb, text in (
        ("list", "what is here, and what of it is in use"),
        ("verify", "load every file, judge every signature again"),
        ("fetch", "set up the weights of others"),
        ("install", "put a signed model package into use, on trial"),
        ("rollback", "return to the model before"),
    ):
        one = verbs.add_parser(verb, help=text, description=text)
        one.set_defaults(verb=verb)
        if verb != "fetch":
            add_config(one)
        if verb == "install":
            one.add_argument("source", metavar="FILE_OR_URL", help="of a package; http and https are fetched")
            one.add_argument("--force", action="store_true", help="take an older or a much slower model too")
        if verb == "rollback":
            one.add_argument("name", nargs="?", default="", metavar="NAME", help="of the model")


def run(arguments: argparse.Namespace) -> int:
    """See edge.models.catalogue; ``fetch`` gets the weights of others."""
    from edge import remote
    from edge.models import catalogue, weights

    if arguments.verb == "fetch":
        weights.fetch(told=print)
        return 0
    wanted = remote.settings_of(arguments.config)
    if arguments.verb == "install":
        lines = catalogue.install_model(
            wanted, arguments.source, force=arguments.force, progress=_bar, told=print
        )
    elif arguments.verb == "rollback":
        lines = catalogue.roll_back(wanted, arguments.name)
    else:
        lines = {"list": catalogue.list_models, "verify": catalogue.verify}[arguments.verb](wanted)
    for line in lines:
        print(line)
    return 0


def _bar(done: int, whole: int) -> None:
    """How far a download is, on a terminal."""
    if not sys.stderr.isatty():
        return
    if whole:
        filled = 30 * done // whole
        text = f"[{'#' * filled}{'.' * (30 - filled)}] {done / 1e6:.1f} of {whole / 1e6:.1f} MB"
    else:
        text = f"{done / 1e6:.1f} MB"
    print(f"\r{text}", end="\n" if done == whole else "", file=sys.stderr, flush=True)
