"""A result as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

TARGETS: Mapping[str, tuple[str, float, str]] = {
    "vision_ratio_opencv_zoo": ("vision path, times less than OpenCV Zoo's pipeline", 15, "at least"),
    "times_int8_floor": ("expression model, times the int8 floor of this core", 3, "at most"),
    "times_float_floor": ("the same, times the float32 floor", 3, "at most"),
    "classroom_cpu_cores": (
        "20 faces looked at 5 times and read twice a second, with voice, cores",
        0.6,
        "at most",
    ),
    "rss_mb": ("resident memory of `suasana run`, MB", 200, "at most"),
    "cold_start_s": ("start to the first published mood, s", 4, "at most"),
    "publish_p95_ms": ("end of a window to its published event, p95, ms", 150, "at most"),
}
BUSY = (
    "**The machine was too busy for the daemon**, so cold start, publication and age of frames say nothing: "
    "measure them again on a quiet one. Processor times are of the threads alone."
)


def page(result: Mapping[str, Any]) -> str:
    """Everything that was measured."""
    return "\n\n".join(part for part in _parts(result) if part) + "\n"


def targets(headline: Mapping[str, Any]) -> str:
    """The figures that have a target, beside it."""
    rows = []
    for key, (what, wanted, way) in TARGETS.items():
        value = headline[key]
        met = value >= wanted if way == "at least" else 0 <= value <= wanted
        rows.append((what, f"{value:g}", f"{way} {wanted:g}", "met" if met else "missed"))
    return table(("", "measured", "target", ""), rows)


def _parts(result: Mapping[str, Any]) -> Iterable[str]:
    about, daemon = result["machine"], result["running"]
    yield "# What the kit costs on this machine"
    packages = ", ".join(f"{name} {version}" for name, version in about["packages"].items())
    yield (
        f"{about['board'] or about['processor']}, {about['architecture']}, {about['cores']} cores, "
        f"{about['memory_mb']} MB, {about['system']}, Python {about['python']}; {packages}; "
        f"load {about['load']}; {result['at']}."
    )
    yield BUSY if result["headline"]["busy"] else ""
    yield targets(result["headline"])
    yield "## Beside OpenCV Zoo's pipeline"
    zoo = result["opencv_zoo"]
    yield (
        f"{zoo['faces']} faces, 640x480, ten frames a second, one thread, in turns on the same frames: "
        f"processor seconds per second of video. {zoo['yunet']}: {zoo['yunet_ms']} ms a frame; MobileFaceNet "
        f"at 112 pixels with random weights: {zoo['mobilefacenet_ms']} ms a face."
    )
    rows = [("OpenCV Zoo", zoo["zoo"]), ("suasana", zoo["ours"]), ("times", zoo["ratio"])]
    yield table(("", "CPU s per s"), rows)
    yield "## Stages"
    yield f"{result['ways']['sight']['faces']} faces, 640x480; times are processor time of one call."
    yield _stages(result["ways"]["stages"])
    yield "## The daemon, from outside"
    yield table(("", ""), [(name.replace("_", " "), value) for name, value in daemon.items()])
    yield f"Importing it takes {result['imports_ms']['edge.kit']} ms of processor time."
    yield from _model(result["floor"])
    yield from _boards(result["boards"])
    yield from _sweeps(result)


def _stages(stages: Mapping[str, Mapping[str, float]]) -> str:
    rows = [
        (name, one["calls"], one["p50_ms"], one["p95_ms"], f"{one['cpu_s_per_s']:.5f}")
        for name, one in stages.items()
    ]
    whole = sum(one["cpu_s_per_s"] for one in stages.values())
    return table(
        ("stage", "calls", "p50, ms", "p95, ms", "CPU s per s of input"),
        [*rows, ("all", "", "", "", f"{whole:.5f}")],
    )


def _model(floor: Mapping[str, Any]) -> Iterable[str]:
    yield "## The expression model and this core's peak"
    peak = floor["peak_gmacs"]
    ms = ", ".join(f"{ms:g} ms ({name})" for name, ms in floor["ms"].items())
    yield (
        f"{floor['model']}: {floor['multiply_adds'] / 1e6:.1f} million multiply-adds a face. This core, "
        f"at its best, on products of matrices: {peak['int8_gmacs']:g} billion a second in int8, "
        f"{peak['float_gmacs']:g} in float32. A face takes {ms}: {floor['times_int8_floor']:g} times the "
        f"int8 floor, {floor['times_float_floor']:g} times the float one."
    )


def _boards(model: Mapping[str, Any]) -> Iterable[str]:
    yield "## Modelled, not measured: other boards"
    rows = [
        (
            one["board"],
            one["core_gmacs"],
            one["times_slower"],
            f"{sum(one['cpu_s_per_s'].values()):.2f}",
            one["source"],
        )
        for one in model["boards"]
    ]
    yield table(
        ("board", "10^9 multiply-adds a core", "times slower", "cores for the stages above", "from"), rows
    )
    check = model["check"]
    yield (
        f"The model says {check['modelled_ms']:g} ms for {check['what']}; {check['source']} publishes "
        f"{check['published_ms']:g} ms."
    )


def _sweeps(result: Mapping[str, Any]) -> Iterable[str]:
    if "runtimes" in result:
        yield "## Runtimes and threads"
        yield table(
            ("model", "precision", "runtime", "threads", "wall p50, ms", "wall p95, ms", "CPU, ms"),
            [tuple(row.values()) for row in result["runtimes"]],
        )
    for name, key in (("faces", "faces"), ("widths", "width")):
        if name in result:
            yield f"## {'Faces per frame' if name == 'faces' else 'Width of the picture, ten faces'}"
            yield table(
                (key, "face, px", "found", *(f"CPU s per s, {runtime}" for runtime in result[name][0])),
                [
                    (
                        first[key],
                        first["face_px"],
                        first["found"],
                        *(one["cpu_per_s"] for one in row.values()),
                    )
                    for row in result[name]
                    for first in [next(iter(row.values()))]
                ],
            )


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """In Markdown."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows)])
