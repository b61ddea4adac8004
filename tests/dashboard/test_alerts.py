import asyncio
import json
from dataclasses import dataclass, replace
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from dashboard.alerts import UPDATE_EVERY_S, Rule, RuleError, Standing, check_rule, holds, step
from dashboard.bus import Message
from dashboard.database import Disk, open_database
from dashboard.feed import Feed
from dashboard.watch import Watch, post
from edge.events import Alert, Event
from tests.dashboard.kits import event, info, state, suppressed

MONDAY = datetime(2026, 3, 2, 8, 0).astimezone().timestamp()
RULE = Rule("r1", "k1", "sad", 0.5, 300, 1800, (0, 1, 2, 3, 4), "07:00", "15:00", on=True)
TABLE = {
    "kit": "k1",
    "condition": "sad",
    "at_least": 0.5,
    "for_s": 300,
    "quiet_s": 1800,
    "days": [0],
    "starts": "07:00",
    "ends": "15:00",
}


def play(rule: Rule, conditions: list[tuple[float, bool]]) -> list[tuple[float, str]]:
    """What is told when the condition is so at these seconds after Monday at eight."""
    standing, told = Standing(), []
    for after, condition in conditions:
        standing, happening = step(rule, standing, MONDAY + after, condition)
        if happening is not None:
            told.append((after, happening.phase))
    return told


def test_a_condition_has_to_hold_without_a_break():
    held = [(second, True) for second in range(0, 301, 5)]
    assert play(RULE, held) == [(300, "new")]
    assert play(RULE, [*held[:40], (200, False), *held[41:]]) == []


def test_an_open_alert_is_updated_now_and_then_and_ends_once():
    told = play(RULE, [*((second, True) for second in range(0, 900, 5)), (900, False), (905, False)])
    assert told == [(300, "new"), (300 + UPDATE_EVERY_S, "update"), (900, "end")]


def test_after_an_alert_it_is_quiet_for_a_while():
    first = [(second, True) for second in range(0, 305, 5)]
    again = [(second, True) for second in range(400, 3000, 5)]
    assert play(RULE, [*first, (310, False), *again]) == [
        (300, "new"),
        (310, "end"),
        (310 + 1800, "new"),
        (310 + 1800 + UPDATE_EVERY_S, "update"),
        (310 + 1800 + 2 * UPDATE_EVERY_S, "update"),
    ]


def test_outside_its_hours_and_days_and_while_off_nothing_is_told():
    held = [(second, True) for second in range(0, 600, 5)]
    for change in ({"on": False}, {"days": (1,)}, {"starts": "09:00"}, {"ends": "08:00"}):
        assert play(replace(RULE, **change), held) == [], change
    until = replace(RULE, ends="08:08")
    assert play(until, held) == [(300, "new"), (480, "end")]


def test_what_was_not_read_is_no_mood():
    window = {"suppressed": None, "shares": {"sad": 0.6, "happy": 0.4}}
    silent = {"suppressed": "nobody", "shares": {}}
    assert holds(RULE, window)
    assert not holds(replace(RULE, at_least=0.7), window)
    assert not holds(RULE, silent)
    assert holds(replace(RULE, condition="unread"), silent)
    assert not holds(replace(RULE, condition="unread"), window)


@pytest.mark.parametrize(
    "change",
    [
        {"kit": "K 1"},
        {"condition": "neutral"},
        {"condition": "child 3"},
        {"at_least": 0.1},
        {"at_least": True},
        {"for_s": 5},
        {"for_s": float("nan")},
        {"quiet_s": -1},
        {"days": []},
        {"days": [9]},
        {"starts": "15:00"},
        {"webhook": "file:///etc/passwd"},
        {"webhook": "https://" + "x" * 300},
    ],
)
def test_rules_that_cannot_be_are_refused(change):
    assert not check_rule(TABLE).on, "off until somebody says otherwise"
    with pytest.raises(RuleError):
        check_rule(TABLE | change)


# ── At work ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Place:
    feed: Feed
    watch: Watch
    now: float = MONDAY

    def tell(self, leaf: str, payload: object) -> None:
        text = payload if isinstance(payload, str) else json.dumps(payload)
        self.feed.receive(Message(f"suasana/k1/{leaf}", text.encode(), retained=False))


@pytest.fixture
def run(tmp_path):
    """Runs a scenario with a watch; tells what was published and posted."""

    def go(scenario):
        published: list[tuple[str, str]] = []
        posted: list[tuple[str, str]] = []

        async def publish(topic: str, payload: str) -> bool:
            published.append((topic, payload))
            return True

        async def whole() -> None:
            disk = Disk(open_database(tmp_path / "history.sqlite3"))
            feed = Feed(disk, clock=lambda: place.now, retention_days=lambda: 30)
            place = Place(feed, Watch(feed, publish, lambda *told: posted.append(told)))
            try:
                await scenario(place)
                await place.watch.settle()
            finally:
                await feed.finish()

        asyncio.run(whole())
        return published, posted

    return go


def test_an_alert_is_kept_published_and_posted(run):
    async def scenario(place):
        await place.watch.keep([replace(RULE, webhook="http://127.0.0.1:1/")])
        for number in range(62):
            place.now = MONDAY + 5 * number
            place.tell("event", event("k1", number, place.now, mood="sad", shares={"sad": 1.0}))
        await place.watch.settle()
        (told,) = await place.watch.told("k1", MONDAY - 1)
        assert (told["label"], told["starts"], told["ends"]) == ("sad", MONDAY, None)
        place.now += 5
        place.tell("event", event("k1", 99, place.now))
        await place.watch.settle()
        (told,) = await place.watch.told("k1", MONDAY - 1)
        assert told["ends"] == place.now

    published, posted = run(scenario)
    assert {topic for topic, _ in published} == {"suasana/k1/event"}
    told = [Event.from_json(payload) for _, payload in published]
    assert [(one.seq, one.data.phase, one.data.condition) for one in told] == [
        (0, "new", "sad"),
        (1, "end", "sad"),
    ]
    assert isinstance(told[0].data, Alert)
    assert told[0].data.alert == told[1].data.alert
    assert [url for url, _ in posted] == ["http://127.0.0.1:1/"] * 2


def test_what_waited_in_an_outbox_raises_nothing(run):
    async def scenario(place):
        await place.watch.keep([RULE])
        for number in range(100):
            at = MONDAY - 600 + 5 * number
            place.now = MONDAY + 5 * number
            place.tell("event", event("k1", number, at, replayed=True, mood="sad", shares={"sad": 1.0}))

    assert run(scenario) == ([], [])


def test_windows_that_stay_away_end_an_alert_about_the_mood(run):
    async def scenario(place):
        await place.watch.keep([replace(RULE, condition="unread", for_s=60)])
        for number in range(14):
            place.now = MONDAY + 5 * number
            place.tell("event", event("k1", number, place.now, **suppressed("nobody", 0)))
        place.now += 91
        place.watch.look()

    published, _ = run(scenario)
    assert [json.loads(payload)["data"]["phase"] for _, payload in published] == ["new", "end"]


def test_a_kit_that_is_away_is_told_but_not_while_the_broker_is(run):
    async def scenario(place):
        await place.watch.keep([replace(RULE, condition="away", for_s=60)])
        place.tell("info", info())
        place.tell("availability", "online")
        place.tell("state", state(place.now))
        place.tell("availability", "offline")
        for connected, phases in ((False, 0), (True, 1)):
            place.feed.connect(connected)
            for _ in range(20):
                place.now += 5
                place.watch.look()
            assert place.watch._happenings.qsize() == phases

    assert len(run(scenario)[0]) == 1


def test_rules_outlive_the_process_and_a_changed_rule_ends_its_alert(run, tmp_path):
    async def scenario(place):
        await place.watch.keep([RULE])
        for number in range(62):
            place.now = MONDAY + 5 * number
            place.tell("event", event("k1", number, place.now, mood="sad", shares={"sad": 1.0}))
        again = Watch(place.feed, place.watch.publish)
        assert again.rules == (RULE,)
        await place.watch.keep([replace(RULE, on=False)])
        with pytest.raises(RuleError, match="too_many"):
            await place.watch.keep([RULE] * 101)

    published, _ = run(scenario)
    assert [json.loads(payload)["data"]["phase"] for _, payload in published] == ["new", "end"]


def test_a_webhook_is_posted_to_and_its_redirects_are_not_followed():
    heard: list[tuple[str, str, str]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            heard.append((self.path, self.headers["Content-Type"], body))
            self.send_response(302 if self.path == "/away" else 204)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_told: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        home = f"http://127.0.0.1:{server.server_port}"
        post(f"{home}/hook", '{"a": 1}')
        with pytest.raises(OSError, match="302"):
            post(f"{home}/away", "{}")
        server.shutdown()
    assert heard == [
        ("/hook", "application/cloudevents+json", '{"a": 1}'),
        ("/away", "application/cloudevents+json", "{}"),
    ]
