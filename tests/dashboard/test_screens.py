"""The other screens in a real browser: the way in, lessons, looking back, kits, settings; who must not see.

Every screen is judged by axe-core. Photographs lie in tests/artefacts/ afterwards, a few small ones in
docs/guide/ when SUASANA_GUIDE is set.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from dashboard.pages import STATIC
from edge.settings import Settings
from edge.tuning import describe
from tests.conftest import ROOT, eventually
from tests.dashboard.chromium import PROGRAM, Tab, debugger, tab
from tests.dashboard.kits import SHIPPED, FakeKit, Server, health, info, running_server, state
from tests.dashboard.test_browser import OVERFLOW, reads, tell_lesson

__all__ = ["debugger", "tab"]
"""Fixtures."""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed"),
]

WORDS = "payung biru di sawah"
TABS = ["now", "past", "kits", "office"]
AXE = importlib.util.find_spec("axe_playwright_python")
GUIDE = ROOT / "docs" / "guide"


def show(tab: Tab, server: Server, screen: str) -> None:
    tab.open("about:blank")
    tab.open(f"{server.url}/#{screen}")
    place = f"document.querySelector('[data-screen={screen}]')"
    eventually(lambda: at(tab) == screen and tab.run(f"{place}.children.length"))


def at(tab: Tab) -> str:
    """The screen that is shown; none while the browser is on its way to another page."""
    try:
        return str(tab.run("document.body?.dataset.at"))
    except AssertionError as error:
        if "navigated" not in str(error):
            raise
        return ""


def put(tab: Tab, selector: str, text: str) -> None:
    tab.run(f"document.querySelector({json.dumps(selector)}).value = {json.dumps(text)}")


def judge(tab: Tab) -> list[str]:
    """What axe-core finds wrong with the page as it is."""
    if AXE is None or AXE.origin is None:
        pytest.skip("axe-playwright-python, which carries axe-core, is not installed")
    tab.run((Path(AXE.origin).parent / "axe.min.js").read_text("utf-8") + "; null")
    found = tab.run("axe.run().then((told) => JSON.stringify(told.violations))")
    return [f"{one['id']}: {node['html'][:160]}" for one in json.loads(found) for node in one["nodes"]]


def settle(tab: Tab) -> None:
    eventually(
        lambda: tab.run("!document.querySelector('.picture.fading') && document.fonts.status") == "loaded"
    )


def photograph(tab: Tab, name: str, *, guide: bool = False) -> None:
    """The whole screen, with what sticks to its edges at its edges."""
    settle(tab)
    width, height = tab.run("scrollTo(0, 0); [innerWidth, innerHeight]")
    whole = tab.call("Page.getLayoutMetrics")["cssContentSize"]["height"]
    metrics = {"width": width, "deviceScaleFactor": 1, "mobile": width < 500}
    tab.call("Emulation.setDeviceMetricsOverride", height=max(height, whole), **metrics)
    path = tab.photograph(name)
    if guide and os.environ.get("SUASANA_GUIDE"):
        GUIDE.mkdir(exist_ok=True)
        clip = {"x": 0, "y": 0, "width": width, "height": min(max(height, whole), 1600), "scale": 0.6}
        image = tab.call("Page.captureScreenshot", format="webp", quality=70, clip=clip)
        (GUIDE / f"{path.stem}.webp").write_bytes(base64.b64decode(image["data"]))
    tab.call("Emulation.setDeviceMetricsOverride", height=height, **metrics)


@pytest.fixture
def school(server: Server, make_kit: Any) -> list[FakeKit]:
    """Two rooms with half an hour behind them, at a demo."""
    return furnish(server, make_kit)


def furnish(server: Server, make_kit: Any) -> list[FakeKit]:
    kits = [make_kit("k1", room="Kelas Mawar"), make_kit("k2", room="Kelas Melati")]
    for kit in kits:
        kit.introduce()
        tell_lesson(kit, time.time())
        kit.tell("health", health(time.time()), retain=False)
        kit.tell("state", state(time.time()))
    eventually(lambda: server.get("/healthz")["kits"] == 2)
    return kits


# ── The way in ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def locked(broker: int, tmp_path: Path) -> Iterator[tuple[Server, str]]:
    """A dashboard that wants to be set up, and its code."""
    log = tmp_path / "log"
    with running_server(broker, tmp_path, options=(), log=log) as served:
        eventually(lambda: "the code is" in log.read_text())
        code = re.search(r"the code is (\w+)", log.read_text())
        assert code is not None
        eventually(lambda: served.get("/healthz")["broker"])
        yield served, code[1]


def submit(tab: Tab, title: str) -> None:
    tab.run("document.querySelector('#door form').requestSubmit()")
    reads(tab, "#door h1", title)


def test_the_first_visitor_is_led_to_a_dashboard_that_is_set_up(tab, locked, make_locked_kit):
    server, code = locked
    make_locked_kit("k1", room="").introduce()
    eventually(lambda: server.get("/healthz")["kits"] == 1)
    tab.open(server.url)
    reads(tab, "#door h1", "Selamat datang di Suasana")
    put(tab, "#door input", "WRONG")
    tab.run("document.querySelector('#door form').requestSubmit()")
    reads(tab, "#answer", "Kode itu tidak benar.")
    tab.open("about:blank")
    tab.open(f"{server.url}/setup#{code}")
    reads(tab, "#door h1", "Selamat datang")
    assert judge(tab) == []
    submit(tab, "Pemberitahuan dan persetujuan")
    assert code not in tab.run("location.href"), "nobody reads the code over a shoulder"
    tab.run("document.querySelector('#door form').requestSubmit()")
    reads(tab, "#answer", "Tanpa persetujuan kit tidak boleh membaca siapa pun.")
    tab.click("#agreed")
    assert judge(tab) == []
    photograph(tab, "setup-notice-id")
    submit(tab, "Nama ruangan")
    put(tab, "#door input", "Kelas Mawar")
    submit(tab, "Akun admin")
    for name, then in (("Budi", "Akun guru"), ("Bu Ani", "Dasbor siap")):
        put(tab, "#door input[autocomplete=username]", name)
        put(tab, "#door input[type=password]", WORDS)
        submit(tab, then)
    tab.run("document.querySelector('#door form').requestSubmit()")
    reads(tab, "#room", "Kelas Mawar")
    assert tab.text("#banners") == "", "this is no demo"
    show(tab, server, "office")
    reads(tab, "#audit tbody", "menyiapkan dasbor")
    tab.click("#logout")
    reads(tab, "#door h1", "Masuk")
    assert judge(tab) == []
    photograph(tab, "login-id")
    log_in(tab, server, "bu ani", "wrong wrong wrong")
    reads(tab, "#answer", "Nama atau kata sandi salah.")
    log_in(tab, server, "bu ani", WORDS)
    reads(tab, "#room", "Kelas Mawar")


def log_in(tab: Tab, server: Server, name: str, password: str) -> None:
    tab.open("about:blank")
    tab.open(f"{server.url}/login")
    reads(tab, "#door h1", "Masuk")
    put(tab, "#door input[name=name]", name)
    put(tab, "#door input[name=password]", password)
    tab.run("document.querySelector('#door form').requestSubmit()")


@pytest.fixture
def make_locked_kit(locked: tuple[Server, str]) -> Iterator[Any]:
    started: list[FakeKit] = []

    def start(name: str, **settings: Any) -> FakeKit:
        kit = FakeKit(name, locked[0].mqtt_port, settings=settings).start()
        started.append(kit)
        return kit

    yield start
    for kit in started:
        kit.stop()


def test_each_role_is_shown_its_screens_and_no_others(tab, locked, make_locked_kit):
    server, code = locked
    people = {"admin": {"name": "Budi", "password": WORDS}, "teacher": {"name": "Ani", "password": WORDS}}
    kits = furnish(server, make_locked_kit)
    tab.open(server.url)
    post = """async (path, body, token) => (await fetch(path, {method: 'POST', body: JSON.stringify(body),
      headers: {'Content-Type': 'application/json', 'X-CSRF-Token': token ?? ''}})).status"""
    setup = people | {"code": code, "consent": True}
    assert tab.run(f"({post})('/api/setup', {json.dumps(setup)})") == 201
    log_in(tab, server, "Budi", WORDS)
    eventually(lambda: at(tab) == "kits")
    reads(tab, "[data-kit=k1] h2", "Kelas Mawar")
    assert shown_tabs(tab) == ["kits", "office"]
    assert "senang" not in tab.run("document.querySelector('main').innerText")
    assert judge(tab) == []
    body = {"name": "Rina", "role": "researcher", "kits": [], "password": WORDS}
    token = "(await (await fetch('/api/me')).json()).csrf"
    script = f"(async () => ({post})('/api/accounts', {json.dumps(body)}, {token}))()"
    assert tab.run(script) == 201
    tab.run("location.hash = '#now'")
    eventually(lambda: at(tab) == "kits")
    log_out(tab, server)
    log_in(tab, server, "Rina", WORDS)
    eventually(lambda: at(tab) == "past")
    reads(tab, "#past", "Belum ada pelajaran yang disetujui untuk penelitian.")
    assert shown_tabs(tab) == ["past", "office"]
    assert judge(tab) == []
    log_out(tab, server)
    kits[0].tell("state", state(time.time()))  # hashing takes its time, and a kit that is not heard is away
    log_in(tab, server, "Ani", WORDS)
    reads(tab, "#word", "senang")
    assert shown_tabs(tab) == TABS
    show(tab, server, "office")
    reads(tab, "#audit tbody", "melihat suasana")
    assert tab.run("document.querySelectorAll('#people, #choices').length") == 0


def shown_tabs(tab: Tab) -> list[str]:
    shown = "[...document.querySelectorAll('[data-tab]')].filter((one) => !one.hidden)"
    return list(tab.run(f"{shown}.map((one) => one.dataset.tab)"))


def log_out(tab: Tab, server: Server) -> None:
    show(tab, server, "office")
    eventually(lambda: tab.run("Boolean(document.querySelector('#logout'))"))
    tab.click("#logout")
    reads(tab, "#door h1", "Masuk")


# ── The lesson, and looking back ─────────────────────────────────────────────────────────────────────


def test_a_lesson_is_begun_noted_and_ended_and_looked_back_on(tab, server, school):
    show(tab, server, "now")
    reads(tab, "#word", "senang")
    eventually(lambda: not tab.run("document.querySelector('#tools').hidden"))  # drawn after the word
    put(tab, "#lesson-name", "Menggambar")
    tab.click("#lesson-button")
    reads(tab, "#running", "Menggambar, sejak ")
    put(tab, "#note-text", "Hujan <b>deras</b>")
    tab.click("#note-form button")
    reads(tab, "#notes", "Hujan <b>deras</b>")
    eventually(lambda: tab.run("document.querySelectorAll('#chart .flag').length") == 1)
    for number in range(3):
        school[0].read(time.time() + number)
    tab.click("#lesson-button")
    reads(tab, "#lesson-button", "Mulai pelajaran")
    show(tab, server, "past")
    reads(tab, ".lessons", "Menggambar")
    tab.click(".lessons .name")
    eventually(lambda: tab.run("document.querySelectorAll('#report .chart svg').length") == 1)
    reads(tab, "#report .notes", "Hujan <b>deras</b>")
    assert judge(tab) == []
    pdf = base64.b64decode(tab.call("Page.printToPDF", printBackground=True, preferCSSPageSize=True)["data"])
    assert len(re.findall(rb"/Type\s*/Page[^s]", pdf)) == 1, "one page"
    (ROOT / "tests" / "artefacts" / "lesson.pdf").write_bytes(pdf)
    show(tab, server, "now")
    reads(tab, "#notes", "Hujan <b>deras</b>")
    tab.click("#notes .link")
    eventually(lambda: tab.text("#notes") == "")


def begin_and_end(tab: Tab, title: str) -> None:
    script = """async (title) => {
      const send = (path, body) => fetch(path, {method: 'POST', body: JSON.stringify(body),
        headers: {'Content-Type': 'application/json'}});
      const lesson = await (await send('/api/lessons', {kit: 'k1', title})).json();
      await send(`/api/lessons/${lesson.id}`, {end: true});
      return true;
    }"""
    assert tab.run(f"({script})({json.dumps(title)})")


def test_two_lessons_are_compared_with_the_limits_beside_them(tab, server, school):
    show(tab, server, "past")
    for title in ("Menggambar", "Bernyanyi"):
        begin_and_end(tab, title)
    eventually(lambda: tab.run("document.querySelectorAll('.lessons li').length") == 2)
    for number in (0, 1):
        tab.run(f"document.querySelectorAll('[id^=pick-]')[{number}].click()")
    reads(tab, "#comparison", "Bernyanyi")
    assert "Jangan membandingkan anak atau guru." in tab.text("#comparison")
    tab.run("document.querySelector('[id^=consent-]').click()")
    eventually(lambda: json.loads(tab.run(AUDIT))["lines"][0]["deed"] == "consented")
    assert judge(tab) == []


AUDIT = "fetch('/api/audit').then((answer) => answer.text())"


def test_that_was_wrong_takes_two_taps_and_stores_a_count(tab, server, school):
    show(tab, server, "now")
    reads(tab, "#word", "senang")
    tab.click("#wrong")
    reads(tab, "#dialog-title", "Apa yang Anda lihat?")
    assert judge(tab) == []
    choices = "[...document.querySelectorAll('#dialog-choices button')]"
    tab.run(f"{choices}.find((one) => one.innerText === 'netral').click()")
    reads(tab, "#dialog-title", "Terima kasih")
    tab.click("#dialog-choices button")
    show(tab, server, "past")
    reads(tab, "#counts", "netral")


# ── Kits ─────────────────────────────────────────────────────────────────────────────────────────────


def test_kits_are_told_in_words_and_switched(tab, server, school):
    show(tab, server, "kits")
    reads(tab, "[data-kit=k1] .cares", "Semua baik.")
    school[1].tell("source/camera/status", "recovering")
    reads(tab, "[data-kit=k2] .cares", "Kamera menyambung kembali.")
    detail = {"schema": 1, "at": "2026-03-02T01:00:00.000Z", "status": "online", "text": ""}
    school[1].tell("source/camera/status", "online")
    school[1].tell("source/camera/detail", detail | {"problem": "covered"})
    reads(tab, "[data-kit=k2] .cares", "Apakah kamera terhalang?")
    school[1].tell("health", health(time.time(), temperature_c=84.0, throttled=True), retain=False)
    reads(tab, "[data-kit=k2] .cares", "Kit panas (84 °C).")
    tab.run("document.querySelectorAll('[data-kit=k1] .switch')[1].click()")
    reads(tab, "[data-kit=k1] .switches", "mati")
    assert school[0].commands == [("camera", "off", False)]
    school[0].tell("availability", "offline")
    reads(tab, "[data-kit=k1] .cares", "Periksa listrik dan jaringan kit.")
    assert tab.run("document.querySelector('[data-kit=k1] .switch').disabled")
    assert judge(tab) == []


def finding(id: str, status: str, found: str, todo: str) -> dict[str, Any]:
    return {"id": id, "status": status, "found": {"id": found, "en": "…"}, "todo": {"id": todo, "en": ""}}


def test_a_kits_doctor_and_its_models_card_are_read(tab, server, school):
    kit = school[0]
    kit.answers["doctor"] = {
        "ok": True,
        "doctor": [
            finding("camera.frames", "ok", "30 gambar per detik", ""),
            finding("clock.synced", "failure", "Jam salah.", "Sambungkan kit ke internet."),
        ],
    }
    show(tab, server, "kits")
    reads(tab, "[data-kit=k1] h2", "Kelas Mawar")
    tab.run("document.querySelector('[data-kit=k1] [data-open=doctor]').click()")
    reads(tab, "#dialog-body", "Jam salah. Sambungkan kit ke internet.")
    assert tab.run("document.querySelectorAll('#dialog-body .warn').length") == 1
    assert judge(tab) == []
    tab.click("#dialog-choices button")
    tab.click("[data-kit=k1] .choices button")
    reads(tab, "#dialog-title", SHIPPED.id)
    reads(tab, "#dialog-body", "FER-2013")


FIGURES = ("accuracy", "claimed", "claimed_accuracy")


@pytest.mark.parametrize("language", ["id", "en"])
def test_a_kits_settings_and_its_model_are_told_in_words(tab, server, school, language):
    texts = json.loads((STATIC / "texts" / f"{language}.json").read_text("utf-8"))
    kit, base = school[0], Settings(room="Kelas Mawar")
    changed = replace(base, mood=replace(base.mood, min_people=8))
    model = {
        "name": SHIPPED.name,
        "version": SHIPPED.version,
        "task": "expression",
        "shipped": True,
        "trial": False,
        "back_to": None,
        "failed": "",
        "why": {},
        "metrics": {name: SHIPPED.metrics[name] for name in FIGURES},
        "card": (SHIPPED.folder / "MODEL_CARD.md").read_text("utf-8")[:400],
    }
    kit.tell("info", info("k1", room="Kelas Mawar"))
    kit.answers["models"] = {"ok": True, "models": [model], "updates": True}
    kit.answers["settings"] = {
        "ok": True,
        "settings": [asdict(one) for one in describe(base, changed)],
        "tuning": {"trial": False, "failed": {}, "why": {}},
    }
    show(tab, server, "kits")
    tab.click(f"[data-language={language}]")
    reads(tab, "[data-kit=k1] .choices", texts["tune.open"])
    tab.run("document.querySelector('[data-kit=k1] [data-open=settings]').click()")
    reads(tab, "#dialog-body", texts["tune.mood.min_people"])
    assert tab.run("document.querySelector('#tuning [name=\"mood.min_people\"]').value") == "8"
    assert judge(tab) == []
    photograph(tab, f"settings-1280-{language}", guide=True)
    tab.run("document.querySelector('#dialog-choices button').click()")
    tab.run("document.querySelector('[data-kit=k1] .choices button').click()")
    reads(tab, "#dialog-body", texts["model.shipped"])
    reads(tab, "#dialog-body", texts["model.update"])
    assert judge(tab) == []
    photograph(tab, f"model-1280-{language}", guide=True)


# ── Settings ─────────────────────────────────────────────────────────────────────────────────────────


def test_settings_are_kept_and_a_room_is_wiped_after_being_asked(tab, server, school):
    show(tab, server, "office")
    eventually(lambda: tab.run("document.querySelectorAll('#choices input').length") == 3)
    put(tab, "#choices input:nth-of-type(1)", "0")
    tab.run("document.querySelector('#choices form').requestSubmit()")
    reads(tab, "#choices .answer", "Pilih 1 sampai 3650 hari.")
    put(tab, "#choices input", "21")
    tab.run("document.querySelectorAll('#choices input')[1].value = 'Ruang Mawar'")
    tab.run("document.querySelector('#choices form').requestSubmit()")
    reads(tab, "#choices .answer", "Tersimpan.")
    tab.run("document.querySelector('#plans details').open = true")
    tab.run("document.querySelector('#plans form').requestSubmit()")
    reads(tab, "#plans .answer", "Pilih sedikitnya satu hari.")
    tab.click("#day-0")
    tab.run("document.querySelector('#plans form').requestSubmit()")
    reads(tab, "#plans .plans", "Sen · 07:30\u201309:00")
    assert judge(tab) == []
    tab.click("#wipe-go")
    reads(tab, "#dialog-title", "Hapus semua data")
    tab.run("document.querySelector('#dialog-choices .danger').click()")
    reads(tab, "#wipe .answer", "Sudah dihapus.")
    windows = server.get("/api/history?kit=k1&minutes=60")["windows"]
    assert windows == []
    assert len(server.get("/api/history?kit=k2&minutes=60")["windows"]) == 341


TYPED = """JSON.stringify([...document.querySelectorAll(
  '#alerts form input, #alerts form select, #plans form input, #choices form textarea, #choices form input'
)].filter((one) => one.type !== 'checkbox').map((one) => one.value))"""


def test_what_is_typed_into_a_form_stays_when_a_kit_appears_or_is_renamed(tab, server, school, make_kit):
    show(tab, server, "office")
    eventually(lambda: tab.run("document.querySelectorAll('#choices input').length") == 3)
    tab.run("for (const fold of document.querySelectorAll('#office details')) fold.open = true")
    put(tab, "#alerts input[max='120']", "17")
    put(tab, "#alerts select", "k2")
    put(tab, "#plans input[maxlength='80']", "Melukis")
    put(tab, "#choices textarea", "Di ruangan ini")
    put(tab, "#choices [data-room=k2] input", "Ruang Melati")
    tab.run("document.querySelector('#day-2').checked = true")
    tab.run("document.querySelector('#alerts input[type=url]').focus()")
    before = json.loads(tab.run(TYPED))
    third = make_kit("k0", room="Kelas Anggrek")
    third.introduce()
    for form in ("alerts", "plans", "wipe"):
        options = f"[...document.querySelectorAll('#{form} select option')].map((one) => one.textContent)"
        eventually(lambda options=options: "Kelas Anggrek" in tab.run(options))
    eventually(lambda: tab.run("document.querySelectorAll('#choices [data-room]').length") == 3)
    school[1].tell("info", info("k2", room="Kelas Dahlia"))
    eventually(lambda: "Kelas Dahlia" in tab.run("document.querySelector('#alerts select').innerText"))
    after = [*before, ""]  # the new room's own field
    assert sorted(json.loads(tab.run(TYPED))) == sorted(after)
    assert tab.run("document.querySelector('#alerts select').value") == "k2"
    assert tab.run("document.querySelector('#day-2').checked")
    assert tab.run("document.activeElement.type") == "url"
    assert judge(tab) == []
    tab.click("[data-language=en]")  # which draws everything anew
    reads(tab, "#alerts-title", "Alerts")
    eventually(lambda: sorted(json.loads(tab.run(TYPED))) == sorted(after))
    assert tab.run(
        "document.querySelector('#day-2').checked && document.querySelector('#plans details').open"
    )
    tab.click("[data-language=id]")


def test_a_kits_card_stays_unfolded_while_its_news_come(tab, server, school):
    show(tab, server, "kits")
    reads(tab, "[data-kit=k1] .cares", "Semua baik.")
    tab.run("document.querySelector('[data-kit=k1] summary').focus()")
    tab.run("document.querySelector('[data-kit=k1] details').open = true")
    school[0].tell("health", health(time.time(), temperature_c=84.0), retain=False)
    reads(tab, "[data-kit=k1] .cares", "Kit panas (84 °C).")
    assert tab.run("document.querySelector('[data-kit=k1] details').open")
    assert tab.run("document.activeElement.tagName") == "SUMMARY"


def test_an_alert_is_written_switched_off_and_an_open_one_stands_above_the_room(
    tab, server, school, tmp_path
):
    show(tab, server, "office")
    rooms = len(server.get("/api/kits")["kits"])  # each of them may still be on its way to the page
    eventually(lambda: tab.run("document.querySelector('#alerts select').options.length") == rooms)
    tab.run("document.querySelector('#alerts details').open = true")
    put(tab, "#alerts input[max='120']", "0")
    tab.run("document.querySelector('#alerts form').requestSubmit()")
    reads(tab, "#alerts .answer", "Salah satu angka di luar batas.")
    put(tab, "#alerts input[max='120']", "10")
    tab.run("document.querySelector('#alerts form').requestSubmit()")
    reads(tab, "#alerts .plans", "Kelas Mawar: sedih ≥ 50% selama 10 menit")
    assert judge(tab) == []
    (rule,) = server.get("/api/rules")["rules"]
    assert rule["on"]
    tab.click("#alerts .plans input")
    eventually(lambda: not server.get("/api/rules")["rules"][0]["on"])
    with sqlite3.connect(tmp_path / "history.sqlite3") as database:
        row = ("a1", "k1", rule["id"], "sad", time.time() - 60)
        database.execute("INSERT INTO alerts (id, kit, rule, label, starts) VALUES (?, ?, ?, ?, ?)", row)
    database.close()
    show(tab, server, "now")
    reads(tab, "#banners", ": sedih.")
    assert judge(tab) == []


# ── Without a network, on every width, in both languages ─────────────────────────────────────────────


def test_an_installed_page_opens_without_its_server_and_says_from_when_it_knows(tab, server, school):
    show(tab, server, "now")
    reads(tab, "#word", "senang")
    tab.run("navigator.serviceWorker.ready.then(() => true)")
    show(tab, server, "now")
    reads(tab, "#word", "senang")
    server.process.terminate()
    server.process.wait(20)
    show(tab, server, "now")
    reads(tab, "#banners", "Sambungan ke dasbor terputus.")
    reads(tab, "#word", "senang")
    reads(tab, "#facts", "Pukul ")
    assert "old" in tab.run("document.querySelector('#now').className")
    assert tab.run("document.querySelector('#pause').disabled")


@pytest.mark.parametrize(("width", "height"), [(360, 740), (1280, 800), (1920, 1080)])
def test_every_screen_fits_and_is_accessible_in_both_languages(tab, server, school, width, height):
    show(tab, server, "past")
    begin_and_end(tab, "Menggambar bebas dengan cat air di halaman")
    for language, dark in (("id", False), ("en", width != 1280)):
        tab.show(width, height, dark=dark)
        for screen in TABS:
            for kit in school:
                kit.tell("health", health(time.time()), retain=False)  # a kit that is not heard is away
                kit.tell("state", state(time.time()))
            show(tab, server, screen)
            tab.run(f"document.querySelector('[data-language={language}]').click()")
            cards = f"document.querySelectorAll('[data-screen={screen}] .card:not([hidden])').length"
            eventually(lambda cards=cards: tab.run(cards) > 1)
            tab.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
            if screen == "now":
                reads(tab, "#word", "happy" if language == "en" else "senang")
            name = f"{screen}-{width}-{language}-{'dark' if dark else 'light'}"
            shown = width == 1280 and screen != "office"
            photograph(tab, name, guide=shown or name == "now-360-id-light")
            tab.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            assert judge(tab) == [], name
            assert tab.run("document.documentElement.scrollWidth <= innerWidth"), name
            assert tab.run(OVERFLOW) == [], name
