"""The MQTT sink on a real Mosquitto: what version 5 adds, and what a broker may ask or refuse."""

import logging
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge.contract.channels import DAY_S
from edge.contract.commands import Command
from edge.sinks import Access, mqtt, open_sink
from edge.sinks.mqtt import draw_wait
from tests.conftest import PATIENCE_S, eventually, free_port, running_mosquitto, subscribe
from tests.test_sinks import event, tend_until

SILENT = 4
CONNACK, CONNACK_5 = b"\x20\x02\x00\x00", b"\x20\x03\x00\x00\x00"


@contextmanager
def listening(port: int) -> Iterator[tuple[paho.Client, list[paho.MQTTMessage]]]:
    """A client that speaks MQTT 5 and hears everything."""
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    heard: list[paho.MQTTMessage] = []
    ready: list[int] = []
    client.on_message = lambda _c, _d, message: heard.append(message)
    client.on_subscribe = lambda *_: ready.append(1)
    client.on_connect = lambda *_: client.subscribe("#", qos=1)
    client.connect("127.0.0.1", port)
    client.loop_start()
    eventually(lambda: ready)
    yield client, heard
    client.disconnect()
    client.loop_stop()


def on(heard: list[paho.MQTTMessage], leaf: str) -> list[paho.MQTTMessage]:
    return [message for message in list(heard) if message.topic == f"suasana/k1/{leaf}"]


def ask(client: paho.Client, topic: str, payload: str = "{}", **wishes: Any) -> None:
    properties = Properties(PacketTypes.PUBLISH)
    for name, value in wishes.items():
        setattr(properties, name, value)
    client.publish(topic, payload, qos=1, properties=properties)


@pytest.mark.parametrize("protocol", ["auto", "5"])
def test_version_5_says_what_each_message_is_and_how_long_it_is_news(mosquitto: int, protocol: str) -> None:
    with (
        listening(mosquitto) as (_, heard),
        open_sink(f"mqtt://127.0.0.1:{mosquitto}", kit="k1", access=Access(protocol=protocol)) as sink,
    ):
        sink.retain("state", "{}")
        sink.publish(event(0))
        tend_until(sink, lambda: sink.waiting == 0)
        sink.tell("health", "{}")
        tend_until(sink, lambda: on(heard, "health"))
        said = {leaf: on(heard, leaf)[0].properties for leaf in ("availability", "state", "event", "health")}
    assert {leaf: properties.ContentType for leaf, properties in said.items()} == {
        "availability": "text/plain",
        "state": "application/json",
        "event": "application/cloudevents+json",
        "health": "application/json",
    }
    assert all(properties.UserProperty == [("schema", "1")] for properties in said.values())
    assert all(properties.PayloadFormatIndicator == 1 for properties in said.values())
    assert 7 * DAY_S - 60 <= said["event"].MessageExpiryInterval <= 7 * DAY_S
    assert 0 < said["health"].MessageExpiryInterval <= 60
    assert not hasattr(said["state"], "MessageExpiryInterval"), "a retained state is told until it changes"


def test_version_3_says_the_same_without_properties(mosquitto: int) -> None:
    access = Access(protocol="3.1.1")
    with (
        listening(mosquitto) as (_, heard),
        open_sink(f"mqtt://127.0.0.1:{mosquitto}", kit="k1", access=access) as sink,
    ):
        sink.publish(event(0))
        tend_until(sink, lambda: sink.waiting == 0)
        eventually(lambda: on(heard, "event"))
        assert on(heard, "event")[0].properties.isEmpty()


def test_an_answer_goes_where_its_asker_wants_it_but_only_below_the_kits_name(mosquitto: int) -> None:
    asked: list[Command] = []
    with (
        listening(mosquitto) as (client, heard),
        open_sink(f"mqtt://127.0.0.1:{mosquitto}", kit="k1", on_command=asked.append) as sink,
    ):
        tend_until(sink, lambda: on(heard, "availability"))
        topics = ("suasana/k1/response/mine", "suasana/k2/state", "suasana/k1/response/#", "suasana/k1/state")
        for topic in topics[:2] + topics[3:]:
            ask(client, "suasana/k1/request/ping", ResponseTopic=topic, CorrelationData=b"\x00\xff7")
        tend_until(sink, lambda: len(asked) == 3)
        for command in asked:
            sink.tell("response/ping", "{}", qos=1, to=command)
        tend_until(sink, lambda: len(on(heard, "response/ping")) == 2)
        tend_until(sink, lambda: on(heard, "response/mine"))
    answers = [*on(heard, "response/mine"), *on(heard, "response/ping")]
    assert [command.answer_topic for command in asked] == ["suasana/k1/response/mine", "", ""]
    assert {answer.properties.CorrelationData for answer in answers} == {b"\x00\xff7"}
    assert not on(heard, "state")
    assert "suasana/k2/state" not in {message.topic for message in heard}


@pytest.mark.parametrize("protocol", ["auto", "5", "3.1.1"])
@pytest.mark.parametrize(
    ("address", "password"),
    [
        ("mqtt://k1@127.0.0.1:{}", "hunter2"),
        ("mqtt://ghost@127.0.0.1:{}", "right"),
        ("mqtt://127.0.0.1:{}", ""),
    ],
    ids=["wrong password", "unknown user", "nobody"],
)
def test_a_refusal_is_an_error_that_says_what_to_look_at(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, protocol: str, address: str, password: str
) -> None:
    caplog.set_level(logging.INFO)
    with running_mosquitto(tmp_path, *with_password(tmp_path, "k1", "right")) as port:
        access = Access(password=password, protocol=protocol)
        with open_sink(address.format(port), kit="k1", access=access) as sink:
            sink.publish(event(0))
            tend_until(sink, lambda: [r for r in caplog.records if r.levelno >= logging.ERROR])
            assert sink.waiting == 1
    (error,) = [record.message for record in caplog.records if record.levelno >= logging.ERROR]
    assert "refused the connection" in error
    assert "password" in error
    assert "\n" not in error
    assert "hunter2" not in caplog.text
    assert "connected to" not in caplog.text


@pytest.mark.parametrize("protocol", ["auto", "3.1.1"])
def test_the_right_password_gets_in(tmp_path: Path, protocol: str) -> None:
    with running_mosquitto(tmp_path, *with_password(tmp_path, "k1", "right")) as port:
        access = Access(password="right", protocol=protocol)
        with open_sink(f"mqtt://k1@127.0.0.1:{port}", kit="k1", access=access) as sink:
            sink.publish(event(0))
            tend_until(sink, lambda: sink.waiting == 0)


def with_password(folder: Path, user: str, password: str) -> tuple[str, str]:
    """Lines of a configuration that lets nobody in but *user*."""
    program = shutil.which("mosquitto_passwd")
    if program is None:
        pytest.skip("mosquitto_passwd is not installed (Debian: mosquitto)")
    file = folder / "passwords"
    subprocess.run([program, "-b", "-c", str(file), user, password], check=True)
    return "allow_anonymous false", f"password_file {file}"


def test_the_brokers_receive_maximum_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with running_mosquitto(tmp_path, "allow_anonymous true", "max_inflight_messages 2") as port:
        clients = subscribe(port)
        heard = next(clients)
        with open_sink(f"mqtt://127.0.0.1:{port}", kit="k1", access=Access(protocol="5")) as sink:
            sink.retain("info", "{}")
            for seq in range(60):
                sink.publish(event(seq))
            tend_until(sink, lambda: sink.waiting == 0)
            assert sink._client.max_inflight_messages == 2
        clients.close()
    assert len(heard.payloads("suasana/k1/event")) == 60
    assert "connection lost" not in caplog.text


def test_what_the_broker_would_not_take_is_not_sent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with running_mosquitto(tmp_path, "allow_anonymous true", "max_packet_size 2000") as port:
        clients = subscribe(port)
        heard = next(clients)
        with open_sink(f"mqtt://127.0.0.1:{port}", kit="k1", access=Access(protocol="5")) as sink:
            tend_until(sink, lambda: heard.payloads("suasana/k1/availability"))
            sink.retain("info", "x" * 3000)
            sink.retain("state", "{}")
            tend_until(sink, lambda: heard.payloads("suasana/k1/state"))
        clients.close()
    assert not heard.payloads("suasana/k1/info")
    assert "takes 2000 bytes at most" in caplog.text
    assert "connection lost" not in caplog.text


def test_a_broker_that_retains_nothing_is_served_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running_mosquitto(tmp_path, "allow_anonymous true", "retain_available false") as port:
        clients = subscribe(port)
        heard = next(clients)
        with open_sink(f"mqtt://127.0.0.1:{port}", kit="k1", access=Access(protocol="5")) as sink:
            sink.retain("state", "{}")
            tend_until(sink, lambda: heard.payloads("suasana/k1/state"))
        clients.close()
    assert "keeps no retained messages" in caplog.text
    assert "connection lost" not in caplog.text


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_everything_retained_is_told_again_to_a_broker_that_lost_it(tmp_path: Path, protocol: str) -> None:
    port = free_port()
    with open_sink(f"mqtt://127.0.0.1:{port}", kit="k1", access=Access(protocol=protocol)) as sink:
        sink.retain("info", '{"kit":"k1"}')
        sink.retain("source/camera/status", "online")
        for _ in range(2):
            with running_mosquitto(tmp_path, port=port):
                clients = subscribe(port)
                heard = next(clients)
                tend_until(sink, lambda heard=heard: len(heard.messages) >= 3)
                clients.close()
                assert {topic: payload for topic, payload, _ in heard.messages} == {
                    "suasana/k1/availability": "online",
                    "suasana/k1/info": '{"kit":"k1"}',
                    "suasana/k1/source/camera/status": "online",
                }
            tend_until(sink, lambda: not sink.connected)  # type: ignore[attr-defined]


@pytest.mark.parametrize("protocol", ["auto", "3.1.1"])
def test_a_broker_that_accepts_and_says_nothing_is_tried_again_and_given_more_time(
    protocol: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As some do while they start: the keep-alive, here a minute, would notice far too late."""
    monkeypatch.setattr(mqtt, "HANDSHAKE_S", 0.05)
    monkeypatch.setattr(mqtt, "RECONNECT_S", (0.0, 0.01))
    met: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as stack:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    met.append(stack.enter_context(server.accept()[0]))
                    if len(met) > SILENT:
                        greeting = met[-1].recv(100)
                        met[-1].sendall(CONNACK_5 if greeting[8:9] == b"\x05" else CONNACK)

        waiter = Thread(target=serve, daemon=True)
        waiter.start()
        access = Access(protocol=protocol, keepalive_s=60)
        with open_sink(f"mqtt://127.0.0.1:{server.getsockname()[1]}", kit="k1", access=access) as sink:
            tend_until(sink, lambda: sink._handshake_s >= 4 * 0.05)  # type: ignore[attr-defined]
            tend_until(sink, lambda: sink.connected)  # type: ignore[attr-defined]
            assert len(met) > SILENT
            assert sink._handshake_s == 0.05  # type: ignore[attr-defined]
        server.shutdown(socket.SHUT_RDWR)
        waiter.join(PATIENCE_S)
    assert protocol == "auto" or caplog.text.count("does not answer as a broker; trying again") == 1


def test_two_kits_of_one_name_are_told_apart_in_the_log(
    mosquitto: int, caplog: pytest.LogCaptureFixture
) -> None:
    address, access = f"mqtt://127.0.0.1:{mosquitto}", Access(protocol="5")
    with open_sink(address, kit="k1", access=access) as first:
        tend_until(first, lambda: first.connected)  # type: ignore[attr-defined]
        with open_sink(address, kit="k1", access=access) as second:
            tend_until(second, lambda: second.connected)  # type: ignore[attr-defined]
            tend_until(first, lambda: "another program may use this kit's name" in caplog.text)


def test_commands_come_once_and_whole(mosquitto: int) -> None:
    asked: list[Command] = []
    sink = open_sink(f"mqtt://127.0.0.1:{mosquitto}", kit="k1", on_command=asked.append)
    with listening(mosquitto) as (client, heard), sink:
        tend_until(sink, lambda: on(heard, "availability"))
        for number in range(100):
            client.publish("suasana/k1/request/ping", f'{{"transaction":"{number}"}}', qos=1)
        tend_until(sink, lambda: len(asked) == 100)
    assert [command.payload for command in asked] == [b'{"transaction":"%d"}' % n for n in range(100)]


@pytest.mark.parametrize(("protocol", "obeyed"), [("5", False), ("3.1.1", True)])
def test_a_retained_command_is_refused_while_it_is_live_where_the_broker_tells(
    mosquitto: int, protocol: str, obeyed: bool
) -> None:
    got: list[Command] = []
    with (
        listening(mosquitto) as (client, _),
        open_sink(
            f"mqtt://127.0.0.1:{mosquitto}", kit="k1", on_command=got.append, access=Access(protocol=protocol)
        ) as sink,
    ):

        def is_heard() -> bool:  # asked again: what comes before the subscription is nobody's
            client.publish("suasana/k1/set/camera", "off", qos=1)
            return bool(got)

        tend_until(sink, is_heard)
        client.publish("suasana/k1/set/capture", "on", qos=1, retain=True)
        tend_until(sink, lambda: got[-1].leaf == "set/capture")
        assert (not got[-1].refusal) == obeyed
        assert got[0].payload == b"off", "what is not retained is obeyed in every version"
        client.publish("suasana/k1/set/capture", b"", qos=1, retain=True).wait_for_publish(30)


def test_attempts_become_rarer_the_longer_a_broker_is_away() -> None:
    waits = [[draw_wait(failures) for _ in range(50)] for failures in range(12)]
    assert all(0.5 <= wait <= 2 for wait in waits[0])
    assert min(waits[3]) >= 4
    assert all(15 <= wait <= 45 for wait in waits[11])
    assert len(set(waits[11])) > 1
