"""Who a page hears, and how it learns who they are; on a real broker that keeps nothing for newcomers."""

import asyncio
import json
import time
from contextlib import asynccontextmanager, closing

from dashboard.bus import Bus, parse_address
from dashboard.database import Disk, open_database
from dashboard.feed import Feed
from dashboard.questions import Questions
from dashboard.roster import ASK_AGAIN_S, Roster
from tests.conftest import PATIENCE_S
from tests.dashboard.kits import FakeKit, health, info, state

NOW = 1_780_000_000.0


@asynccontextmanager
async def page(port, tmp_path):
    """A feed on its bus, with a roster that looks when it is told to."""
    feed = Feed(Disk(open_database(tmp_path / "h.sqlite3")), clock=lambda: NOW, retention_days=lambda: 30)
    bus = Bus(parse_address(f"mqtt://127.0.0.1:{port}"), on_message=feed.receive, on_connection=feed.connect)
    questions = Questions(bus.publish)
    feed.answers = questions.hear
    roster = Roster(feed, bus, questions)
    bus.start()
    try:
        yield feed, bus, roster
    finally:
        await bus.stop()
        await feed.finish()


async def until(holds):
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it never happened"
        await asyncio.sleep(0.02)


def test_a_kit_that_is_heard_and_unknown_is_asked_who_it_is(mosquitto, tmp_path):
    async def scene():
        async with page(mosquitto, tmp_path) as (feed, _, roster):
            await until(lambda: feed.broker)
            kit = await asyncio.to_thread(FakeKit("a--k1", mosquitto).start)
            kit.answers = {"info": {"ok": True, "info": info("a--k1")}}
            await until(lambda: feed.board.kits or kit.tell("health", health(NOW), retain=False))
            assert feed.board.kits["a--k1"].info is None
            await roster.look()
            assert feed.board.kits["a--k1"].info.room == "TK Melati"
            kit.stop()

    asyncio.run(scene())


def test_a_kit_that_does_not_answer_is_not_asked_again_at_once(tmp_path):
    asked = []

    class Silent:
        async def ask(self, kit, verb, more=None, *, timeout_s):
            asked.append((kit, verb))
            return {"ok": False, "error": "no"}

    async def scene():
        feed = Feed(Disk(open_database(tmp_path / "h")), clock=lambda: clock[0], retention_days=lambda: 30)
        roster = Roster(feed, None, Silent())
        with closing(feed.disk.database):
            for number in range(2):
                feed.receive(message("state", state(clock[0])))
                await roster.look()
                await roster.look()
                assert asked == [("k1", "info")] * (number + 1)
                clock[0] += ASK_AGAIN_S + 1

    clock = [NOW]
    asyncio.run(scene())


def message(leaf, payload):
    from dashboard.bus import Message  # noqa: PLC0415

    return Message(f"suasana/k1/{leaf}", json.dumps(payload).encode(), retained=False)


def test_a_bus_that_is_told_its_kits_hears_those_and_not_what_is_said_to_them(mosquitto):
    heard = []

    async def scene():
        address = parse_address(f"mqtt://page_a@127.0.0.1:{mosquitto}", "x")
        connected = []
        bus = Bus(address, on_message=lambda one: heard.append(one.topic), on_connection=connected.append)
        bus.hear(["a--k1"])
        bus.start()
        await until(lambda: connected)
        kits = {}
        for name in ("a--k1", "a--k2", "b--k1"):
            kits[name] = await asyncio.to_thread(FakeKit(name, mosquitto, obeys=False).start)

        async def everybody_speaks():
            for kit in kits.values():
                await asyncio.to_thread(kit.tell, "set/camera", "on", retain=False)
                await asyncio.to_thread(kit.tell, "state", state(NOW), retain=False)

        await everybody_speaks()
        await until(lambda: heard)
        assert set(heard) == {"suasana/a--k1/state"}
        bus.hear(["a--k2"])
        heard.clear()
        await until(lambda: "suasana/a--k2/state" in heard or kits["a--k2"].tell("state", state(NOW)))
        heard.clear()
        await everybody_speaks()
        await until(lambda: heard)
        assert set(heard) == {"suasana/a--k2/state"}
        for kit in kits.values():
            kit.stop()
        await bus.stop()

    asyncio.run(scene())
