"""docs/scale.md: the figures between its markers; drawings of what a window costs, and of waiting times."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.scale import drawing, paper
from benchmarks.scale.measure import RUNGS
from benchmarks.scale.names import NAMES, PARTS
from benchmarks.scale.stage import ROOT

PAGE = ROOT / "docs" / "scale.md"
COSTS = ROOT / "docs" / "scale.svg"
RAMPS = ROOT / "docs" / "scale-ramp.svg"
NOTHING = "-"
LIMITS = {
    "queue": "one queue, whose leader is one process",
    "log": "the log that a node writes all its queues' events to, one process too",
    "nodes": f"{paper.NODES} nodes of {paper.CORES} cores",
    "memory": f"{paper.NODES} nodes with {paper.SERVER_GB} GB",
    "return": f"{paper.NODES} nodes of {paper.CORES} cores when all kits return within {paper.STORM_S:g} s",
    "postgres": f"one PostgreSQL server of {paper.CORES} cores",
}
Load = tuple[str, str, Mapping[str, Any]]
"""A rung's name, the load's, and its figures."""


def write(found: Mapping[str, Any], path: Path = PAGE) -> None:
    """Rewrite what stands between the markers, and the drawings."""
    marked = re.compile(r"(<!-- scale: [^>]*-->\n).*?(<!-- end -->)", re.DOTALL)
    text = path.read_text("utf-8")
    path.write_text(marked.sub(lambda match: f"{match[1]}\n{describe(found)}\n\n{match[2]}", text), "utf-8")
    COSTS.write_text(drawing.draw_costs(_bars(found)), "utf-8")
    RAMPS.write_text(drawing.draw_ramps(_ramps(found)), "utf-8")


def describe(found: Mapping[str, Any]) -> str:
    """All figures as Markdown."""
    rungs = [name for name in RUNGS if name in found]
    lines = [f"{found['machine']}. Load average when it began, by other programs, and how long it took: "]
    lines[0] += ", ".join(
        f"{name} {found[name]['load_average']}, {found[name]['took_s']} s" for name in rungs
    )
    lines[0] += "."
    lines += ["", *_loads(found), "", "![What a window costs](scale.svg)"]
    if any("ramp" in found[name] for name in rungs):
        lines += ["", "### What is full first", "", *_saturation(found), "", *_steps(found)]
    killed = [name for name in rungs if "faults" in found[name]]
    if killed:
        lines += ["", "### Killed in the middle"]
        lines += [line for name in killed for line in ("", *_faults(NAMES[name], found[name]))]
    if (district := found.get("district")) is not None:
        if "history" in district:
            asked = district["history"]
            short, long = asked["ms_with_30_days"], asked["ms_with_365_days"]
            lines += ["", "A page's usual question, 40 minutes of one room, as a site's own role:"]
            lines += [f"{short} ms with 30 days of partitions, {long} ms with 365."]
        lines += ["", "### 100,000 kits on paper", "", *_paper(found["paper"], district)]
    return "\n".join(lines)


def _each(found: Mapping[str, Any]) -> Iterator[Load]:
    for name in RUNGS:
        for what in ("calm", "storm"):
            if what in found.get(name, ()):
                yield name, NAMES[name] + ("" if what == "calm" else ", storms"), found[name][what]


def _loads(found: Mapping[str, Any]) -> list[str]:
    heads = ["rung", "kits", "windows/s", "CPU ms per window, all programs", "kits per core"]
    heads += ["acknowledged after ms", "stored after ms", "shown after ms", "lost, doubled"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for rung, name, load in _each(found):
        cost, count = sum(load["cpu_ms_per_window"].values()), found[rung]["count"]
        waits = [load[f"{what}_after_ms"] for what in ("acknowledged", "stored", "shown")]
        lines.append(
            f"| {name} | {found[rung]['kits']} | {load['windows_per_s']:g} | {cost:.2f} "
            f"| {kits_per_core(cost)} | {' | '.join(map(_quantiles, waits))} "
            f"| {count['lost']}, {count['doubled']} of {count['made']:,} |"
        )
    lines += [
        "",
        "Times are p50 / p95 / p99 from the closing of a window; what was lost or doubled counts the",
    ]
    lines += ["rung's whole run, its ramp too. CPU of each part, ms per window:", ""]
    lines += ["| rung | " + " | ".join(PARTS.values()) + " |", "|---|" + "---|" * len(PARTS)]
    for _, name, load in _each(found):
        cells = [_figure(load["cpu_ms_per_window"].get(part)) for part in PARTS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def kits_per_core(ms_per_window: float) -> str:
    """How many kits with windows of five seconds one core carries."""
    return f"{paper.WINDOW_S * 1000 / ms_per_window:,.0f}" if ms_per_window > 0 else NOTHING


def _saturation(found: Mapping[str, Any]) -> list[str]:
    heads = ["rung", "holds, windows/s", "as many kits", "CPU ms per window there", "kits per core there"]
    heads += ["too much, windows/s", "full first", "its cores", "what was seen", "processors idle"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for rung, climb in _ramps(found):
        failed = next((step for step in climb["steps"] if step["too_much"]), None)
        holds, cost = climb["holds_per_s"], climb["ms_per_window"]
        cells = [NAMES[rung], _count(holds), _count(holds and holds * paper.WINDOW_S)]
        cells += [_figure(cost), kits_per_core(cost) if cost else NOTHING]
        if failed is None:
            cells += ["not reached", NOTHING, NOTHING, NOTHING, NOTHING]
        else:
            full, cores = climb["full"], failed["cores"]
            most = max(cores, key=lambda part: float(cores[part]))
            words = _part(full) if full in cores else f"{_part(full)}; most of ours by {NAMES[most]}"
            cells += [_count(climb["fails_per_s"]), words, _figure(cores[full if full in cores else most])]
            cells += ["; ".join(map(_in_words, failed["too_much"])), f"{failed['idle']:.0%}"]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        f"The same kits send ever more windows, a step of {_step_s(found):g} s each, until windows are",
    ]
    lines += [
        "stored later and later, the queue grows, or a part never rests. A part is *full* if its working"
    ]
    lines += ["thread ran whenever a processor was free for it: on this machine all programs share"]
    lines += [
        f"{found['processors']}, the simulated kits too, so a part is full before it has a core to itself."
    ]
    lines += ["", "![Waiting times as the load grows](scale-ramp.svg)"]
    return lines


def _steps(found: Mapping[str, Any]) -> list[str]:
    heads = [
        "rung",
        "windows/s",
        "acknowledged after ms",
        "stored after ms",
        "shown after ms",
        "busy",
        "queue",
    ]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for rung, climb in _ramps(found):
        for step in climb["steps"]:
            waits = [_quantiles(step[f"{what}_after_ms"]) for what in ("acknowledged", "stored", "shown")]
            busy = ", ".join(f"{_part(part)} {share:.0%}" for part, share in step["busy"].items())
            queue = f"{step['queue']['first']} to {step['queue']['last']}" if step["queue"] else NOTHING
            mark = " **too much**" if step["too_much"] else ""
            cells = [NAMES[rung], f"{step['windows_per_s']:,.0f}{mark}", *waits, busy, queue]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def _faults(rung: str, district: Mapping[str, Any]) -> list[str]:
    lines = [
        f"| {rung} | made | stored | lost | doubled | acknowledged after ms |",
        "|---|---|---|---|---|---|",
    ]
    scenes = {name: scene for name, scene in district["faults"].items() if isinstance(scene, dict)}
    for name, scene in {**scenes, "all": district["everything"]}.items():
        count = scene["count"]
        what = scene.get("killed", "everything on this rung, the loads above too")
        waits = _quantiles(scene.get("acknowledged_after_ms"))
        numbers = [f"{count[key]:,}" for key in ("made", "stored", "lost", "doubled")]
        lines.append(f"| {name}: {what} | {' | '.join(numbers)} | {waits} |")
    return lines


def _paper(found: Mapping[str, Any], district: Mapping[str, Any]) -> list[str]:
    """The extrapolation, which says that it is one."""
    lines = [
        f"**Extrapolated, not run**: {found['kits']:,} kits at {found['sites']:,} sites,",
        f"taken as linear from {district['kits']} kits that are there and send no windows, and from",
        f"{found['from_windows_per_s']:,.0f} windows a second, on this machine. Assumed: a core used by half",
        f"on average, servers of {paper.CORES} cores and {paper.SERVER_GB} GB, {paper.LESSON_HOURS} hours of",
        f"lessons a day, {paper.SCHOOL_DAYS} school days a year.",
        "",
        "| | five-second windows | one-minute windows |",
        "|---|---|---|",
    ]
    short, long = found["window_5_s"], found["window_60_s"]
    rows = [("windows a second", "windows_per_s"), ("ingesters", "ingesters")]
    rows += [("memory of the ingesters, GB", "ingesters_gb"), ("history, GB a day", "history_gb_a_day")]
    rows += [("history, TB a school year", "history_tb_a_school_year")]
    lines += [f"| {text} | {short[key]:,} | {long[key]:,} |" for text, key in rows]
    for part in short["cores"]:
        cells = [f"{one['cores'][part]:,} cores, {_servers(one['servers'][part])}" for one in (short, long)]
        lines.append(f"| {NAMES[part]} | {' | '.join(cells)} |")
    there, window = found["ms_a_second_for_being_there"], found["ms_for_a_window"]
    each = ", ".join(f"{NAMES[part]} {window[part]:.2f} and {there[part]:.2f}" for part in window)
    lines += ["", f"ms of CPU for a window, and each second for a kit that is there: {each}."]
    lines += [
        f"A connection takes {found['connection_kb']:,} kB of the nodes' memory, so all of them take",
        f"{found['broker_memory_gb']:,} GB over the cluster.",
    ]
    if "return_cpu_ms" in found:
        lines += [
            f"A kit that comes back after a lost connection costs {found['return_cpu_ms']} ms of CPU;",
            f"all of them within {paper.STORM_S:g} s want {found['storm_cores']:,} cores for that alone.",
        ]
    if (queue := district.get("queue_process")) and "queues" in found:
        leader, log = queue["leader_ms_per_event"], queue["log_ms_per_event"]
        lines += [
            f"The process that leads a queue spends {leader} ms on an event, its node's log {log} ms",
            f"(by Erlang's count of steps, over {queue['events']:,} events): all events want",
            f"{found['queues']} queues.",
        ]
    lines += ["", "What breaks first, by the kits with five-second windows that one of each carries:", ""]
    lines += [f"{n}. {LIMITS[one['what']]}: {one['kits']:,}" for n, one in enumerate(found["limits"], 1)]
    return lines


def _bars(found: Mapping[str, Any]) -> list[tuple[str, Mapping[str, float]]]:
    return [
        (f"{name}, {found[rung]['kits']} kits", load["cpu_ms_per_window"])
        for rung, name, load in _each(found)
    ]


def _ramps(found: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(name, found[name]["ramp"]) for name in RUNGS if "ramp" in found.get(name, ())]


def _step_s(found: Mapping[str, Any]) -> float:
    return max((step["seconds"] for _, climb in _ramps(found) for step in climb["steps"][1:]), default=0.0)


def _part(part: str | None) -> str:
    if part is None:
        return "nothing: it waits for something else"
    return NAMES[part]


def _in_words(reason: str) -> str:
    part, never, _ = reason.partition(" never rests")
    return f"{_part(part)}{never}" if never else reason


def _quantiles(waits: Mapping[str, float] | None) -> str:
    if not waits or waits.get("p50") is None:
        return NOTHING
    return " / ".join(f"{waits[name]:,.0f}" for name in ("p50", "p95", "p99"))


def _servers(count: int) -> str:
    return "1 server" if count == 1 else f"{count} servers"


def _count(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.0f}"


def _figure(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"
