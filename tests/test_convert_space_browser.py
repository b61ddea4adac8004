"""The Space, running as on the web, in a real browser: a file or a microphone in, a visible result out.

Photographs of it lie in tests/artefacts/ afterwards.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from convert import space
from edge import demo
from edge.models import weights
from tests.conftest import ROOT, free_port
from tests.dashboard import chromium
from tests.dashboard.chromium import PROGRAM, Tab, open_tab, running_chromium

pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed"),
    pytest.mark.skipif(find_spec("gradio") is None, reason="needs `make train-env`"),
    pytest.mark.timeout(900),
]

PATIENCE_S = 240.0
"""Gradio takes seconds to import; on a busy machine, minutes."""


def patiently(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.1)


def answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=30) as answer:
            return answer.status == 200
    except (URLError, TimeoutError, ConnectionError):
        return False


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = demo.speak(tmp_path_factory.mktemp("speech"))
    if path is None:
        pytest.skip("espeak-ng is not installed")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("space") / "folder"
    space.write(out, ROOT / "models")
    return out


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server keeps uploads for as long as it must."""
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(scope="module")
def address(folder: Path, scratch: Path) -> Iterator[str]:
    port = free_port()
    log = folder.parent / "log.txt"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, str(folder / "app.py"), "--port", str(port)],
            cwd=folder.parent,
            env={**os.environ, "TMPDIR": str(scratch)},
            stdout=file,
            stderr=file,
        )
    try:
        patiently(lambda: process.poll() is not None or answers(f"http://127.0.0.1:{port}/"))
        assert process.poll() is None, log.read_text()
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)
    assert process.returncode == 0
    assert "Traceback" not in log.read_text(), log.read_text()
    left = {str(path.relative_to(scratch)) for path in scratch.rglob("*")}
    # An empty folder that Gradio makes when it is imported. Of onnxruntime's .ses, its telemetry, nothing.
    assert left <= {"gradio", "gradio/vibe_edit_history"}, "something outlived the server"


@pytest.fixture(scope="module")
def debugger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A browser whose microphone hears a teacher, and whose camera sees a test picture."""
    voice = demo.speak(tmp_path_factory.mktemp("voice"))
    fakes = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    fakes += [] if voice is None else [f"--use-file-for-fake-audio-capture={voice}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chromium, "FLAGS", (*chromium.FLAGS, *fakes))
        with running_chromium(tmp_path_factory.mktemp("profile")) as where:
            yield where


@pytest.fixture
def tab(debugger: str, address: str) -> Iterator[Tab]:
    with open_tab(debugger) as page:
        page.show(1280, 900)
        page.open(address)
        patiently(lambda: page.run("!!document.querySelector('#voice-file input[type=file]')"))
        yield page
        others = "performance.getEntriesByType('resource').map((one) => new URL(one.name).host)"
        hosts = {host for host in page.run(others) if host}
        assert hosts == {address.split("/")[2]}, "the page fetched something from elsewhere"
        assert page.troubles == []
        page.run("localStorage.clear()")
        page.open("about:blank")


def hand_in(tab: Tab, place: str, file: Path) -> None:
    """Choose a file, as the dialogue of an upload does."""
    patiently(lambda: tab.run(f"!!document.querySelector('{place} input[type=file]')"))
    document = tab.call("DOM.getDocument")["root"]["nodeId"]
    found = tab.call("DOM.querySelector", nodeId=document, selector=f"{place} input[type=file]")
    tab.call("DOM.setFileInputFiles", nodeId=found["nodeId"], files=[str(file)])


def take_back(tab: Tab, place: str) -> None:
    tab.run(f"document.querySelector('{place} button[aria-label=Clear]').click()")


def choose(tab: Tab, language: str) -> None:
    tab.click(f"#language input[value={language}]")


def shows(tab: Tab, selector: str, words: str) -> None:
    try:
        patiently(lambda: words in tab.text(selector))
    except AssertionError:
        assert words in tab.text(selector)
        raise


def test_a_recording_becomes_a_result_that_changes_its_language(tab, speech):
    shows(tab, "#heard", "Hasilnya muncul di sini")
    hand_in(tab, "#voice-file", speech)
    shows(tab, "#heard .over", "Nada suara, keseluruhan")
    shows(tab, "#heard", "Bagian demi bagian")
    names = "[...document.querySelectorAll('#heard .bars .name')].map((one) => one.innerText.trim())"
    assert tab.run(names) == ["senang", "sedih", "marah", "takut", "jijik", "netral"]
    parts = tab.run("document.querySelectorAll('#heard .parts li').length")
    assert parts >= 3
    assert tab.run("document.querySelectorAll('#heard .wave .ground').length") == parts
    tab.photograph("space-voice-id")
    choose(tab, "en")
    shows(tab, "#heard .over", "Tone of voice, as a whole")
    assert "Bagian" not in tab.text("#heard")
    shows(tab, "#voice-button", "Voice")
    shows(tab, "#voice-microphone", "Or record")
    assert tab.run("document.documentElement.lang") == "en"
    tab.photograph("space-voice-en")


def test_a_part_can_be_heard_again(tab, speech):
    hand_in(tab, "#voice-file", speech)
    shows(tab, "#heard", "Bagian demi bagian")
    player = "document.querySelector('#heard audio')"
    patiently(lambda: tab.run(f"{player}.readyState >= 1"))
    tab.click("#heard .parts li:nth-child(2) button")
    patiently(lambda: tab.run(f"{player}.currentTime > 1"))


def test_what_the_microphone_hears_is_read(tab, speech):
    patiently(lambda: tab.run("!!document.querySelector('#voice-microphone .record-button')"))
    tab.click("#voice-microphone .record-button")
    patiently(lambda: tab.run("!!document.querySelector('#voice-microphone .stop-button')?.offsetParent"))
    time.sleep(6)  # as long as somebody speaks
    tab.run("document.querySelector('#voice-microphone .stop-button').click()")
    patiently(lambda: tab.run("!!document.querySelector('#heard .answer')"))
    assert tab.run("!!document.querySelector('#heard .wave')"), tab.text("#heard")


def test_a_photo_becomes_boxes_and_cards(tab):
    tab.click("#face-button")
    hand_in(tab, "#face-file", weights.find("portrait-smiling"))
    shows(tab, "#seen", "1 wajah ditemukan")
    shows(tab, "#seen .card .word", "senang")
    box, photo = (
        tab.run(
            f"(({{x, y, width, height}}) => [x, y, width, height])"
            f"(document.querySelector('#seen {one}').getBoundingClientRect())"
        )
        for one in (".box", ".photo img")
    )
    assert photo[0] < box[0] < box[0] + box[2] < photo[0] + photo[2]
    assert box[2] == pytest.approx(0.18 * photo[2], rel=0.1)
    tab.photograph("space-face-id")
    choose(tab, "en")
    shows(tab, "#seen", "1 face found")
    shows(tab, "#seen .card .word", "happy")
    tab.photograph("space-face-en")
    tab.show(390, 844)
    assert tab.run("document.documentElement.scrollWidth") <= 390
    tab.photograph("space-face-phone")


@pytest.mark.parametrize(
    ("where", "place", "indonesian", "english"),
    [
        ("voice", "#heard", "Ini bukan berkas suara yang dikenal.", "This is no sound file"),
        ("face", "#seen", "Ini bukan foto yang dikenal.", "This is no photo"),
    ],
)
def test_a_wrong_file_gets_a_line_and_the_next_one_a_result(  # noqa: PLR0917
    tab, speech, tmp_path, where, place, indonesian, english
):
    wrong = tmp_path / "catatan.txt"
    wrong.write_text("Selamat pagi.")
    tab.click(f"#{where}-button")
    hand_in(tab, f"#{where}-file", wrong)
    shows(tab, place, indonesian)
    choose(tab, "en")
    shows(tab, place, english)
    assert "Traceback" not in tab.text("body")
    take_back(tab, f"#{where}-file")
    shows(tab, place, "The result appears here")
    hand_in(tab, f"#{where}-file", speech if where == "voice" else weights.find("portrait-serious"))
    patiently(lambda: tab.run(f"!!document.querySelector('{place} .bars')"))


def test_the_language_is_remembered(tab, address):
    choose(tab, "en")
    shows(tab, "#voice-button", "Voice")
    tab.open(address)
    shows(tab, "#heard", "The result appears here")
    shows(tab, "#face-button", "Face")


def test_a_taken_port_is_told_in_one_line(address, folder):
    port = address.rstrip("/").rsplit(":", 1)[1]
    done = subprocess.run(
        [sys.executable, str(folder / "app.py"), "--port", port],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"port {port}" in done.stderr
