"""The proof under faults in small: the scenes of ``python -m benchmarks.faults``, and the judge itself."""

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from threading import Event as Flag

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.faults import scenes, wear
from benchmarks.faults.__main__ import describe, run
from benchmarks.faults.stage import mosquitto
from benchmarks.faults.tear import Torn, tear_and_open
from benchmarks.faults.verdict import Verdict, judge
from edge.commands import Answer, Command
from edge.desk import Desk
from edge.events import Event, Previous, Session, from_json, mark_replayed
from edge.kit import Kit
from edge.settings import Camera, Microphone, Outbox, Settings
from edge.sinks.jsonl import JsonLines
from tests.test_outbox import made

needs_mosquitto = pytest.mark.skipif(mosquitto() is None, reason="Mosquitto is not installed")


def untold(_what: str, _part: float) -> None:
    pass


def bodies(*events: Event) -> list[bytes]:
    return [event.to_json().encode() for event in events]


# -- the judge, which has to be able to find fault


def test_all_is_well() -> None:
    sent = bodies(*(made(seq) for seq in range(5)))
    again = mark_replayed(sent[2].decode()).encode()
    assert judge(sent, [*sent, again]) == Verdict(made=5, arrived=5, duplicates=1, boots=1)


def test_a_lost_event_in_between_is_a_gap_and_at_the_end_nobody_can_count_it() -> None:
    sent = bodies(*(made(seq) for seq in range(5)))
    found = judge(sent, [sent[0], sent[2], sent[3]])
    assert (found.lost, found.gaps, found.gaps_uncounted) == (2, 1, 1)


def test_what_the_next_boot_tells_makes_the_end_countable_and_is_checked() -> None:
    sent = bodies(*(made(seq) for seq in range(5)))
    start = Session("start", "boot", Previous("b", 4, 1))
    later = bodies(replace(made(0, "c"), data=start))
    assert judge(sent, [*sent[:4], *later]).gaps_uncounted == 0
    wrong = bodies(replace(made(0, "c"), data=replace(start, previous=Previous("b", 4, 0))))
    assert judge(sent, [*sent, *wrong]).boots_miscounted == 1


def test_altered_and_unordered_events_are_seen() -> None:
    sent = bodies(*(made(seq) for seq in range(3)))
    altered = sent[1].replace(b'"people":8', b'"people":9')
    assert judge(sent, [*sent, altered]).altered_duplicates == 1
    assert judge(sent, [sent[0], altered, sent[2]]).altered_duplicates == 1
    assert judge(sent, [sent[0], sent[2], sent[1]]).out_of_order == 1


def test_growth_and_leaks_are_seen() -> None:
    assert scenes.growth_percent([50, 100, *[100] * 12, 110, 110]) == 10
    assert scenes.growth_percent([50, *[100] * 15]) == 0
    assert scenes.leaked([10, 12, 10, 12, 13, 12, 12]) == 2
    assert scenes.leaked([10, 12, 10, 12, 10, 11, 10]) == 0


# -- the scenes


def test_torn_outboxes(tmp_path: Path) -> None:
    total = Torn()
    for seed in range(20):
        total += tear_and_open(tmp_path / "torn", seed, most=40)
    assert (total.files, total.altered, total.silent) == (20, 0, 0)
    assert total.recovered > total.waited / 2


@needs_mosquitto
def test_broker_and_kit_killed_at_random(tmp_path: Path) -> None:
    found = scenes.storm(tmp_path, Random(7), untold, kills=1, hammer_kills=2, breaks=2)
    check(found["verdict"])
    assert found["broker_restarts"] == 2
    assert found["verdict"].boots >= 2


@needs_mosquitto
def test_a_disk_that_fills_and_a_kill_when_there_is_room_again(tmp_path: Path) -> None:
    found = scenes.full_disk(tmp_path, Random(7), untold)
    check(found["verdict"])
    assert found["disk_refusals_told"] == 1
    assert found["verdict"].made >= 900


@needs_mosquitto
def test_a_clock_that_is_stepped(tmp_path: Path) -> None:
    found = scenes.clock(tmp_path, Random(7), untold)
    if "clock_skipped" in found:
        pytest.skip(found["clock_skipped"])
    check(found["verdict"])
    assert found["clock_steps_told"] == len(scenes.JUMPS)


def check(verdict: Verdict) -> None:
    assert verdict.made > 0
    faults = ("lost", "altered_duplicates", "out_of_order", "gaps_uncounted", "boots_miscounted")
    assert {name: getattr(verdict, name) for name in faults} == dict.fromkeys(faults, 0)


def test_the_card_is_spared(tmp_path: Path) -> None:
    assert wear.hour(tmp_path / "on.db", online=True, events=40) < 20
    assert wear.hour(tmp_path / "off.db", online=False, events=40) < 60


def test_the_figures_name_what_does_not_hold() -> None:
    result = run({"files": 1}, 5, only="torn", quiet=True)
    assert result["broken_claims"] == []
    assert "holds" in describe(result)
    assert "DOES NOT HOLD: lost" in describe({**result, "broken_claims": ["lost"]})


# -- garbage


class Listener(JsonLines):
    """A sink that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def publish(self, event: Event) -> None:
        pass

    def tell(self, leaf: str, payload: str, *, qos: int = 0, to: Command | None = None) -> None:
        self.told.append((leaf, payload))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> tuple[Kit, Desk, Listener]:
    wanted = Settings(
        kit="k1",
        mode="class",
        state_dir=str(tmp_path_factory.mktemp("state")),
        camera=Camera("pattern:"),
        microphone=Microphone("none"),
        outbox=Outbox(keep="memory"),
    )
    kit, listener = Kit(wanted, stop=Flag()), Listener()
    found = Desk(kit, [listener])
    found.begin()
    return kit, found, listener


levels = st.sampled_from(["set", "request", "response", ""]) | st.text(max_size=8)
names = st.sampled_from(["capture", "camera", "microphone", "ping", "info", "health"]) | st.text(max_size=60)
payloads = (
    st.binary(max_size=200)
    | st.sampled_from([b"", b"ON!", b"of", b"[" * 3000, b'{"transaction":1e999}', b'{"transaction":[[]]}'])
    | st.recursive(st.none() | st.floats() | st.text(), lambda c: st.dictionaries(st.text(), c)).map(
        lambda value: json.dumps(value).encode()
    )
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(level=levels, name=names, payload=payloads)
def test_no_command_whatsoever_breaks_the_desk_or_flips_a_switch(
    level: str, name: str, payload: bytes, desk: tuple[Kit, Desk, Listener]
) -> None:
    kit, found, listener = desk
    if payload.strip().lower() in (b"on", b"off"):
        return
    before = kit.switches.now
    listener.told.clear()
    kit.commands.put(Command(f"{level}/{name}", payload))
    found.tend(1.0)
    assert kit.switches.now == before
    for leaf, answer in listener.told:
        if leaf.startswith("response/"):
            assert isinstance(from_json(Answer, answer), Answer)
            assert "\n" not in answer
