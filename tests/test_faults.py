"""The proof under faults in small: the scenes of ``python -m benchmarks.faults``, and the judge itself."""

import json
import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random
from threading import Event as Flag

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.faults import patience, scenes, wear
from benchmarks.faults.__main__ import describe, run
from benchmarks.faults.stage import mosquitto
from benchmarks.faults.tap import Tap
from benchmarks.faults.tear import Torn, tear_and_open
from benchmarks.faults.verdict import Verdict, judge
from edge.contract.commands import Answer, Command
from edge.desk import Desk
from edge.events import Event, Previous, Session, from_json, mark_replayed
from edge.kit import Kit
from edge.settings import Camera, Microphone, Outbox, Settings
from edge.sinks import Lines
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


def test_what_the_broker_acknowledged_and_lost_is_not_the_kits_loss() -> None:
    sent = bodies(*(made(seq) for seq in range(5)))
    found = judge(sent, [sent[0], sent[4]], {made(1).id.encode(), made(2).id.encode()})
    assert (found.lost, found.lost_behind_broker, found.gaps) == (1, 2, 3)


def test_growth_and_leaks_are_seen_and_too_short_a_run_is_no_proof() -> None:
    assert scenes.growth_percent([50, 100, *[100] * 12, 110, 110]) == 10
    assert scenes.growth_percent([50, *[100] * 15]) == 0
    assert scenes.growth_percent([50, 100]) is None
    assert scenes.leaked([9, 9, 10, 12, 10, 12, 13, 12]) == 2
    assert scenes.leaked([9, 9, 10, 12, 10, 12, 13, 10]) == 0
    assert scenes.leaked([9, 9, None, None, 10, 12, 13, 10]) is None
    assert scenes.leaked([9, 9]) is None


@given(st.data())
def test_the_cable_knows_what_the_broker_acknowledged_however_the_bytes_are_cut(data: st.DataObject) -> None:
    sent = [replace(made(seq), kit="k" * length) for seq, length in enumerate((1, 90, 20_000))]
    hello = b"\x10\x12\x00\x04MQTT\x04\x02\x00\x3c\x00\x06suasan"
    up = hello + b"".join(publish(item, number + 7) for number, item in enumerate(sent))
    down = b"\x20\x02\x00\x00" + b"\x40\x02\x00\x07" + b"\x40\x02\x00\x09" + b"\x40\x02\x01\x07"
    acknowledged: set[bytes] = set()
    tap = Tap(acknowledged)
    for stream, pass_on in ((up, tap.goes_up), (down, tap.comes_down)):
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
        for begin, end in pairwise([0, *cuts, len(stream)]):
            pass_on(stream[begin:end])
    assert acknowledged == {sent[0].id.encode(), sent[2].id.encode()}


def publish(event: Event, number: int) -> bytes:
    topic, body = b"suasana/k/event", event.to_json().encode()
    content = len(topic).to_bytes(2, "big") + topic + number.to_bytes(2, "big") + body
    length, left = b"", len(content)
    while left or not length:
        left, digit = divmod(left, 128)
        length += bytes([digit | (0x80 if left else 0)])
    return b"\x32" + length + content


def test_time_in_the_queue_for_a_processor_is_nobodys_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> bool:
        now[0] += 1.0
        return False

    now = [0.0]
    monkeypatch.setattr(patience.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(patience.time, "sleep", lambda _: None)
    monkeypatch.setattr(patience, "_queued_s", lambda _: 0.0)
    with pytest.raises(patience.NeverHappened, match="an answer: not within 120 s"):
        patience.wait_for(never, "an answer")
    assert now[0] < 130
    monkeypatch.setattr(patience, "_queued_s", lambda _: now[0] * 0.99)
    with pytest.raises(patience.NotMeasured, match="too busy"):
        patience.wait_for(never, "an answer")
    monkeypatch.undo()
    assert patience._queued_s([os.getpid()]) >= 0


def test_what_could_not_be_measured_is_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object) -> None:
        raise patience.NotMeasured("no processor")

    monkeypatch.setattr(scenes, "clock", busy)
    result = run({}, 5, only="clock", quiet=True)
    assert (result["broken_claims"], result["not_measured"]) == ([], ["clock: no processor"])
    assert describe(result).endswith("NOT MEASURED: clock: no processor")
    monkeypatch.setattr(scenes, "clock", lambda *_: {"clock_steps": 4, "clock_steps_told": 3})
    assert run({}, 5, only="clock", quiet=True)["broken_claims"] == ["clock_steps_told"]


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
    try:
        found = scenes.clock(tmp_path, Random(7), untold)
    except patience.NotMeasured as error:
        pytest.skip(str(error))
    check(found["verdict"])
    assert found["clock_steps_told"] == len(scenes.JUMPS)
    assert found["clock_unknown_events"] > 0
    assert found["clock_misplaced_ms"] < 1000


def check(verdict: Verdict) -> None:
    assert verdict.made > 0
    faults = (
        "lost",
        "lost_behind_broker",
        "altered_duplicates",
        "out_of_order",
        "gaps_uncounted",
        "boots_miscounted",
    )
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


class Listener(Lines):
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
