"""docs/scale.md: the figures between its markers, and a drawing of what a window costs where."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from benchmarks.scale import paper
from benchmarks.scale.stage import ROOT

PAGE = ROOT / "docs" / "scale.md"
PLOT = ROOT / "docs" / "scale.svg"
RUNGS = ("room", "school", "district")
NAMES = {"broker": "broker", "node": "RabbitMQ, 3 nodes", "ingest": "ingesters", "postgres": "PostgreSQL"}
NAMES |= {"page": "page"}
COLOURS = {
    "broker": "#2a6f97",
    "node": "#2a6f97",
    "ingest": "#e09f3e",
    "postgres": "#6a994e",
    "page": "#9e2a2b",
}
NOTHING = "-"
ALONE = ("broker", "page")
"""Programs that cannot use a second core, and of which a site has one."""


def write(found: Mapping[str, Any], path: Path = PAGE, plot: Path = PLOT) -> None:
    """Rewrite what stands between the markers, and the drawing."""
    marked = re.compile(r"(<!-- scale: [^>]*-->\n).*?(<!-- end -->)", re.DOTALL)
    text = path.read_text("utf-8")
    path.write_text(marked.sub(lambda match: f"{match[1]}\n{describe(found)}\n\n{match[2]}", text), "utf-8")
    plot.write_text(draw(found), "utf-8")


def describe(found: Mapping[str, Any]) -> str:
    """All figures as Markdown."""
    lines = [f"{found['machine']}; load average {found['load_average']} when it began, by other programs."]
    lines += ["", *_loads(found), "", "![What a window costs](scale.svg)", "", *_saturation(found)]
    if "faults" in found:
        lines += ["", *_faults(found["faults"], found["everything"])]
    if "history" in found:
        asked = found["history"]
        short, long = asked["ms_with_30_days"], asked["ms_with_365_days"]
        lines += ["", "A page's usual question, 40 minutes of one room, as a site's own role:"]
        lines += [f"{short} ms with 30 days of partitions, {long} ms with 365."]
    if "paper" in found:
        lines += ["", *_paper(found["paper"], found["district"])]
    return "\n".join(lines)


def _loads(found: Mapping[str, Any]) -> list[str]:
    heads = ["rung", "kits", "windows/s", "CPU ms per window, all programs", "kits per core"]
    heads += ["acknowledged after ms", "stored after ms", "shown after ms", "lost, doubled"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for rung in RUNGS:
        for load in found.get(rung, ()):
            cost, count = sum(load["cpu_ms_per_window"].values()), load["count"]
            name = f"{rung}, storm every {load['storm_s']:g} s" if load["storm_s"] else rung
            waits = [load[f"{what}_after_ms"] for what in ("acknowledged", "stored", "shown")]
            lines.append(
                f"| {name} | {load['kits']} | {load['kits'] * load['rate']:g} | {cost:.2f} "
                f"| {kits_per_core(cost)} | {' | '.join(map(_quantiles, waits))} "
                f"| {count['lost']}, {count['doubled']} of {count['made']} |"
            )
    lines += [
        "",
        "Times are p50 / p95 / p99 from the closing of a window. CPU of each program, ms per window:",
        "",
    ]
    lines += ["| rung | kits | " + " | ".join(NAMES.values()) + " |", "|---|---|" + "---|" * len(NAMES)]
    for rung in RUNGS:
        for load in found.get(rung, ()):
            cells = [_figure(load["cpu_ms_per_window"].get(name)) for name in NAMES]
            storm = ", storms" if load["storm_s"] else ""
            lines.append(f"| {rung}{storm} | {load['kits']} | {' | '.join(cells)} |")
    return lines


def kits_per_core(ms_per_window: float) -> str:
    """How many kits with windows of five seconds one core carries."""
    return f"{paper.WINDOW_S * 1000 / ms_per_window:,.0f}" if ms_per_window > 0 else NOTHING


def _saturation(found: Mapping[str, Any]) -> list[str]:
    lines = [
        "What is full first, if everything else had room (kits with five-second windows that fill one core):",
        "",
    ]
    for rung in RUNGS:
        loads = [load for load in found.get(rung, ()) if not load["storm_s"]]
        if not loads:
            continue
        load, costs = loads[-1], dict(loads[-1]["cpu_ms_per_window"])
        if "page" in costs and load["page_windows"]:  # of its own kits, not of all
            costs["page"] *= load["windows"] / load["page_windows"]
        alone = {name: ms for name, ms in costs.items() if ms > 0 and (name in ALONE or rung == "district")}
        told = [
            f"{NAMES[name]} {kits_per_core(ms)}" for name, ms in sorted(alone.items(), key=lambda x: -x[1])
        ]
        lines.append(f"- **{rung}**: {', '.join(told)}")
    return lines


def _faults(faults: Mapping[str, Any], everything: Mapping[str, Any]) -> list[str]:
    lines = [
        "| killed in the middle | made | stored | lost | doubled | acknowledged after ms |",
        "|---|---|---|---|---|---|",
    ]
    scenes = {name: scene for name, scene in faults.items() if isinstance(scene, dict)}
    for name, scene in {**scenes, "all": everything}.items():
        count = scene["count"]
        what = scene.get("killed", "everything on this rung, the loads above too")
        waits = _quantiles(scene.get("acknowledged_after_ms"))
        numbers = [str(count[key]) for key in ("made", "stored", "lost", "doubled")]
        lines.append(f"| {name}: {what} | {' | '.join(numbers)} | {waits} |")
    return lines


def _paper(found: Mapping[str, Any], loads: list[Mapping[str, Any]]) -> list[str]:
    """The extrapolation, which says that it is one."""
    calm = next(load for load in loads if not load["storm_s"])
    lines = [
        f"**Extrapolated, not run**: {found['kits']:,} kits at {found['sites']:,} sites,",
        f"from {calm['kits']} kits on two cores, taken as linear. Assumed: a core used by half on average,",
        f"servers of {paper.CORES} cores, {paper.LESSON_HOURS} hours of lessons a day,",
        f"{paper.SCHOOL_DAYS} school days a year.",
        "",
        "| | five-second windows | one-minute windows |",
        "|---|---|---|",
    ]
    short, long = found["window_5_s"], found["window_60_s"]
    rows = [("windows a second", "windows_per_s"), ("ingesters", "ingesters")]
    rows += [
        ("history, GB a day", "history_gb_a_day"),
        ("history, TB a school year", "history_tb_a_school_year"),
    ]
    lines += [f"| {text} | {short[key]:,} | {long[key]:,} |" for text, key in rows]
    for part in short["cores"]:
        cells = [f"{one['cores'][part]:,} cores, {_servers(one['servers'][part])}" for one in (short, long)]
        lines.append(f"| {NAMES[part]} | {' | '.join(cells)} |")
    lines += [
        "",
        f"A connection takes {found['connection_kb']:,} kB of the nodes' memory, so all of them take",
    ]
    lines += [f"{found['broker_memory_gb']:,} GB over the cluster."]
    if "return_cpu_ms" in found:
        lines += [
            f"A kit that comes back after a lost connection costs {found['return_cpu_ms']} ms of CPU;",
            f"all of them within {paper.STORM_S:g} s want {found['storm_cores']:,} cores for that alone.",
        ]
    lines += [f"Breaks first: {'; '.join(found['first_to_break'])}."]
    return lines


def draw(found: Mapping[str, Any]) -> str:
    """A bar per load, stacked by program, as SVG."""
    bars = [(rung, load) for rung in RUNGS for load in found.get(rung, ())]
    most = max((sum(load["cpu_ms_per_window"].values()) for _, load in bars), default=1.0) or 1.0
    height = 26 * len(bars) + 60
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {height}"',
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="720" height="{height}" fill="#ffffff"/>',
        '<text x="10" y="18" font-weight="bold">Processor time per window, ms</text>',
    ]
    for row, (rung, load) in enumerate(bars):
        top, left = 30 + 26 * row, 190.0
        name = f"{rung}, {load['kits']} kits" + (", storms" if load["storm_s"] else "")
        parts.append(f'<text x="10" y="{top + 14}">{escape(name)}</text>')
        for program, ms in load["cpu_ms_per_window"].items():
            width = 440 * ms / most
            parts.append(
                f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="18" fill="{COLOURS[program]}">'
                f"<title>{escape(NAMES[program])}: {ms:.2f} ms</title></rect>"
            )
            left += width
        total = sum(load["cpu_ms_per_window"].values())
        parts.append(f'<text x="{left + 6:.1f}" y="{top + 14}">{total:.2f}</text>')
    left = 10
    for program, colour in {
        "broker": "broker",
        "ingest": "ingesters",
        "postgres": "PostgreSQL",
        "page": "page",
    }.items():
        parts.append(f'<rect x="{left}" y="{height - 20}" width="12" height="12" fill="{COLOURS[program]}"/>')
        parts.append(f'<text x="{left + 17}" y="{height - 10}">{colour}</text>')
        left += 110
    return "\n".join([*parts, "</svg>", ""])


def _quantiles(waits: Mapping[str, float] | None) -> str:
    if not waits or waits.get("p50") is None:
        return NOTHING
    return " / ".join(f"{waits[name]:,.0f}" for name in ("p50", "p95", "p99"))


def _servers(count: int) -> str:
    return "1 server" if count == 1 else f"{count} servers"


def _figure(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"
