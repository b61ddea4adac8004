"""What an acknowledged event costs with MQTT clients for Python that could carry many kits in one process.

Each client runs in a process of its own against one Mosquitto: connect so many, subscribe to commands, then
publish 900 bytes with QoS 1 from each of them, round after round, waiting for all acknowledgements in
between. ``paho-threads`` is what a kit does; ``paho-crowd`` is edge/sinks/crowd.py. The others are measured
where they are installed: pip install aiomqtt gmqtt.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from benchmarks.faults.stage import Broker, mosquitto
from benchmarks.footprint import RESULTS, cpu_name
from edge.sinks.crowd import Crowd
from edge.vitals import rss_mb

BODY = "x" * 900
CLIENTS = ("paho-threads", "paho-crowd", "aiomqtt", "gmqtt")
MODULES = {"aiomqtt": "aiomqtt", "gmqtt": "gmqtt"}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure every client, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clients", description=__doc__)
    parser.add_argument("--kits", type=int, default=300, help="connections (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=15, help="events of each (default: %(default)s)")
    parser.add_argument("--one", choices=CLIENTS, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.one:
        print(json.dumps(RUNS[arguments.one](arguments.port, arguments.kits, arguments.rounds)), flush=True)
        os._exit(0)  # threads and loops of others need not be wound up
    if mosquitto() is None:
        print("clients: Mosquitto is not installed (Debian: apt-get install mosquitto)", file=sys.stderr)
        return 2
    result: dict[str, Any] = {"machine": f"{cpu_name()}, {os.cpu_count()} cores", "kits": arguments.kits}
    result["events"] = arguments.kits * arguments.rounds
    with tempfile.TemporaryDirectory(prefix="suasana-clients-") as folder:
        broker = Broker(Path(folder))
        broker.start()
        try:
            for name in CLIENTS:
                if name in MODULES and find_spec(MODULES[name]) is None:
                    continue
                result[name] = _measure(name, broker.port, arguments)
        finally:
            broker.stop()
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(result, indent=2)
    (RESULTS / "clients.json").write_text(text + "\n", "utf-8")
    print(text)
    return 0


def _measure(name: str, port: int, arguments: argparse.Namespace) -> dict[str, Any] | str:
    command = [sys.executable, "-m", "benchmarks.clients", "--one", name, "--port", str(port)]
    command += ["--kits", str(arguments.kits), "--rounds", str(arguments.rounds)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return "did not end within 120 s"
    found: dict[str, Any] = json.loads(done.stdout) if done.stdout else {}
    return found or f"failed: {(done.stderr.strip().splitlines() or ['?'])[-1][:100]}"


class _Count:
    """Acknowledgements so far."""

    def __init__(self) -> None:
        self.done = self.ready = 0

    def acknowledged(self, *_: Any) -> None:
        self.done += 1

    def subscribed(self, *_: Any) -> None:
        self.ready += 1


def _cost(rss_before: float, kits: int, rounds: int, publish: Callable[[int], None]) -> dict[str, float]:
    """*publish* does one round and returns when it is acknowledged."""
    resident, cpu = rss_mb(), time.process_time()
    for number in range(rounds):
        publish(number)
    spent_s = time.process_time() - cpu
    return {
        "cpu_us_per_event": round(spent_s / (kits * rounds) * 1e6),
        "kb_per_connection": round((resident - rss_before) * 1000 / kits, 1),
    }


def _run_paho(port: int, kits: int, rounds: int, *, crowd: Crowd | None) -> dict[str, float]:
    count, before = _Count(), rss_mb()
    clients = []
    for number in range(kits):
        named: dict[str, Any] = {"client_id": f"kit-{number}", "protocol": MQTTProtocolVersion.MQTTv5}
        kind = CallbackAPIVersion.VERSION2
        client: Client = crowd.make(number, kind, **named) if crowd else Client(kind, **named)
        client.on_publish, client.on_subscribe = count.acknowledged, count.subscribed
        client.on_connect = lambda client, *_: client.subscribe("suasana/x/set/+", 1)
        client.connect_async("127.0.0.1", port)
        client.loop_start()
        clients.append(client)

    def wait(holds: Callable[[], bool]) -> None:
        while not holds():
            if crowd is not None:
                crowd.turn(0.1)
            else:
                time.sleep(0.01)

    def publish(number: int) -> None:
        for client in clients:
            client.publish("suasana/x/event", BODY, qos=1)
        wait(lambda: count.done >= kits * (number + 1))

    wait(lambda: count.ready == kits)
    return _cost(before, kits, rounds, publish)


def _run_aiomqtt(port: int, kits: int, rounds: int) -> dict[str, float]:
    import aiomqtt  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 -- only measured

    async def run() -> dict[str, float]:
        before, clients = rss_mb(), []
        for number in range(kits):
            version = aiomqtt.ProtocolVersion.V5
            client = aiomqtt.Client("127.0.0.1", port, identifier=f"kit-{number}", protocol=version)
            await client.__aenter__()
            await client.subscribe("suasana/x/set/+", qos=1)
            clients.append(client)
        resident, cpu = rss_mb(), time.process_time()
        for _ in range(rounds):
            await asyncio.gather(*(client.publish("suasana/x/event", BODY, qos=1) for client in clients))
        spent_s = time.process_time() - cpu
        return {
            "cpu_us_per_event": round(spent_s / (kits * rounds) * 1e6),
            "kb_per_connection": round((resident - before) * 1000 / kits, 1),
        }

    return asyncio.run(run())


def _run_gmqtt(port: int, kits: int, rounds: int) -> dict[str, float]:
    from gmqtt import Client as Other  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415

    async def run() -> dict[str, float]:
        before, clients = rss_mb(), []
        for number in range(kits):
            client = Other(f"kit-{number}")
            await client.connect("127.0.0.1", port)
            client.subscribe("suasana/x/set/+", qos=1)
            clients.append(client)
        resident, cpu = rss_mb(), time.process_time()
        for _ in range(rounds):
            for client in clients:
                client.publish("suasana/x/event", BODY, qos=1)
            while any(not client._persistent_storage.is_empty for client in clients):  # noqa: ASYNC110, SLF001
                await asyncio.sleep(0.01)
        spent_s = time.process_time() - cpu
        return {
            "cpu_us_per_event": round(spent_s / (kits * rounds) * 1e6),
            "kb_per_connection": round((resident - before) * 1000 / kits, 1),
        }

    return asyncio.run(run())


RUNS: dict[str, Callable[[int, int, int], dict[str, float]]] = {
    "paho-threads": lambda *size: _run_paho(*size, crowd=None),
    "paho-crowd": lambda *size: _run_paho(*size, crowd=Crowd()),
    "aiomqtt": _run_aiomqtt,
    "gmqtt": _run_gmqtt,
}

if __name__ == "__main__":
    sys.exit(main())
