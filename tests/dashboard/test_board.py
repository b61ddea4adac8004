import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.board import Board, Limits, apply, is_fresh, phase, read_event, view
from edge.events import EventError
from tests.dashboard.kits import event, health, info, state, suppressed

NOW = 1_790_000_000.0


def told(
    *messages: tuple[str, object], board: Board | None = None, now: float = NOW, retained: bool = False
) -> Board:
    board = board or Board()
    for leaf, payload in messages:
        data = payload.encode() if isinstance(payload, str) else json.dumps(payload).encode()
        board = apply(board, f"suasana/k1/{leaf}", data, now, retained=retained)
    return board


def test_a_kit_that_told_everything_is_shown_with_everything():
    board = told(
        ("availability", "online"),
        ("info", info()),
        ("health", health(NOW)),
        ("state", state(NOW)),
        ("source/camera/status", "online"),
        ("source/microphone/status", "disabled"),
    )
    (shown,) = view(board, NOW)
    assert shown["phase"] == "online"
    assert shown["fresh"]
    assert shown["state"]["mood"] == "happy"
    assert shown["info"]["room"] == "TK Melati"
    assert shown["health"]["fps"] == 11.84
    assert shown["sources"] == {"camera": "online", "microphone": "disabled"}
    json.dumps(shown, allow_nan=False)


def test_applying_leaves_the_old_board_alone():
    before = told(("availability", "online"))
    after = told(("availability", "stopped"), board=before)
    assert before.kits["k1"].availability == "online"
    assert after.kits["k1"].availability == "stopped"


def test_a_kit_falls_silent_without_any_message():
    board = told(("availability", "online"))
    quiet = Limits().silent_after_s
    assert phase(board.kits["k1"], NOW + quiet - 1, board.limits) == "online"
    assert phase(board.kits["k1"], NOW + quiet + 1, board.limits) == "silent"


def test_retained_messages_are_no_sign_of_life():
    board = told(("availability", "online"), ("state", state(NOW - 3600)), retained=True)
    kit = board.kits["k1"]
    assert kit.heard_at is None
    assert not is_fresh(kit, NOW, board.limits), "an hour old"
    assert phase(kit, NOW, board.limits) == "online", "it may be about to speak"
    assert phase(kit, NOW + 100, board.limits) == "silent"


def test_a_retained_state_from_a_clock_that_runs_ahead_is_not_newer_than_now():
    board = told(("state", state(NOW + 86_400)), retained=True)
    assert board.kits["k1"].state_at == NOW


def test_a_state_grows_old_but_capture_off_does_not():
    board = told(("info", info()), ("state", state(NOW)))
    assert not is_fresh(board.kits["k1"], NOW + 60, board.limits)
    board = told(("state", state(NOW, **suppressed("capture_off", 0))), board=board)
    assert is_fresh(board.kits["k1"], NOW + 3600, board.limits)


def test_long_windows_keep_a_state_fresh_for_longer():
    board = told(("info", info(window_s=30.0)), ("state", state(NOW)))
    assert is_fresh(board.kits["k1"], NOW + 100, board.limits)


def test_clearing_what_the_broker_kept_removes_a_kit():
    board = told(("availability", "online"), ("info", info()), ("state", state(NOW)))
    board = told(("availability", ""), ("info", ""), board=board)
    assert "k1" in board.kits
    assert told(("state", ""), board=board).kits == {}
    assert told(("state", "")).kits == {}, "and does not make one"


def test_an_event_is_heard_and_changes_nothing_else():
    board = told(("availability", "online"), now=NOW - 60)
    board = told(("event", event("k1", 1, NOW)), board=board)
    assert board.kits["k1"].heard_at == NOW
    assert board.kits["k1"].state is None


def test_kits_are_bounded():
    board = Board(limits=Limits(kits=2))
    for name in ("a", "b"):
        board = apply(board, f"suasana/{name}/availability", b"online", NOW)
    with pytest.raises(EventError, match="more than 2 kits"):
        apply(board, "suasana/c/availability", b"online", NOW)
    assert apply(board, "suasana/b/availability", b"offline", NOW).kits["b"].availability == "offline"


@pytest.mark.parametrize(
    ("leaf", "payload", "why"),
    [
        ("availability", "asleep", "none of"),
        ("availability", b"\xff\xfe\x00", "none of"),
        ("source/camera/status", "on fire", "none of"),
        ("source/toaster/status", "online", "unknown topic"),
        ("nonsense", "{}", "unknown topic"),
        ("info", "[]", "not a JSON object"),
        ("info", info("k2"), "on the topic of"),
        ("info", info(room="x" * 201), "longer than"),
        ("info", info(labels=["happy"] * 8), "longer than"),
        ("info", info(window_s=0), "out of range"),
        ("info", info(min_people=-1), "out of range"),
        ("health", health(NOW, fps="NaN"), "fps"),
        ("state", state(NOW, shares={"happy": 2.0, "sad": -1.0}), "out of range"),
        ("state", state(NOW, shares={"happy": 0.5}), "sum to"),
        ("state", state(NOW, shares={"<script>": 1.0}), "no name here"),
        ("state", state(NOW, mood="bored"), "no name here"),
        ("state", state(NOW, mood=None), "suppressed and told"),
        ("state", state(NOW, suppressed="nobody"), "suppressed and told"),
        ("state", state(NOW, people=10**30), "out of range"),
        ("state", state(NOW, confidence=1.5), "out of range"),
        ("event", event("k2", 1, NOW), "on the topic of"),
        ("event", event("k1", 2**60, NOW), "out of range"),
        ("event", event("k1", 1, NOW, window_s=0.0), "window of"),
        ("event", event("k1", 1, NOW, shares={"happy": 9.0}), "out of range"),
        ("event", event("k1", 1, NOW, start="yesterday"), "not a time"),
    ],
)
def test_what_breaks_the_contract_is_refused_with_the_reason(leaf, payload, why):
    data = payload if isinstance(payload, bytes) else None
    data = data or (payload.encode() if isinstance(payload, str) else json.dumps(payload).encode())
    with pytest.raises(EventError, match=why):
        apply(Board(), f"suasana/k1/{leaf}", data, NOW)


def test_an_event_reads_back_as_what_was_sent():
    read = read_event("k1", json.dumps(event("k1", 7, NOW)).encode())
    assert (read.seq, read.data.people, math.isclose(sum(read.data.shares.values()), 1)) == (7, 8, True)


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
TEMPLATES = st.sampled_from(
    [("info", info()), ("health", health(NOW)), ("state", state(NOW)), ("event", event("k1", 1, NOW))]
)


def survives(topic: str, payload: bytes, *, retained: bool) -> bool:
    """Either it is refused in one line or what comes of it can be shown."""
    try:
        board = apply(Board(), topic, payload, NOW, retained=retained)
    except EventError as error:
        return "\n" not in str(error)
    return bool(json.dumps(view(board, NOW), allow_nan=False))


@given(st.text(max_size=60), st.binary(max_size=200), st.booleans())
def test_no_topic_and_no_payload_does_more_than_be_refused(topic, payload, retained):
    for name in (topic, f"suasana/k1/{topic}", "suasana/k1/info", "suasana/k1/event"):
        assert survives(name, payload, retained=retained)


@given(TEMPLATES, st.data())
def test_one_wrong_field_does_no_more_than_be_refused(template, data):
    leaf, payload = template
    broken = json.loads(json.dumps(payload))
    target = broken["data"] if leaf == "event" and data.draw(st.booleans()) else broken
    target[data.draw(st.sampled_from(sorted(target)))] = data.draw(JSON)
    payload = json.dumps(broken).encode()
    assert survives(f"suasana/k1/{leaf}", payload, retained=data.draw(st.booleans()))
