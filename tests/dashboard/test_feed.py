import asyncio
import json
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from dashboard.board import Limits
from dashboard.bus import Message
from dashboard.database import Disk, open_database
from dashboard.feed import MOST_PAGES, MOST_PENDING, Feed, Full, Page
from tests.dashboard.kits import clock_event, event, info, state

NOW = 1_790_000_000.0


@dataclass
class Clock:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def run(tmp_path: Path, clock: Clock):
    """Runs a coroutine with a feed on an event loop and finishes the feed."""

    def go(scenario: Callable[[Feed], object]) -> object:
        async def whole() -> object:
            disk = Disk(open_database(tmp_path / "history.sqlite3"))
            feed = Feed(disk, clock=clock, retention_days=lambda: 30)
            try:
                return await scenario(feed)
            finally:
                await feed.finish()

        return asyncio.run(whole())

    return go


def message(leaf: str, payload: object, *, kit: str = "k1", retained: bool = False) -> Message:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return Message(f"suasana/{kit}/{leaf}", text.encode(), retained)


def read(chunk: str) -> tuple[str, dict]:
    name, data = chunk.strip().splitlines()[-2:]
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


async def take(stream, count: int) -> list[tuple[str, dict]]:
    return [read(await anext(stream)) for _ in range(count)]


def test_a_stream_begins_with_everything_and_goes_on_with_news(run):
    async def scenario(feed):
        feed.receive(message("info", info()))
        stream = feed.stream()
        assert await anext(stream) == "retry: 2000\n\n"
        ((first, snapshot),) = await take(stream, 1)
        assert (first, snapshot["now"], len(snapshot["kits"])) == ("snapshot", NOW, 1)
        feed.connect(True)
        feed.receive(message("state", state(NOW)))
        feed.receive(message("event", event("k1", 1, NOW - 2)))
        news = await take(stream, 3)
        assert [name for name, _ in news] == ["broker", "kit", "window"]
        assert news[1][1]["state"]["mood"] == "happy"
        assert news[2][1] == {"kit": "k1", **(await feed.windows("k1", 10))[0]}
        await stream.aclose()

    run(scenario)


def test_hostile_messages_are_counted_and_told_once_per_kind(run, caplog):
    async def scenario(feed):
        with caplog.at_level(logging.WARNING):
            for number in range(50):
                feed.receive(message("state", f"{{{number}"))
                feed.receive(message("info", "[]"))
                feed.receive(Message("other/topic", b"", retained=False))
            feed.receive(message("state", state(NOW)))
        assert feed.refused == {"state": 50, "info": 50, "topic": 50}
        assert len(caplog.records) == 3
        assert feed.snapshot()["kits"][0]["state"]["people"] == 8

    run(scenario)


def test_a_sender_cannot_make_the_counting_grow_without_end(run):
    async def scenario(feed):
        for number in range(1000):
            feed.receive(message(f"made-up-{number}", ""))
            feed.receive(Message(f"x/{number}/{number}", b"", retained=False))
        assert len(feed.refused) <= 100

    run(scenario)


def test_a_page_that_lags_gets_one_snapshot_for_all_it_missed(run):
    async def scenario(feed):
        stream = feed.stream()
        await anext(stream)
        await take(stream, 1)
        for number in range(3 * MOST_PENDING):
            feed.receive(message("state", state(NOW, people=number)))
        names = [(await take(stream, 1))[0] for _ in range(3)]
        assert names[0][0] == "snapshot"
        assert names[0][1]["kits"][0]["state"]["people"] == 3 * MOST_PENDING - 1
        await stream.aclose()

    run(scenario)


def test_a_kit_that_learns_the_time_has_its_windows_moved_on_the_disk_and_on_every_page(run):
    async def scenario(feed):
        stream = feed.stream()
        await anext(stream)
        await take(stream, 1)
        lost = {"time_quality": "unsynced", "replayed": True, "mono_id": "m1"}
        feed.receive(message("event", event("k1", 1, NOW - 9e5, mono_s=100.0, **lost)))
        await feed.keep()
        feed.receive(message("event", event("k1", 2, NOW - 9e5 + 5, mono_s=105.0, **lost)))
        assert await feed.windows("k1", 40) == []
        for _ in range(2):  # told twice, as after a reconnect
            feed.receive(message("event", clock_event("k1", 3, NOW, 160.0)))
            told = [one["ends"] for one in await feed.windows("k1", 40)]
            assert told == pytest.approx([NOW - 60, NOW - 55])
        feed.receive(message("event", event("k1", 4, NOW - 9e5, mono_s=158.0, **lost)))
        names = [name for name, _ in await take(stream, 4)]
        assert names == ["window", "window", "placed", "window"]
        assert (await feed.windows("k1", 40))[-1]["ends"] == pytest.approx(NOW - 2)
        await stream.aclose()

    run(scenario)


def test_a_quiet_page_gets_nothing_and_a_closed_one_ends():
    async def scenario():
        page = Page()
        assert await page.take(0.01) == [None]
        assert await page.take(0.01) == []
        page.close()
        assert page.closed

    asyncio.run(scenario())


def test_closing_ends_every_stream(run):
    async def scenario(feed):
        stream = feed.stream()
        await anext(stream)
        await take(stream, 1)
        feed.close()
        assert [chunk async for chunk in stream if "beat" not in chunk] == []

    run(scenario)


def test_pages_are_bounded_and_make_room_when_they_end(run):
    async def scenario(feed):
        streams = [feed.stream() for _ in range(MOST_PAGES)]
        for stream in streams:
            await anext(stream)
        with pytest.raises(Full):
            feed.admit()
        await streams[0].aclose()
        feed.admit()
        for stream in streams:
            await stream.aclose()

    run(scenario)


def test_a_kit_that_falls_silent_is_told_though_no_message_comes(run, clock):
    async def scenario(feed):
        feed.receive(message("availability", "online"))
        feed.receive(message("state", state(NOW)))
        stream = feed.stream()
        await anext(stream)
        await take(stream, 1)
        feed.look()
        clock.now += 30
        feed.look()
        ((_, old),) = await take(stream, 1)
        assert (old["phase"], old["fresh"]) == ("online", False)
        clock.now += Limits().silent_after_s
        feed.look()
        ((_, silent),) = await take(stream, 1)
        assert silent["phase"] == "silent"
        await stream.aclose()

    run(scenario)


def test_a_kit_that_is_cleared_away_leaves_the_pages(run):
    async def scenario(feed):
        feed.receive(message("availability", "offline", retained=True))
        stream = feed.stream()
        await anext(stream)
        await take(stream, 1)
        feed.receive(message("availability", ""))
        ((name, snapshot),) = await take(stream, 1)
        assert (name, snapshot["kits"]) == ("snapshot", [])
        await stream.aclose()

    run(scenario)


def test_windows_are_kept_once_however_often_they_are_told(run):
    async def scenario(feed):
        for _ in range(3):
            feed.receive(message("event", event("k1", 1, NOW - 2)))
        assert len(await feed.windows("k1", 10)) == 1
        assert await feed.windows("k2", 10) == []

    run(scenario)


def test_tending_keeps_looks_and_forgets(run, clock):
    async def scenario(feed):
        feed.receive(message("event", event("k1", 1, NOW - 40 * 86_400)))
        feed.receive(message("event", event("k1", 2, NOW - 2)))
        await feed.keep()
        tending = asyncio.create_task(feed.tend())
        await asyncio.sleep(0)
        while len(await feed.windows("k1", 60 * 24 * 60)) > 1:  # noqa: ASYNC110 -- it asks, it does not wait
            await asyncio.sleep(0.01)
        tending.cancel()
        await asyncio.gather(tending, return_exceptions=True)

    run(scenario)


def test_a_full_disk_costs_no_window_that_still_fits_in_memory(run, tmp_path, caplog):
    async def scenario(feed):
        blocker = sqlite3.connect(tmp_path / "history.sqlite3")
        blocker.execute("PRAGMA busy_timeout = 0")
        feed.disk.database._db.execute("PRAGMA busy_timeout = 0")
        blocker.execute("BEGIN IMMEDIATE")
        feed.receive(message("event", event("k1", 1, NOW - 2)))
        await feed.keep()
        await feed.keep()
        assert [record.message for record in caplog.records if "locked" in record.message]
        assert len(caplog.records) == 1, "one complaint per trouble"
        blocker.rollback()
        blocker.close()
        assert len(await feed.windows("k1", 10)) == 1

    run(scenario)
