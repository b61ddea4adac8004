"""docs/scale.md says what was measured; when a rung is full; the arithmetic of the extrapolation."""

import json

import pytest

from benchmarks.footprint import RESULTS
from benchmarks.scale import drawing, faults, gauge, page, paper, ramp
from benchmarks.scale.__main__ import finish
from benchmarks.scale.cluster import Work
from benchmarks.scale.measure import Stand, cost_of_queue
from benchmarks.scale.stage import Program

CALM = {
    "windows": 1000,
    "windows_per_s": 20.0,
    "page_windows": 250,
    "cpu_ms_per_window": {"node": 4.0, "ingest": 1.0, "postgres": 0.5, "page": 0.25},
}
DISTRICT = {
    "kits": 100,
    "rate": 0.2,
    "calm": CALM,
    "bytes_per_event": 500.0,
    "memory_kb_per_kit": 200.0,
    "quiet_cores": {"node": 0.03, "ingest": 0.0, "postgres": 0.0, "page": 0.0},
    "rss_mb": {"ingest-0": 40.0, "ingest-1": 42.0},
}


def test_the_page_is_what_the_results_say():
    results = RESULTS / "scale.json"
    if not results.exists():
        pytest.skip("nothing was measured yet: python -m benchmarks.scale")
    found = json.loads(results.read_text())
    assert found == json.loads(json.dumps(finish(json.loads(results.read_text())))), (
        "computed from what was measured"
    )
    assert page.describe(found) in page.PAGE.read_text("utf-8")
    assert page.COSTS.read_text("utf-8") == drawing.draw_costs(page._bars(found))
    assert page.RAMPS.read_text("utf-8") == drawing.draw_ramps(page._ramps(found))


def test_a_hundred_thousand_kits_by_hand():
    found = paper.extrapolate(DISTRICT)
    assert found["connection_kb"] == 200.0
    assert found["broker_memory_gb"] == 20.0
    short = found["window_5_s"]
    assert short["windows_per_s"] == 20_000
    assert short["cores"] == {"node": 160.0, "ingest": 40.0, "postgres": 20.0}
    assert short["servers"] == {"node": 10, "ingest": 3, "postgres": 2}
    assert (short["ingesters"], short["ingesters_gb"]) == (40, 1.7)
    assert short["rows_a_day"] == 360_000_000
    assert short["history_gb_a_day"] == 180.0
    assert found["page_kits_a_core"] == 2500
    carried = {one["what"]: one["kits"] for one in found["limits"]}
    assert carried == {"nodes": 30_000, "postgres": 80_000, "memory": 480_000}
    assert found["limits"][0]["what"] == "nodes", "the first to break is told first"


def test_a_kit_costs_something_for_being_there_and_something_for_a_window():
    def at(windows_per_s: float, busy: float, node_ms: float, *too_much: str) -> dict[str, object]:
        costs = CALM["cpu_ms_per_window"] | {"node": node_ms}
        shares = {"node": busy, "ingest": 0.1, "postgres": 0.1, "page": 0.1, "simulate": 0.9}
        return {
            "windows_per_s": windows_per_s,
            "busy": shares,
            "cpu_ms_per_window": costs,
            "too_much": [*too_much],
        }

    steps = [at(20, 0.05, 4.0), at(100, 0.4, 2.0), at(200, 0.8, 1.5), at(300, 0.4, 1.0, "the queue grows")]
    still = {"cores": {"node": 0.08, "ingest": 0.0, "postgres": 0.0, "page": 0.0}}
    there, window = paper.split_costs(DISTRICT | {"still": still, "ramp": {"steps": steps}})
    assert there == pytest.approx({"node": 0.5, "ingest": 0, "postgres": 0}), "50 ms a second for 100 kits"
    assert window == pytest.approx({"node": 1.5, "ingest": 1.0, "postgres": 0.5}), "at 100 a second: 2 - 0.5"


def test_what_a_return_costs_comes_from_the_storm():
    storm = CALM | {"cpu_ms_per_window": CALM["cpu_ms_per_window"] | {"node": 6.0}, "connections_cut": 100}
    found = paper.extrapolate(DISTRICT | {"storm": storm})
    assert found["return_cpu_ms"] == 20.0
    assert found["storm_cores"] == pytest.approx(66.7)
    assert {"what": "return", "kits": 71_964} in found["limits"]


def test_what_one_queue_can_take_comes_from_the_steps_of_its_process():
    def sample(ran_s: float) -> gauge.Sample:
        return gauge.Sample(0.0, {"node-2": {(1, 1): (ran_s, 0.0)}}, (0.0, 0.0), None)

    before = Stand(Work(1, queue=1000, log=500, every=10_000), sample(3.0), events=100)
    after = Stand(Work(1, queue=3000, log=1500, every=110_000), sample(13.0), events=1100)
    cost = cost_of_queue(before, after)
    assert cost == {"events": 1000, "leader_ms_per_event": 0.2, "log_ms_per_event": 0.1}
    found = paper.extrapolate(DISTRICT | {"queue_process": cost})
    assert found["queues"] == 8, "20,000 events a second want four cores, and half a core each is used"
    assert {"what": "queue", "kits": 12_500} in found["limits"]
    assert cost_of_queue(before, Stand(Work(2, 3000, 1500, 110_000), sample(13.0), 1100)) is None


def test_all_counts_together_are_held_against_the_tables():
    one = {"count": {"made": 5, "stored": 5, "lost": 0, "doubled": 1, "unmade": 0}}
    two = {"count": {"made": 7, "stored": 6, "lost": 1, "doubled": 0, "unmade": 0}}
    total = faults.sum_up([one], {"node": two, "stored_at_the_end": 13})
    assert total == {"made": 12, "stored": 13, "lost": 1, "doubled": 1, "unmade": 1}


def step(wanted: float, busy: dict[str, float], **more: object) -> dict[str, object]:
    """A step of a ramp that holds, if *more* does not say otherwise."""
    cost = {part: 1000 * share / wanted for part, share in busy.items() if part != ramp.KITS}
    usual = {
        "wanted_per_s": wanted,
        "windows_per_s": wanted,
        "cpu_ms_per_window": cost,
        "cores": {part: share for part, share in busy.items() if part != ramp.KITS},
        "busy": busy,
        "idle": 0.4,
        "queue": None,
        "simulator_cpu_ms_per_window": 0.5,
        "behind_s": {"middle": 1.0, "end": 1.2},
        "more_unacknowledged": 0,
    }
    found = usual | more
    return found | {"too_much": ramp.too_much(found)}


CALM_STEP = step(100.0, {"page": 0.5, "broker": 0.1, "simulate": 0.3})


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({}, None),
        ({"behind_s": {"middle": 2.9, "end": 2.8}}, None),
        ({"behind_s": {"middle": 3.6, "end": 3.1}}, "windows are stored late"),
        ({"behind_s": {"middle": 1.4, "end": 2.5}}, "windows are stored later and later"),
        ({"queue": {"first": 0, "most": 100, "last": 90}}, None),
        ({"queue": {"first": 0, "most": 300, "last": 250}}, "the queue grows"),
        ({"more_unacknowledged": 101}, "more and more wait for the broker"),
        ({"windows_per_s": 80.0}, "fewer windows are made than wanted"),
        ({"busy": {"page": 0.97, "broker": 0.1}}, "page never rests"),
    ],
)
def test_when_a_step_is_too_much(more, reason):
    assert ramp.too_much(CALM_STEP | more) == ([reason] if reason else [])


@pytest.mark.parametrize(
    ("busy", "idle", "full"),
    [
        ({"page": 0.97, "broker": 0.2, "simulate": 0.5}, 0.3, "page"),
        ({"page": 0.5, "broker": 0.99, "simulate": 1.0}, 0.0, "broker"),
        ({"page": 0.5, "broker": 0.2, "simulate": 1.0}, 0.5, ramp.KITS),
        ({"page": 0.8, "broker": 0.8, "simulate": 0.5}, 0.0, ramp.MACHINE),
        ({"page": 0.1, "broker": 0.1, "simulate": 0.1}, 0.0, ramp.OTHERS),
        ({"page": 0.3, "broker": 0.3, "simulate": 0.3}, 0.6, None),
    ],
)
def test_which_part_was_full_first(busy, idle, full, monkeypatch):
    monkeypatch.setattr(ramp, "PROCESSORS", 2)
    late = step(200.0, busy, idle=idle, behind_s={"middle": 4.0, "end": 9.0})
    found = ramp.judge([CALM_STEP, late])
    assert found["full"] == full
    assert (found["holds_per_s"], found["fails_per_s"], found["ms_per_window"]) == (100.0, 200.0, 6.0)


def test_a_ramp_that_found_no_limit_says_so():
    found = ramp.judge([CALM_STEP])
    assert (found["holds_per_s"], found["fails_per_s"], found["full"]) == (100.0, None, None)


def test_steps_get_smaller_towards_the_limit(monkeypatch):
    monkeypatch.setattr(ramp, "PROCESSORS", 4)
    factors = [ramp.next_factor(step(100.0, {"page": share})) for share in (0.01, 0.3, 0.6, 0.8)]
    assert (factors[0], factors[-1]) == (ramp.FACTOR[1], ramp.FACTOR[0])
    assert factors == sorted(factors, reverse=True)


def sample(at: float, ran_s: float, queued_s: float) -> gauge.Sample:
    return gauge.Sample(at, {"page": {(7, 7): (ran_s, queued_s), (7, 8): (0.1, 0.0)}}, (at, 2 * at), None)


def test_who_is_kept_from_running_is_not_idle(tmp_path):
    page_program = Program("page", [], tmp_path)
    before = sample(10.0, 5.0, 1.0)
    assert gauge.busy(before, sample(20.0, 10.0, 1.0), [page_program]) == {"page": pytest.approx(0.5)}
    assert gauge.busy(before, sample(20.0, 10.0, 6.0), [page_program]) == {"page": pytest.approx(1.0)}
    assert gauge.spent(before, sample(20.0, 10.0, 6.0)) == {"page": pytest.approx(5.0)}
    broad = Program("page", [], tmp_path, lanes=2)
    assert gauge.busy(before, sample(20.0, 10.0, 1.0), [broad]) == {"page": pytest.approx(0.25)}
    assert gauge.idle(before, sample(20.0, 10.0, 1.0)) == pytest.approx(0.5)


def test_a_drawing_has_a_panel_and_a_ring_for_each_rung():
    waits = {"windows": 9, "p50": 500.0, "p95": 900.0, "p99": 1000.0}
    steps = [
        CALM_STEP | {"stored_after_ms": waits, "acknowledged_after_ms": waits},
        step(300.0, {"page": 1.0}) | {"stored_after_ms": waits, "acknowledged_after_ms": {}},
    ]
    drawn = drawing.draw_ramps([("room", {"steps": steps}), ("school", {"steps": steps[:1]})])
    assert drawn.count("room, embedded broker") == 1
    assert drawn.count("<circle") == 2, "p50 and p99 of what was stored, at the step that was too much"
