"""What `make bench` measured, as SVG files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

NAMES = {
    "stages": "Processor time per second of input, by stage",
    "faces": "Processor time per second of video against faces per frame",
    "widths": "Processor time per second of video against the picture's width",
    "rivals": "Processor time of one face",
    "boards": "Modelled: cores that each board would need",
}
INK, OTHER = "#0b6e6e", "#b9b9b9"


def draw(result: Mapping[str, Any], folder: Path) -> None:
    """One file per drawing whose figures are there."""
    folder.mkdir(parents=True, exist_ok=True)
    stages = result["ways"]["stages"]
    _bars(
        {name: 1000 * one["cpu_s_per_s"] for name, one in stages.items()},
        "ms per second",
        folder / "stages.svg",
    )
    rivals = {name: row["ms_a_face"] for name, row in result["rivals"].items() if "ms_a_face" in row}
    _bars(rivals, "ms a face, logarithmic", folder / "rivals.svg", logarithmic=True)
    boards = {one["board"]: sum(one["cpu_s_per_s"].values()) for one in result["boards"]["boards"]}
    _bars(boards, "cores, modelled", folder / "boards.svg")
    for name, key in (("faces", "faces"), ("widths", "width")):
        if name in result:
            _lines(result[name], key, folder / f"{name}.svg")


def _bars(values: Mapping[str, float], unit: str, path: Path, *, logarithmic: bool = False) -> None:
    figure = Figure(figsize=(7, 0.6 + 0.36 * len(values)), layout="constrained")
    axes = figure.subplots()
    names = list(values)[::-1]
    bars = axes.barh(
        names,
        [values[name] for name in names],
        color=[INK if "suasana" in n or logarithmic is False else OTHER for n in names],
    )
    axes.bar_label(bars, fmt="%.3g", padding=3)
    axes.set_xlabel(unit)
    if logarithmic:
        axes.set_xscale("log")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.12)
    figure.savefig(path, metadata={"Date": None})


def _lines(rows: list[Mapping[str, Mapping[str, float]]], key: str, path: Path) -> None:
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    for runtime, colour in zip(rows[0], (INK, OTHER), strict=False):
        points = [row[runtime] for row in rows]
        axes.plot(
            [point[key] for point in points],
            [1000 * point["cpu_per_s"] for point in points],
            marker="o",
            color=colour,
            label=runtime,
        )
    axes.set_xlabel("faces per frame" if key == "faces" else "width of the picture, pixels")
    axes.set_ylabel("ms per second of video")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
