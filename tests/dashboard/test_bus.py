import asyncio
import json
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count

import pytest

from dashboard.bus import Address, AddressError, Bus, Message, parse_address
from edge.events import MAX_BYTES
from tests.conftest import PATIENCE_S, Subscriber, free_port
from tests.dashboard.kits import FakeKit, running_broker


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://127.0.0.1:1884", Address("127.0.0.1", 1884)),
        ("mqtt://broker.sekolah", Address("broker.sekolah", 1883)),
        ("mqtts://guru%40tk@broker/", Address("broker", 8883, tls=True, user="guru@tk", password="rahasia")),
        ("mqtt://[::1]:1883", Address("::1", 1883)),
    ],
)
def test_addresses(url, expected):
    assert parse_address(url, "rahasia" if expected.user else None) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost",
        "http://a",
        "mqtt://",
        "mqtt://a:b",
        "mqtt://a:99999",
        "mqtt://a/topic",
        "mqtt://u:p@a",
        "mqtt://[x",
    ],
)
def test_what_is_no_address_is_told_in_one_line(url):
    with pytest.raises(AddressError) as told:
        parse_address(url)
    assert "\n" not in str(told.value)
    assert "u:p" not in str(told.value)


def test_a_password_is_never_shown():
    address = parse_address("mqtt://guru@broker", "rahasia")
    assert "rahasia" not in repr(address) + address.shown


class Heard:
    """What a bus told the loop."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.connections: list[bool] = []

    async def until(self, holds: Callable[["Heard"], object]) -> None:
        for _ in count():
            if holds(self):
                return
            await asyncio.sleep(0.02)


def with_bus(port: int, scenario) -> Heard:
    heard = Heard()

    async def whole() -> None:
        bus = Bus(
            Address("127.0.0.1", port),
            on_message=heard.messages.append,
            on_connection=heard.connections.append,
        )
        bus.start()
        try:
            await asyncio.wait_for(scenario(bus, heard), PATIENCE_S)
        finally:
            await bus.stop()

    asyncio.run(whole())
    return heard


def test_it_hears_all_topics_of_all_kits_and_knows_what_was_retained(broker):
    kit = FakeKit("k1", broker).start()
    kit.introduce()

    async def scenario(bus, heard):
        await heard.until(lambda h: len(h.messages) >= 4)
        await asyncio.to_thread(kit.read, 1_790_000_000.0)
        await heard.until(lambda h: len(h.messages) >= 6)

    heard = with_bus(broker, scenario)
    kit.stop()
    retained = {message.topic.split("/", 2)[2]: message.retained for message in heard.messages}
    assert retained == {
        "availability": True,
        "info": True,
        "source/camera/status": True,
        "source/microphone/status": True,
        "event": False,
        "state": False,
    }
    assert heard.connections[0] is True


def test_a_switch_arrives_unretained(broker, subscriber: Subscriber):
    async def scenario(bus, heard):
        await heard.until(lambda h: h.connections == [True])
        assert await bus.publish("suasana/k1/set/camera", "off")
        await heard.until(lambda h: subscriber.messages)

    with_bus(broker, scenario)
    assert subscriber.messages == [("suasana/k1/set/camera", "off", False)]


def test_without_a_broker_nothing_is_published_and_stopping_is_quick():
    async def scenario(bus, heard):
        assert not await bus.publish("suasana/k1/set/camera", "off")

    assert with_bus(free_port(), scenario).connections == []


def test_a_broker_that_comes_late_goes_and_returns_is_followed():
    port = free_port()

    async def scenario(bus, heard):
        with ExitStack() as first:
            await asyncio.to_thread(first.enter_context, running_broker(port))
            await heard.until(lambda h: h.connections[-1:] == [True])
        await heard.until(lambda h: h.connections[-1] is False)
        with ExitStack() as second:
            await asyncio.to_thread(second.enter_context, running_broker(port))
            await heard.until(lambda h: h.connections[-1] is True)

    with_bus(port, scenario)


def test_a_payload_that_is_too_long_is_not_held(broker):
    kit = FakeKit("k1", broker).start()

    async def scenario(bus, heard):
        await heard.until(lambda h: h.connections == [True])
        await asyncio.to_thread(kit.tell, "state", "x" * (4 * MAX_BYTES), retain=False)
        await heard.until(lambda h: h.messages)

    heard = with_bus(broker, scenario)
    kit.stop()
    assert len(heard.messages[0].payload) == MAX_BYTES + 1


def test_messages_keep_their_order(broker):
    kit = FakeKit("k1", broker).start()

    def publish() -> None:
        for number in range(300):
            kit.client.publish("suasana/k1/health", json.dumps(number), qos=1)

    async def scenario(bus, heard):
        await heard.until(lambda h: h.connections == [True])
        await asyncio.to_thread(publish)
        await heard.until(lambda h: len(h.messages) >= 300)

    heard = with_bus(broker, scenario)
    kit.stop()
    assert [int(message.payload) for message in heard.messages] == list(range(300))
