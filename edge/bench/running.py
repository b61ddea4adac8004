"""What `suasana run` costs, seen from outside: processor, memory, disk, start, and how soon it tells.

The daemon runs as users run it, in a process of its own, on a video of a made-up class and speech, with the
embedded broker beside it. It is looked at through /proc and as an MQTT subscriber.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import cv2
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from edge.bench.clock import quantile
from edge.bench.crowd import Crowd
from edge.demo import companion, free_port, speak
from edge.events import Event, Health, MoodWindow, State, from_json
from edge.models import weights
from edge.sources import replay_uri
from edge.types import EdgeError

TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE_S = 90.0


@dataclass(frozen=True, slots=True)
class Running:
    """One measurement."""

    faces: int
    microphone: bool
    seconds: float
    """Of steady running that were measured, after the first mood."""
    fps: float
    """Frames looked at per second; the setting's limit is faces.max_fps."""
    cpu_cores: float
    """Processor seconds per second of the daemon, all threads."""
    frame_age_p50_s: float | None
    frame_age_p95_s: float | None
    """From a frame's own time until it was read."""
    publish_p50_ms: float
    publish_p95_ms: float
    """From the end of a window until its event reached a subscriber."""
    events_per_s: float
    written_kb_per_h: float
    """What the kernel charges the daemon for storage."""
    rss_mb: float
    peak_rss_mb: float
    ready_s: float
    """From the start of the process until the camera delivered."""
    cold_start_s: float
    """From the start of the process until the first mood was published."""


def film(path: Path, faces: int, *, seconds: float = 12, fps: int = 10) -> Path:
    """The class as an MJPEG file of 640x480 pixels."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (640, 480))
    for frame in Crowd(faces).frames(weights.FOLDER, seconds, fps):
        writer.write(frame.image)
    writer.release()
    return path


def measure(
    scratch: Path,
    *,
    seconds: float,
    faces: int = 10,
    microphone: bool = True,
    window_s: float = 5.0,
    video: Path | None = None,
    told: Callable[[float], None] = lambda _part: None,
) -> Running:
    """Run the daemon and look at it; *told* hears how much of the time is over.

    Raises:
        EdgeError: it or the broker did not start, or it ended by itself.
    """
    path = video or film(scratch / f"class-{faces}.avi", faces)
    speech = speak(scratch) if microphone else None
    port = free_port(None, 0)
    state = scratch / f"state-{faces}"
    state.mkdir(exist_ok=True)
    config = scratch / "bench.toml"
    config.write_text(
        f'kit = "bench"\nmode = "class"\nstate_dir = "{state}"\n[mqtt]\nprotocol = "3.1.1"\n'
        f"[mood]\nwindow_s = {window_s}\nmin_people = 2\n",
        "utf-8",
    )
    command = [sys.executable, "-m", "edge", "run", "--config", str(config)]
    command += ["--mqtt", f"mqtt://127.0.0.1:{port}", "--camera", replay_uri(str(path), loop=True)]
    command += ["--microphone", replay_uri(str(speech), loop=True) if speech else "none"]
    broker = [sys.executable, "-m", "edge.broker", "--port", str(port)]
    with companion("broker", broker, port, scratch):
        heard = Subscriber(port)
        started = time.time()
        daemon = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603 -- our own words
        try:
            heard.wait(lambda: heard.ready and heard.first_mood, daemon)
            cpu, written, since = cpu_s(daemon.pid), written_bytes(daemon.pid), time.monotonic()
            heard.health.clear()
            heard.late_ms.clear()
            heard.messages = 0
            resident = []
            while (spent := time.monotonic() - since) < seconds:
                time.sleep(0.25)
                resident.append(rss_mb(daemon.pid))
                told(spent / seconds)
            elapsed = time.monotonic() - since
            cpu, written = cpu_s(daemon.pid) - cpu, written_bytes(daemon.pid) - written
            messages = heard.messages
            heard.wait(lambda: heard.health, daemon)
            peak = peak_rss_mb(daemon.pid)
        finally:
            heard.close()
            daemon.terminate()
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
    late, health = sorted(heard.late_ms), heard.health
    return Running(
        faces=faces,
        microphone=speech is not None,
        seconds=round(elapsed, 1),
        fps=round(statistics.fmean(one.fps for one in health), 2),
        cpu_cores=round(cpu / elapsed, 4),
        frame_age_p50_s=health[-1].latency_p50_s,
        frame_age_p95_s=health[-1].latency_p95_s,
        publish_p50_ms=round(quantile(late, 0.5), 1) if late else -1.0,
        publish_p95_ms=round(quantile(late, 0.95), 1) if late else -1.0,
        events_per_s=round(messages / elapsed, 3),
        written_kb_per_h=round(written / 1000 / elapsed * 3600, 1),
        rss_mb=round(statistics.median(resident), 1),
        peak_rss_mb=round(peak, 1),
        ready_s=round(heard.ready - started, 2),
        cold_start_s=round(heard.first_mood - started, 2),
    )


class Subscriber:
    """What an independent subscriber learns about the daemon."""

    def __init__(self, port: int, *, kit: str = "bench") -> None:
        """Subscribe."""
        self.ready = self.first_mood = 0.0
        self.health: list[Health] = []
        self.late_ms: list[float] = []
        """Of each window, how long after its end its event was here."""
        self.messages = 0
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="measures")
        self._client.on_message = self._hear
        self._client.connect("127.0.0.1", port)
        self._client.subscribe(f"suasana/{kit}/#")
        self._client.loop_start()

    def wait(self, holds: Callable[[], object], daemon: subprocess.Popen[bytes]) -> None:
        """Until *holds*.

        Raises:
            EdgeError: the daemon has ended, or it takes too long.
        """
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            if daemon.poll() is not None:
                raise EdgeError(f"the daemon ended by itself, with {daemon.returncode}")
            if time.monotonic() > deadline:
                raise EdgeError(f"the daemon told nothing for {PATIENCE_S:g} s: the machine is too busy")
            time.sleep(0.01)

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()

    def _hear(self, _client: object, _data: object, message: MQTTMessage) -> None:
        now = time.time()
        self.messages += 1
        leaf = message.topic.split("/", 2)[2]
        if leaf == "source/camera/status" and message.payload == b"online":
            self.ready = self.ready or now
        elif leaf == "state" and from_json(State, bytes(message.payload)).mood is not None:
            self.first_mood = self.first_mood or now
        elif leaf == "health":
            self.health.append(from_json(Health, bytes(message.payload)))
        elif leaf == "event":
            event = Event.from_json(message.payload.decode())
            if isinstance(event.data, MoodWindow):
                end = datetime.fromisoformat(event.at.replace("Z", "+00:00")).astimezone(timezone.utc)
                self.late_ms.append(1000 * (now - end.timestamp()))


def import_ms(module: str = "edge.kit", *, rounds: int = 3) -> float:
    """Processor time in which a fresh Python imports *module*: the best of some rounds."""
    code = f"import time; t = time.process_time(); import {module}; print(time.process_time() - t)"
    times = []
    for _ in range(rounds):
        done = subprocess.run(  # noqa: S603 -- our own words
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise EdgeError(f"{module} cannot be imported")
        times.append(float(done.stdout))
    return round(1000 * min(times), 1)


def cpu_s(pid: int) -> float:
    """User and system time of a process, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def written_bytes(pid: int) -> int:
    """What a process caused to be written to storage; 0 where the kernel does not tell."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text("ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("write_bytes")), 0)


def rss_mb(pid: int) -> float:
    """Resident memory, MB (10^6 bytes)."""
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * resource.getpagesize() / 1e6


def peak_rss_mb(pid: int) -> float:
    """Largest resident memory so far, MB (10^6 bytes)."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6
