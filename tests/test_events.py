import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.events import (
    MAX_BYTES,
    Capture,
    Clock,
    Event,
    EventError,
    Health,
    Info,
    Model,
    MoodWindow,
    Previous,
    Session,
    State,
    format_time,
    from_json,
    name_event,
    parse_time,
    split_topic,
    to_json,
    topic,
)

WINDOW = MoodWindow(
    start="2026-03-02T01:00:00.000Z",
    window_s=5.0,
    mood="happy",
    shares={"happy": 0.75, "uncertain": 0.25},
    confidence=0.81,
    people=8,
    suppressed=None,
    face_readings=200,
    voice_readings=1,
)
EVENT = Event(
    id=name_event("kit-1", "b00", 3),
    kit="kit-1",
    boot_id="b00",
    seq=3,
    at="2026-03-02T01:00:05.000Z",
    time_quality="synced",
    data=WINDOW,
)
INFO = Info(
    schema=1,
    kit="kit-1",
    room="Kelas 1A",
    software="suasana 0.1.0",
    mode="class",
    labels=("happy", "sad"),
    models=(Model("expression", "face-expression@1.0.0", "tflite", "ab" * 32),),
    capture=Capture("on", "on", "off"),
    window_s=5.0,
    min_people=5,
    replay=False,
)
STATE = State(1, EVENT.at, "unsynced", None, {}, 0.0, 3, "too_few_people")
HEALTH = Health(1, EVENT.at, "synced", 60.0, 5.0, 0.02, 0.05, 0, 0, 120.5, None, None, 0, 0)


@pytest.mark.parametrize("payload", [INFO, STATE, HEALTH], ids=lambda p: type(p).__name__)
def test_payloads_survive_the_wire(payload) -> None:
    assert from_json(type(payload), to_json(payload)) == payload


@pytest.mark.parametrize(
    "data",
    [
        WINDOW,
        Session("start", "boot"),
        Session("start", "boot", Previous("b1", 7, None)),
        Clock("synced", -3.5),
    ],
    ids=lambda d: type(d).__name__,
)
def test_events_survive_the_wire(data) -> None:
    event = replace(EVENT, data=data, replayed=True)
    assert Event.from_json(event.to_json()) == event


def test_an_event_is_a_cloudevent() -> None:
    envelope = json.loads(EVENT.to_json())
    assert envelope["specversion"] == "1.0"
    assert envelope["type"] == "suasana.mood.v1"
    assert envelope["source"] == "suasana/kit-1"
    assert {"id", "time", "datacontenttype", "data"} <= set(envelope)
    assert set(envelope) == {name for name in envelope if name.isalnum() and name.islower()}


@pytest.mark.parametrize(
    "change", [{"source": ""}, {"source": 3}, {"datacontenttype": "text/plain"}, {"type": "suasana.mood.v2"}]
)
def test_an_envelope_that_is_not_ours_is_refused(change) -> None:
    with pytest.raises(EventError):
        Event.from_json(json.dumps(json.loads(EVENT.to_json()) | change))


def test_a_count_may_be_written_as_a_decimal() -> None:
    assert from_json(State, to_json(STATE).replace('"people":3', '"people":3.0')).people == 3


def test_a_later_version_may_add_keys() -> None:
    table = json.loads(to_json(INFO)) | {"colour": "green"}
    assert from_json(Info, json.dumps(table)) == INFO


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"people": True}, "people"),
        ({"people": "8"}, "people"),
        ({"people": None}, "people"),
        ({"confidence": "high"}, "confidence"),
        ({"confidence": 1.01}, "confidence is out of range"),
        ({"people": -1}, "people is out of range"),
        ({"people": 2**53}, "people is out of range"),
        ({"shares": {"sad": -0.1}}, "shares.sad is out of range"),
        ({"at": "yesterday"}, "not a time"),
        ({"shares": [1]}, "shares"),
        ({"shares": {"happy": "much"}}, "happy"),
        ({"suppressed": "because"}, "suppressed"),
        ({"suppressed": {}}, "suppressed"),
        ({"mood": 3}, "mood"),
        ({"at": 5}, "at"),
    ],
)
def test_a_wrong_field_is_named(change, named: str) -> None:
    table = json.loads(to_json(STATE)) | change
    with pytest.raises(EventError, match=named):
        from_json(State, json.dumps(table))


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"a":1}', b"[" * 50_000, b'{"x":"' + b"y" * MAX_BYTES + b'"}'],
    ids=["empty", "torn", "list", "null", "not text", "other", "deep", "long"],
)
def test_what_is_not_ours_is_refused_in_one_line(payload: bytes) -> None:
    for read in (Event.from_json, lambda p: from_json(State, p)):
        with pytest.raises(EventError) as caught:
            read(payload)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize("text", ["1e999", "-1e999", "NaN", "Infinity", "1" + "0" * 400])
def test_numbers_that_are_none_are_refused(text: str) -> None:
    payload = to_json(STATE).replace('"confidence":0.0', f'"confidence":{text}')
    with pytest.raises(EventError):
        from_json(State, payload)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda c: st.lists(c) | st.dictionaries(st.text(), c),
    )
)
def test_no_json_at_all_gets_past_the_reader_or_breaks_it(value) -> None:
    payload = json.dumps(value)
    for read in (Event.from_json, lambda p: from_json(Info, p), lambda p: from_json(Health, p)):
        with pytest.raises(EventError):
            read(payload)


def test_topics() -> None:
    assert topic("kit-1", "source", "camera", "status") == "suasana/kit-1/source/camera/status"
    assert split_topic("suasana/kit-1/source/camera/status") == ("kit-1", "source/camera/status")
    for name in (
        "other/kit-1/state",
        "suasana/kit-1",
        "suasana//state",
        "suasana/Kit 1/state",
        "suasana/+/x",
    ):
        with pytest.raises(EventError):
            split_topic(name)


@given(st.floats(0, 4e9))
def test_times_survive_to_the_millisecond(epoch_s: float) -> None:
    assert parse_time(format_time(epoch_s)) == pytest.approx(epoch_s, abs=0.0011)


@pytest.mark.parametrize("text", ["", "now", "2026-03-02T01:00:00", "2026-13-02T01:00:00Z"])
def test_a_time_without_meaning_is_refused(text: str) -> None:
    with pytest.raises(EventError):
        parse_time(text)


def test_ids_are_unique_and_stable() -> None:
    ids = {name_event(kit, boot, seq) for kit in "ab" for boot in "cd" for seq in range(50)}
    assert len(ids) == 200
    assert name_event("a", "c", 0) in ids
