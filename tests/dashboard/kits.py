"""A kit that says what it is told to say, and the real broker and server that hear it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from edge import manifest
from tests.conftest import ROOT, eventually, free_port

SHIPPED = manifest.load(ROOT / "models" / "face-expression")
LABELS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
CALM = {"happy": 0.55, "neutral": 0.25, "surprise": 0.08, "uncertain": 0.12}


def stamp(epoch_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(epoch_s)) + f".{int(epoch_s % 1 * 1000):03d}Z"


def info(kit: str = "k1", **changes: Any) -> dict[str, Any]:
    model = {"task": "expression", "id": SHIPPED.id, "runtime": "tflite", "sha256": "ab" * 32}
    return {
        "schema": 1,
        "kit": kit,
        "room": "TK Melati",
        "software": "suasana 0.1.0",
        "mode": "class",
        "labels": LABELS,
        "models": [model],
        "capture": {"capture": "on", "camera": "on", "microphone": "on"},
        "window_s": 5.0,
        "min_people": 5,
        "replay": False,
    } | changes


def state(at: float, **changes: Any) -> dict[str, Any]:
    return {
        "schema": 1,
        "at": stamp(at),
        "time_quality": "synced",
        "mood": "happy",
        "shares": CALM,
        "confidence": 0.82,
        "people": 8,
        "suppressed": None,
    } | changes


def health(at: float, **changes: Any) -> dict[str, Any]:
    return {
        "schema": 1,
        "at": stamp(at),
        "time_quality": "synced",
        "uptime_s": 4210.0,
        "fps": 11.84,
        "latency_p50_s": 0.071,
        "latency_p95_s": 0.133,
        "dropped_frames": 12,
        "dropped_blocks": 0,
        "rss_mb": 212.4,
        "temperature_c": 61.2,
        "throttled": False,
        "outbox": 0,
        "dropped_events": 0,
    } | changes


def event(kit: str, seq: int, at: float, *, boot_id: str = "b1", **changes: Any) -> dict[str, Any]:
    reading = {
        "start": stamp(at - 5),
        "window_s": 5.0,
        "mood": "happy",
        "shares": CALM,
        "confidence": 0.8,
        "people": 8,
        "suppressed": None,
        "face_readings": 80,
        "voice_readings": 1,
    } | changes
    own = {
        "schema": 1,
        "kit": kit,
        "boot_id": boot_id,
        "seq": seq,
        "time_quality": "synced",
        "replayed": False,
        "mono_s": None,
        "mono_id": "",
    }
    return {
        "specversion": "1.0",
        "id": f"{kit}-{boot_id}-{seq}",
        "source": f"suasana/{kit}",
        "type": "suasana.mood.v1",
        "time": stamp(at),
        "datacontenttype": "application/json",
        "data": own | {key: reading.pop(key) for key in tuple(reading) if key in own} | reading,
    }


def clock_event(kit: str, seq: int, at: float, mono_s: float, **changes: Any) -> dict[str, Any]:
    """The kit's clock is right from now on; *mono_s* is the same moment by its steady clock."""
    table = event(kit, seq, at, mono_s=mono_s, mono_id="m1", **changes)
    own = {key: table["data"][key] for key in tuple(table["data"])[:8]}
    return table | {"type": "suasana.clock.v1", "data": own | {"reason": "synced", "step_s": 60.0}}


def practice(round: str, at: float, **changes: Any) -> dict[str, Any]:
    """One reading of the practice game."""
    return {
        "schema": 1,
        "at": stamp(at),
        "time_quality": "synced",
        "age_s": 0.06,
        "round": round,
        "left_s": 9.0,
        "sense": "face",
        "people": 1,
        "label": "happy",
        "confidence": 0.84,
        "asked": "happy",
        "match": "like",
        "held_s": 0.7,
    } | changes


def suppressed(reason: str, people: int) -> dict[str, Any]:
    """What changes in a state or an event that tells no mood."""
    return {"mood": None, "shares": {}, "confidence": 0.0, "people": people, "suppressed": reason}


@dataclass
class FakeKit:
    """Publishes what a kit would, and obeys switches when told to."""

    name: str
    port: int
    obeys: bool = True
    releases: bool = True
    """Closes a device that is switched off."""
    capture: dict[str, str] = field(
        default_factory=lambda: {"capture": "on", "camera": "on", "microphone": "on"}
    )
    settings: dict[str, Any] = field(default_factory=dict)
    commands: list[tuple[str, str, bool]] = field(default_factory=list)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What it answers, by what is requested."""
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """What it was asked: verb, payload."""
    seq: int = 0

    def start(self) -> FakeKit:
        self.client = Client(CallbackAPIVersion.VERSION2, client_id=f"fake-{self.name}")
        self.client.on_message = self._obey
        self.client.connect("127.0.0.1", self.port)
        self.client.loop_start()
        self.client.subscribe([(f"suasana/{self.name}/{kind}/+", 1) for kind in ("set", "request")])
        return self

    def stop(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def tell(self, leaf: str, payload: Any, *, retain: bool = True) -> None:
        text = payload if isinstance(payload, str | bytes) else json.dumps(payload)
        self.client.publish(f"suasana/{self.name}/{leaf}", text, qos=1, retain=retain).wait_for_publish(10)

    def introduce(self) -> None:
        self.tell("availability", "online")
        self.tell("info", info(self.name, capture=self.capture, **self.settings))
        for source in ("camera", "microphone"):
            self.tell(f"source/{source}/status", self._status(source))

    def _status(self, source: str) -> str:
        if source in self.settings.get("absent", ()):
            return "offline"
        on = self.capture["capture"] == "on" and self.capture[source] == "on"
        return "online" if on or not self.releases else "disabled"

    def read(self, at: float, **changes: Any) -> None:
        """Close one window: an event and the state that goes with it."""
        self.tell("event", event(self.name, self.seq, at, **changes), retain=False)
        self.tell("state", state(at, **changes))
        self.seq += 1

    def _obey(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        name, value = message.topic.rsplit("/", 1)[1], message.payload.decode()
        if "/request/" in message.topic:
            answer = self.answers.get(name, {"ok": False, "error": f"no verb {name}"})
            asked = json.loads(value)
            self.requests.append((name, asked))
            text = json.dumps(answer | {"transaction": asked["transaction"]})
            self.client.publish(f"suasana/{self.name}/response/{name}", text, qos=1)
            return
        self.commands.append((name, value, message.retain))
        if self.obeys:
            if name == "mode":
                self.settings = self.settings | {"mode": value}
            else:
                self.capture = self.capture | {name: value}
            table = info(self.name, capture=self.capture, **self.settings)
            self.client.publish(f"suasana/{self.name}/info", json.dumps(table), qos=1, retain=True)
            for source in ("camera", "microphone"):
                topic = f"suasana/{self.name}/source/{source}/status"
                self.client.publish(topic, self._status(source), qos=1, retain=True)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def running(*arguments: str, log: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    with (log or Path(os.devnull)).open("wb") as words:
        process = subprocess.Popen([sys.executable, *arguments], stdout=words, stderr=words, cwd=ROOT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:  # the small broker takes its time while clients are connected
            process.kill()
            process.wait()


@contextmanager
def running_broker(port: int) -> Iterator[int]:
    with running("-m", "edge.broker", "--port", str(port)):
        eventually(lambda: answers(port))
        yield port


@dataclass(frozen=True)
class Server:
    """A dashboard in a process of its own."""

    url: str
    mqtt_port: int
    process: subprocess.Popen[bytes]

    def get(self, path: str) -> Any:
        with urlopen(self.url + path, timeout=10) as answer:
            return json.load(answer)


@contextmanager
def running_server(
    mqtt_port: int,
    data: Path,
    port: int = 0,
    *,
    options: tuple[str, ...] = ("--demo",),
    log: Path | None = None,
) -> Iterator[Server]:
    port = port or free_port()
    where = ("--mqtt", f"mqtt://127.0.0.1:{mqtt_port}", "--port", str(port), "--data", str(data))
    with running("-m", "dashboard", *where, *options, log=log) as process:
        eventually(lambda: answers(port) or process.poll() is not None)
        yield Server(f"http://127.0.0.1:{port}", mqtt_port, process)
