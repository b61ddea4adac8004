"""What a service manager would hear: runs a command, counts its messages, ends it, and tells as JSON.

    manager.py SECONDS COMMAND…     waits until the broker had a mood of the room or SECONDS have passed

It listens on the notification socket and, as the teacher's page, on the broker, with the installed package's
own client, so it needs nothing that a kit lacks.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion


def main() -> int:
    """Run, listen, stop."""
    patience_s, command = float(sys.argv[1]), sys.argv[2:]
    heard: dict[str, list[str]] = {}
    client = Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set("teacher_page", password())
    client.on_connect = lambda *_: client.subscribe("suasana/#", qos=1)
    client.on_message = lambda _client, _data, message: heard.setdefault(
        message.topic.split("/", 2)[2], []
    ).append(message.payload.decode())
    client.connect("127.0.0.1")
    client.loop_start()
    notices: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        address = "/tmp/notify"
        Path(address).unlink(missing_ok=True)
        manager.bind(address)
        os.chmod(address, 0o666)  # noqa: PTH101
        manager.settimeout(0.5)
        began = time.monotonic()
        daemon = subprocess.Popen(command, env={**os.environ, "NOTIFY_SOCKET": address})
        ready_s = 0.0
        while time.monotonic() - began < patience_s and daemon.poll() is None and not moods(heard):
            try:
                notices.append(manager.recv(200).decode())
            except TimeoutError:
                continue
            if not ready_s and notices[-1] == "READY=1":
                ready_s = time.monotonic() - began
    stopping = time.monotonic()
    daemon.send_signal(signal.SIGTERM)
    code = daemon.wait(60)
    stop_s = time.monotonic() - stopping
    time.sleep(1)
    client.loop_stop()
    info = json.loads(heard.get("info", ["{}"])[-1])
    print(  # noqa: T201
        json.dumps(
            {
                "ready_s": round(ready_s, 1),
                "pings": notices.count("WATCHDOG=1"),
                "moods": len(moods(heard)),
                "people": max((mood["data"]["people"] for mood in moods(heard)), default=0),
                "runtimes": sorted({model["runtime"] for model in info.get("models", [])}),
                "suppressed": [event["data"].get("suppressed") for event in windows(heard)],
                "models": len(info.get("models", [])),
                "availability": heard.get("availability", []),
                "stop_s": round(stop_s, 1),
                "code": code,
            }
        )
    )
    return 0


def moods(heard: dict[str, list[str]]) -> list[dict]:
    """Windows that tell a mood and are not suppressed."""
    return [event for event in windows(heard) if not event["data"].get("suppressed")]


def windows(heard: dict[str, list[str]]) -> list[dict]:
    """Every window's event."""
    events = [json.loads(payload) for payload in heard.get("event", [])]
    return [event for event in events if event["type"] == "suasana.mood.v1"]


def password() -> str:
    """Of the teacher's page."""
    lines = Path("/etc/suasana/dashboard.env").read_text("utf-8").splitlines()
    return next(line.partition("=")[2] for line in lines if line.startswith("SUASANA_MQTT_PASSWORD"))


if __name__ == "__main__":
    sys.exit(main())
