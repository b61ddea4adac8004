"""The command line: ``python -m dashboard --mqtt mqtt://127.0.0.1:1883``."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn

from dashboard.app import make_app
from dashboard.bus import AddressError, Bus, parse_address
from dashboard.choices import Choices, Desk
from dashboard.database import DatabaseError, Disk, open_database
from dashboard.entry import make_code
from dashboard.feed import Feed
from dashboard.invitations import registrar_of
from dashboard.people import People
from edge import numbers
from edge.answers import REGISTRAR_PORT

logger = logging.getLogger("dashboard")

PASSWORD = "SUASANA_MQTT_PASSWORD"  # noqa: S105 -- the variable's name
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class Server(uvicorn.Server):
    """Ends the endless streams first, so that stopping does not wait for the open pages."""

    def __init__(self, config: uvicorn.Config, feed: Feed) -> None:
        """Serve what *config* says."""
        super().__init__(config)
        self._feed = feed

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the streams, then as ever."""
        self._feed.close()
        await super().shutdown(sockets)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM.

    Returns:
        0, or 2 after one line about a bad argument, a taken port or an unusable file.
    """
    wishes = _parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        address = parse_address(wishes.mqtt, os.environ.get(PASSWORD))
        _check(wishes)
        files = {"ca_file": wishes.mqtt_ca, "cert_file": wishes.mqtt_cert, "key_file": wishes.mqtt_key}
        address = replace(address, **files)
        database = open_database(wishes.database or wishes.data / "history.sqlite3")
        try:
            people, desk = People(database), Desk(database, Choices(retention_days=wishes.retention_days))
            listener = _listen(wishes.host, wishes.port)
        except (DatabaseError, OSError):
            database.close()
            raise
    except (AddressError, DatabaseError, OSError) as error:
        print(f"dashboard: {error}", file=sys.stderr)  # noqa: T201
        return 2
    feed = Feed(Disk(database), clock=time.time, retention_days=lambda: desk.now.retention_days)
    bus = Bus(address, on_message=feed.receive, on_connection=feed.connect)
    if database.shared:
        bus.hear(())  # the roster says whom, before long
    hosts = {socket.gethostname(), f"{socket.gethostname()}.local", *wishes.allow_host}
    code = make_code()
    config = uvicorn.Config(
        make_app(
            feed,
            bus,
            people,
            desk,
            code=code,
            hosts=hosts,
            demo=wishes.demo,
            registrar=registrar_of(address, wishes.registrar_port),
        ),
        log_level="warning",
        access_log=False,
        server_header=False,
        ssl_certfile=wishes.tls_cert,
        ssl_keyfile=wishes.tls_key,
    )
    host = f"[{wishes.host}]" if ":" in wishes.host else wishes.host
    home = f"{'https' if wishes.tls_cert else 'http'}://{host}:{listener.getsockname()[1]}/"
    logger.info("dashboard on %s, broker %s", home, address.shown)
    if not people.accounts and not wishes.demo:
        logger.info("first set-up: %ssetup#%s (the code is %s)", home, code, code)
    if wishes.host not in LOOPBACK and not wishes.tls_cert:
        logger.warning("passwords cross the network in the clear: give --tls-cert and --tls-key")
    with suppress(KeyboardInterrupt):
        Server(config, feed).run(sockets=[listener])
    return 0


def _check(wishes: argparse.Namespace) -> None:
    """Refuse what does not go together.

    Raises:
        OSError: says what.
    """
    if wishes.demo and wishes.host not in LOOPBACK:
        raise OSError("--demo lets everybody in, so it works on 127.0.0.1, ::1 and localhost only")
    if bool(wishes.tls_cert) != bool(wishes.tls_key):
        raise OSError("--tls-cert and --tls-key: give both")
    if bool(wishes.mqtt_cert) != bool(wishes.mqtt_key):
        raise OSError("--mqtt-cert and --mqtt-key: give both")
    for name in (wishes.tls_cert, wishes.tls_key, wishes.mqtt_ca, wishes.mqtt_cert, wishes.mqtt_key):
        if name and not os.access(name, os.R_OK):
            raise OSError(f"{name}: cannot be read")
    if wishes.mqtt_key and Path(wishes.mqtt_key).stat().st_mode & 0o007:
        raise OSError(f"{wishes.mqtt_key}: every user may read it: chmod 600 {wishes.mqtt_key}")
    if wishes.database and urlsplit(wishes.database).password is not None:
        raise OSError("a password does not belong in an address; set PGPASSWORD")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m dashboard",
        description="The teacher's page: the room's mood now and over the lesson.",
        epilog=f"The broker's password, if it wants one, is read from the variable {PASSWORD}.",
    )
    parser.add_argument(
        "--mqtt",
        default="mqtt://127.0.0.1:1883",
        metavar="URL",
        help="mqtt[s]://[user@]host[:port] (%(default)s)",
    )
    parser.add_argument("--mqtt-ca", metavar="FILE", help="the broker's certificate authority (PEM)")
    parser.add_argument("--mqtt-cert", metavar="FILE", help="this page's certificate for the broker (PEM)")
    parser.add_argument("--mqtt-key", metavar="FILE", help="its private key (PEM)")
    parser.add_argument(
        "--registrar-port",
        type=numbers.port,
        default=REGISTRAR_PORT,
        metavar="PORT",
        help="where the broker's site invites kits for this page's admins (%(default)s)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument(
        "--port", type=numbers.free_port, default=8765, help="TCP port, 0 for any free one (%(default)s)"
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("runs/dashboard"),
        metavar="DIR",
        help="where the history lies (%(default)s)",
    )
    parser.add_argument(
        "--database", metavar="URL", help="postgresql://[user@]host[:port]/name instead of a file in DIR"
    )
    parser.add_argument(
        "--retention-days",
        type=numbers.days,
        default=30.0,
        metavar="N",
        help="how long it is kept until somebody chooses otherwise in the page (%(default)g)",
    )
    parser.add_argument("--demo", action="store_true", help="no login; on this machine only")
    parser.add_argument("--tls-cert", metavar="FILE", help="certificate chain (PEM) for https")
    parser.add_argument("--tls-key", metavar="FILE", help="its private key (PEM)")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another name this server is reached by",
    )
    return parser.parse_args(arguments)


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        OSError: the port is taken or the address is not ours; told in words.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise OSError(f"cannot listen on {host} port {port}: {error.strerror or error}") from error


if __name__ == "__main__":
    sys.exit(main())
