import asyncio
import io
import json
import zipfile
from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher
from starlette.testclient import TestClient

from dashboard.app import make_app
from dashboard.bus import Address, Bus, Message
from dashboard.choices import Choices, Desk
from dashboard.database import Disk, open_database
from dashboard.feed import Feed, Sight
from dashboard.people import SESSION_S, Account, Passwords, People
from dashboard.questions import NoAnswerError, Questions
from tests.dashboard.kits import event, info, state

NOW = 1_790_000_000.0
QUICK = Passwords(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
WORDS = "payung biru di sawah"
PEOPLE = [
    Account("Ani", "teacher", ("k1",)),
    Account("Tuti", "teacher", ()),
    Account("Budi", "admin", ()),
    Account("Rina", "researcher", ()),
]
HASH = QUICK.hash(WORDS)


class Place:
    """A dashboard in this process, with a clock of the test's own."""

    def __init__(self, path, registrar=None) -> None:
        self.now = NOW
        self.feed = Feed(Disk(open_database(path)), clock=lambda: self.now, retention_days=lambda: 30)
        bus = Bus(Address("127.0.0.1", 1), on_message=self.feed.receive, on_connection=self.feed.connect)
        self.people = People(self.feed.disk.database)
        self.desk = Desk(self.feed.disk.database, Choices())
        self.app = make_app(
            self.feed,
            bus,
            self.people,
            self.desk,
            code="ABCDE23456",
            passwords=QUICK,
            registrar=registrar,
        )

    def browser(self, scheme: str = "http") -> TestClient:
        return TestClient(self.app, base_url=f"{scheme}://127.0.0.1:8765", follow_redirects=False)

    def log_in(self, name: str, scheme: str = "http") -> TestClient:
        browser = self.browser(scheme)
        assert browser.post("/api/login", json={"name": name, "password": WORDS}).status_code == 200
        browser.headers["x-csrf-token"] = browser.get("/api/me").json()["csrf"]
        return browser

    def tell(self, leaf: str, payload: object, kit: str = "k1") -> None:
        text = payload if isinstance(payload, str) else json.dumps(payload)
        self.feed.receive(Message(f"suasana/{kit}/{leaf}", text.encode(), retained=False))

    def deeds(self) -> list[str]:
        return [line["deed"] for line in self.people.log()][::-1]


@pytest.fixture
def empty(tmp_path) -> Iterator[Place]:
    place = Place(tmp_path / "history.sqlite3")
    yield place
    asyncio.run(place.feed.finish())


@pytest.fixture
def place(empty) -> Place:
    empty.people.add([(one, HASH) for one in PEOPLE], NOW)
    for kit in ("k1", "k2"):
        empty.tell("availability", "online", kit)
        empty.tell("info", info(kit), kit)
        empty.tell("state", state(NOW), kit)
        for number in range(12):
            empty.tell("event", event(kit, number, NOW - 60 + 5 * number), kit)
    return empty


PAST = f"since={NOW - 3600}&until={NOW + 60}"

# ── The first set-up ─────────────────────────────────────────────────────────────────────────────────

SETUP = {
    "code": "abcde23456",
    "language": "en",
    "notice": "A kit reads this room.",
    "consent": True,
    "rooms": {"k1": "Mawar"},
    "retention_days": 14,
    "admin": {"name": "Budi", "password": WORDS},
    "teacher": {"name": "Bu  Ani", "password": WORDS},
}


def test_the_first_visitor_sets_up_once_and_needs_the_code(empty):
    browser = empty.browser()
    assert browser.get("/").headers["location"] == "/setup"
    assert browser.get("/login").headers["location"] == "/setup"
    assert 'src="/static/setup.js"' in browser.get("/setup").text
    assert browser.post("/api/setup/rooms", json={"code": "WRONG"}).status_code == 403
    assert browser.post("/api/setup", json=SETUP | {"code": ""}).status_code == 403
    empty.tell("info", info())
    assert browser.post("/api/setup/rooms", json={"code": "ABCDE23456"}).json()["rooms"] == [
        {"kit": "k1", "room": "TK Melati"}
    ]
    assert browser.post("/api/setup", json=SETUP).status_code == 201
    assert {one.name: one.role for one in empty.people.accounts.values()} == {
        "Budi": "admin",
        "Bu Ani": "teacher",
    }
    assert empty.desk.now.notice == "A kit reads this room."
    assert empty.desk.now.retention_days == 14
    assert browser.post("/api/setup", json=SETUP).status_code == 409
    assert browser.get("/setup").headers["location"] == "/"
    assert browser.get("/").headers["location"] == "/login"
    assert empty.deeds() == ["set_up"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"consent": False}, "consent"),
        ({"language": "fr"}, "language"),
        ({"admin": {"name": "", "password": WORDS}}, "name"),
        ({"teacher": {"name": "Ani", "password": "short"}}, "password_length"),
        ({"teacher": {"name": "BUDI", "password": WORDS}}, "name_taken"),
        ({"teacher": None}, "name"),
    ],
)
def test_a_set_up_that_cannot_be_changes_nothing(empty, change, error):
    answer = empty.browser().post("/api/setup", json=SETUP | change)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert not empty.people.accounts


def test_codes_cannot_be_guessed_for_long(empty):
    browser = empty.browser()
    answers = [browser.post("/api/setup/rooms", json={"code": str(number)}) for number in range(7)]
    assert [answer.status_code for answer in answers] == [403] * 5 + [429] * 2


# ── Logging in and out ───────────────────────────────────────────────────────────────────────────────


def test_nothing_but_the_door_is_open(place):
    browser = place.browser()
    assert browser.get("/").headers["location"] == "/login"
    for path in ("/api/kits", "/api/stream", "/api/me", "/api/audit", "/api/history?kit=k1", "/api/rooms"):
        assert browser.get(path).status_code == 401, path
    for path in ("/api/kits/k1/switch", "/api/wipe", "/api/lessons", "/api/logout", "/api/accounts"):
        assert browser.post(path, json={}).status_code == 401, path
    assert browser.get("/api/welcome").json() == {"language": "id", "set_up": True}
    assert browser.get("/healthz").status_code == 200


def test_every_route_below_api_but_the_door_wants_a_session(place):
    door = {"/api/welcome", "/api/setup", "/api/setup/rooms", "/api/login"}
    for route in place.app.routes:
        path = getattr(route, "path", "")
        if path.startswith("/api/") and path not in door:
            for method in sorted(route.methods - {"HEAD"}):
                answer = place.browser().request(method, path.replace("{", "").replace("}", ""), json={})
                assert answer.status_code == 401, (method, path)


@pytest.mark.parametrize(("scheme", "name"), [("http", "suasana"), ("https", "__Host-suasana")])
def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_pages(place, scheme, name):
    answer = place.browser(scheme).post("/api/login", json={"name": "ani", "password": WORDS})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{name}=")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert ("Secure" in cookie) is (scheme == "https")
    assert "Domain" not in cookie


def test_a_wrong_name_and_a_wrong_password_read_the_same(place):
    browser = place.browser()
    answers = [
        browser.post("/api/login", json={"name": name, "password": password})
        for name, password in (("Ani", "wrong wrong wrong"), ("Nobody", WORDS), ("", ""))
    ]
    assert {(answer.status_code, answer.text) for answer in answers} == {
        (401, '{"error":"name or password is wrong"}')
    }
    assert [line["account"] for line in place.people.log()] == ["Ani"], "what a stranger typed is not kept"


def test_passwords_cannot_be_guessed_for_long(place):
    browser = place.browser()
    for _ in range(5):
        assert browser.post("/api/login", json={"name": "Ani", "password": "x" * 12}).status_code == 401
    answer = browser.post("/api/login", json={"name": "Ani", "password": WORDS})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    place.now += int(answer.headers["retry-after"])
    assert browser.post("/api/login", json={"name": "Ani", "password": WORDS}).status_code == 200


def test_a_session_ends_by_itself_and_by_hand(place):
    browser = place.log_in("Ani")
    assert browser.get("/").status_code == 200
    assert browser.post("/api/logout", json={}).status_code == 200
    assert browser.get("/api/me").status_code == 401
    again = place.log_in("Ani")
    place.now += SESSION_S + 1
    assert again.get("/api/me").status_code == 401
    assert place.deeds() == ["login", "logout", "login"]


def test_a_change_without_the_pages_token_is_refused(place):
    browser = place.log_in("Ani")
    for token in ("", "wrong", "ä"):
        headers = {"x-csrf-token": token.encode()}
        assert browser.post("/api/lessons", json={"kit": "k1"}, headers=headers).status_code == 403
    assert browser.post("/api/lessons", json={"kit": "k1"}).status_code == 201


def test_a_new_password_ends_every_session_of_the_account(place):
    one, other = place.log_in("Ani"), place.log_in("Ani")
    wrong = {"old": "no", "new": "sepeda merah di pasar"}
    assert one.post("/api/password", json=wrong).json()["error"] == "password_wrong"
    assert one.post("/api/password", json=wrong | {"old": WORDS}).status_code == 200
    assert other.get("/api/me").status_code == 401
    assert place.browser().post("/api/login", json={"name": "Ani", "password": WORDS}).status_code == 401


# ── Roles that must not see ──────────────────────────────────────────────────────────────────────────


def test_a_teacher_sees_the_own_rooms_only(place):
    browser = place.log_in("Ani")
    assert [kit["kit"] for kit in browser.get("/api/kits").json()["kits"]] == ["k1"]
    assert len(browser.get("/api/history?kit=k1&minutes=10").json()["windows"]) == 12
    for path in (f"/api/past?kit=k2&{PAST}", "/api/history?kit=k2", f"/api/export?kit=k2&{PAST}"):
        assert browser.get(path).status_code == 404, path
    for path, body in (
        ("/api/kits/k2/switch", {"name": "camera", "value": "off"}),
        ("/api/lessons", {"kit": "k2"}),
        ("/api/notes", {"kit": "k2", "text": "x"}),
        ("/api/wrong", {"kit": "k2", "shown": "happy", "meant": "sad"}),
        ("/api/wipe", {"kit": "k2"}),
    ):
        assert browser.post(path, json=body).status_code == 404, path
    for path in ("/api/accounts",):
        assert browser.get(path).status_code == 403
    assert browser.post("/api/choices", json={}).status_code == 403


def test_an_admin_keeps_kits_running_and_sees_no_mood(place):
    browser = place.log_in("Budi")
    kits = browser.get("/api/kits").json()["kits"]
    assert [kit["kit"] for kit in kits] == ["k1", "k2"]
    assert {kit["state"] for kit in kits} == {None}
    assert "happy" not in json.dumps([kit | {"info": None} for kit in kits])
    for path in (
        f"/api/past?kit=k1&{PAST}",
        f"/api/windows?kit=k1&{PAST}",
        f"/api/export?kit=k1&{PAST}",
        f"/api/notes?kit=k1&{PAST}",
        "/api/history?kit=k1",
        "/api/rooms",
    ):
        assert browser.get(path).status_code == 403, path


def test_the_admins_stream_carries_no_mood(place):
    async def scenario() -> str:
        stream = place.feed.stream(Sight(mood=False))
        told = [await anext(stream), await anext(stream)]
        place.tell("state", state(NOW, mood="sad", shares={"sad": 1.0}))
        place.tell("event", event("k1", 99, NOW, mood="sad", shares={"sad": 1.0}))
        place.tell("availability", "stopped")
        told += [await anext(stream), await anext(stream)]
        await stream.aclose()
        return "".join(told).replace(json.dumps(info()["labels"], separators=(",", ":")), "")

    told = asyncio.run(scenario())
    assert "stopped" in told
    assert "sad" not in told
    assert "event: window" not in told


def test_a_researcher_sees_released_lessons_whole_windows_only(place):
    teacher, researcher = place.log_in("Tuti"), place.log_in("Rina")
    place.now = NOW - 52
    lesson = teacher.post("/api/lessons", json={"kit": "k1", "title": "Menggambar"}).json()
    place.now = NOW - 20
    teacher.post(f"/api/lessons/{lesson['id']}", json={"end": True})
    teacher.post("/api/notes", json={"kit": "k1", "text": "private"})
    place.now = NOW
    assert researcher.get("/api/rooms").json()["rooms"] == []
    assert researcher.get(f"/api/windows?kit=k1&{PAST}").json()["windows"] == []
    teacher.post(f"/api/lessons/{lesson['id']}", json={"consent": True})
    assert [one["kit"] for one in researcher.get("/api/rooms").json()["rooms"]] == ["k1"]
    told = researcher.get(f"/api/windows?kit=k1&{PAST}").json()
    assert [window["ends"] - NOW for window in told["windows"]] == [-45, -40, -35, -30, -25, -20]
    assert told["notes"] == []
    past = researcher.get(f"/api/past?kit=k1&{PAST}").json()
    assert (len(past["lessons"]), past["counts"], past["days"][0]["windows"]) == (1, [], 6)
    with zipfile.ZipFile(io.BytesIO(researcher.get(f"/api/export?kit=k1&{PAST}").content)) as archive:
        assert set(archive.namelist()) == {"windows.csv", "lessons.csv", "codebook.csv"}
        assert archive.read("windows.csv").count(b"\n") == 7
    for path in (
        "/api/kits",
        "/api/stream",
        "/api/history?kit=k1",
        "/api/audit",
        f"/api/notes?kit=k1&{PAST}",
    ):
        assert researcher.get(path).status_code == 403, path
    assert researcher.post("/api/wipe", json={"kit": "k1"}).status_code == 403
    teacher.post(f"/api/lessons/{lesson['id']}", json={"consent": False})
    assert researcher.get("/api/rooms").json()["rooms"] == []


# ── What is noted, chosen and wiped ──────────────────────────────────────────────────────────────────


def test_the_teacher_reads_who_looked_exported_and_switched(place):
    teacher = place.log_in("Tuti")
    teacher.get(f"/api/past?kit=k1&{PAST}")
    teacher.get(f"/api/past?kit=k1&{PAST}")
    teacher.get(f"/api/export?kit=k1&{PAST}")
    lines = teacher.get("/api/audit").json()["lines"]
    assert [(line["account"], line["deed"], line["kit"]) for line in lines] == [
        ("Tuti", "exported", "k1"),
        ("Tuti", "looked_back", "k1"),
        ("Tuti", "login", ""),
    ]
    place.log_in("Tuti").get(f"/api/export?kit=k2&{PAST}")
    mine = place.log_in("Ani").get("/api/audit").json()["lines"]
    assert "k2" not in [line["kit"] for line in mine]
    assert teacher.get("/api/audit?before=2").json()["lines"][0]["seq"] == 1
    assert teacher.get("/api/audit?before=x").status_code == 400


def test_a_wiped_room_is_empty_and_the_log_says_who(place):
    teacher = place.log_in("Ani")
    teacher.post("/api/notes", json={"kit": "k1", "text": "x"})
    assert teacher.post("/api/wipe", json={"kit": "k1"}).status_code == 200
    assert teacher.get("/api/history?kit=k1&minutes=10").json()["windows"] == []
    assert teacher.get(f"/api/notes?kit=k1&{PAST}").json()["notes"] == []
    assert len(place.log_in("Tuti").get("/api/history?kit=k2&minutes=10").json()["windows"]) == 12
    assert ("wiped", "k1") in [(line["deed"], line["kit"]) for line in place.people.log()]


def test_the_admin_makes_and_removes_accounts(place):
    admin, teacher = place.log_in("Budi"), place.log_in("Ani")
    body = {"name": "Sari", "role": "teacher", "kits": ["k2"], "password": WORDS}
    assert admin.post("/api/accounts", json=body).status_code == 201
    assert admin.post("/api/accounts", json=body).json()["error"] == "name_taken"
    assert admin.post("/api/accounts", json=body | {"name": "X", "kits": ["K 2"]}).status_code == 400
    sari = place.log_in("Sari")
    assert [kit["kit"] for kit in sari.get("/api/kits").json()["kits"]] == ["k2"]
    assert admin.post("/api/accounts/Sari", json={"password": "sepeda merah di pasar"}).status_code == 200
    assert sari.get("/api/me").status_code == 401
    assert admin.request("DELETE", "/api/accounts/Ani").status_code == 200
    assert teacher.get("/api/me").status_code == 401
    assert admin.request("DELETE", "/api/accounts/Budi").json()["error"] == "last_admin"
    assert admin.get("/api/me").status_code == 200
    assert "hash" not in admin.get("/api/accounts").text


def test_a_shorter_retention_holds_at_once(place):
    admin, teacher = place.log_in("Budi"), place.log_in("Ani")
    place.feed._retention_days = lambda: place.desk.now.retention_days
    assert admin.post("/api/choices", json={"retention_days": 0.0001}).status_code == 200
    assert len(teacher.get("/api/history?kit=k1&minutes=10").json()["windows"]) == 1
    assert admin.post("/api/choices", json={"retention_days": -1}).json()["error"] == "retention"


def test_stretches_that_cannot_be_are_refused(place):
    teacher = place.log_in("Ani")
    for query in (
        "",
        "since=1",
        "since=x&until=2",
        "since=nan&until=2",
        "since=5&until=2",
        "since=0&until=9e9",
    ):
        assert teacher.get(f"/api/past?kit=k1&{query}").status_code == 400, query


def test_a_teacher_writes_rules_for_the_own_rooms_and_leaves_others(place):
    ani, tuti = place.log_in("Ani"), place.log_in("Tuti")
    rule = {"condition": "sad", "at_least": 0.5, "for_s": 300, "quiet_s": 60, "days": [0]}
    rule |= {"starts": "07:00", "ends": "15:00"}
    both = [rule | {"kit": "k1"}, rule | {"kit": "k2"}]
    assert tuti.put("/api/rules", json={"rules": both}).status_code == 200
    assert [one["kit"] for one in ani.get("/api/rules").json()["rules"]] == ["k1"]
    assert ani.put("/api/rules", json={"rules": both}).status_code == 404
    assert ani.put("/api/rules", json={"rules": [{"kit": "k1"}]}).json()["error"] == "condition"
    assert ani.put("/api/rules", json={"rules": []}).status_code == 200
    assert [one["kit"] for one in tuti.get("/api/rules").json()["rules"]] == ["k2"]
    assert ani.get("/api/alerts?kit=k2").status_code == 404
    assert place.log_in("Budi").get("/api/alerts?kit=k1").status_code == 403


# ── Questions ────────────────────────────────────────────────────────────────────────────────────────


def test_an_answer_finds_its_question():
    async def scenario() -> None:
        asked: list[tuple[str, str]] = []

        async def publish(topic: str, payload: str) -> bool:
            asked.append((topic, payload))
            transaction = json.loads(payload)["transaction"]
            questions.hear("k1", "doctor", b"nonsense")
            questions.hear("k1", "doctor", json.dumps({"transaction": "another", "ok": False}).encode())
            questions.hear("k2", "doctor", json.dumps({"transaction": transaction, "ok": False}).encode())
            questions.hear("k1", "doctor", json.dumps({"transaction": transaction, "ok": True}).encode())
            return True

        questions = Questions(publish)
        assert (await questions.ask("k1", "doctor"))["ok"] is True
        assert asked[0][0] == "suasana/k1/request/doctor"

    asyncio.run(scenario())


@pytest.mark.parametrize("taken", [True, False])
def test_no_answer_is_told(taken):
    async def scenario() -> None:
        async def publish(_topic: str, _payload: str) -> bool:
            return taken

        questions = Questions(publish)
        with pytest.raises(NoAnswerError):
            await questions.ask("k1", "doctor", timeout_s=0.01)
        assert not questions._open

    asyncio.run(scenario())
