"""A hundred thousand kits, computed from what one kit was measured to cost. Nobody has run this.

A kit costs something for being there (its connection, its health), measured on kits that send no windows, and
something for every window, measured at the highest load at which no part was busier than servers are planned
to be. Both are taken as linear, which is kind to brokers, whose routing tables grow. Every assumption is a
constant here, and the page prints them.
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
NODES = 3
"""Of a cluster that has a copy of every event on each of them."""
SERVER_GB = 64
STORM_S = 60.0
"""Within which everybody should be back after a broker was away."""


def extrapolate(district: Mapping[str, Any]) -> dict[str, Any]:
    """From one rung's figures to KITS.

    Returns:
        Plain values, for two lengths of the window.
    """
    calm, storm = district["calm"], district.get("storm")
    there, window = split_costs(district)
    connection_kb = district["memory_kb_per_kit"]
    result: dict[str, Any] = {
        "kits": KITS,
        "sites": math.ceil(KITS / KITS_OF_A_SITE),
        "connection_kb": connection_kb,
        "broker_memory_gb": round(KITS * connection_kb / 1e6, 1),
        "from_windows_per_s": chosen(district)["windows_per_s"],
        "ms_a_second_for_being_there": {part: round(ms, 4) for part, ms in there.items()},
        "ms_for_a_window": {part: round(ms, 4) for part, ms in window.items()},
    }
    for name, window_s in (("window_5_s", WINDOW_S), ("window_60_s", MINUTE_S)):
        result[name] = _size(district, there, window, window_s)
    pages = calm["cpu_ms_per_window"]["page"] * calm["windows"] / max(1, calm["page_windows"])
    result["page_kits_a_core"] = round(BUSY * WINDOW_S * 1000 / pages) if pages else None
    if storm and storm["connections_cut"]:
        extra = sum(storm["cpu_ms_per_window"].values()) - sum(calm["cpu_ms_per_window"].values())
        per_return = max(0.0, extra) * storm["windows"] / storm["connections_cut"]
        result["return_cpu_ms"] = round(per_return, 2)
        result["storm_cores"] = round(KITS * per_return / 1000 / STORM_S / BUSY, 1)
    queue = district.get("queue_process")
    if queue and queue["leader_ms_per_event"] > 0:
        result["queues"] = math.ceil(KITS / WINDOW_S * queue["leader_ms_per_event"] / 1000 / BUSY)
    result["limits"] = limits(result, queue)
    return result


def split_costs(district: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, float]]:
    """What a kit costs each second for being there, and what a window costs, both in ms by part."""
    step, still, quiet = chosen(district), district.get("still"), district["quiet_cores"]
    there, window = {}, {}
    for part, ms in step["cpu_ms_per_window"].items():
        if part == "page":
            continue
        cores = still["cores"][part] - quiet.get(part, 0.0) if still else 0.0
        there[part] = max(0.0, 1000 * cores / district["kits"])
        window[part] = max(0.0, ms - there[part] * district["kits"] / step["windows_per_s"])
    return there, window


def chosen(district: Mapping[str, Any]) -> Mapping[str, Any]:
    """The highest load at which no part of the rung was busier than BUSY; the usual one if none was."""
    found: Mapping[str, Any] = district["calm"]
    for step in district.get("ramp", {}).get("steps", ()):
        busiest = max(share for part, share in step["busy"].items() if part in step["cpu_ms_per_window"])
        if not step["too_much"] and busiest <= BUSY:
            found = step
    return found


def _size(
    district: Mapping[str, Any], there: Mapping[str, float], window: Mapping[str, float], window_s: float
) -> dict[str, Any]:
    """Cores, servers, memory and disk for windows of *window_s*."""
    cores = {part: KITS * (there[part] + window[part] / window_s) / 1000 / BUSY for part in window}
    rows = KITS / window_s * 3600 * LESSON_HOURS
    ingesters = math.ceil(cores["ingest"])
    servers = {part: math.ceil(value / CORES) for part, value in cores.items()}
    servers["node"] = max(servers["node"], NODES)
    each_mb = max((mb for name, mb in district["rss_mb"].items() if name.startswith("ingest")), default=0.0)
    return {
        "windows_per_s": round(KITS / window_s),
        "cores": {part: round(value, 1) for part, value in cores.items()},
        "servers": servers,
        "ingesters": ingesters,
        "ingesters_gb": round(ingesters * each_mb / 1000, 1),
        "rows_a_day": round(rows),
        "history_gb_a_day": round(rows * district["bytes_per_event"] / 1e9, 1),
        "history_tb_a_school_year": round(rows * district["bytes_per_event"] * SCHOOL_DAYS / 1e12, 2),
    }


def limits(result: Mapping[str, Any], queue: Mapping[str, float] | None) -> list[dict[str, Any]]:
    """How many kits with five-second windows one of each thing carries, the first to break first."""
    size = result["window_5_s"]
    found = {
        "nodes": KITS * NODES * CORES / size["cores"]["node"] if size["cores"]["node"] else None,
        "postgres": KITS * CORES / size["cores"]["postgres"] if size["cores"]["postgres"] else None,
    }
    if result["broker_memory_gb"]:
        found["memory"] = KITS * NODES * SERVER_GB * BUSY / result["broker_memory_gb"]
    if result.get("storm_cores"):
        found["return"] = KITS * NODES * CORES / result["storm_cores"]
    for name, cost in (("queue", "leader_ms_per_event"), ("log", "log_ms_per_event")):
        if queue and queue[cost] > 0:
            found[name] = WINDOW_S * 1000 * BUSY / queue[cost]
    told = [{"what": name, "kits": round(kits)} for name, kits in found.items() if kits is not None]
    return sorted(told, key=lambda one: float(one["kits"]))
