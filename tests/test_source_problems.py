"""The whole kit with a camera and a microphone that go wrong by the clock, on a real broker."""

import json
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge import daemon
from edge.events import Health, SourceDetail, from_json
from edge.kit import Kit
from edge.models import weights
from edge.settings import Camera, Microphone, Mood
from edge.sources import faulty
from edge.systemd import Notifier
from tests.conftest import Subscriber, eventually
from tests.test_daemon import Running, moods, settings

STAGED = f"scene:{weights.FOLDER}?fps=10"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The time that faults go by; waits between attempts are short."""
    now = SimpleNamespace(s=0.0)
    monkeypatch.setattr(faulty, "clock", lambda: now.s)
    monkeypatch.setattr("random.random", lambda: 0.01)
    monkeypatch.setattr(faulty, "SILENT_S", 0.1)
    return now


def told(subscriber: Subscriber, source: str) -> list[tuple[str, str | None]]:
    """Status and problem, as the detail topic tells them one after the other."""
    details = subscriber.payloads(f"suasana/k1/source/{source}/detail")
    return [(d.status, d.problem) for d in (from_json(SourceDetail, payload) for payload in details)]


def camera(plan: str) -> Any:
    return Camera(f"faulty:{plan}|{STAGED}", problem_after_s=1.0)


@pytest.mark.parametrize(
    ("plan", "problem"),
    [("freeze@10-20", "frozen"), ("black@10-20", "black"), ("cover@10-20", "covered")],
    ids=lambda value: value.split("@")[0],
)
def test_a_camera_that_shows_nothing_new_is_told_not_read_and_recovers(  # noqa: PLR0917 -- fixtures
    tmp_path: Path, broker: int, subscriber: Subscriber, clock: SimpleNamespace, plan: str, problem: str
) -> None:
    wanted = settings(tmp_path, broker, camera=camera(plan), mood=Mood(window_s=1.0, min_people=2))
    with Running(wanted):
        eventually(lambda: [window for window in moods(subscriber) if window.mood])
        clock.s = 15
        eventually(lambda: told(subscriber, "camera")[-1:] == [("recovering", problem)])
        assert subscriber.payloads("suasana/k1/source/camera/status")[-1] == "recovering"
        before = len(moods(subscriber))
        eventually(lambda: len(moods(subscriber)) >= before + 4)
        # The first of them may have begun before the problem was told.
        assert [window.face_readings for window in moods(subscriber)[before + 2 :]] == [0] * (
            len(moods(subscriber)) - before - 2
        )
        assert moods(subscriber)[-1].suppressed == "nobody"
        subscriber.client.publish("suasana/k1/request/health", "{}", qos=1)
        eventually(lambda: subscriber.payloads("suasana/k1/response/health"))
        answer = json.loads(subscriber.payloads("suasana/k1/response/health")[-1])
        assert from_json(Health, json.dumps(answer["health"])).camera_problem == problem
        clock.s = 20
        eventually(lambda: told(subscriber, "camera")[-1:] == [("online", None)])
        eventually(lambda: moods(subscriber)[-1].mood)
    story = [pair for pair in told(subscriber, "camera") if pair != ("recovering", None)]
    assert story == [("online", None), ("recovering", problem), ("online", None), ("offline", None)]


def test_a_dark_room_is_told_and_is_no_failure(
    tmp_path: Path, broker: int, subscriber: Subscriber, clock: SimpleNamespace
) -> None:
    clock.s = 10
    with Running(settings(tmp_path, broker, camera=camera("dark@10"))):
        eventually(lambda: told(subscriber, "camera")[-1:] == [("online", "dark")])
    said = subscriber.payloads("suasana/k1/source/camera/status")
    assert said[said.index("online") :] == ["online", "offline"]


def test_a_camera_is_unplugged_plugged_in_and_hangs(
    tmp_path: Path, broker: int, subscriber: Subscriber, clock: SimpleNamespace
) -> None:
    with Running(settings(tmp_path, broker, camera=camera("unplug@10-20,hang@30-40"))):
        eventually(lambda: told(subscriber, "camera")[-1:] == [("online", None)])
        for at, pair in (
            (10, ("recovering", "failed")),
            (20, ("online", None)),
            (30, ("recovering", "stuck")),
            (40, ("online", None)),
        ):
            clock.s = at
            eventually(lambda pair=pair: told(subscriber, "camera")[-1:] == [pair])


def test_a_microphone_that_is_muted_or_overdriven_is_told_while_the_camera_goes_on(
    tmp_path: Path, broker: int, subscriber: Subscriber, clock: SimpleNamespace
) -> None:
    microphone = Microphone("faulty:silence@10-20,clip@30-40|pattern:", problem_after_s=1.0)
    with Running(settings(tmp_path, broker, microphone=microphone)):
        eventually(lambda: told(subscriber, "microphone")[-1:] == [("online", None)])
        for at, pair in (
            (10, ("recovering", "silent")),
            (20, ("online", None)),
            (30, ("recovering", "clipped")),
            (40, ("online", None)),
        ):
            clock.s = at
            eventually(lambda pair=pair: told(subscriber, "microphone")[-1:] == [pair])
    assert [pair for pair in told(subscriber, "camera") if pair[0] != "recovering"] == [
        ("online", None),
        ("offline", None),
    ]


class Pings(Notifier):
    """Counts what systemd would get."""

    def __init__(self) -> None:
        super().__init__("")
        self.count = 0

    def ping(self) -> None:
        self.count += 1


def test_a_driver_that_never_returns_ends_in_the_hands_of_the_watchdog(
    tmp_path: Path, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocked in the lane's own thread: the pings stop, so systemd kills the process; here they come back."""
    monkeypatch.setattr("edge.supervisor.HUNG_AFTER_S", 0.5)
    stop, pings = threading.Event(), Pings()
    kit = Kit(settings(tmp_path, camera=Camera("faulty:block@10-20|pattern:")), stop=stop)
    work = threading.Thread(target=daemon.run, args=(kit, [], stop), kwargs={"notifier": pings})
    work.start()
    try:
        eventually(lambda: pings.count > 3)
        clock.s = 15
        quiet = [pings.count, time.monotonic()]

        def stopped() -> bool:
            if pings.count != quiet[0]:
                quiet[:] = [pings.count, time.monotonic()]
            return time.monotonic() - quiet[1] > 2.0

        eventually(stopped)
        clock.s = 20
        eventually(lambda: pings.count > quiet[0])
    finally:
        stop.set()
        work.join(30)
    assert not work.is_alive()
