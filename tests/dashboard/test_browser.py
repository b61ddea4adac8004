"""The page in a real browser: what a teacher reads and does, on a phone and on a projector.

Photographs of it lie in tests/artefacts/ afterwards.
"""

from __future__ import annotations

import json
import math
import re
import time
from typing import Any

import pytest

from tests.conftest import eventually, free_port
from tests.dashboard.chromium import PROGRAM, Tab, debugger, tab
from tests.dashboard.kits import FakeKit, Server, event, health, running_server, state, suppressed

__all__ = ["debugger", "tab"]
"""Fixtures."""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed"),
]

DEMO = "Mode demo: tanpa kata sandi, hanya di komputer ini."
UNSURE = {
    "mood": "uncertain",
    "shares": {"happy": 0.3, "neutral": 0.15, "uncertain": 0.55},
    "confidence": 0.4,
}
ALL_OFF = {"capture": "off", "camera": "on", "microphone": "on"}
NO_CAMERA = {"capture": "on", "camera": "off", "microphone": "on"}


@pytest.fixture
def page(tab: Tab, server: Server) -> Tab:
    tab.open(server.url)
    eventually(lambda: tab.text("#word").strip())
    return tab


def reads(tab: Tab, selector: str, words: str) -> None:
    """Wait until the place says it; the browser gets its news in its own time."""
    try:
        eventually(lambda: words in tab.text(selector))
    except AssertionError:
        assert tab.text(selector) == words
        raise


def tell_lesson(kit: FakeKit, now: float) -> None:
    """Half an hour with a gap for too few faces and a gap without any window."""
    for number in range(360):
        ago = 1800 - 5 * number
        if 600 < ago < 700:
            continue
        swing = 0.2 * math.sin(number / 40)
        shares = {"happy": 0.5 + swing, "neutral": 0.25 - swing, "sad": 0.1, "uncertain": 0.15}
        changes: dict[str, Any] = suppressed("too_few_people", 3) if 1200 < ago < 1320 else {"shares": shares}
        payload = json.dumps(event(kit.name, number, now - ago, **changes))
        kit.client.publish(f"suasana/{kit.name}/event", payload, qos=1)
    kit.seq = 360


# ── Words ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("browser", "language", "words"),
    [
        ("id-ID,id", "id", "Menunggu kit…"),
        ("en-GB,en", "en", "Waiting for a kit…"),
        ("fr-FR", "id", "Menunggu kit…"),
    ],
)
def test_an_empty_board_waits_in_the_readers_language(tab, server, browser, language, words):
    tab.speak(browser)
    tab.open(server.url)
    reads(tab, "#word", words)
    assert tab.run("document.documentElement.lang") == language


def test_the_chosen_language_is_remembered(page, server):
    page.click("[data-language=en]")
    reads(page, "#word", "Waiting for a kit…")
    page.open(server.url)
    reads(page, "#word", "Waiting for a kit…")
    assert page.run("document.documentElement.lang") == "en"
    assert page.run("document.querySelector('[data-language=en]').ariaPressed") == "true"
    assert page.text("#capture-title") == "Camera and microphone"


def test_a_happy_room_is_told_at_a_glance_and_live(page, make_kit):
    kit = make_kit()
    kit.introduce()
    kit.tell("state", state(time.time(), confidence=0.7))
    reads(page, "#word", "senang")
    assert page.text("#now-title") == "Suasana kelas"
    assert page.text("#facts").split("\n") == ["Model cukup yakin", "8 wajah terlihat"]
    assert page.text("#share-list").split("\n")[:2] == ["senang", "≈ 55%"]
    assert page.run("document.title") == "senang · Suasana"
    assert page.text("#spoken") == "Suasana kelas: senang. Model cukup yakin"
    kit.tell("state", state(time.time(), mood="sad", shares={"sad": 0.6, "uncertain": 0.4}, confidence=0.9))
    reads(page, "#word", "sedih")
    eventually(lambda: page.run("document.querySelector('#art').getAttribute('href')").endswith("#sad"))


@pytest.mark.parametrize(
    ("capture", "reading", "indonesian", "english"),
    [
        (None, UNSURE, "tidak pasti", "uncertain"),
        (None, suppressed("too_few_people", 3), "Terlalu sedikit wajah", "Too few faces"),
        (None, suppressed("nobody", 0), "Tidak ada wajah", "No faces"),
        (ALL_OFF, suppressed("capture_off", 0), "Dijeda", "Paused"),
        (NO_CAMERA, suppressed("nobody", 0), "Kamera mati", "Camera off"),
    ],
    ids=["uncertain", "too few", "nobody", "paused", "camera off"],
)
def test_a_room_that_is_not_read_says_so_and_why(page, make_kit, capture, reading, indonesian, english):  # noqa: PLR0917
    kit = make_kit()
    if capture:
        kit.capture = capture
    kit.introduce()
    kit.tell("state", state(time.time(), **reading))
    reads(page, "#word", indonesian)
    page.click("[data-language=en]")
    reads(page, "#word", english)
    assert len(page.text("#why")) > 20
    if reading.get("suppressed") == "too_few_people":
        assert page.text("#why") == "Too few faces to read (3 of at least 5)."
    assert page.run("document.querySelector('#shares').hidden") is (reading is not UNSURE)


@pytest.mark.parametrize(
    ("availability", "words"), [("offline", "Kit tidak tersambung"), ("stopped", "Kit berhenti")]
)
def test_a_kit_that_is_away_is_not_taken_for_its_last_mood(page, make_kit, availability, words):
    kit = make_kit()
    kit.introduce()
    kit.tell("state", state(time.time()))
    reads(page, "#word", "senang")
    kit.tell("availability", availability)
    reads(page, "#word", words)
    assert page.run("document.querySelector('#pause').disabled")
    assert page.text("#facts") == ""


def test_what_kits_send_is_text_and_never_markup(page, make_kit):
    kit = make_kit(room="<img src=x onerror=alert(1)>", software="<b>1</b>")
    kit.introduce()
    kit.tell("state", state(time.time()))
    reads(page, "#room", "<img src=x onerror=alert(1)>")
    assert page.run("document.querySelectorAll('h1 *, #vitals b').length") == 0


def test_a_demo_says_that_it_is_one(page, make_kit):
    make_kit(replay=True).introduce()
    reads(page, "#banners", "Demo: gambar dan suara rekaman, bukan kelas Anda.")
    reads(page, "#banners", "Mode demo: tanpa kata sandi, hanya di komputer ini.")


def test_health_is_told_in_words(page, make_kit):
    kit = make_kit()
    kit.introduce()
    kit.tell(
        "health", health(time.time(), time_quality="unsynced", temperature_c=84.0, outbox=12), retain=False
    )
    reads(page, "#light-camera", "menyala")  # what is drawn above moves what is clicked
    page.click("#health summary")
    for words in ("11,8 per detik", "belum disetel oleh jaringan", "84 °C: panas", "12 catatan", "70 menit"):
        reads(page, "#vitals", words)
    kit.tell("source/camera/status", "recovering")
    reads(page, "#vitals", "menyambung kembali…")


# ── Camera and microphone ────────────────────────────────────────────────────────────────────────────


def test_pause_waits_for_the_kit_and_then_shows_it(page, make_kit):
    kit = make_kit()
    kit.introduce()
    reads(page, "#light-camera", "menyala")
    page.click("#pause")
    reads(page, "#pause", "Lanjutkan")
    reads(page, "#light-camera", "mati")
    reads(page, "#row-microphone", "mati")
    assert kit.commands == [("capture", "off", False)]
    page.click("#pause")
    reads(page, "#pause", "Jeda semua")
    assert kit.commands[1:] == [("capture", "on", False)]
    assert page.text("#answer") == ""


def test_the_camera_alone_can_be_switched_off(page, make_kit):
    kit = make_kit()
    kit.introduce()
    reads(page, "#light-microphone", "menyala")
    page.click("[data-switch=camera]")
    reads(page, "#light-camera", "mati")
    assert page.run("document.querySelector('[data-switch=camera]').ariaChecked") == "false"
    assert page.text("#light-microphone .status") == "menyala"
    assert kit.commands == [("camera", "off", False)]


def test_what_a_kit_is_set_up_without_is_not_called_unplugged(page, make_kit):
    kit = make_kit(absent=["microphone"])
    kit.introduce()
    reads(page, "#light-microphone", "tidak dipasang")
    assert page.text("#row-microphone .status") == "tidak dipasang"
    assert page.run("document.querySelector('[data-switch=microphone]').disabled")
    assert not page.run("document.querySelector('[data-switch=camera]').disabled")
    page.run("location.hash = 'kits'")
    reads(page, "[data-screen=kits] .switches", "tidak dipasang")
    assert page.text("[data-screen=kits] .cares") == "Semua baik."
    page.run("location.hash = 'now'")
    page.click("[data-language=en]")
    reads(page, "#light-microphone", "none set up")
    kit.settings = {"absent": ["camera"]}
    kit.introduce()
    reads(page, "#light-camera", "none set up")
    reads(page, "#word", "No camera")
    assert "cable" not in page.text("#why")


def test_a_camera_that_is_not_released_yet_is_not_called_off(page, make_kit):
    kit = make_kit()
    kit.releases = False
    kit.introduce()
    reads(page, "#light-camera", "menyala")
    page.click("[data-switch=camera]")
    reads(page, "#light-camera", "masih terbuka")
    assert page.run("document.querySelector('#light-camera').classList.contains('on')")
    kit.releases = True
    kit.tell("source/camera/status", "disabled")
    reads(page, "#light-camera", "mati")


def test_a_kit_that_does_not_answer_is_told_and_nothing_is_pretended(page, make_kit):
    kit = make_kit()
    kit.obeys = False
    kit.introduce()
    reads(page, "#light-camera", "menyala")
    page.click("#pause")
    reads(page, "#answer", "Menunggu jawaban kit…")
    assert page.run("document.querySelector('#pause').ariaBusy") == "true"
    reads(page, "#answer", "Kit tidak menjawab. Coba sekali lagi.")
    assert page.text("#pause") == "Jeda semua"
    assert page.text("#light-camera .status") == "menyala"


# ── The lesson ───────────────────────────────────────────────────────────────────────────────────────


def test_the_lesson_is_filled_from_history_with_its_gaps(page, make_kit, server):
    kit = make_kit()
    kit.introduce()
    tell_lesson(kit, time.time())
    eventually(lambda: len(server.get("/api/history?kit=k1&minutes=60")["windows"]) == 341)
    page.open(server.url)

    def drawn_gaps() -> int:
        # The lesson goes on, or a slow page would rightly draw its end as a gap.
        kit.read(time.time(), shares={"happy": 0.5, "neutral": 0.25, "sad": 0.1, "uncertain": 0.15})
        return page.run("document.querySelectorAll('#chart .gap').length")

    eventually(lambda: drawn_gaps() == 2)
    assert page.run("document.querySelectorAll('#chart .area.of-happy').length") == 3, (
        "between and around the gaps"
    )
    assert "terlalu sedikit wajah" in page.run("document.querySelector('#chart').textContent")
    assert page.text("#summary").startswith("40 menit terakhir: paling banyak senang (")
    assert "tidak terbaca" in page.text("#summary")
    assert page.text("#lesson-legend").split("\n") == ["senang", "netral", "sedih", "tidak pasti"]


def test_the_chart_grows_live_and_is_read_by_keyboard_and_pointer(page, make_kit):
    kit = make_kit()
    kit.introduce()
    reads(page, "#light-camera", "menyala")
    now = time.time()
    for number in range(24):
        kit.read(now - 120 + 5 * number)
    page.click("[data-minutes='10']")
    eventually(lambda: page.run("document.querySelectorAll('#chart .area').length") == 4)
    page.run("document.querySelector('#chart').focus()")
    page.press("ArrowLeft")
    reads(page, "#readout", "senang 55% · netral 25%")
    page.press("Home")
    reads(page, "#readout", "tidak ada bacaan")
    value = page.run("document.querySelector('#chart').ariaValueText")
    assert re.fullmatch(r"\d\d\.\d\d: tidak ada bacaan", value)
    page.press("Escape")
    reads(page, "#readout", "Arahkan atau ketuk")
    page.run("document.querySelector('#chart').blur()")
    page.click("#chart")
    eventually(lambda: page.run("document.querySelectorAll('#chart .cursor').length") == 1)


def test_times_are_the_readers(page, make_kit):
    kit = make_kit()
    kit.introduce()
    kit.tell("availability", "offline")
    reads(page, "#why", "Terakhir terdengar pukul ")
    told = re.search(r"\d\d\.\d\d", page.text("#why"))
    assert told is not None
    jakarta = [time.strftime("%H.%M", time.gmtime(time.time() + 7 * 3600 - ago)) for ago in (0, 60)]
    assert told[0] in jakarta


# ── Several kits, and trouble ────────────────────────────────────────────────────────────────────────


def test_several_kits_are_chosen_from_and_the_choice_is_remembered(page, make_kit, server):
    for name, room, mood in (("k1", "Kelas Mawar", "happy"), ("k2", "Kelas Melati", "neutral")):
        kit = make_kit(name, room=room)
        kit.introduce()
        kit.tell("state", state(time.time(), mood=mood, shares={mood: 1.0}))
    eventually(lambda: page.run("document.querySelectorAll('#kits option').length") == 2)
    reads(page, "#word", "senang")
    page.run("document.querySelector('#kits').value = 'k2'")
    page.run("document.querySelector('#kits').dispatchEvent(new Event('change'))")
    reads(page, "#word", "netral")
    page.open(server.url)
    reads(page, "#word", "netral")


def test_a_lost_server_is_told_and_its_return_brings_everything_back(tab, broker, tmp_path):
    port = free_port()
    kit = FakeKit("k1", broker).start()
    kit.introduce()
    kit.tell("state", state(time.time()))
    with running_server(broker, tmp_path, port) as served:
        tab.open(served.url)
        reads(tab, "#word", "senang")
        assert tab.text("#banners") == DEMO
    reads(tab, "#banners", "Sambungan ke dasbor terputus. Mencoba lagi…")
    assert "old" in tab.run("document.querySelector('#now').className")
    assert tab.text("#light-camera .status") == "tidak diketahui"
    kit.tell("state", state(time.time(), mood="neutral", shares={"neutral": 1.0}))
    with running_server(broker, tmp_path, port):
        reads(tab, "#word", "netral")
        eventually(lambda: tab.text("#banners") == DEMO)
    kit.stop()


# ── How it looks ─────────────────────────────────────────────────────────────────────────────────────

SIZES = [(360, 740), (820, 1180), (1280, 800), (1920, 1080)]
SCENES: dict[str, tuple[dict[str, str], dict[str, Any], str]] = {
    "happy": ({"capture": "on", "camera": "on", "microphone": "on"}, {}, "online"),
    "uncertain": ({"capture": "on", "camera": "on", "microphone": "on"}, UNSURE, "online"),
    "few": ({"capture": "on", "camera": "on", "microphone": "on"}, suppressed("too_few_people", 3), "online"),
    "off": (ALL_OFF, suppressed("capture_off", 0), "online"),
    "offline": ({"capture": "on", "camera": "on", "microphone": "on"}, {}, "offline"),
    "empty": ({}, {}, ""),
}
OVERFLOW = """[...document.querySelectorAll('body *')].filter((one) => {
  const box = one.getBoundingClientRect();
  const style = getComputedStyle(one);
  const hidden = one.closest('.visually-hidden, .skip, .patterns, .name, svg');
  const spills = one.scrollWidth > one.clientWidth + 1 && style.overflowX === 'visible';
  const outside = box.right > innerWidth + 1 || box.left < -1;
  return !hidden && box.width && (outside || (spills && style.display !== 'inline'));
}).map((one) => one.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize("scene", SCENES)
def test_nothing_overflows_at_any_width_in_either_language(tab, server, make_kit, scene):
    capture, reading, availability = SCENES[scene]
    if availability:
        kit = make_kit(room="Taman Kanak-Kanak Melati Putih, Kelas B")
        kit.capture = capture
        kit.introduce()
        tell_lesson(kit, time.time())
        kit.tell("health", health(time.time()), retain=False)
        kit.tell("state", state(time.time(), **reading))
        kit.tell("availability", availability)
    for width, height in SIZES:
        for language, dark in (("id", False), ("en", True)):
            tab.show(width, height, dark=dark)
            tab.open(server.url)
            eventually(lambda: tab.text("#word").strip())
            tab.click(f"[data-language={language}]")
            tab.run(
                "scrollTo(0, 0); document.querySelectorAll('details').forEach((one) => { one.open = true; })"
            )
            eventually(lambda: tab.run("!document.querySelector('.picture.fading')"))
            tab.photograph(f"{scene}-{width}-{language}-{'dark' if dark else 'light'}")
            assert tab.run(OVERFLOW) == []
            assert tab.run("document.documentElement.scrollWidth <= innerWidth")


def test_the_word_can_be_read_from_three_metres(page, make_kit):
    kit = make_kit()
    kit.introduce()
    kit.tell("state", state(time.time()))
    reads(page, "#word", "senang")
    size = "parseFloat(getComputedStyle(document.querySelector('#word')).fontSize)"
    page.show(1920, 1080)
    assert page.run(size) >= 120
    page.show(360, 740)
    assert page.run(size) >= 44


def test_the_keyboard_reaches_everything_beginning_with_the_way_past_the_top(page, make_kit):
    make_kit().introduce()
    reads(page, "#light-camera", "menyala")
    focused = """(({id, className, dataset}) =>
      id || dataset.tab || dataset.switch || dataset.language || dataset.minutes || className)(
        document.activeElement)"""
    reached = []
    while "chart" not in reached and len(reached) < 20:
        page.press("Tab")
        reached.append(page.run(focused))
        assert page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid", reached
    tabs = ["now", "past", "kits", "office", "play"]
    switches = ["camera", "microphone", "pause"]
    assert reached == ["skip", *tabs, "id", "en", "stage", *switches, "10", "40", "90", "chart"]
