"""The page's files, read as text: the browser's tests need Chromium, these do not."""

import gzip
import json
import re

import pytest

from convert.speech import keys
from dashboard.app import STATIC
from dashboard.pages import filled
from edge.words import LABELS, UNCERTAIN

TEXTS = {name: json.loads((STATIC / "texts" / f"{name}.json").read_text("utf-8")) for name in ("id", "en")}
SCRIPTS = {path.name: path.read_text("utf-8") for path in STATIC.glob("*.js")}
PAGES = {
    "index.html": filled("index"),
    "practice.html": filled("practice"),
    "login": filled("door", title="Masuk", script="login.js"),
}
PAGE = "".join(PAGES.values())
PLAIN = [path for path in STATIC.rglob("*") if path.is_file() and path.suffix not in {".png", ".ogg"}]


def whole(language: str) -> set[str]:
    return {key for key in TEXTS[language] if not key.endswith(".one")}


def test_both_languages_say_the_same_things_with_the_same_gaps():
    assert whole("id") == whole("en")
    for key in whole("id"):
        gaps = [set(re.findall(r"\{(\w+)\}", TEXTS[language][key])) for language in TEXTS]
        assert gaps[0] == gaps[1], key


def test_no_text_is_empty_or_says_the_same_in_both_languages():
    same = {key for key in whole("id") if TEXTS["id"][key] == TEXTS["en"][key]}
    assert same <= {
        "page.title",
        "health.phase",
        "health.memory.value",
        "now.about",
        "kits.card",
        "self.about",
        "role.admin",
        "health.temperature.value",
    }
    assert all(text.strip() for texts in TEXTS.values() for text in texts.values())


def test_every_word_that_is_used_exists():
    used = set(re.findall(r'data-(?:text|label|placeholder)="([\w.]+)"', PAGE))
    for script in SCRIPTS.values():
        used |= set(re.findall(r'"(\w+\.[\w.]+)"', script))
    used = {key for key in used if not key.endswith((".js", ".json", ".svg", ".css"))}
    used.discard("key.one")  # from a comment
    assert len(used) > 150
    stems = {key for key in used if f"{key}.word" in TEXTS["id"]}
    assert {key for key in used if key not in TEXTS["id"]} - stems == set()


def test_every_label_has_a_word_a_picture_and_a_colour():
    moods, style = (STATIC / "moods.svg").read_text("utf-8"), (STATIC / "board.css").read_text("utf-8")
    for label in (*LABELS, UNCERTAIN):
        assert f"mood.{label}" in TEXTS["id"]
        assert f'<symbol id="{label}"' in moods
        assert f".of-{label} " in style
        assert f'[data-mood="{label}"]' in style


def test_nothing_is_fetched_from_elsewhere_and_nothing_is_inline():
    for path in PLAIN:
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//cdn|@import", text), path.name
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*src=)", PAGE)
    for name, script in SCRIPTS.items():
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|eval\(|outerHTML", script), name


def test_the_page_stays_small():
    scripts = sum(len(gzip.compress(script.encode())) for script in SCRIPTS.values())
    assert scripts < 75_000
    assert sum(path.stat().st_size for path in PLAIN) < 400_000


def imported_by(name: str, seen: frozenset[str] = frozenset()) -> frozenset[str]:
    for other in re.findall(r'from "\./([\w.]+)"', SCRIPTS[name]):
        if other not in seen:
            seen = imported_by(other, seen | {other})
    return seen


@pytest.mark.parametrize(("page", "script"), [("index.html", "page.js"), ("practice.html", "practice.js")])
def test_every_module_is_asked_for_at_once_and_not_one_after_the_other(page, script):
    asked = re.findall(r'rel="modulepreload" href="/static/([\w.]+)"', PAGES[page])
    assert sorted(asked) == sorted(imported_by(script) - {script})


def test_the_worker_keeps_the_whole_shell():
    kept = set(re.findall(r'"([\w/.-]+\.(?:js|css|svg|json))"', SCRIPTS["worker.js"].partition("].map")[0]))
    apart = {"worker.js", "setup.js"}
    wanted = {
        str(path.relative_to(STATIC)) for path in PLAIN if path.suffix in {".js", ".css", ".svg", ".json"}
    }
    assert kept == wanted - apart


def test_every_prompt_was_spoken_as_it_stands():
    """`python -m convert speech` makes the recordings, and writes down what each of them says."""
    speech = STATIC / "speech"
    told = [line.split(" ", 2) for line in (speech / "spoken.txt").read_text("utf-8").splitlines()]
    assert [(language, key) for language, key, _ in told] == [
        (language, key) for language in ("id", "en") for key in keys()
    ]
    for language, key, text in told:
        assert text == TEXTS[language][key], "run python -m convert speech"
        assert (speech / language / f"{key}.ogg").read_bytes()[:4] == b"OggS"
    recordings = sorted(speech.rglob("*.ogg"))
    assert len(recordings) == len(told)
    assert sum(path.stat().st_size for path in recordings) < 500_000


def test_the_manifest_names_pictures_that_are_there():
    manifest = json.loads((STATIC / "manifest.webmanifest").read_text("utf-8"))
    for icon in manifest["icons"]:
        assert (STATIC / icon["src"].removeprefix("/static/")).is_file(), icon


def test_every_deed_role_and_refusal_has_words():
    source = "".join(path.read_text("utf-8") for path in STATIC.parent.glob("*.py"))
    deeds = set(re.findall(r'\.(?:note|note_look|write)\([^)]*?"([a-z_]+)"(?:,|\))', source))
    refusals = set(re.findall(r'(?:PeopleError|ChoiceError|LessonError|RuleError)\("([a-z_]+)"\)', source))
    assert {"exported", "wiped", "looked"} <= deeds
    for deed in deeds - {"admin", "login_refused"}:
        assert f"deed.{deed}" in TEXTS["id"], deed
    shown_by_the_form = {"role", "too_many", "title", "kit", "note", "label", "language", "rooms"}
    shown_by_the_form.add("condition")
    for word in refusals - shown_by_the_form:
        assert f"refused.{word}" in TEXTS["id"], word


@pytest.mark.parametrize("language", TEXTS)
def test_the_limits_and_the_law_are_told(language):
    told = " ".join(text for key, text in TEXTS[language].items() if key.startswith("about."))
    for word in ("AI Act", "2022", "Indonesia"):
        assert word in told


def luminance(colour: str) -> float:
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_contrast_meets_wcag_aa(scheme):
    blocks = re.findall(r":root \{(.*?)\n\s*\}\n", (STATIC / "board.css").read_text("utf-8"), re.DOTALL)
    tokens = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", blocks[0]))
    if scheme:
        tokens |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", blocks[1]))
    text = [
        ("ink", "paper"),
        ("ink", "card"),
        ("ink-soft", "card"),
        ("ink-soft", "paper"),
        ("ink-soft", "sunk"),
    ]
    text += [("accent-ink", "accent"), ("accent", "card"), ("warn", "warn-paper"), ("warn", "card")]
    for front, back in text:
        assert contrast(tokens[front], tokens[back]) >= 4.5, (front, back)
    for label in (*LABELS, UNCERTAIN):
        assert contrast(tokens[f"{label}-deep"], tokens["card"]) >= 3, f"the outline of {label}"
    assert contrast(tokens["control"], tokens["card"]) >= 3
    danger = re.findall(r"--danger: (#[0-9a-f]{6})", (STATIC / "screens.css").read_text("utf-8"))[scheme]
    assert contrast(danger, tokens["card"]) >= 4.5
