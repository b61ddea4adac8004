import gc
import io
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.contract.commands import Command
from edge.events import Event, MoodWindow, Session, format_time, name_event
from edge.outbox.disk import DiskOutbox
from edge.outbox.memory import MemoryOutbox
from edge.sinks import Access, Sink, open_sink
from edge.sinks.console import describe
from tests.conftest import PATIENCE_S, ROOT, Subscriber, eventually, free_port, running_mosquitto, subscribe


def event(seq: int, **changes: object) -> Event:
    data = {
        "start": format_time(seq * 5),
        "window_s": 5.0,
        "mood": "happy",
        "shares": {"happy": 0.75, "uncertain": 0.25},
        "confidence": 0.8,
        "people": 8,
        "suppressed": None,
        "face_readings": 100,
        "voice_readings": 1,
    } | changes
    return Event(
        name_event("k1", "b", seq), "k1", "b", seq, format_time(seq * 5 + 5), "synced", MoodWindow(**data)
    )  # type: ignore[arg-type]


def tend_until(sink: Sink, holds: Callable[[], object]) -> None:
    def tended() -> object:
        sink.tend()
        return holds()

    eventually(tended)


@pytest.mark.parametrize("uri", ["jsonl:-", "console:", "mqtt://127.0.0.1:{port}"])
def test_every_sink_keeps_the_contract(uri: str) -> None:
    """Nothing listens at the port: a sink that cannot deliver neither waits nor raises."""
    with open_sink(uri.format(port=free_port()), kit="k1") as sink:
        sink.retain("info", "{}")
        sink.publish(event(0))
        sink.tell("health", "{}")
        sink.tend()
        assert sink.waiting in (0, 1)
        assert sink.dropped == 0


@pytest.mark.parametrize(
    "uri",
    [
        "http://x",
        "mqtt://",
        "mqtt://host:port",
        "mqtt://host:99999",
        "mqtt://h/path",
        "mqtt://u:secret@h",
        "jsonl:/f",
    ],
)
def test_a_wrong_address_is_told_in_one_line_without_secrets(uri: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        open_sink(uri, kit="k1")
    assert "secret" not in str(caught.value)


def test_json_lines_are_events(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    with open_sink("jsonl:-", kit="k1") as sink:
        sink.publish(event(0))
        sink.publish(event(1))
    assert [Event.from_json(line).seq for line in out.getvalue().splitlines()] == [0, 1]


def test_the_console_speaks_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    with open_sink("console:", kit="k1") as sink:
        sink.publish(event(0))
    assert "mood happy  [happy 75%, uncertain 25%]  8 faces, 1 voice, confidence 0.80" in out.getvalue()
    quiet = describe(event(1, mood=None, shares={}, suppressed="too_few_people", people=1))
    assert quiet.endswith("no mood: too few readable faces (1 face)")
    session = Event("i", "k", "b", 0, format_time(0), "synced", Session("start", "boot"))
    assert describe(session).endswith("session start (boot)")


@pytest.mark.parametrize("protocol", ["auto", "3.1.1"])
def test_birth_retained_values_events_and_goodbye(broker: int, subscriber: Subscriber, protocol: str) -> None:
    with open_sink(f"mqtt://127.0.0.1:{broker}", kit="k1", access=Access(protocol=protocol)) as sink:
        sink.retain("state", '{"a":1}')
        tend_until(sink, lambda: subscriber.payloads("suasana/k1/state"))
        sink.publish(event(0))
        tend_until(sink, lambda: sink.waiting == 0)
    eventually(lambda: len(subscriber.payloads("suasana/k1/availability")) == 2)
    assert subscriber.payloads("suasana/k1/availability") == ["online", "stopped"]
    (told,) = subscriber.payloads("suasana/k1/event")
    assert Event.from_json(told) == event(0)
    late = subscribe(broker)
    newcomer = next(late)
    eventually(lambda: len(newcomer.messages) == 2)
    assert ("suasana/k1/state", '{"a":1}', True) in newcomer.messages
    late.close()


def test_events_from_before_the_connection_arrive_in_order_and_marked() -> None:
    port = free_port()
    with open_sink(f"mqtt://127.0.0.1:{port}", kit="k1", access=Access(protocol="3.1.1")) as sink:
        for seq in range(50):
            sink.publish(event(seq))
        assert sink.waiting == 50
        broker = subprocess.Popen([sys.executable, "-m", "edge.broker", "--port", str(port)], cwd=ROOT)
        try:
            clients = _patiently(port)
            subscriber = next(clients)
            tend_until(sink, lambda: sink.waiting == 0)
            eventually(lambda: len(subscriber.payloads("suasana/k1/event")) == 50)
            events = [Event.from_json(payload) for payload in subscriber.payloads("suasana/k1/event")]
            assert [item.seq for item in events] == list(range(50))
            assert all(item.replayed for item in events)
            clients.close()
        finally:
            broker.terminate()
            broker.wait(PATIENCE_S)


def _patiently(port: int):
    """A subscriber for a broker that is only just starting, when amqtt leaves clients unanswered."""
    eventually(lambda: _answers(port))
    yield from subscribe(port)


def _answers(port: int) -> bool:
    hello = b"\x10\x12\x00\x04MQTT\x04\x02\x00\x3c\x00\x06knocks"  # CONNECT of MQTT 3.1.1
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as knock:
            knock.sendall(hello)
            return knock.recv(1) == b"\x20"  # CONNACK
    except OSError:
        return False


def test_the_broker_tells_when_a_kit_vanishes(broker: int, subscriber: Subscriber) -> None:
    kit = (
        "import os, time; from edge.sinks import open_sink, Access\n"
        f"s = open_sink('mqtt://127.0.0.1:{broker}', kit='k1', access=Access(protocol='3.1.1')).__enter__()\n"
        "while not s.connected: s.tend(); time.sleep(0.02)\n"
        "s.tend(); time.sleep(0.5); os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", kit], cwd=ROOT, check=False)
    eventually(lambda: subscriber.payloads("suasana/k1/availability")[-1:] == ["offline"])


def test_commands_come_in_and_retained_or_too_long_ones_are_marked(
    broker: int, subscriber: Subscriber
) -> None:
    got: list[Command] = []
    all_there = threading.Event()

    def take(command: Command) -> None:
        got.append(command)
        if command.leaf == "request/ping":
            all_there.set()

    subscriber.client.publish("suasana/k1/set/microphone", "off", qos=1, retain=True).wait_for_publish(
        PATIENCE_S
    )
    sink = open_sink(f"mqtt://127.0.0.1:{broker}", kit="k1", on_command=take, access=Access(protocol="3.1.1"))
    with sink:
        tend_until(sink, lambda: subscriber.payloads("suasana/k1/availability"))
        subscriber.client.publish("suasana/k1/set/camera", b"x" * 100_000, qos=1)
        subscriber.client.publish("suasana/k1/set/camera", "off", qos=1)
        subscriber.client.publish("suasana/k2/set/camera", "off", qos=1)
        subscriber.client.publish("suasana/k1/request/ping", json.dumps({"transaction": "1"}), qos=1)
        tend_until(sink, all_there.is_set)
    assert [(command.leaf, bool(command.refusal)) for command in got] == [
        ("set/microphone", True),
        ("set/camera", True),
        ("set/camera", False),
        ("request/ping", False),
    ]
    assert not any(command.payload for command in got if command.refusal), "nothing of it is kept"


def test_a_full_outbox_drops_the_oldest_and_counts() -> None:
    outbox = MemoryOutbox(size=3)
    for seq in range(5):
        outbox.put(event(seq))
    assert [letter.id for letter in outbox.oldest(10)] == [event(seq).id for seq in (2, 3, 4)]
    assert (len(outbox), outbox.dropped) == (3, 2)
    outbox.done(event(3).id)
    outbox.done("unknown")
    assert [letter.id for letter in outbox.oldest(1)] == [event(2).id]
    assert len(outbox) == 2


def test_a_broker_that_restarts_gets_everything_once_and_is_told_what_waited(tmp_path: Path) -> None:
    port = free_port()
    outbox = DiskOutbox(tmp_path / "o.db")
    heard: list[Event] = []
    uri = f"mqtt://127.0.0.1:{port}"
    with open_sink(uri, kit="k1", access=Access(protocol="3.1.1"), outbox=outbox) as sink:
        with running_mosquitto(tmp_path, port=port):
            clients = subscribe(port)
            first = next(clients)
            tend_until(sink, lambda: first.payloads("suasana/k1/availability"))
            sink.publish(event(0))
            tend_until(sink, lambda: sink.waiting == 0)
            eventually(lambda: first.payloads("suasana/k1/event"))
            heard += [Event.from_json(payload) for payload in first.payloads("suasana/k1/event")]
            clients.close()
        for seq in range(1, 60):  # the first of them go to a connection that is dead already
            sink.publish(event(seq))
        with running_mosquitto(tmp_path, port=port):
            clients = subscribe(port)
            second = next(clients)
            tend_until(sink, lambda: sink.waiting == 0)
            eventually(lambda: len(second.payloads("suasana/k1/event")) == 59)
            heard += [Event.from_json(payload) for payload in second.payloads("suasana/k1/event")]
            clients.close()
    assert [item.seq for item in heard] == list(range(60))
    assert [item.replayed for item in heard] == [False] + [True] * 59


def test_an_event_that_the_broker_refuses_is_kept(tmp_path: Path) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic readwrite suasana/k1/availability\n")
    with running_mosquitto(tmp_path, "allow_anonymous true", f"acl_file {rules}") as port:
        sink = open_sink(f"mqtt://127.0.0.1:{port}", kit="k1", access=Access(protocol="5"))
        with sink:
            tend_until(sink, lambda: sink.connected)  # type: ignore[attr-defined]
            sink.publish(event(0))
            tend_until(sink, lambda: not sink._in_flight)  # type: ignore[attr-defined]
            assert (sink.waiting, sink.dropped) == (1, 0)


def test_connections_that_come_and_go_leave_no_descriptor_behind(tmp_path: Path) -> None:
    """Without Python's search for circles, which would hide it until it runs."""

    def opened() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    gc.collect()
    gc.disable()
    try:
        with open_sink("mqtt://127.0.0.1:1", kit="k1", access=Access(protocol="3.1.1")) as sink:
            before = opened()
            for _ in range(30):
                sink._restart()  # type: ignore[attr-defined]
                sink.tend()
            eventually(lambda: opened() <= before + 4)
    finally:
        gc.enable()
