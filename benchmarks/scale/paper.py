"""A hundred thousand kits, computed from what one kit was measured to cost. Nobody has run this.

Costs are taken as linear, which is kind to brokers (routing tables grow) and unkind to PostgreSQL (batches
grow too). Every assumption is a constant here, and the page prints them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

KITS = 100_000
KITS_OF_A_SITE = 30
WINDOW_S = 5.0
"""A kit's default."""
MINUTE_S = 60.0
"""A district that wants less sets the kits' window to this."""
BUSY = 0.5
"""Part of a core that may be used on average: the rest is for storms and for the loss of a node."""
CORES = 16
"""Of one server."""
LESSON_HOURS = 5
SCHOOL_DAYS = 220
REPLICAS = 3
"""Copies of the queue, on three nodes."""
NODE_GB = 64
STORM_S = 60.0
"""Within which everybody should be back after a broker was away."""


def extrapolate(district: Mapping[str, Any], storm: Mapping[str, Any] | None) -> dict[str, Any]:
    """From one rung's figures to KITS; *storm* is the same load with all connections cut.

    Returns:
        Plain values, for two lengths of the window.
    """
    cost = district["cpu_ms_per_window"]
    connection_kb = 1000 * sum(max(0.0, mb) for mb in district["memory_grown_mb"].values()) / district["kits"]
    result: dict[str, Any] = {
        "kits": KITS,
        "sites": math.ceil(KITS / KITS_OF_A_SITE),
        "connection_kb": round(connection_kb, 1),
        "broker_memory_gb": round(KITS * connection_kb / 1e6, 1),
    }
    for name, window_s in (("window_5_s", WINDOW_S), ("window_60_s", MINUTE_S)):
        windows_per_s = KITS / window_s
        cores = {part: windows_per_s * ms / 1000 / BUSY for part, ms in cost.items() if part != "page"}
        rows = windows_per_s * 3600 * LESSON_HOURS
        result[name] = {
            "windows_per_s": round(windows_per_s),
            "cores": {part: round(value, 1) for part, value in cores.items()},
            "servers": {part: math.ceil(value / CORES) for part, value in cores.items()},
            "ingesters": math.ceil(windows_per_s * cost["ingest"] / 1000 / BUSY),
            "rows_a_day": round(rows),
            "history_gb_a_day": round(rows * district["bytes_per_event"] / 1e9, 1),
            "history_tb_a_school_year": round(rows * district["bytes_per_event"] * SCHOOL_DAYS / 1e12, 2),
        }
    pages = district["cpu_ms_per_window"]["page"] * district["windows"] / max(1, district["page_windows"])
    result["page_kits_a_core"] = round(BUSY * WINDOW_S * 1000 / pages) if pages else None
    if storm is not None:
        extra_ms = (sum(storm["cpu_ms_per_window"].values()) - sum(cost.values())) * storm["windows"]
        per_return = max(0.0, extra_ms) / max(1, storm["connections_cut"])
        result["return_cpu_ms"] = round(per_return, 2)
        result["storm_cores"] = round(KITS * per_return / 1000 / STORM_S / BUSY, 1)
    result["first_to_break"] = first_to_break(result)
    return result


def first_to_break(result: Mapping[str, Any]) -> list[str]:
    """What needs most servers, in order: a part that needs more than one writer comes first."""
    found = result["window_5_s"]["servers"]
    return [f"{part} ({count} x {CORES} cores)" for part, count in sorted(found.items(), key=lambda x: -x[1])]
