import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.supervisor import FREED_WITHIN_S, HUNG_AFTER_S, Condition, Lane, Supervisor, waits
from edge.types import SourceError, StuckError
from tests.conftest import PATIENCE_S, ROOT


def until(condition: threading.Event) -> None:
    assert condition.wait(30), "never happened"


def test_an_expected_failure_reopens_the_lane_and_leaves_the_others_alone(monkeypatch) -> None:
    monkeypatch.setattr("random.random", lambda: 0.0)
    stop, third, other = threading.Event(), threading.Event(), threading.Event()
    attempts: list[int] = []
    told: list[tuple[str, Condition]] = []

    def camera() -> Lane:
        attempts.append(1)
        yield
        if len(attempts) < 3:
            raise SourceError("unplugged")
        third.set()
        while True:
            yield

    def microphone() -> Lane:
        while True:
            other.set()
            yield

    with Supervisor(stop, told=lambda name, condition: told.append((name, condition))) as lanes:
        lanes.start("camera", camera)
        lanes.start("microphone", microphone)
        until(third)
        until(other)
        lanes.check()
    assert len(attempts) == 3
    camera_story = [condition for name, condition in told if name == "camera"]
    assert camera_story == ["recovering", "running", "recovering", "running", "ended"]
    assert [condition for name, condition in told if name == "microphone"] == ["ended"]


def test_a_bug_is_kept_and_raised() -> None:
    stop, over = threading.Event(), threading.Event()

    def lane() -> Lane:
        yield
        raise ZeroDivisionError

    with Supervisor(stop, told=lambda _name, _condition: over.set()) as lanes:
        lanes.start("vision", lane)
        until(over)
        with pytest.raises(ZeroDivisionError):
            lanes.check()


def test_a_lane_that_comes_to_its_end_is_over() -> None:
    stop, over = threading.Event(), threading.Event()

    def lane() -> Lane:
        yield

    with Supervisor(stop, told=lambda _name, _condition: over.set()) as lanes:
        lanes.start("camera", lane)
        until(over)
        assert lanes.ended("camera")
        assert lanes.progressing(now=1e12), "what is over does not hang"


def test_leaving_closes_what_a_lane_holds_open() -> None:
    stop, opened = threading.Event(), threading.Event()
    closed: list[str] = []

    def lane() -> Lane:
        try:
            while True:
                opened.set()
                yield
        finally:
            closed.append("camera")

    with Supervisor(stop) as lanes:
        lanes.start("camera", lane)
        until(opened)
    assert closed == ["camera"]


def test_a_lane_without_progress_withholds_the_ping(monkeypatch) -> None:
    stop, entered, leave = threading.Event(), threading.Event(), threading.Event()
    monkeypatch.setattr("time.monotonic", lambda: 1000.0)

    def lane() -> Lane:
        entered.set()
        leave.wait(30)
        yield

    with Supervisor(stop) as lanes:
        lanes.start("camera", lane)
        until(entered)
        assert lanes.progressing(1000.0 + HUNG_AFTER_S / 2)
        assert not lanes.progressing(1000.0 + HUNG_AFTER_S)
        leave.set()


def test_a_device_that_its_driver_holds_is_not_opened_again_until_it_is_free(monkeypatch) -> None:
    monkeypatch.setattr("random.random", lambda: 0.0)
    monkeypatch.setattr("time.monotonic", lambda: 1000.0)
    stop, returned, second = threading.Event(), threading.Event(), threading.Event()
    driver = threading.Thread(target=returned.wait, daemon=True)
    driver.start()
    recovering = threading.Event()
    attempts: list[bool] = []

    def camera() -> Lane:
        attempts.append(driver.is_alive())
        if len(attempts) > 1:
            second.set()
            while True:
                yield
        yield
        raise StuckError("opencv:0: the driver does not return", driver)

    with Supervisor(stop, told=lambda _, now: recovering.set() if now == "recovering" else None) as lanes:
        lanes.start("camera", camera)
        until(recovering)
        assert lanes.progressing(1000.0 + FREED_WITHIN_S / 2), "it may still come back"
        assert not lanes.progressing(1000.0 + FREED_WITHIN_S), "the watchdog has to start the process anew"
        assert attempts == [True]
        returned.set()
        until(second)
    assert attempts == [True, False], "opened again only once the driver had let go"


def test_a_source_that_stays_away_fills_no_log(monkeypatch, caplog) -> None:
    monkeypatch.setattr("random.random", lambda: 0.0)
    stop, enough = threading.Event(), threading.Event()
    troubles = ["unplugged", "unplugged", "unplugged", "torn", "torn"]

    def camera() -> Lane:
        if not troubles:
            enough.set()
            raise SourceError("torn")
        raise SourceError(troubles.pop(0))
        yield

    with caplog.at_level("INFO"), Supervisor(stop) as lanes:
        lanes.start("camera", camera)
        until(enough)
    assert [record.getMessage() for record in caplog.records] == ["camera: unplugged", "camera: torn"]


def test_waits_double_under_full_jitter_and_start_over_after_a_healthy_minute() -> None:
    now = [0.0]
    draws: Iterator[float] = iter([1.0] * 20)
    drawn = waits(lambda: next(draws), clock=lambda: now[0])
    seen = []
    for _ in range(8):
        seen.append(next(drawn))
        now[0] += seen[-1] + 1
    assert seen == [1, 2, 4, 8, 16, 32, 60, 60]
    now[0] += 61
    assert next(drawn) == 1


def test_waits_are_never_longer_than_drawn() -> None:
    drawn = waits(lambda: 0.25, clock=lambda: 0.0)
    assert [next(drawn) for _ in range(3)] == [0.25, 0.5, 1.0]


LONG_LOOK = """
import atexit, os, signal, sys, time
from edge import supervisor
from edge.__main__ import main
from edge.kit import Kit

def look(*_):  # as in a native library that does not return for a long time
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(600)

supervisor.PARTING_S, Kit._look = 0.1, look
atexit.register(print, "Python's own end")
sys.exit(main(["run", *sys.argv[1:]]))
"""


def test_a_kit_that_leaves_a_lane_behind_ends_in_good_order_and_not_by_pythons_way(tmp_path: Path) -> None:
    """Python's own end would abort the process while a model or a detector is still at work."""
    config = tmp_path / "kit.toml"
    config.write_text(
        f'mode = "class"\nstate_dir = "{tmp_path}"\n[camera]\nuri = "pattern:"\n[microphone]\nuri = "none"\n'
    )
    command = [sys.executable, "-c", LONG_LOOK, "--config", str(config), "--jsonl"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    assert "vision: did not stop in time, left behind" in done.stderr
    assert '"reason":"shutdown"' in done.stdout.splitlines()[-1], "its last words, and nothing after them"
