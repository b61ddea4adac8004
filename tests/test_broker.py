"""The embedded broker's own part; what it does for a kit is in test_sinks.py and test_daemon.py."""

import asyncio
from typing import Any

from edge.broker.embedded import RoomBroker, configuration
from tests.conftest import free_port

CONNECT = b"\x10\x12\x00\x04MQTT\x04\x02\x00\x3c\x00\x06early!"
CONNACK = b"\x20\x02\x00\x00"


class SlowBroker(RoomBroker):
    """Listens, and takes its time to notice."""

    async def _create_server_instance(self, *listener: Any) -> Any:
        instance = await super()._create_server_instance(*listener)
        for _ in range(50):
            await asyncio.sleep(0)
        return instance


async def meet_early(port: int) -> bytes:
    broker = SlowBroker(configuration("127.0.0.1", port))
    starting = asyncio.create_task(broker.start())
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            break
        except OSError:
            await asyncio.sleep(0)
    assert not starting.done(), "the client came before the broker had started"
    writer.write(CONNECT)
    answer = await asyncio.wait_for(reader.readexactly(4), 20)
    writer.close()
    await starting
    await broker.shutdown()
    return answer


def test_a_client_that_comes_while_it_starts_is_answered() -> None:
    assert asyncio.run(meet_early(free_port())) == CONNACK
