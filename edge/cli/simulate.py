"""``suasana simulate``: many kits without cameras."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge import numbers
from edge.types import EdgeError


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command; nothing else is imported until it runs."""
    text = "a load test: many kits without cameras in one process, with the real protocol and event code"
    simulate = commands.add_parser(
        "simulate",
        help=text,
        description=f"{text}. Prints a summary as JSON when it ends.",
        epilog="A school: suasana simulate --mqtt mqtt://broker.local. Storms: --kits 1000 --storm 20."
        " Exit code 1: events were dropped, or the broker had not acknowledged them all at the end.",
    )
    simulate.add_argument(
        "--mqtt",
        default="mqtt://127.0.0.1:1883",
        metavar="URL",
        help="mqtt[s]://[user@]host[:port] (%(default)s)",
    )
    simulate.add_argument(
        "--kits", type=numbers.count, default=30, metavar="N", help="how many (%(default)s)"
    )
    simulate.add_argument(
        "--rate",
        type=numbers.positive,
        default=0.2,
        metavar="R",
        help="windows per second and kit, which makes a window 1/R s long (%(default)s)",
    )
    simulate.add_argument(
        "--seconds",
        type=numbers.positive,
        default=60.0,
        metavar="S",
        help="after all have begun (%(default)g)",
    )
    simulate.add_argument(
        "--storm",
        type=numbers.positive,
        default=0.0,
        metavar="S",
        help="cut connections every S seconds; they come back",
    )
    simulate.add_argument(
        "--storm-part",
        type=numbers.part,
        default=1.0,
        metavar="P",
        help="of the kits, 0 to 1 (%(default)g: all)",
    )
    simulate.add_argument(
        "--connects",
        type=numbers.positive,
        default=200.0,
        metavar="C",
        help="kits that begin per second (%(default)g)",
    )
    simulate.add_argument(
        "--names", default="sim-{n}", metavar="PATTERN", help="{n} counts kits, {site} sites (%(default)s)"
    )
    simulate.add_argument(
        "--sites", type=numbers.count, default=1, metavar="M", help="sites for {site} (%(default)s)"
    )
    simulate.add_argument(
        "--first", type=int, default=0, metavar="N", help="number of the first kit (%(default)s)"
    )
    simulate.add_argument("--login", action="store_true", help="each kit's name is its MQTT user")
    simulate.add_argument("--password-file", type=Path, metavar="FILE", help="one password for all of them")
    simulate.add_argument("--ca-file", type=Path, metavar="FILE", help="certificate authority for mqtts://")
    simulate.add_argument(
        "--certificates", type=Path, metavar="DIR", help="the folder clients of a site, with one for each kit"
    )
    simulate.add_argument("--protocol", choices=["auto", "5", "3.1.1"], default="auto", help="of MQTT (auto)")
    simulate.add_argument(
        "--outbox", type=Path, metavar="DIR", help="keep outboxes on disk, as kits do (default: in memory)"
    )
    simulate.add_argument(
        "--ledger", type=Path, metavar="FILE", help="a JSON line for every event, made and acknowledged"
    )
    simulate.add_argument(
        "--steer",
        action="store_true",
        help="read orders from standard input, a line each: `rate R` or `storm`; their end is the load's",
    )
    simulate.add_argument(
        "--patience", type=numbers.positive, default=30.0, metavar="S", help="for the end (%(default)g)"
    )
    simulate.add_argument("--seed", type=int, default=1, help="of what happens in the classes (%(default)s)")
    simulate.add_argument("--quiet", action="store_true", help="no progress bar")
    simulate.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """See edge.simulation."""
    from edge.simulation import run as simulation
    from edge.sinks import Access
    from edge.supervisor import stop_flag

    try:
        password = arguments.password_file.read_text("utf-8").strip() if arguments.password_file else ""
        return simulation.run(
            simulation.Wishes(
                url=arguments.mqtt,
                kits=arguments.kits,
                rate=arguments.rate,
                seconds=arguments.seconds,
                storm_every_s=arguments.storm,
                storm_part=arguments.storm_part,
                connects_per_s=arguments.connects,
                pattern=arguments.names,
                sites=arguments.sites,
                first=arguments.first,
                login=arguments.login,
                access=Access(password, str(arguments.ca_file or ""), arguments.protocol),
                certificates=arguments.certificates,
                outbox=arguments.outbox,
                ledger=arguments.ledger,
                patience_s=arguments.patience,
                seed=arguments.seed,
                quiet=arguments.quiet,
                orders=sys.stdin if arguments.steer else None,
            ),
            stop_flag(),
        )
    except OSError as error:
        raise EdgeError(str(error)) from error
