import asyncio
import json
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from dashboard.app import make_app
from dashboard.bus import Address, Bus, Message
from dashboard.choices import Choices, Desk
from dashboard.database import Disk, open_database
from dashboard.feed import Feed
from dashboard.people import People
from tests.conftest import eventually
from tests.dashboard.kits import event, info, running_server, suppressed

SWITCH = {"name": "camera", "value": "off"}


@pytest.fixture
def feed(tmp_path) -> Iterator[Feed]:
    disk = Disk(open_database(tmp_path / "history.sqlite3"))
    feed = Feed(disk, clock=lambda: 1_790_000_000.0, retention_days=lambda: 30)
    yield feed
    asyncio.run(feed.finish())


@pytest.fixture
def client(feed) -> TestClient:
    """The demo's application in this process, not started: there is no broker."""
    return TestClient(make(feed, demo=True), base_url="http://127.0.0.1:8765")


@pytest.fixture
def guarded(feed) -> TestClient:
    """The application that wants a login."""
    return TestClient(make(feed, demo=False), base_url="http://127.0.0.1:8765", follow_redirects=False)


def make(feed: Feed, *, demo: bool) -> Starlette:
    bus = Bus(Address("127.0.0.1", 1), on_message=feed.receive, on_connection=feed.connect)
    database = feed.disk.database
    people, desk = People(database), Desk(database, Choices())
    return make_app(feed, bus, people, desk, code="CODE", hosts=["kit.local"], demo=demo)


def tell(feed: Feed, leaf: str, payload: object) -> None:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    feed.receive(Message(f"suasana/k1/{leaf}", text.encode(), retained=False))


def test_the_page_and_its_parts_are_served_with_every_guard(client):
    parts = ("board.css", "page.js", "moods.svg", "texts/id.json", "icon-192.png")
    for path in ("/", "/sw.js", "/manifest.webmanifest", *(f"/static/{part}" for part in parts)):
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
    assert 'lang="id"' in client.get("/").text


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/nothing"]
)
def test_nothing_else_is_served(client, path):
    assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "[", ""]
)
@pytest.mark.parametrize("demo", [True, False])
def test_a_strange_host_name_is_refused(client, guarded, host, demo):
    asked = client if demo else guarded
    for answer in (
        asked.get("/api/kits", headers={"host": host}),
        asked.post("/x", headers={"host": host}),
    ):
        assert answer.status_code == 403
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "host", ["localhost:8765", "192.168.1.20:8765", "[::1]:8765", "[fe80::1%25eth0]", "KIT.local"]
)
def test_addresses_and_given_names_are_ours_but_a_demo_answers_this_machine_only(client, guarded, host):
    assert guarded.get("/api/kits", headers={"host": host}).status_code == 401, (
        "past the guard, not logged in"
    )
    here = host.startswith(("localhost", "[::1]"))
    assert client.get("/api/kits", headers={"host": host}).status_code == (200 if here else 403)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:8765"},
    ],
)
def test_a_command_from_another_page_is_refused(client, feed, headers):
    tell(feed, "availability", "online")
    answer = client.post("/api/kits/k1/switch", json=SWITCH, headers=headers)
    assert answer.status_code == 403
    assert answer.json() == {"error": "requests from other pages are refused"}


@pytest.mark.parametrize(
    ("kit", "body", "headers", "status"),
    [
        ("k1", json.dumps(SWITCH), {"content-type": "text/plain"}, 415),
        ("k1", "{", {}, 400),
        ("k1", "[]", {}, 400),
        ("k1", "[" * 900, {}, 400),
        ("k1", "{}", {}, 400),
        ("k1", json.dumps({"name": "mode", "value": "on"}), {}, 400),
        ("k1", json.dumps({"name": "camera", "value": True}), {}, 400),
        ("k1", json.dumps({"name": ["camera"], "value": "on"}), {}, 400),
        ("k1", json.dumps(SWITCH | {"more": "x" * 2000}), {}, 413),
        ("k2", json.dumps(SWITCH), {}, 404),
        ("k1", json.dumps(SWITCH), {"origin": "http://127.0.0.1:8765", "sec-fetch-site": "same-origin"}, 503),
    ],
)
def test_a_command_that_cannot_be_sent_says_why(client, feed, kit, body, headers, status):  # noqa: PLR0917
    tell(feed, "availability", "online")
    answer = client.post(
        f"/api/kits/{kit}/switch", content=body, headers={"content-type": "application/json"} | headers
    )
    assert answer.status_code == status
    assert "\n" not in answer.json()["error"]


def test_a_kit_that_is_away_gets_no_command(client, feed):
    tell(feed, "availability", "offline")
    feed.connect(True)
    answer = client.post("/api/kits/k1/switch", json=SWITCH)
    assert (answer.status_code, answer.json()["error"]) == (409, "the kit is not online")


@pytest.mark.parametrize("minutes", ["0", "241", "-1", "x", "", "1e3", "٣", "9" * 5000])
def test_history_wants_whole_minutes(client, feed, minutes):
    tell(feed, "info", info())
    assert client.get("/api/history", params={"kit": "k1", "minutes": minutes}).status_code == 400


def test_history_wants_a_kit_that_is_known(client):
    assert client.get("/api/history?kit=k9").status_code == 404
    assert client.get("/api/history").status_code == 404


def test_health_tells_counts(client, feed):
    tell(feed, "state", "{")
    counts = {"kits": 0, "pages": 0, "refused": 1, "lost": 0}
    assert client.get("/healthz").json() == {"ok": True, "broker": False} | counts


def test_kits_that_were_heard_are_listed(client, feed):
    tell(feed, "info", info(room="<b>Mawar</b>"))
    kits = client.get("/api/kits").json()["kits"]
    assert [kit["info"]["room"] for kit in kits] == ["<b>Mawar</b>"]


# ── With the real broker, and the server in a process of its own ─────────────────────────────────────


class Stream:
    """One open page, as the browser reads it."""

    def __init__(self, url: str) -> None:
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=20)
        self._connection.request("GET", "/api/stream")
        self.answer: HTTPResponse = self._connection.getresponse()

    def __iter__(self) -> Iterator[tuple[str, dict]]:
        name = ""
        for raw in self.answer:
            line = raw.decode().rstrip("\n")
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield name, json.loads(line.removeprefix("data: "))

    def close(self) -> None:
        self.answer.close()
        self._connection.close()


def test_what_a_kit_publishes_reaches_an_open_page(server, make_kit):
    kit = make_kit("k1")
    kit.introduce()
    eventually(lambda: len(server.get("/api/kits")["kits"]) == 1)
    stream = Stream(server.url)
    assert stream.answer.headers["content-type"].startswith("text/event-stream")
    news = iter(stream)
    name, snapshot = next(news)
    assert (name, snapshot["broker"]["connected"]) == ("snapshot", True)
    kit.read(time.time(), people=9)
    told = dict(next(news) for _ in range(2))
    assert told["window"]["people"] == 9
    assert told["kit"]["state"]["people"] == 9
    stream.close()


def test_a_switch_reaches_the_kit_and_comes_back_in_its_info(server, make_kit):
    kit = make_kit("k1")
    kit.introduce()
    eventually(lambda: server.get("/api/kits")["kits"])
    connection = HTTPConnection(urlsplit(server.url).netloc, timeout=20)
    body = json.dumps({"name": "capture", "value": "off"})
    connection.request("POST", "/api/kits/k1/switch", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert (answer.status, json.load(answer)) == (202, {"sent": True})
    connection.close()
    eventually(lambda: server.get("/api/kits")["kits"][0]["info"]["capture"]["capture"] == "off")
    assert kit.commands == [("capture", "off", False)]


def test_history_outlives_the_server_and_drops_what_is_told_twice(broker, make_kit, server, tmp_path):
    kit = make_kit("k1")
    kit.introduce()
    now = time.time()
    for number in range(12):
        kit.read(now - 60 + 5 * number)
    kit.tell("event", event("k1", 3, now - 45), retain=False)
    kit.tell("event", event("k1", 99, now - 10, replayed=True, **suppressed("nobody", 0)), retain=False)
    eventually(lambda: len(server.get("/api/history?kit=k1&minutes=10")["windows"]) == 13)
    server.process.terminate()
    assert server.process.wait(10) is not None
    with running_server(broker, tmp_path) as again:
        eventually(lambda: again.get("/api/kits")["kits"])
        windows = again.get("/api/history?kit=k1&minutes=10")["windows"]
    assert len(windows) == 13
    assert [window["ends"] for window in windows] == sorted(window["ends"] for window in windows)


def test_a_page_that_was_closed_is_forgotten(server):
    for _ in range(3):
        stream = Stream(server.url)
        next(iter(stream))
        assert server.get("/healthz")["pages"] == 1
        stream.close()
        eventually(lambda: server.get("/healthz")["pages"] == 0)


def test_an_open_page_does_not_keep_the_server_from_stopping(server):
    stream = Stream(server.url)
    next(iter(stream))
    began = time.monotonic()
    server.process.terminate()
    server.process.wait(10)
    assert time.monotonic() - began < 5
    stream.close()


def test_hostile_kits_do_not_stop_the_server(server, make_kit):
    kit = make_kit("k1")
    for payload in (b"\xff" * 100, b"{}", b"[" * 60_000, b"x" * 200_000, b'{"schema":1e999}', b"null"):
        for leaf in ("info", "state", "health", "event", "availability", "source/camera/status"):
            kit.tell(leaf, payload, retain=False)
    kit.introduce()
    eventually(lambda: server.get("/healthz")["refused"] == 36)
    assert [kit["phase"] for kit in server.get("/api/kits")["kits"]] == ["online"]
