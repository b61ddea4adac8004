"""What the exploration draws beside the counts: why pictures are left out, how voters differ, near copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edge.types import ImageArray
from training.face.layout import label_code
from training.figures import BLUE, INK, figure, save

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures to be compared."""

    left: ImageArray
    right: ImageArray
    title: str


def draw_reasons(counts: Mapping[str, int], path: Path) -> None:
    """How many training pictures are left out for each reason: lying bars, so that reasons can be read."""
    drawing = figure(8.4, 0.9 + 0.42 * len(counts))
    axes = drawing.subplots()
    bars = axes.barh(range(len(counts)), list(counts.values()), color=BLUE, height=0.66)
    axes.bar_label(bars, [f"{count:,}" for count in counts.values()], padding=4, color=INK)
    axes.set_yticks(range(len(counts)), list(counts))
    axes.tick_params(length=0, colors=INK)
    axes.invert_yaxis()
    axes.set_xticks([])
    axes.set_xlim(0, 1.12 * max(1, *counts.values()))
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_title("Training pictures left out, by reason", loc="left", color=INK)
    save(drawing, path)


def draw_agreement(
    shares: npt.NDArray[np.float64], labels: Sequence[str], votes: Sequence[str], path: Path
) -> None:
    """Heat map of labels x votes; columns sum to 1. Bold is where both mean the same."""
    drawing = figure(2.0 + 0.86 * len(votes), 1.7 + 0.62 * len(labels))
    axes = drawing.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(votes)), votes)
    axes.set_yticks(range(len(labels)), labels)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("what FER+ voters saw", color=INK, labelpad=8)
    axes.set_ylabel("what FER-2013 calls it", color=INK)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(len(votes) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(labels) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="both", length=0, colors=INK)
    for row, column in np.ndindex(shares.shape):
        same = label_code(votes[column]) == row
        axes.text(
            column,
            row,
            f"{100 * shares[row, column]:.0f}",
            ha="center",
            va="center",
            color="white" if shares[row, column] > 0.6 else INK,
            fontweight="bold" if same else "normal",
        )
    axes.set_title("Labels of the faces that got each vote, per cent of a column", color=INK, pad=14)
    save(drawing, path)


def draw_pairs(pairs: Sequence[Pair], path: Path, columns: int = 4) -> None:
    """Pairs side by side, each under its title."""
    rows = -(-len(pairs) // columns)
    drawing = figure(2.6 * columns, 1.65 * rows)
    panels = np.atleast_1d(drawing.subplots(rows, columns)).ravel()
    for axes in panels:
        axes.axis("off")
    for axes, pair in zip(panels, pairs, strict=False):
        gap = np.full((len(pair.left), 3), 255, np.uint8)
        axes.imshow(np.hstack([pair.left, gap, pair.right]), cmap="gray", vmin=0, vmax=255)
        axes.set_title(pair.title, fontsize="medium", color=INK)
    save(drawing, path)
