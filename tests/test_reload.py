"""SIGHUP against the real daemon and a real broker: the process stays, its settings change or do not."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge import reload
from edge.events import Event, Info, Session, from_json
from edge.kit import rehearse
from edge.models.shelf import Shelf
from edge.reload import Reload
from edge.settings import Camera, Microphone, Settings
from tests.conftest import ROOT, Subscriber, eventually
from tests.packages import install_on, package_of


class Daemon:
    """`suasana run` in a session of its own, as a service manager starts it; its words in a file."""

    def __init__(self, folder: Path, broker: int) -> None:
        self.config = folder / "kit.toml"
        self._log = folder / "log"
        self._broker, self._folder = broker, folder
        self.settle(room="Kelas 1A")
        self.process = self.again()

    def again(self) -> subprocess.Popen[bytes]:
        """Another start of it."""
        with self._log.open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "edge", "run", "--config", str(self.config)],
                stderr=log,
                cwd=ROOT,
                start_new_session=True,
            )

    def settle(self, *, room: str, more: str = "") -> None:
        self.config.write_text(
            f'kit = "k1"\nroom = "{room}"\nmode = "class"\nstate_dir = "{self._folder}"\n{more}\n'
            '[camera]\nuri = "pattern:"\n[microphone]\nuri = "none"\n'
            f'[mqtt]\nurl = "mqtt://127.0.0.1:{self._broker}"\nprotocol = "3.1.1"\n',
            "utf-8",
        )

    def said(self) -> str:
        return self._log.read_text("utf-8")


@contextmanager
def running(folder: Path, broker: int) -> Iterator[Daemon]:
    daemon = Daemon(folder, broker)
    try:
        yield daemon
        daemon.process.terminate()
        assert daemon.process.wait(30) == 0, daemon.said()
    finally:
        daemon.process.kill()
        daemon.process.wait()


def rooms(subscriber: Subscriber) -> list[str]:
    return [from_json(Info, payload).room for payload in subscriber.payloads("suasana/k1/info")]


def test_new_settings_are_obeyed_by_the_same_process_and_no_event_is_missed(
    tmp_path: Path, broker: int, subscriber: Subscriber
) -> None:
    with running(tmp_path, broker) as daemon:
        eventually(lambda: rooms(subscriber))
        daemon.settle(room="Kelas 2B")
        daemon.process.send_signal(signal.SIGHUP)
        eventually(lambda: rooms(subscriber)[-1] == "Kelas 2B")
        assert daemon.process.poll() is None
        daemon.settle(room="Kelas 3C")
        daemon.process.send_signal(signal.SIGHUP)  # the fresh process listens, too
        eventually(lambda: rooms(subscriber)[-1] == "Kelas 3C")
    told = [Event.from_json(payload) for payload in subscriber.payloads("suasana/k1/event")]
    assert [event.data.phase for event in told if isinstance(event.data, Session)] == ["start", "end"] * 3
    assert "Traceback" not in daemon.said()


@pytest.mark.parametrize(
    ("more", "reason"), [("colour = 1", "unknown setting colour"), ('region = "eu"', "prohibited")]
)
def test_bad_settings_change_nothing_and_are_told_in_one_line(
    tmp_path: Path, broker: int, subscriber: Subscriber, more: str, reason: str
) -> None:
    with running(tmp_path, broker) as daemon:
        eventually(lambda: subscriber.payloads("suasana/k1/source/camera/status")[-1:] == ["online"])
        daemon.settle(room="Kelas 2B", more=more)
        daemon.process.send_signal(signal.SIGHUP)
        eventually(lambda: "the old ones stay" in daemon.said())
        line = next(line for line in daemon.said().splitlines() if "the old ones stay" in line)
        assert reason in line
        daemon.settle(room="Kelas 2B")  # mended
        daemon.process.send_signal(signal.SIGHUP)
        eventually(lambda: rooms(subscriber)[-1] == "Kelas 2B")
    assert set(rooms(subscriber)) == {"Kelas 1A", "Kelas 2B"}


def test_settings_are_checked_without_starting(tmp_path: Path) -> None:
    config = tmp_path / "kit.toml"
    command = [sys.executable, "-m", "edge", "run", "--config", str(config), "--check"]
    config.write_text('mode = "class"\n[camera]\nuri = "pattern:"\n[microphone]\nuri = "none"\n', "utf-8")
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0
    config.write_text('mode = "class"\n[expression]\nmodel = "no-such-model"\n', "utf-8")
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_a_check_is_no_start_of_a_model_on_trial(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "models")
    install_on(shelf, package_of(tmp_path))
    shelf.begin(
        "voice-tone",
        shelf.record("voice-tone").current,
        Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip(),
    )
    before = shelf.record("voice-tone")
    assert before.trial is not None
    assert before.trial.boot, "it is in use right now: a second start in this boot would count as a crash"
    wanted = Settings(
        mode="class", state_dir=str(tmp_path), microphone=Microphone("pattern:"), camera=Camera("none")
    )
    rehearse(wanted, stop=threading.Event())
    assert shelf.record("voice-tone") == before


def test_a_lost_terminal_ends_the_watching(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload, "has_terminal", lambda: True)
    before = signal.getsignal(signal.SIGHUP)
    stop = threading.Event()
    try:
        hanging = Reload(stop, ["true"])
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.is_set()
        hanging.tend()
        assert not hanging.due
    finally:
        signal.signal(signal.SIGHUP, before)


STOPPED_WHILE_RELOADING = """
import os, signal, sys
from edge.reload import Reload
from edge.supervisor import stop_flag
if len(sys.argv) > 1:
    sys.exit(7)   # the replacement
stop = stop_flag()
reload = Reload(stop, [sys.executable, "-c", "import sys; sys.exit(7)"])
if {early}:
    os.kill(os.getpid(), signal.SIGTERM)
reload.begin_anew()
print("ended")
"""


@pytest.mark.parametrize(("early", "code"), [(True, 0), (False, 7)])
def test_a_stop_that_comes_while_it_reloads_is_obeyed(early: bool, code: int) -> None:
    script = STOPPED_WHILE_RELOADING.format(early=early)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (code, "ended\n" if early else "")
