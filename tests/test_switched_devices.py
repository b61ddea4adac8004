"""Off means that the device is closed: a strict fake camera under the whole daemon."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from edge import kit as kits
from edge.kit import Kit
from edge.settings import Camera, Settings
from edge.state.switches import Switches
from edge.types import Frame, SourceError
from tests.conftest import eventually
from tests.test_daemon import Running as Daemon
from tests.test_daemon import settings


@dataclass
class StrictCamera:
    """Writes into *log* what happens to the device, and tolerates no misuse."""

    log: list[str]
    fails: bool = False
    quiet: bool = False
    leave: threading.Event = field(default_factory=threading.Event)
    """Releasing the device takes until this is set."""
    closed: threading.Event = field(default_factory=threading.Event)
    opened: bool = False

    def __enter__(self) -> "StrictCamera":
        assert not self.opened, "opened twice"
        assert self.log.count("open") == self.log.count("closed"), "another one is still open"
        if self.fails:
            self.log.append("failed")
            raise SourceError("unplugged")
        self.opened = True
        self.log.append("open")
        return self

    def __exit__(self, *_: object) -> None:
        assert self.opened
        self.closed.set()
        assert self.leave.wait(30)
        self.opened = False
        self.log.append("closed")

    def __iter__(self) -> Iterator[Frame]:
        seq = 0
        while not self.closed.wait(0.01):
            assert self.opened, "read while it was closed"
            if not self.quiet:
                yield Frame("strict", seq, float(seq), np.zeros((48, 64, 3), np.uint8))
                seq += 1

    def close(self) -> None:
        self.closed.set()


class Listener:
    """A sink that writes into the same log."""

    waiting = dropped = 0

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *_: object) -> None: ...

    def publish(self, event: object) -> None: ...

    def retain(self, leaf: str, payload: str) -> None:
        if leaf == "source/camera/status":
            self.log.append(payload)

    def tell(self, leaf: str, payload: str, **_: object) -> None: ...

    def tend(self) -> None: ...


class Bench:
    """A running daemon over strict cameras, and everything that happened in order."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **traits: bool) -> None:
        self.log: list[str] = []
        self.leave = threading.Event()
        self.leave.set()
        self.traits = traits
        self.switches = Switches(tmp_path / "switches.json")
        self.wanted: Settings = settings(tmp_path, camera=Camera("pattern:"))
        monkeypatch.setattr(kits, "open_camera", self.make)
        monkeypatch.setattr(Kit, "open_mqtt", lambda _: Listener(self.log))
        monkeypatch.setattr("random.random", lambda: 1.0)  # the longest waits between attempts

    def make(self, _uri: str) -> StrictCamera:
        return StrictCamera(self.log, leave=self.leave, **self.traits)

    def says(self, word: str) -> None:
        eventually(lambda: self.log[-1:] == [word])


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Bench:
    return Bench(tmp_path, monkeypatch, **getattr(request, "param", {}))


@pytest.mark.parametrize("name", ["camera", "capture"])
def test_off_closes_the_device_and_on_opens_it_again(bench: Bench, name) -> None:
    with Daemon(bench.wanted):
        bench.says("online")
        bench.switches.set(name, "off")
        bench.says("disabled")
        bench.switches.set(name, "on")
        bench.says("online")
    first = ["recovering", "open", "online", "closed", "disabled"]
    assert bench.log[:5] == first
    assert [word for word in bench.log[5:] if word != "recovering"] == ["open", "online", "closed", "offline"]


def test_disabled_is_said_only_after_the_device_was_released(bench: Bench) -> None:
    with Daemon(bench.wanted) as daemon:
        bench.says("online")
        bench.leave.clear()
        bench.switches.set("camera", "off")
        eventually(lambda: daemon.kit.switches.now.camera == "off")
        assert "camera" in daemon.kit.devices
        assert "disabled" not in bench.log
        bench.leave.set()
        bench.says("disabled")
        assert "camera" not in daemon.kit.devices


@pytest.mark.parametrize("bench", [{"quiet": True}], indirect=True)
def test_a_camera_that_delivers_nothing_is_closed_as_well(bench: Bench) -> None:
    with Daemon(bench.wanted):
        bench.says("open")
        bench.switches.set("camera", "off")
        bench.says("disabled")
        bench.switches.set("camera", "on")
        bench.says("open")


@pytest.mark.parametrize("bench", [{"fails": True}], indirect=True)
def test_a_camera_that_cannot_be_opened_can_be_switched_off(bench: Bench) -> None:
    with Daemon(bench.wanted):
        bench.says("failed")
        bench.switches.set("camera", "off")
        bench.says("disabled")
        before = bench.log.count("failed")
    assert bench.log.count("failed") == before


def test_a_switched_off_camera_is_never_opened(bench: Bench) -> None:
    bench.switches.set("camera", "off")
    with Daemon(bench.wanted):
        bench.says("disabled")
    assert "open" not in bench.log


def test_off_and_on_in_one_breath_leaves_the_camera_on(bench: Bench) -> None:
    with Daemon(bench.wanted) as daemon:
        bench.says("online")
        daemon.kit.devices.dismiss("camera")  # what a switch does, taken back before the lane looked
        eventually(lambda: bench.log.count("open") == 2)
