"""The practice game on the server: who may play, what reaches whom, and that nothing of it stays."""

import json
import time
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from starlette.testclient import TestClient

from dashboard.bus import Message
from dashboard.feed import Feed, Page, Sight
from dashboard.people import RIGHTS
from tests.conftest import ROOT, eventually
from tests.dashboard.kits import FakeKit, Server, info, practice
from tests.dashboard.test_app import client, feed, guarded, tell
from tests.dashboard.test_feed import NOW, clock, message, run

__all__ = ["client", "clock", "feed", "guarded", "run"]

EXAMPLES = sorted((ROOT / "docs" / "contract" / "examples").glob("practice*.json"))
PLAYER = Sight(mood=False, game="k1")


async def taken(page: Page) -> list[str]:
    return [note for note in await page.take(0.01) if note is not None]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_reading_reaches_whoever_plays_with_that_kit_and_nobody_else(run: Callable, path: Path):
    example = path.read_bytes()

    async def scenario(feed: Feed):
        sights = (PLAYER, Sight(), Sight(game="k2"), Sight(sees=lambda kit: kit == "k2", game="k1"))
        pages = [Page(sight) for sight in sights]
        feed._pages.update(pages)
        feed.receive(Message("suasana/k1/practice", example, retained=False))
        return [await taken(page) for page in pages], feed

    (mine, *others), feed = run(scenario)
    (note,) = mine
    assert json.loads(note.partition("data: ")[2]) == json.loads(path.read_text("utf-8"))
    assert others == [[], [], []]
    assert feed.board.kits == {}, "it is held nowhere"


def test_a_reading_that_breaks_the_contract_or_was_kept_by_a_broker_is_refused(run: Callable):
    async def scenario(feed: Feed):
        page = Page(PLAYER)
        feed._pages.add(page)
        for wrong in ({"confidence": 3}, {"match": "wrong"}, {"sense": "nose"}, {"at": "yesterday"}):
            feed.receive(message("practice", practice("r", NOW) | wrong))
        feed.receive(message("practice", practice("r", NOW), retained=True))
        feed.receive(message("practice", "[torn"))
        return await taken(page), feed.refused

    told, refused = run(scenario)
    assert told == []
    assert refused == {"practice": 6}


def test_a_players_page_hears_no_mood_of_the_room(run: Callable):
    async def scenario(feed: Feed):
        feed.receive(message("info", info("k1", mode="practice")))
        page = Page(PLAYER)
        feed._pages.add(page)
        feed.tell("window", {"kit": "k1"}, "k1", mood=True)
        return feed.snapshot(PLAYER), await taken(page)

    snapshot, told = run(scenario)
    assert snapshot["kits"][0]["info"]["mode"] == "practice"
    assert snapshot["kits"][0]["state"] is None
    assert told == []


def test_teachers_and_admins_may_play_and_researchers_may_not():
    assert {role for role, rights in RIGHTS.items() if "play" in rights} == {"teacher", "admin", "demo"}


def test_without_a_session_the_game_leads_to_the_login(guarded: TestClient):
    assert guarded.get("/practice").headers["location"] == "/"
    assert guarded.get("/api/practice/stream").status_code == 401
    assert guarded.post("/api/kits/k1/practice", json={"seconds": 5}).status_code == 401
    assert guarded.post("/api/kits/k1/mode", json={"mode": "class"}).status_code == 401


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("practice", {"seconds": "5"}, 400),
        ("practice", {"seconds": True}, 400),
        ("practice", {}, 400),
        ("practice", {"seconds": 5, "label": "joy"}, 400),
        ("practice", {"seconds": 5, "label": ["happy"]}, 400),
        ("practice", {"seconds": 5, "sense": "nose"}, 400),
        ("practice", {"seconds": 5}, 503),
        ("mode", {"mode": "nap"}, 400),
        ("mode", {"mode": ["class"]}, 400),
        ("mode", {"mode": "class"}, 503),
    ],
)
def test_what_makes_no_sense_is_refused_before_a_kit_hears_it(client, feed, path, body, status):
    tell(feed, "availability", "online")
    tell(feed, "info", info())
    answer = client.post(f"/api/kits/k1/{path}", json=body)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert client.post("/api/kits/k9/mode", json={"mode": "class"}).status_code == 404


def test_a_round_and_a_mode_reach_the_kit_and_its_refusal_reaches_the_page(
    server: Server, make_kit: Callable[..., FakeKit]
):
    kit = make_kit("k1", mode="practice")
    kit.answers["practice-round"] = {"ok": True}
    kit.introduce()
    eventually(lambda: server.get("/api/kits")["kits"])
    status, body = post(server, "practice", {"label": "sad", "seconds": 9})
    ((verb, asked),) = kit.requests
    assert (status, verb) == (201, "practice-round")
    assert asked == {"transaction": body["round"], "label": "sad", "seconds": 9, "sense": "face"}
    kit.answers["practice-round"] = {"ok": False, "error": "the camera is switched off"}
    assert post(server, "practice", {"seconds": 9}) == (
        409,
        {"error": "the camera is switched off"},
    )
    assert post(server, "mode", {"mode": "class"}) == (202, {"sent": True})
    eventually(lambda: server.get("/api/kits")["kits"][0]["info"]["mode"] == "class")
    assert kit.commands == [("mode", "class", False)]
    deeds = [(line["deed"], line["about"]) for line in server.get("/api/audit")["lines"]]
    assert deeds == [("switched", "mode class")], "rounds are no deeds: nothing of a game is kept"


def test_consent_and_forgetting_reach_the_kit_and_are_deeds(server: Server, make_kit: Callable[..., FakeKit]):
    kit = make_kit("k1", mode="practice")
    kit.answers |= {"practice-learn": {"ok": True}, "practice-forget": {"ok": True}}
    kit.introduce()
    eventually(lambda: server.get("/api/kits")["kits"])
    assert post(server, "learn", {"consent": "yes"})[0] == 400
    assert post(server, "learn", {}) == (400, {"error": "consent is true or false"})
    assert post(server, "learn", {"consent": True}) == (200, {"consent": True})
    assert post(server, "forget", {}) == (200, {"forgotten": True})
    asked = [(verb, body.get("consent")) for verb, body in kit.requests]
    assert asked == [("practice-learn", True), ("practice-forget", None)]
    kit.answers["practice-learn"] = {"ok": False, "error": "the kit is in class mode"}
    assert post(server, "learn", {"consent": False}) == (409, {"error": "the kit is in class mode"})
    deeds = [line["about"] for line in server.get("/api/audit")["lines"]]
    assert sorted(deeds) == ["learning forgotten", "learning on"]


def post(server: Server, path: str, body: dict) -> tuple[int, dict]:
    with closing(HTTPConnection(urlsplit(server.url).netloc, timeout=20)) as line:
        headers = {"Content-Type": "application/json"}
        line.request("POST", f"/api/kits/k1/{path}", json.dumps(body), headers)
        answer = line.getresponse()
        return answer.status, json.load(answer)


def test_the_demo_page_is_served_and_playing_is_noted_once(server: Server, make_kit: Callable[..., FakeKit]):
    kit = make_kit("k1", mode="practice")
    kit.introduce()
    eventually(lambda: server.get("/api/kits")["kits"])
    with urlopen(f"{server.url}/practice") as answer:
        assert b"practice.js" in answer.read()
    for _ in range(2):
        with urlopen(f"{server.url}/api/practice/stream?kit=k1", timeout=10) as stream:
            while b"event: snapshot" not in stream.readline():
                pass
    assert [line["deed"] for line in server.get("/api/audit")["lines"]] == ["played"]
    kit.tell("practice", practice("r1", time.time()), retain=False)
    assert server.get("/healthz")["refused"] == 0
