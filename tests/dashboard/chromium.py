"""Debian's Chromium, driven over its own debugging protocol: nothing to install but the browser."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.conftest import ROOT, eventually

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
ARTEFACTS = ROOT / "tests" / "artefacts"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
)

STILL = """(async () => {
  const frame = () => new Promise(requestAnimationFrame);
  const middle = () => {
    const place = document.querySelector(%s);
    place.scrollIntoView({ block: "center", behavior: "instant" });
    const { x, y, width, height } = place.getBoundingClientRect();
    return [x + width / 2, y + height / 2];
  };
  for (let before = [], box = middle(); ; before = box, box = middle()) {
    if (String(before) === String(box)) return box;
    await frame();
    await frame();
  }
})()"""
"""Where an element's middle is, after two frames in which nothing above it was drawn anew."""


class Tab:
    """One page of the browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self.troubles: list[str] = []
        """Uncaught errors, refused content and failed requests, in the console's words."""
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=30))
            if message.get("id") == number:
                assert "error" not in message, message
                return dict(message["result"])
            self._note(message)

    def run(self, script: str) -> Any:
        """The value of an expression."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)
        eventually(lambda: self.run("document.readyState") == "complete")

    def text(self, selector: str) -> str:
        return str(self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def click(self, selector: str) -> None:
        """With the mouse, in the middle of it, once it stands still."""
        box = self.run(STILL % json.dumps(selector))
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def press(self, key: str) -> None:
        text = {"text": "\r"} if key == "Enter" else {}  # without it Enter presses no button
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=KEYS[key],
                **(text if kind == "keyDown" else {}),
            )

    def show(self, width: int, height: int, *, dark: bool = False) -> None:
        phone = width < 500
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=phone,
        )
        wishes = {"prefers-color-scheme": "dark" if dark else "light", "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in wishes.items()]
        self.call("Emulation.setEmulatedMedia", features=features)

    def speak(self, language: str) -> None:
        """What the browser says that its reader prefers."""
        self.call("Emulation.setUserAgentOverride", userAgent="Suasana test", acceptLanguage=language)

    def photograph(self, name: str) -> Path:
        """The whole page, for a person to look at."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        image = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        ARTEFACTS.mkdir(exist_ok=True)
        path = ARTEFACTS / f"{name}.png"
        path.write_bytes(base64.b64decode(image["data"]))
        return path

    def _note(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        if message["method"] == "Runtime.exceptionThrown":
            self.troubles.append(json.dumps(parameters["exceptionDetails"])[:500])
        elif message["method"] == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.troubles.append(parameters["entry"]["text"])


KEYS = {"Tab": 9, "Enter": 13, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowRight": 39, "Escape": 27}


@contextmanager
def running_chromium(profile: Path) -> Iterator[str]:
    """A browser with a profile of its own; yields the address of its debugger."""
    assert PROGRAM is not None
    command = [PROGRAM, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    told = profile / "DevToolsActivePort"
    try:
        eventually(lambda: told.exists() and told.read_text().count("\n"))
        yield f"http://127.0.0.1:{told.read_text().split()[0]}"
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def open_tab(debugger: str) -> Iterator[Tab]:
    """The first page of the browser."""
    pages: list[dict[str, Any]] = []

    def listed() -> bool:
        with urlopen(f"{debugger}/json/list") as answer:
            pages[:] = [page for page in json.load(answer) if page["type"] == "page"]
        return bool(pages)

    eventually(listed)
    with connect(pages[0]["webSocketDebuggerUrl"], max_size=None) as socket:
        yield Tab(socket)


CONNECTED = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
"""What the network is again after a test that took it away."""


@pytest.fixture(scope="module")
def debugger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_chromium(tmp_path_factory.mktemp("profile")) as address:
        yield address


@pytest.fixture
def tab(debugger: str) -> Iterator[Tab]:
    with open_tab(debugger) as page:
        page.show(1280, 800)
        page.speak("id-ID,id")
        page.call("Emulation.setTimezoneOverride", timezoneId="Asia/Jakarta")
        page.call("Network.enable")
        page.call("Network.clearBrowserCookies")
        yield page
        page.call("Network.emulateNetworkConditions", **CONNECTED)
        page.run("localStorage.clear()")
        page.open("about:blank")
        quiet = [one for one in page.troubles if "ERR_" not in one and "status of" not in one]
        assert quiet == []
