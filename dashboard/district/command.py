"""The command line: ``python -m dashboard.district setup | queue | site | kits | ingest | tend``."""

from __future__ import annotations

import argparse
import json
import logging
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dashboard.database import DatabaseError
from dashboard.district.sites import SiteError, check_kit, check_site, definitions, hash_password, page_of
from edge.numbers import days

if TYPE_CHECKING:
    from dashboard.district.queue import Broker

PASSWORD = "SUASANA_AMQP_PASSWORD"  # noqa: S105 -- the variable's name
DATABASE = "postgresql:///suasana"
BROKER = "amqp://suasana_ingest@127.0.0.1"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb.

    Returns:
        0, or 2 after one line about what was wrong.
    """
    wishes = _parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    try:
        _check(wishes)
        run: Callable[[argparse.Namespace], None] = wishes.run
        run(wishes)
    except (DatabaseError, SiteError, ValueError, OSError) as error:
        print(f"district: {error}", file=sys.stderr)
        return 2
    except ImportError as error:
        print(f"district: {error.name} is missing: pip install 'suasana[district]'", file=sys.stderr)
        return 2
    return 0


def _check(wishes: argparse.Namespace) -> None:
    if "database" in wishes and urlsplit(wishes.database).password is not None:
        raise SiteError("a password does not belong in an address; set PGPASSWORD or use ~/.pgpass")


def set_up(wishes: argparse.Namespace) -> None:
    """Tables, roles, policies."""
    from dashboard.district.store import Store  # noqa: PLC0415 -- optional drivers

    with closing(Store(wishes.database, clock=time.time)) as store:
        store.connect()
        store.set_up()
        store.tend(wishes.keep_days)
    print("set up: schema suasana, roles suasana_ingest and suasana_site")


def make_queue(wishes: argparse.Namespace) -> None:
    """The queues at the broker."""
    from dashboard.district.queue import Intake, QueueError  # noqa: PLC0415

    try:
        with closing(Intake(_broker(wishes))) as intake:
            intake.connect()
            intake.declare(wishes.nodes, wishes.limit_mb, wishes.queues)
            what = "queue" if wishes.queues == 1 else f"{wishes.queues} queues"
            print(f"{what} declared; {intake.waiting()} messages wait")
    except QueueError as error:
        raise OSError(str(error)) from error


def add_sites(wishes: argparse.Namespace) -> None:
    """Role and schema for each site, and its page's user as definitions for the broker."""
    from dashboard.district.store import Store  # noqa: PLC0415

    pages = {}
    with closing(Store(wishes.database, clock=time.time)) as store:
        store.connect()
        for site in wishes.names:
            password = secrets.token_urlsafe(18)
            store.add_site(check_site(site), password)
            pages[site] = hash_password(password, secrets.token_bytes(4))
            _put(wishes.secrets / f"{page_of(site)}.password", password)
    _put(wishes.definitions, json.dumps(definitions({}, pages), indent=1))
    print(f"rabbitmqctl import_definitions {wishes.definitions}")


def add_kits(wishes: argparse.Namespace) -> None:
    """Users for kits, as definitions for the broker."""
    hashes = {}
    for kit in wishes.names:
        password = secrets.token_urlsafe(18)
        hashes[check_kit(kit)] = hash_password(password, secrets.token_bytes(4))
        _put(wishes.secrets / f"{kit}.password", password)
    _put(wishes.definitions, json.dumps(definitions(hashes, {}), indent=1))
    print(f"rabbitmqctl import_definitions {wishes.definitions}")


def ingest(wishes: argparse.Namespace) -> None:
    """One ingester until SIGTERM or SIGINT."""
    from dashboard.district.ingest import Ingester  # noqa: PLC0415
    from dashboard.district.queue import Intake  # noqa: PLC0415
    from dashboard.district.store import Store  # noqa: PLC0415

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    ingester = Ingester(
        Intake(_broker(wishes)),
        Store(wishes.database, clock=time.time),
        wishes.keep_days,
        status=wishes.status,
    )
    ingester.run(stop)
    print(json.dumps(ingester.counts()))


def tend(wishes: argparse.Namespace) -> None:
    """Make the next days and drop the old ones."""
    from dashboard.district.store import Store  # noqa: PLC0415

    with closing(Store(wishes.database, clock=time.time)) as store:
        store.connect()
        print(f"dropped {store.tend(wishes.keep_days)} partitions")


def _broker(wishes: argparse.Namespace) -> Broker:
    from dashboard.district.queue import parse_broker  # noqa: PLC0415

    if wishes.amqp_key and Path(wishes.amqp_key).stat().st_mode & 0o007:
        raise OSError(f"{wishes.amqp_key}: every user may read it: chmod 600 {wishes.amqp_key}")
    files = {"ca_file": wishes.amqp_ca, "cert_file": wishes.amqp_cert, "key_file": wishes.amqp_key}
    return replace(parse_broker(wishes.amqp, os.environ.get(PASSWORD)), **files)


def _put(path: Path, text: str) -> None:
    """A file that only its owner reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(text + "\n")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m dashboard.district",
        description="Many schools on one RabbitMQ cluster and one PostgreSQL; see docs/scale.md.",
        epilog=f"The broker's password is read from {PASSWORD}, the database's from PGPASSWORD or ~/.pgpass.",
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    database = argparse.ArgumentParser(add_help=False)
    database.add_argument("--database", default=DATABASE, metavar="URL", help="(%(default)s)")
    keep = argparse.ArgumentParser(add_help=False)
    keep.add_argument(
        "--keep-days",
        type=days,
        default=30.0,
        metavar="N",
        help="how long the district keeps anything (%(default)g)",
    )
    amqp = argparse.ArgumentParser(add_help=False)
    amqp.add_argument(
        "--amqp",
        default=BROKER,
        metavar="URL",
        help="amqp[s]://[user@]host[:port][,host…][/vhost] (%(default)s)",
    )
    amqp.add_argument("--amqp-ca", metavar="FILE", help="the broker's certificate authority (PEM), for amqps")
    amqp.add_argument("--amqp-cert", metavar="FILE", help="our certificate, where the broker wants one (PEM)")
    amqp.add_argument("--amqp-key", metavar="FILE", help="its private key (PEM)")
    files = argparse.ArgumentParser(add_help=False)
    files.add_argument("names", nargs="+", metavar="NAME")
    files.add_argument(
        "--secrets",
        type=Path,
        default=Path("secrets"),
        metavar="DIR",
        help="one password file each (%(default)s)",
    )
    files.add_argument(
        "--definitions", type=Path, default=Path("definitions.json"), metavar="FILE", help="(%(default)s)"
    )
    for name, text, run, parents in (
        ("setup", "make or complete tables, roles and policies", set_up, [database, keep]),
        ("queue", "declare the queues, before any kit connects", make_queue, [amqp]),
        (
            "site",
            "admit sites: database role, schema and broker's user",
            add_sites,
            [database, files],
        ),
        ("kits", "admit kits: a broker's user each; a kit is named <site>--<room>", add_kits, [files]),
        (
            "ingest",
            "take events from queue to database until stopped",
            ingest,
            [amqp, database, keep],
        ),
        ("tend", "make the next days' partitions, drop the old ones; once a day", tend, [database, keep]),
    ):
        verb = verbs.add_parser(name, help=text, description=text, parents=parents)
        verb.set_defaults(run=run)
        if name == "queue":
            verb.add_argument("--nodes", type=int, default=3, help="that hold it (%(default)s)")
            verb.add_argument(
                "--limit-mb", type=int, default=20_000, metavar="MB", help="may wait in each (%(default)s)"
            )
            verb.add_argument(
                "--queues",
                type=int,
                default=1,
                metavar="N",
                help="that share the events, where one is not enough; may be changed later (%(default)s)",
            )
        if name == "ingest":
            verb.add_argument("--status", type=Path, metavar="FILE", help="tells how it goes")
    return parser.parse_args(arguments)
