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
from pathlib import Path

import uvicorn

from dashboard.app import make_app
from dashboard.bus import AddressError, Bus, parse_address
from dashboard.feed import Feed
from dashboard.history import History, HistoryError

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
        history = History(wishes.data / "history.sqlite3")
        try:
            listener = _listen(wishes.host, wishes.port)
        except OSError:
            history.close()
            raise
    except (AddressError, HistoryError, OSError) as error:
        print(f"dashboard: {error}", file=sys.stderr)  # noqa: T201
        return 2
    feed = Feed(history, clock=time.time, retention_days=wishes.retention_days)
    bus = Bus(address, on_message=feed.receive, on_connection=feed.connect)
    if wishes.host not in LOOPBACK:
        logger.warning("anybody who can reach %s can see the room's mood and use the switches", wishes.host)
    hosts = {socket.gethostname(), f"{socket.gethostname()}.local", *wishes.allow_host}
    config = uvicorn.Config(
        make_app(feed, bus, hosts=hosts), log_level="warning", access_log=False, server_header=False
    )
    host = f"[{wishes.host}]" if ":" in wishes.host else wishes.host
    logger.info("dashboard on http://%s:%d/, broker %s", host, listener.getsockname()[1], address.shown)
    with suppress(KeyboardInterrupt):
        Server(config, feed).run(sockets=[listener])
    return 0


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
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=_port, default=8765, help="TCP port, 0 for any free one (%(default)s)")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("runs/dashboard"),
        metavar="DIR",
        help="where the history lies (%(default)s)",
    )
    parser.add_argument(
        "--retention-days", type=_days, default=30.0, metavar="N", help="how long it is kept (%(default)g)"
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another name this server is reached by",
    )
    return parser.parse_args(arguments)


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = -1.0
    if not 0 < days <= 3650:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days up to 3650")
    return days


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
