"""The embedded broker, a process of its own: ``python -m edge.broker --port 1883``.

For one room and for the demo. amqtt is pure Python and needs no service; it speaks MQTT 3.1.1, keeps nothing
over a restart and does not enforce keep-alives, so anything bigger wants Mosquitto.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from typing import Any

from amqtt.broker import Broker
from amqtt.session import Session


def configuration(host: str, port: int) -> dict[str, Any]:
    """Settings of amqtt: one TCP listener, open to whoever may reach *host*."""
    return {
        "listeners": {"default": {"type": "tcp", "bind": f"{host}:{port}", "max_connections": 200}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }


class RoomBroker(Broker):  # type: ignore[misc] # amqtt has no types
    """amqtt without two faults of 0.12.1.

    It greets every new client with what others subscribed to. And it listens before it knows its own
    listener: a client that comes in between is left connected and never answered, so it waits here until
    there is somebody to answer.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        """Prepare; to be made inside a running loop."""
        super().__init__(config)
        self._ready = asyncio.Event()

    async def start(self) -> None:
        """Listen, then let clients in."""
        await super().start()
        self._ready.set()

    async def _client_connected(self, *connection: Any) -> None:
        await self._ready.wait()
        await super()._client_connected(*connection)

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        subscribers = self._subscriptions.get(subscription[0], ())
        if any(subscriber is session for subscriber, _ in subscribers):
            await super()._publish_retained_messages_for_subscription(subscription, session)


async def serve(host: str, port: int) -> None:
    """Run a broker until SIGINT or SIGTERM."""
    broker = RoomBroker(configuration(host, port))
    await broker.start()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await broker.shutdown()


def main() -> int:
    """Parse the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m edge.broker", description="A small MQTT 3.1.1 broker.")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: this machine only)"
    )
    parser.add_argument("--port", type=int, default=1883, help="TCP port (default: %(default)s)")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.CRITICAL)  # it logs a traceback for each client that vanishes
    try:
        asyncio.run(serve(arguments.host, arguments.port))
    except Exception as error:  # noqa: BLE001 -- whatever amqtt raises, one line is what helps
        print(f"broker: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0
