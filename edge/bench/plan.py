"""What is measured, in which order, and the figures that stand for all of it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edge import runtimes
from edge.bench import boards, floor, machine, running, stages, versus
from edge.bench.clock import Stopwatch, best_of, wall_and_cpu
from edge.bench.crowd import Crowd
from edge.manifest import ImageInput, LogMelInput, Manifest
from edge.models import weights
from edge.models.choice import find_model
from edge.settings import Settings
from edge.types import ModelError

FACES = (1, 5, 10, 20, 30)
WIDTHS = (320, 480, 640, 960, 1280)
THREADS = (1, 2, 3, 4)
CYCLE_S = 32.0
"""After so long the searches of whole frames repeat where nobody comes and goes."""
SHORT_S = 8.0
"""After so long where somebody always moves; enough to compare with each other, and a little too much."""
BUSY_FPS = 0.8
"""Of the frames that were to be looked at: fewer, and the machine had no time for the daemon."""
Told = Callable[[str, float], None]
"""Hears what is going on, and how much of all is over, 0..1."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What to measure."""

    quick: bool = False
    yunet: Path | None = None
    """The Zoo's own file; without it a detector that takes as long stands in."""
    floats: tuple[Path, ...] = ()
    """Folders of `convert package --float`, measured beside the int8 files."""


def measure(wishes: Wishes, settings: Settings, told: Told) -> dict[str, Any]:
    """Everything; about a minute when *quick*, else five or six.

    Raises:
        EdgeError: a weights file or a model is not in order, or the daemon did not run.
    """
    steps = list(_steps(wishes, settings))
    weight = sum(share for _, share, _ in steps)
    result: dict[str, Any] = {
        "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "quick": wishes.quick,
        "machine": asdict(machine.look()),
    }
    done = 0.0
    with tempfile.TemporaryDirectory(prefix="suasana-bench-") as folder:
        for name, share, work in steps:
            told(name, done / weight)
            result[name] = work(Path(folder), result)
            done += share
    told("done", 1.0)
    result["headline"] = headline(result, settings)
    return result


Work = Callable[[Path, dict[str, Any]], Any]


def _steps(wishes: Wishes, settings: Settings) -> Iterator[tuple[str, float, Work]]:
    quick = wishes.quick
    seconds = SHORT_S if quick else CYCLE_S
    yield "floor", 2, lambda scratch, _: _floor(settings, scratch)
    yield (
        "opencv_zoo",
        25 if quick else 60,
        lambda scratch, _: asdict(versus.measure(settings, scratch, yunet=wishes.yunet, seconds=seconds)),
    )
    yield "ways", 5 if quick else 12, lambda scratch, _: stages.measure(settings, scratch, seconds=seconds)
    yield (
        "classroom",
        4 if quick else 10,
        lambda scratch, _: _classroom(settings, scratch, seconds),
    )
    yield "imports_ms", 3, lambda _scratch, _: {"edge.kit": running.import_ms(rounds=2 if quick else 5)}
    yield (
        "running",
        25 if quick else 75,
        lambda scratch, _: asdict(running.measure(scratch, seconds=25 if quick else 75)),
    )
    yield "boards", 0.1, lambda _scratch, result: _boards(settings, result)
    if not quick:
        yield "runtimes", 15, lambda _scratch, _: list(_runtimes(settings, wishes.floats))
        yield "faces", 40, lambda _scratch, _: [_sight(settings, Crowd(faces)) for faces in FACES]
        yield (
            "widths",
            40,
            lambda _scratch, _: [_sight(settings, Crowd(10, width, width * 3 // 4)) for width in WIDTHS],
        )


def _floor(settings: Settings, scratch: Path) -> dict[str, Any]:
    """The expression model's time beside its multiply-adds at this core's peak."""
    peak = floor.measure(scratch)
    model = find_model(settings.expression)
    assert isinstance(model.input, ImageInput)
    face = one_item(model)
    multiply_adds = floor.multiply_adds(model)
    ms = {
        format: round(1000 * best_of(partial(runtimes.load(model, format), face)), 4)
        for format in model.files
        if runtimes.is_installed(format)
    }
    floors = {
        "int8": multiply_adds / peak.int8_gmacs / 1e6,
        "float": multiply_adds / peak.float_gmacs / 1e6,
    }
    return {
        "model": model.id,
        "multiply_adds": multiply_adds,
        "weights_bytes": {format: file.path.stat().st_size for format, file in model.files.items()},
        "peak_gmacs": asdict(peak),
        "ms": ms,
        "floor_ms": {kind: round(value, 4) for kind, value in floors.items()},
        "times_int8_floor": round(min(ms.values()) / floors["int8"], 2),
        "times_float_floor": round(min(ms.values()) / floors["float"], 2),
    }


def _classroom(settings: Settings, scratch: Path, seconds: float) -> dict[str, Any]:
    """Twenty faces looked at five times and read twice a second, and a voice: the issue's class."""
    wanted = replace(settings, faces=replace(settings.faces, max_fps=5.0, reads_per_s=2.0))
    ways = stages.measure(wanted, scratch, seconds=seconds, faces=20)
    return ways | {"cpu_cores": round(sum(stage["cpu_s_per_s"] for stage in ways["stages"].values()), 4)}


def _boards(settings: Settings, result: dict[str, Any]) -> dict[str, Any]:
    table, peak = result["ways"]["stages"], result["floor"]["peak_gmacs"]["float_gmacs"]
    faces = settings.faces
    pixels = faces.search_px**2 * 0.75 * 3 * 4 / max(faces.look_around_s, 1 / faces.max_fps)
    moved = {
        "detect": 8 * pixels,  # each of the first layers writes and reads a picture that large
        "classify": max(result["floor"]["weights_bytes"].values()) * 10 * faces.reads_per_s,
    }
    return {
        "modelled": True,
        "boards": boards.carry_over(table, peak, moved),
        "check": boards.judge(peak, result["opencv_zoo"]["mobilefacenet_ms"]),
    }


def _runtimes(settings: Settings, floats: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Each format of each model on 1 to 4 threads: processor and wall time of one item."""
    models = [("int8", model) for model in shipped(settings)]
    models += [("float", with_floats(folder, shipped(settings))) for folder in floats]
    for precision, model in models:
        item = one_item(model)
        for format in model.files:
            if not runtimes.is_installed(format):
                continue
            for threads in THREADS:
                run = runtimes.load(model, format, threads=threads)
                times = wall_and_cpu(partial(run, item))
                yield {
                    "model": model.id,
                    "precision": precision,
                    "runtime": format,
                    "threads": threads,
                    **times,
                }


def shipped(settings: Settings) -> tuple[Manifest, Manifest]:
    """The models for expression and for tone."""
    return find_model(settings.expression), find_model(settings.tone)


def with_floats(folder: Path, models: Sequence[Manifest]) -> Manifest:
    """Whichever of *models* the float files in *folder* are a version of, with these files.

    Raises:
        ModelError: there are none, or they fit no model.
    """
    for model in models:
        files = {
            format: replace(file, path=path)
            for format, file in model.files.items()
            if (path := folder / f"model.float.{format}").exists()
        }
        float_model = replace(model, files=files)
        try:
            for format in files:
                if runtimes.is_installed(format):
                    runtimes.load(float_model, format)(one_item(model))
        except ModelError:
            continue
        if files:
            return float_model
    raise ModelError(f"{folder}: has no float files of {' or '.join(model.id for model in models)}")


def one_item(model: Manifest) -> Any:
    """Noise of the shape that the model eats."""
    spec = model.input
    if isinstance(spec, LogMelInput):
        shape: tuple[int, ...] = (1, spec.frames, spec.mels, 1)
    else:
        shape = (1, spec.height, spec.width, spec.channels)
    return np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)


def _sight(settings: Settings, crowd: Crowd) -> dict[str, Any]:
    rows = {}
    for runtime in ("tflite", "onnx"):
        if not runtimes.is_installed(runtime):
            continue
        watch = Stopwatch()
        eyes, _ = stages.timed_eyes(settings, watch, runtime=runtime)
        frames = crowd.frames(weights.FOLDER, SHORT_S, stages.CAMERA_FPS)
        sight, _ = stages.watch_video(eyes, frames, crowd, watch)
        rows[runtime] = asdict(sight) | {"face_px": crowd.face_px}
    return rows


def headline(result: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """The figures that the targets are about."""
    daemon = result["running"]
    return {
        "vision_ratio_opencv_zoo": result["opencv_zoo"]["ratio"],
        "times_int8_floor": result["floor"]["times_int8_floor"],
        "times_float_floor": result["floor"]["times_float_floor"],
        "classroom_cpu_cores": result["classroom"]["cpu_cores"],
        "rss_mb": daemon["rss_mb"],
        "cold_start_s": daemon["cold_start_s"],
        "publish_p95_ms": daemon["publish_p95_ms"],
        "frame_age_p95_s": daemon["frame_age_p95_s"],
        "busy": daemon["fps"] < BUSY_FPS * settings.faces.max_fps,
    }
