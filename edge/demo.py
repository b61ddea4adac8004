"""suasana demo: an embedded broker, the kit and the dashboard, started and stopped together."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from edge import daemon
from edge.events import Mode
from edge.kit import Kit
from edge.models import weights
from edge.settings import Camera, Microphone, Mood, Mqtt, Outbox, Settings
from edge.sinks import open_sink
from edge.sources import as_camera_uri, as_microphone_uri, open_camera, open_microphone, replay_uri
from edge.supervisor import leave, stop_after, stop_flag
from edge.types import EdgeError, SettingsError

STAGE = "a staged class of public-domain portraits is replayed"
NO_VOICE = "There is no sound: espeak-ng, which would speak for the demo, is not installed."
READY_S = 30.0
"""A broker or dashboard that does not answer by now does not come."""
PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that a child gets when its parent dies, however it dies."""
STAGED_CLASS = f"scene:{weights.FOLDER}"
STAGED_PLAYER = f"{STAGED_CLASS}?player=1"
SENTENCES = (
    ("Selamat pagi, anak-anak. Hari ini kita belajar menggambar.", "170", "50"),
    ("Bagus sekali! Gambar kalian indah sekali!", "190", "75"),
    ("Jangan ribut, tolong dengarkan dulu.", "160", "35"),
)
"""What the demo's teacher says, at which speed (words a minute) and pitch (0..99)."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """The demo's command line."""

    camera: str | None = None
    microphone: str | None = None
    video: Path | None = None
    audio: Path | None = None
    seconds: float | None = None
    port: int | None = None
    mqtt_port: int | None = None
    min_people: int | None = None
    browser: bool = True
    mode: Mode = "class"


def run(wishes: Wishes) -> int:
    """Run until Ctrl-C, ``seconds`` or the end of the sources.

    Raises:
        EdgeError: a port is taken, a file does not do, or a part did not start.
    """
    if wishes.camera and wishes.video:
        raise SettingsError("--camera and --video: give one of them")
    if wishes.microphone and wishes.audio:
        raise SettingsError("--microphone and --audio: give one of them")
    mqtt_port = free_port(wishes.mqtt_port, 1883)
    port = free_port(wishes.port, 8765, taken=mqtt_port)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="suasana-demo-")))
        settings = choose_settings(wishes, scratch, mqtt_port)
        try_sources(settings)
        stop = stop_flag()
        kit = Kit(settings, stop=stop)
        broker = [sys.executable, "-m", "edge.broker", "--port", str(mqtt_port)]
        stack.enter_context(companion("broker", broker, mqtt_port, scratch))
        page = [sys.executable, "-m", "dashboard", "--demo", "--port", str(port), "--mqtt", settings.mqtt.url]
        stack.enter_context(companion("dashboard", [*page, "--data", str(scratch)], port, scratch))
        address = f"http://127.0.0.1:{port}/{'practice' if wishes.mode == 'practice' else ''}"
        print(f"Dashboard  {address}")
        print(f"MQTT       {settings.mqtt.url}  topics suasana/{settings.kit_name}/#")
        print(f"Camera     {settings.camera.uri}\nMicrophone {settings.microphone.uri}")
        print(
            "Ctrl-C ends the demo."
            if wishes.seconds is None
            else f"Ends by itself after {wishes.seconds:g} s."
        )
        sys.stdout.flush()
        if wishes.browser and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            webbrowser.open(address)
        stop_after(stop, wishes.seconds)
        ended = daemon.run(kit, [kit.open_mqtt(), open_sink("console:", kit=settings.kit_name)], stop)
    if not ended:
        leave(0)
    return 0


def choose_settings(wishes: Wishes, scratch: Path, mqtt_port: int) -> Settings:
    """The demo's settings; says where its pictures and its sound come from when they are not the room's."""
    staged = not (wishes.camera or wishes.video)
    play = wishes.mode == "practice"
    camera = STAGED_PLAYER if play else STAGED_CLASS
    if wishes.camera:
        camera = as_camera_uri(wishes.camera)
    elif wishes.video:
        camera = replay_uri(str(wishes.video), loop=True)
    microphone = "none"
    if wishes.microphone:
        microphone = as_microphone_uri(wishes.microphone)
    elif wishes.audio:
        microphone = replay_uri(str(wishes.audio), loop=True)
    elif staged and (speech := speak(scratch)) is not None:
        microphone = replay_uri(str(speech), loop=True)
    if staged:
        who = "two public-domain portraits take turns as players" if play else STAGE
        print(f"No camera was asked for: {who}.")
        if not (wishes.microphone or wishes.audio):
            print("Its voice is synthetic, spoken by espeak-ng." if microphone != "none" else NO_VOICE)
    return Settings(
        kit="demo",
        room="Demo",
        mode=wishes.mode,
        state_dir=str(scratch),
        camera=Camera(camera),
        microphone=Microphone(microphone),
        mood=Mood() if wishes.min_people is None else Mood(min_people=wishes.min_people),
        mqtt=Mqtt(f"mqtt://127.0.0.1:{mqtt_port}", protocol="3.1.1"),
        outbox=Outbox(keep="memory"),
    )


def try_sources(settings: Settings) -> None:
    """Take one item of each source: in a demo somebody waits for the reason if there is none.

    Raises:
        SourceError: a file or device does not deliver.
    """
    if settings.camera.uri != "none":
        with open_camera(settings.camera.uri) as camera:
            next(iter(camera), None)
    if settings.microphone.uri != "none":
        with open_microphone(settings.microphone.uri) as microphone:
            next(iter(microphone), None)


def speak(scratch: Path) -> Path | None:
    """A wav of a teacher's sentences with pauses, by espeak-ng; None where that is not installed."""
    program = shutil.which("espeak-ng")
    if program is None:
        return None
    blocks = []
    for number, (text, speed, pitch) in enumerate(SENTENCES):
        path = scratch / f"sentence-{number}.wav"
        command = [program, "-v", "id", "-s", speed, "-p", pitch, "-w", str(path), text]
        if subprocess.run(command, capture_output=True, check=False).returncode:  # noqa: S603 -- our own words
            return None
        samples, rate_hz = soundfile.read(path, dtype="float32")
        blocks += [samples, np.zeros(int(1.5 * rate_hz), np.float32)]
    whole = scratch / "speech.wav"
    soundfile.write(whole, np.concatenate(blocks), rate_hz)
    return whole


def free_port(wanted: int | None, usual: int, *, taken: int = 0) -> int:
    """The port asked for, or else the usual one if it is free, or else any free one.

    Raises:
        SettingsError: the port that was asked for is taken.
    """
    for port in [wanted] if wanted is not None else [usual, 0]:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found = int(probe.getsockname()[1])
            if found != taken:
                return found
    raise SettingsError(f"port {wanted or usual} is taken: choose another one")


@contextmanager
def companion(name: str, command: Sequence[str], port: int, scratch: Path) -> Iterator[None]:
    """Run *command* beside us until the block ends, which begins once *port* answers.

    Raises:
        EdgeError: the process ended or did not answer in time; tells its last words.
    """
    words = scratch / f"{name}.log"
    with words.open("w") as log:
        process = subprocess.Popen(  # noqa: S603 -- our own words
            command,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 -- no thread runs yet
        )
    try:
        deadline = time.monotonic() + READY_S
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                last = (words.read_text("utf-8", "replace").strip() or "no answer").splitlines()[-1]
                raise EdgeError(f"the {name} did not start: {last}")
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
