"""Two drawings as SVG: bars of what a window costs, and curves of waiting times as the load grows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from benchmarks.scale.names import COLOURS, NAMES, PARTS

WIDTH = 720
CURVES = {"stored_after_ms": "#9e2a2b", "acknowledged_after_ms": "#2a6f97"}
WORDS = {"stored_after_ms": "stored", "acknowledged_after_ms": "acknowledged"}
DASHES = {"p50": "", "p99": ' stroke-dasharray="4 3"'}
PANEL = (330, 190)
MARGIN = (52, 30, 14, 34)
"""Left, top, right and bottom of a panel's field."""


def draw_costs(bars: Sequence[tuple[str, Mapping[str, float]]]) -> str:
    """A bar per load, stacked by part, in ms of processor time."""
    most = max((sum(costs.values()) for _, costs in bars), default=1.0) or 1.0
    height = 26 * len(bars) + 60
    parts = [*_paper(height), _text(10, 18, "Processor time per window, ms", bold=True)]
    for row, (name, costs) in enumerate(bars):
        top, left = 30 + 26 * row, 230.0
        parts.append(_text(10, top + 14, name))
        for part, ms in costs.items():
            width = 400 * ms / most
            parts.append(
                f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="18" fill="{COLOURS[part]}">'
                f"<title>{escape(NAMES[part])}: {ms:.2f} ms</title></rect>"
            )
            left += width
        parts.append(_text(left + 6, top + 14, f"{sum(costs.values()):.2f}"))
    for number, part in enumerate(("broker", "ingest", "postgres", "page")):
        left = 10 + 110 * number
        parts.append(f'<rect x="{left}" y="{height - 20}" width="12" height="12" fill="{COLOURS[part]}"/>')
        parts.append(_text(left + 17, height - 10, PARTS[part]))
    return "\n".join([*parts, "</svg>", ""])


def draw_ramps(ramps: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """A panel per rung: p50 and p99 over windows a second, both scales logarithmic; a ring is too much."""
    height = PANEL[1] * math.ceil(len(ramps) / 2) + 60
    parts = [*_paper(height), _text(10, 18, "From closing a window, ms, over windows a second", bold=True)]
    for number, (rung, climb) in enumerate(ramps):
        left, top = 10 + (number % 2) * (PANEL[0] + 20), 30 + (number // 2) * PANEL[1]
        parts += _panel(left, top, NAMES[rung], climb["steps"])
    left = 10
    for wait, colour in CURVES.items():
        for part, dash in DASHES.items():
            y = height - 14
            parts.append(f'<path d="M{left} {y}h24" stroke="{colour}" stroke-width="2"{dash}/>')
            parts.append(_text(left + 30, y + 4, f"{WORDS[wait]}, {part}"))
            left += 170
    return "\n".join([*parts, "</svg>", ""])


def _panel(left: float, top: float, name: str, steps: Sequence[Mapping[str, Any]]) -> list[str]:
    x0, y0 = left + MARGIN[0], top + MARGIN[1]
    width, height = PANEL[0] - MARGIN[0] - MARGIN[2], PANEL[1] - MARGIN[1] - MARGIN[3]
    waits = [step[wait][part] for step in steps for wait in CURVES for part in DASHES if step.get(wait)]
    loads = [step["windows_per_s"] for step in steps if step["windows_per_s"] > 0]
    if not waits or not loads:
        return [_text(left, top + 16, name, bold=True)]
    across, up = _decades(min(loads), max(loads)), _decades(max(min(waits), 0.5), max(waits))
    parts = [_text(left, top + 16, name, bold=True)]
    for power in range(across[0], across[1] + 1):
        x = x0 + width * (power - across[0]) / (across[1] - across[0])
        parts.append(f'<path d="M{x:.1f} {y0}v{height}" stroke="#dddddd"/>')
        parts.append(_text(x, y0 + height + 16, f"{10**power:g}", anchor="middle"))
    for power in range(up[0], up[1] + 1):
        y = y0 + height - height * (power - up[0]) / (up[1] - up[0])
        parts.append(f'<path d="M{x0} {y:.1f}h{width}" stroke="#dddddd"/>')
        parts.append(_text(x0 - 6, y + 4, f"{10**power:g}", anchor="end"))
    for wait, colour in CURVES.items():
        for part, dash in DASHES.items():
            points = [
                (
                    x0 + width * _place(step["windows_per_s"], across),
                    y0 + height - height * _place(max(step[wait][part], 0.5), up),
                    bool(step["too_much"]),
                )
                for step in steps
                if step.get(wait) and step["windows_per_s"] > 0
            ]
            way = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
            parts.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
            parts += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="none" stroke="{colour}" stroke-width="2"/>'
                for x, y, much in points
                if much
            ]
    return parts


def _decades(least: float, most: float) -> tuple[int, int]:
    low, high = math.floor(math.log10(least)), math.ceil(math.log10(most))
    return low, max(high, low + 1)


def _place(value: float, decades: tuple[int, int]) -> float:
    return (math.log10(value) - decades[0]) / (decades[1] - decades[0])


def _paper(height: float) -> list[str]:
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"',
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]


def _text(x: float, y: float, words: str, *, bold: bool = False, anchor: str = "start") -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{weight}>{escape(words)}</text>'
