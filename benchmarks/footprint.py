"""What `suasana run` costs on this machine: frames per second, CPU, memory, start-up.

The daemon runs as users run it, in a process of its own, on a 640x480 video of the staged class (eight
faces) and speech from espeak-ng where that is installed, with the embedded broker beside it. It is measured
from outside, through /proc and as an MQTT subscriber. The detector alone on the same frames, in the same run,
is the baseline, because absolute times on a shared machine are noisy.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from edge.demo import companion, free_port, speak
from edge.events import Health, State, from_json
from edge.eyes import make_detector
from edge.models import weights
from edge.settings import Settings
from edge.sources import open_camera, replay_uri

RESULTS = Path(__file__).parent / "results"
FPS = 10
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Footprint:
    """One measurement."""

    machine: str
    video: str
    microphone: bool
    seconds: float
    """Of steady running that were measured, after the first mood."""
    fps: float
    """Frames looked at per second; the setting's limit is faces.max_fps."""
    latency_p95_s: float | None
    cpu_cores: float
    """CPU seconds per second of the daemon, all threads."""
    cpu_s_per_frame: float
    baseline: str
    baseline_cpu_s_per_frame: float
    cpu_ratio: float
    """The daemon's CPU per frame over the baseline's."""
    rss_mb: float
    peak_rss_mb: float
    ready_s: float
    """From the start of the process until the camera delivered."""
    first_mood_s: float
    """From the start of the process until the first mood was published; one window is in it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.footprint", description=__doc__)
    parser.add_argument("--seconds", type=float, default=40, help="of steady running (default: %(default)s)")
    parser.add_argument("--video", type=Path, help="instead of the staged class")
    parser.add_argument("--no-microphone", action="store_true", help="leave the voice out")
    parser.add_argument("--json", action="store_true", help="print JSON only")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        video = arguments.video or film(scratch / "class.avi")
        speech = None if arguments.no_microphone else speak(scratch)
        result = measure(video, speech, arguments.seconds, scratch)
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(asdict(result), indent=2)
    (RESULTS / "footprint.json").write_text(text + "\n", "utf-8")
    print(text if arguments.json else describe(result))
    return 0


def film(path: Path, seconds: int = 20) -> Path:
    """The staged class as an MJPEG file of 640x480 pixels."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (640, 480))
    with open_camera(f"scene:{weights.FOLDER}?fps={FPS}&frames={FPS * seconds}&speed=0") as camera:
        for frame in camera:
            writer.write(frame.image)
    writer.release()
    return path


def measure(video: Path, speech: Path | None, seconds: float, scratch: Path) -> Footprint:
    """Run the daemon and look at it from outside."""
    port = free_port(None, 0)
    broker = [sys.executable, "-m", "edge.broker", "--port", str(port)]
    microphone = replay_uri(str(speech), loop=True) if speech else "none"
    config = scratch / "kit.toml"
    config.write_text(
        f'kit = "bench"\nmode = "class"\nstate_dir = "{scratch}"\n[mqtt]\nprotocol = "3.1.1"\n', "utf-8"
    )
    command = [
        sys.executable,
        "-m",
        "edge",
        "run",
        "--config",
        str(config),
        "--mqtt",
        f"mqtt://127.0.0.1:{port}",
    ]
    command += ["--camera", replay_uri(str(video), loop=True), "--microphone", microphone]
    baseline_s = detector_cpu_s(video)
    with companion("broker", broker, port, scratch):
        heard = Heard(port)
        started = time.monotonic()
        daemon = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603 -- our own words
        try:
            heard.wait(lambda: heard.ready and heard.first_mood, daemon)
            before, since = cpu_s(daemon.pid), time.monotonic()
            heard.health.clear()
            resident = []
            while time.monotonic() - since < seconds:
                time.sleep(0.5)
                resident.append(rss_mb(daemon.pid))
            cpu, elapsed = cpu_s(daemon.pid) - before, time.monotonic() - since
            heard.wait(lambda: heard.health, daemon)
            peak = peak_rss_mb(daemon.pid)
        finally:
            daemon.terminate()
            daemon.wait(10)
    fps = statistics.fmean(health.fps for health in heard.health)
    per_frame = cpu / elapsed / fps
    return Footprint(
        machine=f"{platform.machine()}, {cpu_name()}, {os.cpu_count()} cores",
        video=f"{video.name}, 640x480, eight faces" if video.parent == scratch else video.name,
        microphone=speech is not None,
        seconds=round(elapsed, 1),
        fps=round(fps, 2),
        latency_p95_s=heard.health[-1].latency_p95_s,
        cpu_cores=round(cpu / elapsed, 3),
        cpu_s_per_frame=round(per_frame, 4),
        baseline="the default face detector alone on the same frames, one thread",
        baseline_cpu_s_per_frame=round(baseline_s, 4),
        cpu_ratio=round(per_frame / baseline_s, 2),
        rss_mb=round(statistics.median(resident), 1),
        peak_rss_mb=round(peak, 1),
        ready_s=round(heard.ready - started, 2),
        first_mood_s=round(heard.first_mood - started, 2),
    )


class Heard:
    """What an independent subscriber learns about the daemon."""

    def __init__(self, port: int) -> None:
        """Subscribe."""
        self.ready = self.first_mood = 0.0
        self.health: list[Health] = []
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="footprint")
        self._client.on_message = self._hear
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("suasana/bench/#")
        self._client.loop_start()

    def wait(self, holds: object, daemon: subprocess.Popen[bytes]) -> None:
        """Until *holds*, or the daemon has ended."""
        assert callable(holds)
        while not holds():
            if daemon.poll() is not None:
                raise SystemExit(f"the daemon ended with {daemon.returncode}")
            time.sleep(0.01)

    def _hear(self, _client: object, _data: object, message: MQTTMessage) -> None:
        now = time.monotonic()
        if message.topic.endswith("camera/status") and message.payload == b"online":
            self.ready = self.ready or now
        elif message.topic.endswith("/state") and from_json(State, bytes(message.payload)).mood is not None:
            self.first_mood = self.first_mood or now
        elif message.topic.endswith("/health"):
            self.health.append(from_json(Health, bytes(message.payload)))


def detector_cpu_s(video: Path, frames: int = 50) -> float:
    """CPU seconds per frame of the default detector by itself."""
    cv2.setNumThreads(1)
    detector = make_detector(Settings())
    with open_camera(replay_uri(str(video), speed=0)) as camera:
        images = [frame.image for frame, _ in zip(camera, range(frames), strict=False)]
    for image in images[:5]:
        detector(image)
    before = time.process_time()
    for image in images:
        detector(image)
    return (time.process_time() - before) / len(images)


def cpu_s(pid: int) -> float:
    """User and system time of a process, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_mb(pid: int) -> float:
    """Resident memory, MB (10^6 bytes)."""
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * resource.getpagesize() / 1e6


def peak_rss_mb(pid: int) -> float:
    """Largest resident memory so far, MB (10^6 bytes)."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6


def cpu_name() -> str:
    """The processor as the kernel names it."""
    lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )


def describe(result: Footprint) -> str:
    """The rows of the table in the README."""
    return "\n".join(
        [
            f"{result.machine}; {result.video}{', with speech' if result.microphone else ''}",
            f"| frames looked at per second | {result.fps:.1f} |",
            f"| CPU | {result.cpu_cores:.0%} of one core |",
            f"| CPU per frame, against the detector alone in the same run | {result.cpu_ratio:.2f} x |",
            f"| resident memory, median and peak | {result.rss_mb:.0f} MB, {result.peak_rss_mb:.0f} MB |",
            f"| start of the process to the first frame | {result.ready_s:.1f} s |",
            f"| start of the process to the first mood (a 5 s window) | {result.first_mood_s:.1f} s |",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
