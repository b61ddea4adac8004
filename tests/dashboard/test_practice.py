"""The practice game in a real browser: three games, both languages, a phone and a projector.

Photographs lie in tests/artefacts/ afterwards, a few small ones in docs/guide/ when SUASANA_GUIDE is set.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.conftest import eventually
from tests.dashboard.chromium import PROGRAM, Tab, debugger, tab
from tests.dashboard.kits import FakeKit, Server, health, info, practice
from tests.dashboard.test_browser import OVERFLOW, reads
from tests.dashboard.test_screens import at, judge, photograph

__all__ = ["debugger", "tab"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed"),
]

HASTE = "const wait = setTimeout; window.setTimeout = (f, ms, ...more) => wait(f, Math.min(ms, 400), ...more)"
"""No timer of the page's takes longer: a test waits for what happens, never for a duration."""
LATER = "((now) => { performance.now = () => now() + 60_000; })(performance.now.bind(performance))"
FACES = "[...document.querySelectorAll('.portrait use')].map((one) => one.getAttribute('href').split('#')[1])"


@pytest.fixture
def kit(server: Server, make_kit: Any) -> FakeKit:
    """A kit in practice mode that takes every round."""
    made: FakeKit = make_kit("k1", mode="practice", room="Kelas Mawar")
    made.answers["practice-round"] = {"ok": True}
    made.introduce()
    made.tell("health", health(time.time()), retain=False)
    eventually(lambda: server.get("/healthz")["kits"] == 1)
    return made


@pytest.fixture
def quiet(tab: Tab, server: Server) -> Tab:
    """A page that reads nothing aloud, so that no test waits for a voice."""
    tab.open(f"{server.url}/static/logo.svg")
    tab.run("localStorage.setItem('suasana.sound', 'off')")
    return tab


def enter(tab: Tab, server: Server, game: str = "", *, haste: bool = True) -> None:
    tab.open("about:blank")
    tab.open(f"{server.url}/practice")
    eventually(lambda: tab.run("document.querySelectorAll('.door-card').length") == 3)
    if haste:
        tab.run(HASTE)
    if game:
        eventually(lambda: tab.run(f"!document.querySelector('[data-door={game}]').ariaDisabled"))
        tab.click(f"[data-door={game}]")
        eventually(lambda: tab.run("document.body.dataset.game") == game)


def asked(kit: FakeKit, number: int) -> dict[str, Any]:
    """The *number*-th round that the kit was asked to begin."""
    rounds: list[dict[str, Any]] = []

    def begun() -> bool:
        rounds[:] = [body for verb, body in kit.requests if verb == "practice-round" and body["seconds"]]
        return len(rounds) > number

    eventually(begun)
    return rounds[number]


def tell(kit: FakeKit, tab: Tab, text: str, asking: dict[str, Any], **changes: Any) -> None:
    """Say a reading until the page shows it: the page may not know the round's name yet."""
    reading = practice(asking["transaction"], time.time(), asked=asking["label"], **changes)

    def shown() -> bool:
        kit.tell("practice", reading, retain=False)
        return text in tab.text(".game")

    eventually(shown)


# ── What the kit may learn ───────────────────────────────────────────────────────────────────────────


def test_an_adult_agrees_sees_how_it_goes_and_has_it_forgotten(quiet, server, kit):
    tab = quiet
    kit.answers |= {"practice-learn": {"ok": True}, "practice-forget": {"ok": True}}
    tab.run("localStorage.setItem('suasana.language', 'en')")
    enter(tab, server)
    eventually(lambda: tab.run("document.querySelector('#learn-begin')?.disabled === false"))
    tab.run("document.querySelector('#adult').open = true")
    tab.click("#learn-begin")
    reads(tab, "#learn-about", "one tap makes it forget")
    assert kit.requests == [], "nothing is asked of the kit before an adult has agreed"
    assert judge(tab) == []
    photograph(tab, "practice-learn-1280-en", guide=True)
    tab.click("[data-language=id]")
    reads(tab, "#learn-about", "satu ketukan membuatnya lupa")
    photograph(tab, "practice-learn-1280-id", guide=True)
    tab.click("[data-language=en]")
    reads(tab, "#learn-about", "one tap makes it forget")
    tab.click("#learn-agree")
    eventually(lambda: [verb for verb, _ in kit.requests] == ["practice-learn"])
    assert kit.requests[0][1]["consent"] is True
    assert tab.run("localStorage.getItem('suasana.feelings')") == "all", "ordinary faces teach most"
    learning = {"sense": "face", "rounds": 15, "next_at": 21, "refusal": "no_gain"}
    kit.tell("info", info("k1", mode="practice", room="Kelas Mawar", learning=[learning]))
    reads(tab, "#adult", "15 rounds so far, a try after 21")
    assert "would not read this room better" in tab.text("#adult")
    head = {"sense": "face", "model": "m@1", "rounds": 21, "at": "2026-03-01T02:10:00.000Z", "used": True}
    kit.tell("info", info("k1", mode="practice", room="Kelas Mawar", adapted=[head]))
    reads(tab, "#adult", "Learned from 21 rounds")
    assert judge(tab) == []
    tab.click("#learn-forget")
    eventually(lambda: kit.requests[-1][0] == "practice-forget")


# ── Show it ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_child_shows_a_face_and_the_drawn_face_answers(quiet, server, kit):
    tab = quiet
    enter(tab, server, "show")
    reads(tab, ".prompt", "wajah senang?")
    first = asked(kit, 0)
    assert (first["label"], first["sense"], first["seconds"]) == ("happy", "face", 14)
    nobody = {"label": None, "match": None, "people": 0, "held_s": 0.0}
    tell(kit, tab, "Aku tidak melihat siapa pun.", first, **nobody)
    assert tab.run(FACES) == ["happy", "asleep"]
    tell(kit, tab, "Kamu jauh sekali.", first, **(nobody | {"people": 1}))
    tell(kit, tab, "belum bisa mengenalinya", first, label="uncertain", match="partly", held_s=0.1)
    tell(kit, tab, "seperti sedih", first, label="sad", match="other", confidence=0.6, people=3)
    assert tab.run(FACES) == ["happy", "sad"]
    assert tab.text(".sure") == "belum pasti · 3 wajah; aku melihat yang terdekat"
    assert judge(tab) == []
    tell(kit, tab, "seperti senang", first, held_s=0.2)
    assert tab.text(".feedback") == "", "one frame is no answer"
    tell(kit, tab, "Nah, itu dia. Terima kasih!", first, held_s=0.7)
    assert tab.run(FACES) == ["happy", "cheer"]
    eventually(lambda: kit.requests[-1][1]["seconds"] == 0)
    assert tab.run("document.activeElement.innerText") == "Lanjut", "Enter goes on"
    assert judge(tab) == []
    photograph(tab, "practice-show-1280-id", guide=True)
    tab.press("Enter")
    second = asked(kit, 1)
    assert second["label"] != "happy"
    tell(kit, tab, "Sedikit sudah terlihat.", second, label="uncertain", match="partly", held_s=2.1)


def test_who_is_not_read_is_thanked_and_never_told_to_be_wrong(quiet, server, kit):
    tab = quiet
    tab.run("localStorage.setItem('suasana.language', 'en')")
    enter(tab, server, "show")
    first = asked(kit, 0)
    for label in ("neutral", "sad", "neutral"):
        word = "ordinary" if label == "neutral" else label
        tell(kit, tab, f"like {'an ' if label == 'neutral' else ''}{word}", first, label=label, match="other")
    photograph(tab, "practice-show-1280-en", guide=True)
    tab.run(LATER)
    reads(tab, ".feedback", "Thank you for showing me! Reading faces is hard for me.")
    assert "I see something like an ordinary face." in tab.text(".mirror")
    said = tab.text("body").lower()
    for word in ("wrong", "mistake", "incorrect", "score", "point", "fail"):
        assert word not in said
    assert judge(tab) == []
    tab.run("[...document.querySelectorAll('.choices button')].at(-1).click()")
    assert asked(kit, 1)["label"] == "happy", "once more is the same"


def test_a_kit_that_cannot_play_says_so_and_five_rounds_come_to_an_end(quiet, server, kit):
    tab = quiet
    kit.answers["practice-round"] = {"ok": False, "error": "the camera is switched off"}
    enter(tab, server, "show")
    reads(tab, ".feedback", "Kit tidak dapat bermain sekarang")
    for number in range(2, 6):
        tab.run("document.querySelector('.choices .button').click()")
        reads(tab, ".feedback", "Kit tidak dapat bermain sekarang")
        spoken = tab.run("document.querySelector('.turns').getAttribute('aria-label')")
        assert spoken == f"Giliran {number} dari 5"
    tab.run("document.querySelector('.choices .button').click()")
    reads(tab, ".prompt", "Tadi seru sekali.")
    assert not any(character.isdigit() for character in tab.text(".game")), "nobody counts"
    assert judge(tab) == []
    tab.run("document.querySelector('.choices .button').click()")
    reads(tab, ".prompt", "wajah senang?")


# ── Say it ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_sentence_is_said_in_a_tone_and_answered(quiet, server, kit):
    tab = quiet
    enter(tab, server, "say")
    first = asked(kit, 0)
    assert (first["label"], first["sense"]) == ("happy", "voice")
    assert tab.text(".sentence").endswith(".")
    heard = {"sense": "voice", "people": 0, "held_s": 0.0}
    tell(kit, tab, "mendengar sesuatu seperti marah", first, label="angry", match="other", **heard)
    photograph(tab, "practice-say-1280-id")
    assert judge(tab) == []
    tell(kit, tab, "Nah, itu dia.", first, **heard)


# ── Guess the feeling ────────────────────────────────────────────────────────────────────────────────


def test_feelings_are_guessed_without_any_kit_and_by_the_keyboard_alone(quiet, server):
    tab = quiet
    tab.run("localStorage.setItem('suasana.language', 'en')")
    enter(tab, server)
    assert "No kit was heard yet." in tab.text("[data-door=show]")
    tab.run("document.querySelector('[data-door=guess]').focus()")
    tab.press("Enter")
    reads(tab, ".prompt", "Which face looks happy?")
    for turn in range(5):
        options = tab.run("[...document.querySelectorAll('.option')].map((one) => one.dataset.option)")
        assert len(set(options)) == 3
        by_word = turn % 2 == 1
        right = tab.run(FACES)[0] if by_word else found_in(tab.text(".prompt"))
        wrong = next(index for index, name in enumerate(options) if name != right)
        tab.run(f"dispatchEvent(new KeyboardEvent('keydown', {{key: '{wrong + 1}'}}))")
        reads(tab, ".feedback", "Let us look again, at the brows and the mouth.")
        assert tab.run("document.querySelectorAll('.tried').length") == 1
        if turn < 2:
            assert judge(tab) == []
            photograph(tab, f"practice-guess-{turn}-1280-en")
        tab.run(f"dispatchEvent(new KeyboardEvent('keydown', {{key: '{options.index(right) + 1}'}}))")
        reads(tab, ".feedback", "Yes!")
        assert tab.run("document.activeElement.innerText") == "Next"
        tab.press("Enter")
    reads(tab, ".prompt", "That was fun.")
    tab.press("Escape")
    reads(tab, ".prompt", "What shall we play?")


def found_in(prompt: str) -> str:
    words = {"happy": "happy", "sad": "sad", "surprised": "surprise", "angry": "angry"}
    return next(label for word, label in words.items() if word in prompt)


# ── Read aloud ───────────────────────────────────────────────────────────────────────────────────────


def test_prompts_are_read_aloud_from_recordings_where_the_device_has_no_voice(tab, server, kit):
    enter(tab, server, "guess", haste=False)
    heard = (
        "performance.getEntriesByType('resource').map((one) => one.name).filter((name) => /ogg$/.test(name))"
    )
    eventually(lambda: tab.run(heard) == [f"{server.url}/static/speech/id/play.find.happy.ogg"])
    tab.click("[data-option=happy]")
    eventually(lambda: len(tab.run(heard)) == 2)
    tab.click("#sound")
    assert tab.run("document.querySelector('#sound').getAttribute('aria-pressed')") == "false"
    tab.click(".choices .button")
    reads(tab, ".prompt", "Wajah ini tampak bagaimana?")
    assert len(tab.run(heard)) == 2
    assert not [trouble for trouble in tab.troubles if "404" in trouble], "every prompt was spoken"


# ── The lobby, and the kit's mode ────────────────────────────────────────────────────────────────────


def test_an_adult_fetches_the_kit_for_the_game_and_brings_it_back(quiet, server, make_kit):
    tab = quiet
    kit = make_kit("k1", room="Kelas Mawar")
    kit.introduce()
    tab.open(server.url)
    reads(tab, "#room", "Kelas Mawar")
    tab.click("#play")
    eventually(lambda: tab.run("document.querySelectorAll('.door-card').length") == 3)
    tab.run(HASTE)
    reads(tab, "[data-door=show]", "Kit sedang bersama kelas.")
    tab.click("[data-door=show]")
    assert tab.run("document.querySelector('#adult').open"), "a shut door leads to what can be done"
    tab.click("#mode")
    reads(tab, "[data-door=show]", "gambar menjawab")
    reads(tab, "#mode", "Kembali ke suasana kelas")
    assert kit.commands == [("mode", "practice", False)]
    kit.obeys = False
    tab.click("#mode")
    reads(tab, "#adult", 'pengaturannya harus berisi mode = "class"')
    assert judge(tab) == []
    tab.click("#home")
    eventually(lambda: at(tab) == "now")
    reads(tab, "#word", "Permainan latihan")
    kit.tell("source/camera/status", "disabled")
    kit.capture["camera"] = "off"
    kit.introduce()
    enter(tab, server)
    reads(tab, "[data-door=show]", "Kamera dimatikan.")


@pytest.mark.parametrize(("width", "height"), [(360, 740), (1920, 1080)])
def test_every_game_fits_and_is_accessible_in_both_languages(quiet, server, kit, width, height):
    tab, rounds = quiet, 0
    for language, dark in (("id", False), ("en", True)):
        tab.show(width, height, dark=dark)
        for game in ("", "show", "guess", "say"):
            kit.tell("health", health(time.time()), retain=False)  # a kit that is not heard is away
            enter(tab, server, game)
            tab.run(f"document.querySelector('[data-language={language}]').click()")
            if game in ("show", "say"):
                sense = "face" if game == "show" else "voice"
                word = ("seperti sedih", "like sad")[language == "en"]
                tell(kit, tab, word, asked(kit, rounds), label="sad", match="other", sense=sense, people=2)
                rounds += 1
            elif not game:
                tab.run("document.querySelector('#adult').open = true")
            name = f"practice-{game or 'lobby'}-{width}-{language}-{'dark' if dark else 'light'}"
            photograph(tab, name)
            assert judge(tab) == [], name
            assert tab.run("document.documentElement.scrollWidth <= innerWidth"), name
            assert tab.run(OVERFLOW) == [], name
