"""Simulated kits on a real broker, heard by a client that shares no code with them."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edge.__main__ import main
from edge.contract.channels import channel_of
from edge.events import Event, Info, MoodWindow, State, from_json
from edge.mood import RoomMood, Rules
from edge.simulation.kit import names
from edge.simulation.room import SimulatedRoom
from edge.simulation.steering import read_order
from edge.sinks.crowd import Crowd
from tests.conftest import ROOT, eventually, running_mosquitto, subscribe

KITS = 12


def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge", "simulate", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT, check=False)


@pytest.fixture(scope="module")
def heard(tmp_path_factory):
    """What a subscriber heard of kits in a storm, what they made, and what they said of themselves."""
    folder = tmp_path_factory.mktemp("storm")
    with running_mosquitto(folder) as port:
        subscription = subscribe(port)
        listener = next(subscription)
        result = simulate(
            *("--mqtt", f"mqtt://127.0.0.1:{port}", "--kits", str(KITS), "--rate", "2", "--seconds", "4"),
            *(
                "--storm",
                "1.5",
                "--names",
                "s{site}--k{n}",
                "--sites",
                "3",
                "--ledger",
                str(folder / "ledger"),
            ),
            *("--outbox", str(folder / "outbox")),
        )
        assert result.returncode == 0, result.stderr
        eventually(lambda: sum(payload == "stopped" for _, payload, _ in listener.messages) == KITS)
        subscription.close()
    return listener.messages, made_by(folder / "ledger"), json.loads(result.stdout)


def made_by(ledger: Path) -> list[dict]:
    """Events only, not their acknowledgements."""
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}") and '"seq"' in line]


def events_of(messages) -> list[Event]:
    return [Event.from_json(payload) for topic, payload, _ in messages if topic.endswith("/event")]


def acknowledged(ledger: Path) -> int:
    return ledger.read_text().count('"waited_s"') if ledger.exists() else 0


def test_everything_made_arrives_through_a_storm(heard):
    messages, made, summary = heard
    arrived = {(event.kit, event.boot_id, event.seq) for event in events_of(messages)}
    assert {(one["kit"], one["boot_id"], one["seq"]) for one in made} == arrived
    assert summary["made"] == summary["acknowledged"] == len(made) >= KITS * 3
    assert summary["waiting"] == summary["dropped"] == 0
    assert summary["storms"] == 2
    assert summary["connections_cut"] > 0


def test_kits_that_were_cut_off_leave_their_will_and_replay(heard):
    messages, _, summary = heard
    words = Counter(payload for topic, payload, _ in messages if topic.endswith("/availability"))
    assert words["offline"] == summary["connections_cut"]
    assert words["online"] >= KITS + 1
    assert any(event.replayed for event in events_of(messages))


def test_every_message_keeps_the_contract(heard):
    messages, _, _ = heard
    kits = set()
    for topic, payload, _ in messages:
        _, kit, leaf = topic.split("/", 2)
        kits.add(kit)
        kind = channel_of(leaf).payload
        if kind is Event:
            assert Event.from_json(payload).kit == kit
        elif isinstance(kind, type):
            from_json(kind, payload)
    assert kits == {f"s{number % 3}--k{number}" for number in range(KITS)}
    states = [from_json(State, payload) for topic, payload, _ in messages if topic.endswith("/state")]
    assert all(sum(state.shares.values()) == pytest.approx(1) for state in states if not state.suppressed)
    infos = [from_json(Info, payload) for topic, payload, _ in messages if topic.endswith("/info")]
    assert all(info.replay for info in infos)


def test_windows_follow_each_other_within_a_boot(heard):
    messages, _, _ = heard
    every = events_of(messages)
    for kit in {event.kit for event in every}:
        events = {event.seq: event for event in every if event.kit == kit}
        assert sorted(events) == list(range(len(events)))
        ends = [event.at for _, event in sorted(events.items()) if isinstance(event.data, MoodWindow)]
        assert ends == sorted(ends)


def test_the_same_seed_gives_the_same_lesson():
    def lesson(seed: int) -> list[object]:
        room, mood = SimulatedRoom(Random(seed), window_s=5.0), RoomMood(Rules(), start=0.0)
        for number in range(40):
            for item in room.window(5.0 * number):
                mood.add(item)
        return list(mood.close(41 * 5.0))

    assert lesson(1) == lesson(1) != lesson(2)
    assert {window.suppressed for window in lesson(1)} >= {None}
    assert len({window.mood for window in lesson(3) + lesson(4)}) > 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--kits", "0"), "'0' is no count"),
        (("--rate", "-1"), "'-1' is no number above 0"),
        (("--storm-part", "2"), "is no part of 1"),
        (("--names", "Kit {n}"), "is no kit's name"),
        (("--names", "kit"), "all kits would have the same name"),
        (("--names", "kit-{room}"), "knows {n} and {site} only"),
        (("--mqtt", "http://x"), "not a broker's address"),
        (("--password-file", "/nowhere/at-all"), "/nowhere/at-all"),
    ],
)
def test_a_bad_wish_gets_one_line(arguments, words, capsys):
    try:
        code = main(["simulate", *arguments])
    except SystemExit as end:  # argparse
        code = end.code
    assert code == 2
    assert words in capsys.readouterr().err


def test_orders_on_standard_input_change_the_load_and_their_end_is_its_end(tmp_path):
    ledger, kits = tmp_path / "ledger", 3
    with running_mosquitto(tmp_path) as port:
        command = [sys.executable, "-m", "edge", "simulate", "--mqtt", f"mqtt://127.0.0.1:{port}", "--steer"]
        command += ["--kits", str(kits), "--rate", "0.001", "--seconds", "0.1", "--ledger", str(ledger)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(command, **pipes, text=True, cwd=ROOT)
        try:
            process.stdin.write("louder\nrate 20\n")
            process.stdin.flush()
            eventually(lambda: acknowledged(ledger) > kits * 10)
            process.stdin.write("storm\n")
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    summary = json.loads(out)
    assert process.returncode == 0, err
    assert "'louder' is no order: give `rate R` with R above 0, or `storm`" in err
    assert (summary["storms"], summary["waiting"]) == (1, 0)
    assert 0 < summary["connections_cut"] <= kits
    assert summary["made"] == summary["acknowledged"] == len(made_by(ledger)) == acknowledged(ledger)


@pytest.mark.parametrize(
    "line", ["", "rate", "rate x", "rate 0", "rate -1", "rate nan", "rate 1 2", "storm 2"]
)
def test_no_order(line):
    with pytest.raises(ValueError, match="is no order"):
        read_order(line)


def test_processes_share_a_crowd_by_the_number_of_their_first_kit():
    assert list(names("s{site}--k{n}", 3, 2, first=3)) == ["s1--k3", "s0--k4", "s1--k5"]


def test_without_a_broker_it_says_what_still_waits():
    result = simulate("--mqtt", "mqtt://127.0.0.1:1", "--kits", "2", "--seconds", "0.5", "--patience", "0.2")
    assert result.returncode == 1
    assert json.loads(result.stdout)["waiting"] == 4


def test_a_client_that_fails_waits_twice_as_long_each_time():
    crowd = Crowd()
    client = crowd.make(0, CallbackAPIVersion.VERSION2)
    client.reconnect_delay_set(0.5, 5)
    crowd.close()
    assert [client.next_wait_s() for _ in range(5)] == [0.5, 1.0, 2.0, 4.0, 5.0]
