"""Settings and models of a kit: who may, what is passed on, what is noted."""

import base64
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from dashboard.questions import Questions
from dashboard.upkeep import MOST_BYTES, PART_BYTES
from tests.dashboard.test_access import Place, empty, place  # noqa: F401 -- fixtures

BYTES = {"content-type": "application/octet-stream"}


@pytest.fixture
def asked(place: Place, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, dict[str, Any]]]:  # noqa: F811
    """What a kit is asked; it takes everything but a room called 'no'."""
    heard: list[tuple[str, str, dict[str, Any]]] = []

    async def ask(
        _self: Questions, kit: str, verb: str, table: Any = None, **_patience: float
    ) -> dict[str, Any]:
        heard.append((kit, verb, dict(table or {})))
        if "no" in str(table):
            return {"ok": False, "error": "no", "why": {"id": "tidak", "en": "no"}}
        return {"ok": True, "begins_anew": True, "have": 1}

    monkeypatch.setattr(Questions, "ask", ask)
    place.feed.broker = True
    return heard


def test_a_teacher_looks_and_an_admin_changes(place, asked):  # noqa: F811
    teacher, admin, researcher = place.log_in("Ani"), place.log_in("Budi"), place.log_in("Rina")
    for what in ("settings", "models"):
        assert teacher.get(f"/api/kits/k1/{what}").json()["ok"]
        assert teacher.get(f"/api/kits/k2/{what}").status_code == 404, "another teacher's room"
        assert researcher.get(f"/api/kits/k1/{what}").status_code == 403
    changes = {"changes": {"mood.min_people": "8"}}
    for path, body in (("settings", changes), ("models", {"url": "http://x"}), ("rollback", {"name": "m"})):
        assert teacher.post(f"/api/kits/k1/{path}", json=body).status_code == 403
    assert len(asked) == 2
    assert admin.post("/api/kits/k1/settings", json=changes).json()["begins_anew"]
    assert asked[-1] == ("k1", "settings-change", changes)
    assert admin.post("/api/kits/k1/rollback", json={"name": "face-expression"}).json()["ok"]
    assert asked[-1] == ("k1", "model-rollback", {"name": "face-expression"})
    lines = [(line["deed"], line["kit"], line["about"]) for line in place.people.log()]
    assert ("tuned", "k1", "mood.min_people = 8") in lines
    assert ("model_rolled_back", "k1", "face-expression") in lines


def test_what_the_kit_refuses_is_handed_on_with_its_reason_and_not_noted(place, asked):  # noqa: F811
    admin = place.log_in("Budi")
    answer = admin.post("/api/kits/k1/settings", json={"changes": {"room": "no"}})
    assert answer.json()["why"]["id"] == "tidak"
    assert "tuned" not in place.deeds()


@pytest.mark.parametrize("body", [{}, {"changes": []}, {"changes": {"room": 7}}, {"changes": None}])
def test_changes_that_are_none_reach_no_kit(place, asked, body):  # noqa: F811
    assert place.log_in("Budi").post("/api/kits/k1/settings", json=body).status_code == 400
    assert asked == []


def test_a_package_is_handed_over_in_order_in_parts_and_noted_by_its_digest(place, asked):  # noqa: F811
    data = bytes(range(256)) * 200
    answer = place.log_in("Budi").post("/api/kits/k1/models", content=data, headers=BYTES)
    assert answer.json()["ok"]
    assert b"".join(base64.b64decode(table["data"]) for _, _, table in asked) == data
    assert [table["at"] for _, _, table in asked] == list(range(0, len(data), PART_BYTES))
    sha256 = hashlib.sha256(data).hexdigest()
    assert {(verb, table["sha256"], table["size"]) for _, verb, table in asked} == {
        ("model-part", sha256, len(data))
    }
    (line,) = [line for line in place.people.log() if line["deed"] == "model_installed"]
    assert line["about"] == sha256[:16]


def test_a_package_that_no_kit_takes_is_not_sent(place, asked):  # noqa: F811
    admin = place.log_in("Budi")
    for data, status in ((b"", 400), (bytes(MOST_BYTES + 1), 413)):
        answer = admin.post("/api/kits/k1/models", content=data, headers=BYTES)
        assert (answer.status_code, answer.json()["error"]) == (status, "package_size")
    assert asked == []


class Shop(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response({"/moved": 302, "/gone": 404}.get(self.path, 200))
        self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()
        self.wfile.write(b"PK package")

    def log_message(self, *_words: Any) -> None:
        """Say nothing."""


@pytest.fixture
def shop() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_package_is_fetched_from_an_address_that_leads_nowhere_else(place, asked, shop):  # noqa: F811
    admin = place.log_in("Budi")
    assert admin.post("/api/kits/k1/models", json={"url": f"{shop}/a.suasana"}).json()["ok"]
    assert base64.b64decode(asked[-1][2]["data"]) == b"PK package"
    for path in ("/moved", "/gone"):
        answer = admin.post("/api/kits/k1/models", json={"url": shop + path})
        assert (answer.status_code, answer.json()["error"]) == (502, "fetch")
    for url in ("file:///etc/passwd", "ftp://x/y", "", "http://", "http://[::1"):
        assert admin.post("/api/kits/k1/models", json={"url": url}).status_code in {400, 502}
    assert len(asked) == 1


def test_a_kit_that_is_away_is_not_asked(place, asked):  # noqa: F811
    place.tell("availability", "offline")
    assert place.log_in("Budi").get("/api/kits/k1/settings").status_code == 409
    assert asked == []
