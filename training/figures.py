"""Pictures of figures: bars, matrices and curves, drawn without a screen, in colours all eyes tell apart.

Colours are Okabe and Ito's; every function writes one PNG.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.types import ImageArray
from training import metrics
from training.metrics import IntArray, Probabilities

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PINK, SKY, RED = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"
COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, RED)
INK, FAINT = "#1f2933", "#9aa5b1"
PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
"""Keeps lines from crossing a number."""
DPI = 150

Ranged = tuple[float, float, float]
"""A figure, and the lower and upper end of its interval."""


def draw_confusion(matrix: IntArray, labels: Sequence[str], title: str, path: Path) -> None:
    """Which label was taken for which: shares of each row in per cent."""
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    drawing, axes = _sheet(2.0 + 0.75 * len(labels), 1.5 + 0.75 * len(labels))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(labels)), labels, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(
        range(len(labels)), [f"{label} ({count})" for label, count in zip(labels, matrix.sum(1), strict=True)]
    )
    axes.set_xlabel("read")
    axes.set_ylabel("labelled (how many)")
    axes.set_title(title)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(len(labels) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(labels) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="both", length=0)
    for row, column in np.ndindex(shares.shape):
        ink = "white" if shares[row, column] > 0.5 else INK
        axes.text(column, row, f"{100 * shares[row, column]:.0f}", ha="center", va="center", color=ink)
    save(drawing, path)


def draw_counts(counts: Mapping[str, Sequence[int]], labels: Sequence[str], title: str, path: Path) -> None:
    """How many pictures of each label every split holds: one panel per split, because they differ in size."""
    drawing = figure(3.3 * len(counts), 3.6)
    panels = np.atleast_1d(drawing.subplots(1, len(counts), sharey=True))
    for axes, (name, values), colour in zip(panels, counts.items(), COLOURS, strict=False):
        clean(axes, "x")
        bars = axes.barh(range(len(labels)), values, color=colour, height=0.7)
        total = max(1, sum(values))
        axes.bar_label(bars, [f"{value:,}  {100 * value / total:.0f} %" for value in values], padding=3)
        axes.set_xlim(0, 1.45 * max(1, *values))
        axes.set_yticks(range(len(labels)), labels)
        axes.set_title(f"{name}, {sum(values):,}", fontsize="medium")
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
    panels[0].invert_yaxis()
    drawing.suptitle(title)
    save(drawing, path)


def draw_groups(
    values: Mapping[str, Sequence[Ranged]], labels: Sequence[str], title: str, path: Path
) -> None:
    """Bars side by side for each label, one colour per key of *values*, with whiskers."""
    drawing, axes = _sheet(1.6 + 1.25 * len(labels), 4.2)
    clean(axes, "y")
    width = 0.8 / len(values)
    for place, ((name, ranged), colour) in enumerate(zip(values.items(), COLOURS, strict=False)):
        where = np.arange(len(labels)) + (place - (len(values) - 1) / 2) * width
        heights, low, high = (100 * np.array(column) for column in zip(*ranged, strict=True))
        axes.bar(where, heights, 0.92 * width, color=colour, label=name)
        axes.errorbar(
            where, heights, _reach(heights, low, high), fmt="none", ecolor=INK, elinewidth=1, capsize=2
        )
        for x, height, top in zip(where, heights, high, strict=True):
            axes.text(x, top + 1.5, f"{height:.0f}", ha="center", fontsize="x-small", color=INK)
    axes.set_xticks(range(len(labels)), labels)
    axes.set_ylim(0, 109)
    axes.set_yticks(range(0, 101, 20))
    axes.set_ylabel("per cent")
    axes.set_title(title, pad=26)
    axes.legend(ncols=len(values), loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    save(drawing, path)


def draw_reliability(probs: Probabilities, truth: IntArray, title: str, path: Path) -> None:
    """How often a reading of some confidence is right, above how many readings have that confidence."""
    drawing = figure(5.2, 5.6)
    above, below = drawing.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    sure, right = probs.max(1), probs.argmax(1) == truth
    edges = np.linspace(0, 1, metrics.BINS + 1)
    places = np.minimum((sure * metrics.BINS).astype(np.int64), metrics.BINS - 1)
    counts = np.bincount(places, minlength=metrics.BINS)
    clean(above, "both")
    above.plot([0, 1], [0, 1], color=FAINT, linestyle="--", label="as sure as right")
    for place in np.flatnonzero(counts).tolist():
        share, mean = float(right[places == place].mean()), float(sure[places == place].mean())
        # Wilson's interval of a share: a bin of few readings says little.
        middle, reach = _wilson(share, int(counts[place]))
        above.errorbar(mean, middle, reach, fmt="none", ecolor=SKY, elinewidth=1.5, capsize=2)
        above.plot(mean, share, "o", color=BLUE, label="readings" if place == places.max() else None)
    above.set_ylabel("share that is right")
    above.set_ylim(0, 1.02)
    above.legend(frameon=False, loc="upper left")
    above.set_title(title)
    clean(below, "y")
    below.bar(edges[:-1], counts, 1 / metrics.BINS, align="edge", color=BLUE, edgecolor="white")
    below.set_xlim(0, 1)
    below.set_xlabel("confidence of the reading")
    below.set_ylabel("how many")
    save(drawing, path)


def draw_bars(groups: Mapping[str, Mapping[str, Ranged]], reference: float, title: str, path: Path) -> None:
    """Lying bars in groups, one colour each, with whiskers and a line at *reference*."""
    count = sum(len(group) + 1 for group in groups.values())
    drawing, axes = _sheet(8.2, 1.3 + 0.25 * count)
    clean(axes, "x")
    at, ticks, names = 0.0, [], []
    for (group, rows), colour in zip(groups.items(), COLOURS, strict=False):
        axes.text(0.5, at, group, fontweight="bold", va="center", color=colour)
        at += 1
        for name, (value, low, high) in rows.items():
            axes.barh(at, 100 * value, 0.74, color=colour)
            reach = _reach(np.array([100 * value]), np.array([100 * low]), np.array([100 * high]))
            axes.errorbar(100 * value, at, xerr=reach, fmt="none", ecolor=INK, elinewidth=1, capsize=2)
            axes.text(100 * high + 1.2, at, f"{100 * value:.1f}", va="center", fontsize="small", bbox=PAPER)
            ticks.append(at)
            names.append(name)
            at += 1
    axes.axvline(100 * reference, color=INK, linewidth=1, linestyle="--", zorder=0)
    axes.text(100 * reference, -1.0, f"unchanged {100 * reference:.1f}", ha="center", va="bottom", color=INK)
    axes.set_yticks(ticks, names)
    axes.set_ylim(at - 0.3, -0.9)
    axes.set_xlim(0, max(100 * reference + 8, 60))
    axes.set_xlabel("accuracy, per cent")
    axes.set_title(title, pad=24)
    save(drawing, path)


def draw_ranking(
    bars: Mapping[str, tuple[Ranged, Sequence[float]]], chance: float, title: str, path: Path
) -> None:
    """Lying bars with whiskers, dots for the parts that a figure was taken over, and a line at *chance*."""
    drawing, axes = _sheet(8.2, 1.3 + 0.55 * len(bars))
    clean(axes, "x")
    ends = [100 * max(ranged[2], *parts, 0) for ranged, parts in bars.values()]
    for at, ((value, low, high), parts) in enumerate(bars.values()):
        axes.barh(at, 100 * value, 0.7, color=SKY if parts else ORANGE)
        reach = _reach(np.array([100 * value]), np.array([100 * low]), np.array([100 * high]))
        axes.errorbar(100 * value, at, xerr=reach, fmt="none", ecolor=INK, elinewidth=1.5, capsize=3)
        axes.plot(100 * np.array(parts), np.full(len(parts), at + 0.22), "o", color=BLUE, markersize=4)
        axes.text(ends[at] + 1.2, at, f"{100 * value:.1f}", va="center", color=INK, bbox=PAPER)
    axes.axvline(100 * chance, color=INK, linewidth=1, linestyle="--")
    axes.text(100 * chance, -0.62, f"chance {100 * chance:.1f}", ha="center", va="bottom", color=INK)
    axes.set_yticks(range(len(bars)), list(bars))
    axes.set_ylim(len(bars) - 0.5, -0.6)
    axes.set_xlim(0, min(100, max(ends) + 8))
    axes.set_xlabel("per cent")
    axes.set_title(title, pad=24)
    save(drawing, path)


def draw_curves(logs: Mapping[str, Sequence[Mapping[str, Any]]], title: str, path: Path) -> None:
    """Loss and accuracy by epoch of one or more runs; *logs* hold the lines of their log.jsonl."""
    drawing = figure(9.0, 3.8)
    left, right = drawing.subplots(1, 2)
    for (name, lines), colour in zip(logs.items(), COLOURS * len(logs), strict=False):
        epochs = [line["epoch"] + 1 for line in lines]
        dots = "o" if len(lines) == 1 else None
        left.plot(epochs, [line["loss"] for line in lines], color=colour, label=name, marker=dots)
        for key, style, text in (
            ("public_accuracy", "-", "PublicTest"),
            ("training_accuracy", ":", "training"),
        ):
            values = [100 * line.get(key, np.nan) for line in lines]
            label = f"{name}, {text}" if len(logs) > 1 else text
            right.plot(epochs, values, style, color=colour, label=label, marker=dots)
    for axes, text in ((left, "loss (augmented faces)"), (right, "accuracy, per cent")):
        clean(axes, "both")
        axes.set_xlabel("epoch")
        axes.set_xlim(left=0)
        axes.set_title(text, fontsize="medium")
    if len(logs) > 1:
        left.legend(frameon=False, fontsize="small")
    right.legend(frameon=False, fontsize="small", loc="lower right")
    drawing.suptitle(title)
    save(drawing, path)


def draw_gallery(pictures: Mapping[str, ImageArray], title: str, path: Path, columns: int = 7) -> None:
    """Grey pictures of any size in rows, each with its name."""
    rows = -(-len(pictures) // columns)
    drawing = figure(1.45 * columns, 1.75 * rows + 0.4)
    panels = np.atleast_1d(drawing.subplots(rows, columns)).ravel()
    for axes in panels:
        axes.axis("off")
    for axes, (name, picture) in zip(panels, pictures.items(), strict=False):
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255)
        axes.set_title(name, fontsize="small")
    drawing.suptitle(title)
    save(drawing, path)


def figure(width: float, height: float) -> Figure:
    """An empty drawing of so many inches."""
    from matplotlib.figure import Figure  # noqa: PLC0415  slow, and rarely needed

    return Figure(figsize=(width, height), layout="constrained")


def _sheet(width: float, height: float) -> tuple[Figure, Axes]:
    drawing = figure(width, height)
    return drawing, drawing.subplots()


def clean(axes: Axes, grid: str) -> None:
    """Only the lines that help reading."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(length=0, colors=INK)
    axes.grid(axis=grid, color="#e4e7eb", linewidth=0.8)  # type: ignore[arg-type]
    axes.set_axisbelow(True)


def _reach(value: Probabilities, low: Probabilities, high: Probabilities) -> Probabilities:
    """Lengths of the whiskers, 2 x N; an interval that leaves its own figure out has one of 0."""
    return np.maximum(np.stack([value - low, high - value]), 0)


def _wilson(share: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """Middle and reach of the 95 % interval of a share (Wilson 1927)."""
    scale = 1 + z * z / count
    middle = (share + z * z / (2 * count)) / scale
    reach = z / scale * float(np.sqrt(share * (1 - share) / count + z * z / (4 * count * count)))
    return middle, reach


def save(drawing: Figure, path: Path) -> None:
    """Write the drawing as a picture; its folder is made if need be."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415

    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(drawing)
    drawing.savefig(path, dpi=DPI)
