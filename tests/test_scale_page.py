"""docs/scale.md says what benchmarks/results hold, and the arithmetic of the extrapolation."""

import json

import pytest

from benchmarks.footprint import RESULTS
from benchmarks.scale import faults, page, paper

LOAD = {
    "kits": 100,
    "windows": 1000,
    "page_windows": 250,
    "storm_s": 0.0,
    "connections_cut": 0,
    "bytes_per_event": 500.0,
    "cpu_ms_per_window": {"node": 4.0, "ingest": 1.0, "postgres": 0.5, "page": 0.25},
    "memory_grown_mb": {"node-1": 15.0, "node-2": 5.0},
}


def test_the_page_is_what_the_results_say():
    results = RESULTS / "scale.json"
    if not results.exists():
        pytest.skip("nothing was measured yet: python -m benchmarks.scale")
    found = json.loads(results.read_text())
    assert page.describe(found) in page.PAGE.read_text("utf-8")
    assert page.PLOT.read_text("utf-8") == page.draw(found)


def test_a_hundred_thousand_kits_by_hand():
    found = paper.extrapolate(LOAD, None)
    assert found["connection_kb"] == 200.0
    assert found["broker_memory_gb"] == 20.0
    short = found["window_5_s"]
    assert short["windows_per_s"] == 20_000
    assert short["cores"] == {"node": 160.0, "ingest": 40.0, "postgres": 20.0}
    assert short["servers"] == {"node": 10, "ingest": 3, "postgres": 2}
    assert short["rows_a_day"] == 360_000_000
    assert short["history_gb_a_day"] == 180.0
    assert found["first_to_break"][0].startswith("node (10 x 16 cores)")
    assert found["page_kits_a_core"] == 2500


def test_what_a_return_costs_comes_from_the_storm():
    storm = LOAD | {"cpu_ms_per_window": LOAD["cpu_ms_per_window"] | {"node": 6.0}, "connections_cut": 100}
    found = paper.extrapolate(LOAD, storm)
    assert found["return_cpu_ms"] == 20.0
    assert found["storm_cores"] == pytest.approx(66.7)


def test_all_counts_together_are_held_against_the_tables():
    one = {"count": {"made": 5, "stored": 5, "lost": 0, "doubled": 1, "unmade": 0}}
    two = {"count": {"made": 7, "stored": 6, "lost": 1, "doubled": 0, "unmade": 0}}
    total = faults.sum_up([one], {"node": two, "stored_at_the_end": 13})
    assert total == {"made": 12, "stored": 13, "lost": 1, "doubled": 1, "unmade": 1}
