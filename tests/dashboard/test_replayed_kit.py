"""The page before the real thing: a real browser, server, Mosquitto and daemon, which replays a clip."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.footprint import film
from edge.models import weights
from edge.types import EdgeError
from tests.conftest import ROOT, eventually, free_port, running_mosquitto
from tests.dashboard.chromium import CONNECTED, PROGRAM, Tab, open_tab, running_chromium
from tests.dashboard.kits import Server, running_server
from tests.dashboard.test_browser import reads
from tests.dashboard.test_screens import judge, photograph, put, show

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed (Debian: chromium)"),
]

TOML = """kit = "kelas-1a"
room = "Kelas Mawar"
mode = "class"
state_dir = "{folder}/state"
[camera]
uri = "replay:{folder}/class.avi?loop=1"
[microphone]
uri = "none"
[faces]
search_px = 640
[mood]
min_people = 2
[mqtt]
url = "mqtt://127.0.0.1:{port}"
"""
MOODS = {
    "id": ("senang", "netral", "terkejut", "sedih", "takut", "marah", "jijik", "tidak pasti"),
    "en": ("happy", "neutral", "surprised", "sad", "afraid", "angry", "disgusted", "uncertain"),
}


PATIENCE_S = 150.0
"""Seeing gives way to everything else on its machine, so on a busy one it takes its time."""


def in_time(holds: Callable[[], object]) -> None:
    """As ``eventually``, for what waits for the kit's eyes."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few seconds of the staged class, as a camera would have recorded it."""
    try:
        weights.find("portrait-smiling")
    except EdgeError as error:
        pytest.skip(str(error))
    return film(tmp_path_factory.mktemp("clip") / "class.avi", seconds=4)


@contextmanager
def running_kit(folder: Path, clip: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The daemon on *clip*; killed without a word at the end unless it ended before."""
    (folder / "class.avi").unlink(missing_ok=True)
    (folder / "class.avi").hardlink_to(clip)
    (folder / "kit.toml").write_text(TOML.format(folder=folder, port=port), "utf-8")
    with (folder / "kit.log").open("ab") as log:
        command = [sys.executable, "-m", "edge", "run", "--config", str(folder / "kit.toml")]
        kit = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, start_new_session=True)
    try:
        yield kit
    finally:
        kit.kill()
        kit.wait()


def shows_a_mood(tab: Tab, language: str) -> None:
    in_time(lambda: tab.text("#word").strip().lower() in MOODS[language])


def live_window(tab: Tab, server: Server) -> None:
    """What the page shows is what the kit reads now, not what it said before."""
    before = time.time()

    def came() -> bool:
        (kit,) = server.get("/api/kits")["kits"]
        return bool(kit["fresh"]) and kit["state_at"] > before and kit["state"]["mood"] is not None

    in_time(came)


def test_a_replayed_kit_is_read_tuned_lost_and_found_again(tmp_path: Path, clip: Path) -> None:
    port = free_port()
    (tmp_path / "profile").mkdir()
    (tmp_path / "broker").mkdir()
    with (
        running_server(port, tmp_path / "data") as server,
        running_chromium(tmp_path / "profile") as debugger,
        open_tab(debugger) as tab,
    ):
        tab.show(1280, 800)
        tab.speak("id-ID,id")
        tab.call("Network.enable")
        with (
            running_mosquitto(tmp_path / "broker", port=port),
            running_kit(tmp_path, clip, port) as kit,
        ):
            show(tab, server, "now")
            shows_a_mood(tab, "id")
            reads(tab, "#room", "Kelas Mawar")
            reads(tab, "#banners", "rekaman")
            reads(tab, "#facts", "wajah")
            assert judge(tab) == []
            photograph(tab, "replay-now-id")
            tab.click("[data-language=en]")
            shows_a_mood(tab, "en")
            photograph(tab, "replay-now-en")
            eventually(lambda: tab.run("document.querySelectorAll('#chart path, #chart rect').length") > 0)
            tune(tab, server)
            watch_it_go_and_come_back(tab, server, kit)
            with running_kit(tmp_path, clip, port):
                show(tab, server, "now")
                reads(tab, "#room", "Kelas Mawar")  # killed in its first minute: the change was taken back
                live_window(tab, server)
                shows_a_mood(tab, "en")
                lose_the_network(tab)
                live_window(tab, server)
        reads(tab, "#banners", "broker")
        photograph(tab, "replay-broker-lost-en")
        with running_mosquitto(tmp_path / "broker", port=port), running_kit(tmp_path, clip, port):
            live_window(tab, server)
            shows_a_mood(tab, "en")
        assert [one for one in tab.troubles if "ERR_" not in one and "status of" not in one] == []


def tune(tab: Tab, server: Server) -> None:
    """Look at the kit's doctor and model, and give it another name and another least number of faces."""
    show(tab, server, "kits")
    eventually(lambda: tab.run("document.querySelector('[data-open=settings]')?.disabled === false"))
    tab.run("document.querySelector('[data-kit=kelas-1a] .choices button').click()")
    reads(tab, "#dialog-body", "This model reads facial expressions.")
    assert tab.text("#dialog-body").count("of 100") >= 2
    assert judge(tab) == []
    photograph(tab, "replay-model-en")
    tab.run("document.querySelector('#dialog-choices button').click()")
    tab.run("document.querySelector('[data-open=settings]').click()")
    reads(tab, "#dialog-body", "Fewest faces to speak about")
    assert judge(tab) == []
    put(tab, "#tuning [name='mood.min_people']", "1")
    tab.run("document.querySelector('#dialog-choices .main').click()")
    reads(tab, "#dialog-answer", "Fewest faces to speak about")
    put(tab, "#tuning [name='mood.min_people']", "4")
    put(tab, "#tuning [name='room']", "Kelas Melati")
    photograph(tab, "replay-settings-en")
    tab.run("document.querySelector('#dialog-choices .main').click()")
    reads(tab, "#tuned", "The kit took the settings")
    tab.run("document.querySelector('#dialog-choices button').click()")
    reads(tab, "[data-kit=kelas-1a] h2", "Kelas Melati")
    eventually(lambda: server.get("/api/kits")["kits"][0]["info"]["min_people"] == 4)
    show(tab, server, "now")
    live_window(tab, server)
    shows_a_mood(tab, "en")


def watch_it_go_and_come_back(tab: Tab, server: Server, kit: subprocess.Popen[bytes]) -> None:
    kit.kill()
    kit.wait()
    eventually(lambda: server.get("/api/kits")["kits"][0]["phase"] == "offline")
    reads(tab, "#word", "Kit not connected")
    photograph(tab, "replay-away-en")


def lose_the_network(tab: Tab) -> None:
    """The reader's own network goes and comes back."""
    tab.call("Network.emulateNetworkConditions", **CONNECTED | {"offline": True})
    reads(tab, "#banners", "Connection to the dashboard lost")
    photograph(tab, "replay-offline-en")
    tab.call("Network.emulateNetworkConditions", **CONNECTED)
    eventually(lambda: "dashboard lost" not in tab.text("#banners"))
    assert json.loads(tab.run("JSON.stringify(navigator.onLine)"))
