"""Button and lamp on gpiozero's own mock pins."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge import settings
from edge.panel import Panel
from edge.types import SettingsError
from tests.conftest import eventually
from tests.test_daemon import Running as Daemon
from tests.test_switched_devices import Bench, StrictCamera

gpiozero = pytest.importorskip("gpiozero")
from gpiozero.pins.mock import MockFactory  # noqa: E402


@pytest.fixture
def pins() -> Iterator[MockFactory]:
    factory, gpiozero.Device.pin_factory = MockFactory(), None
    gpiozero.Device.pin_factory = factory
    yield factory
    factory.reset()
    gpiozero.Device.pin_factory = None


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(tmp_path, monkeypatch)
    bench.wanted = replace(bench.wanted, panel=settings.Panel(button="GPIO17", led="GPIO27"))
    return bench


def press(pins: MockFactory) -> None:
    pins.pin(17).drive_low()
    pins.pin(17).drive_high()


def test_the_lamp_burns_exactly_while_the_camera_is_open(
    bench: Bench, pins: MockFactory, monkeypatch
) -> None:
    lamp = pins.pin(27)
    seen: list[tuple[str, bool]] = []
    enter, leave = StrictCamera.__enter__, StrictCamera.__exit__

    def entered(camera: StrictCamera) -> StrictCamera:
        seen.append(("before it is opened", bool(lamp.state)))
        return enter(camera)

    def left(camera: StrictCamera, *error: object) -> None:
        leave(camera, *error)
        seen.append(("after it was closed", bool(lamp.state)))

    monkeypatch.setattr(StrictCamera, "__enter__", entered)
    monkeypatch.setattr(StrictCamera, "__exit__", left)
    with Daemon(bench.wanted):
        bench.says("online")
        assert lamp.state
        bench.leave.clear()
        bench.switches.set("camera", "off")
        assert lamp.state, "the wish alone changes nothing"
        bench.leave.set()
        bench.says("disabled")
        assert not lamp.state
    assert seen == [("before it is opened", True), ("after it was closed", True)]


def test_the_button_pauses_and_resumes(bench: Bench, pins: MockFactory) -> None:
    with Daemon(bench.wanted) as daemon:
        bench.says("online")
        press(pins)
        bench.says("disabled")
        assert daemon.kit.switches.now.capture == "off"
        press(pins)
        bench.says("online")
        press(pins)
        bench.says("disabled")
    assert not pins.pin(27).state
    bench.switches.refresh()
    assert bench.switches.now.capture == "off", "it is remembered"


def test_the_pins_are_let_go(pins: MockFactory) -> None:
    for _ in range(2):
        with Panel(button="GPIO17", led="GPIO27", pressed=lambda: None) as panel:
            panel.light(True)
            assert pins.pin(27).state
    assert not pins.pin(27).state


def test_a_kit_without_a_panel_needs_nothing(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiozero", None)
    with Panel(button="", led="", pressed=lambda: None) as panel:
        panel.light(True)


def test_a_promised_lamp_that_cannot_burn_is_told_in_one_line(monkeypatch) -> None:
    panel = Panel(button="", led="GPIO27", pressed=lambda: None)
    monkeypatch.setattr(gpiozero.Device, "pin_factory", None)
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "native")
    with pytest.raises(SettingsError, match=r"panel\.led: GPIO27 cannot be used"), panel:
        pass
    monkeypatch.setitem(sys.modules, "gpiozero", None)
    with pytest.raises(SettingsError, match="needs gpiozero"), panel:
        pass


@pytest.mark.parametrize("panel", [{"led": "27"}, {"button": "GPIO28"}, {"button": "GPIO4", "led": "GPIO4"}])
def test_a_pin_that_cannot_be_is_named(panel: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="panel"):
        settings.build({"panel": panel})


def test_bouncing_contacts_count_once(pins: MockFactory) -> None:
    presses: list[int] = []
    with Panel(button="GPIO17", led="", pressed=lambda: presses.append(1)):
        press(pins)
        eventually(lambda: presses)
        assert pins.pin(17).bounce
