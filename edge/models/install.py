"""A new model from a signed package to the shelf: held against the one in use, tried, and then switched.

The order matters: the signature first, then what can be read from the bytes, then a draft on the disk, then
the golden answers through every runtime of this kit, and one atomic switch at the end. Whatever is wrong
leaves everything as it was.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields

from edge import manifest, runtimes
from edge.manifest import ImageInput, LogMelInput, Manifest
from edge.models import goldens
from edge.models import package as packages
from edge.models.package import Key
from edge.models.shelf import NAME, PACKAGE, Shelf, order
from edge.types import RATE_HZ, ModelError
from edge.words import LABELS, VOICE_LABELS

SLOWEST = 3.0
"""Times the time of the model in use that a new one may take for the same inputs."""
SLACK_S = 0.002
"""Added to that: what is this fast may be slower, and so little cannot be measured on a busy board."""
LEAST_ROUNDS = 5
MOST_ROUNDS = 60
"""A time is the best of so many, since other work can only make a round slower. Both models take turns, and
whoever is fast enough need not go on: a kit that watches a class is busy."""
MAX_INPUT = 1_000_000
"""Numbers that one item of a model's input may have."""
TASK_LABELS: Mapping[str, tuple[str, ...]] = {"expression": LABELS, "tone": VOICE_LABELS}

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class InUse:
    """What a new model is held against: the one that does its task on this kit now."""

    model: Manifest
    runtime: str
    """The setting: ``auto``, ``tflite`` or ``onnx``."""
    threads: int = 1


def install(
    data: bytes,
    *,
    keys: Iterable[Key],
    shelf: Shelf,
    in_use: Callable[[str], InUse],
    shipped: Callable[[str], Manifest | None],
    force: bool = False,
    told: Told = lambda _: None,
    clock: Callable[[], float] = time.perf_counter,
) -> Manifest:
    """Put the model of a package into use, on trial.

    Args:
        data: the package.
        keys: whom this kit trusts.
        shelf: where installed models lie.
        in_use: by task, the model that does it now.
        shipped: by name, the model that came with the software.
        force: take an older or a much slower model too; nothing else can be forced.
        told: hears a line per step.
        clock: for the model's speed, in seconds.

    Raises:
        ModelError: the package is not to be trusted, the model does not do here, or the disk refuses.
    """
    package = packages.open(data, keys)
    told(f"signed by {package.key.owner or package.key.id}")
    with shelf.draft({**package.files, PACKAGE: data}) as draft:
        model = manifest.load(draft)
        check_alone(model)
        now, came = in_use(model.task), shipped(model.name)
        over = came.version if came else ""
        check_name(model, [now.model, *([came] if came else []), *_installed(model.name, shelf)])
        _check_version(model, shelf, over, force=force)
        for format in _formats(model, now):
            _ask(model, format, now.threads)
            seconds, usual = _race(model, now, format, clock)
            told(f"{format}: golden answers as they should be, {1000 * seconds:.2f} ms each{_beside(usual)}")
            if not force:
                check_speed(seconds, usual)
        shelf.adopt(draft, model.name, model.version, over=over)
    return model


def check_alone(model: Manifest) -> None:
    """Whether any kit could use such a model; ``convert sign`` asks as well.

    Raises:
        ModelError: its name, version, labels or input make no sense.
    """
    if not NAME.fullmatch(model.name):
        raise ModelError(f"{model.name[:60]!r} is no name of a model: lower-case letters, digits and hyphens")
    order(model.version)
    if model.labels != TASK_LABELS[model.task]:
        raise ModelError(
            f"{model.id}: its labels are {', '.join(model.labels)[:100]}; for {model.task} they must be "
            f"{', '.join(TASK_LABELS[model.task])}"
        )
    sure = math.isfinite(model.temperature) and 0 < model.uncertain_below < 1
    if not (sure and 0 <= model.negative_below < 1):
        raise ModelError(f"{model.id}: its calibration makes no sense")
    try:
        _check_numbers(model.input)
        if isinstance(model.input, ImageInput):
            _check_image(model.input)
        else:
            _check_log_mel(model.input)
    except ValueError as error:
        raise ModelError(f"{model.id}: its input is not possible: {error}") from error
    if (model.task == "expression") != isinstance(model.input, ImageInput):
        raise ModelError(f"{model.id}: a model for {model.task} cannot eat {type(model.input).__name__}")


def check_name(model: Manifest, others: Iterable[Manifest]) -> None:
    """Refuse a model under the name of one that does something else: settings find a model by its name.

    Raises:
        ModelError: says which.
    """
    for other in others:
        if other.name == model.name and (other.task, other.labels) != (model.task, model.labels):
            raise ModelError(f"{model.id}: a model for {model.task}, but {other.id} is one for {other.task}")


def check_speed(seconds: float, usual: float | None) -> None:
    """Refuse what is much slower for the same inputs than the model in use; None where there is no such time.

    Raises:
        ModelError: says the two times.
    """
    if usual is not None and _is_slow(seconds, usual):
        raise ModelError(
            f"the model takes {1000 * seconds:.1f} ms where the one in use takes {1000 * usual:.1f} ms; "
            f"--force takes it all the same"
        )


def _is_slow(seconds: float, usual: float) -> bool:
    return seconds > SLOWEST * usual + SLACK_S


def _check_version(model: Manifest, shelf: Shelf, shipped: str, *, force: bool) -> None:
    record = shelf.record(model.name)
    folder = shelf.place(model.name, model.version)
    if model.version in (record.current, record.previous) and folder.is_dir():
        before = (folder / PACKAGE).read_bytes() if (folder / PACKAGE).is_file() else b""
        if before and before != (model.folder / PACKAGE).read_bytes():
            raise ModelError(
                f"{model.id} is here already, with other content: a new model needs a new version"
            )
    if force:
        return
    for what, version in (("was installed before", record.highest), ("came with the software", shipped)):
        if version and order(model.version) < order(version):
            raise ModelError(f"{model.id}: {version} {what}; --force goes back to an older one")


def _installed(name: str, shelf: Shelf) -> list[Manifest]:
    """The model in use under that name, where one is installed and in order."""
    version = shelf.record(name).current
    try:
        return [manifest.load(shelf.place(name, version))] if version else []
    except ModelError:
        return []  # it is about to be replaced


def _formats(model: Manifest, now: InUse) -> list[str]:
    """The formats to try: all whose runtime is here. The one that the settings ask for must be among them."""
    runtimes.load(model, now.runtime)
    return [format for format in model.files if runtimes.is_installed(format)]


def _ask(model: Manifest, format: str, threads: int) -> None:
    verdict = goldens.check(model, format, threads=threads)
    if not verdict.good:
        raise ModelError(
            f"{model.id}: the {format} file answers the golden inputs differently here "
            f"(by {verdict.worst:.3f}, {goldens.TOLERANCE} is rounding)"
        )


def _race(model: Manifest, now: InUse, format: str, clock: Callable[[], float]) -> tuple[float, float | None]:
    """Seconds for one item of the new model, and of the one in use where that has such a file."""
    run = _timed(model, format, now.threads, clock)
    other = _timed(now.model, format, now.threads, clock) if format in now.model.files else None
    seconds, usual = math.inf, math.inf
    for round in range(MOST_ROUNDS):
        seconds = min(seconds, run())
        usual = min(usual, other()) if other else usual
        if round + 1 >= LEAST_ROUNDS and not _is_slow(seconds, usual):
            break
    return seconds, usual if other else None


def _timed(model: Manifest, format: str, threads: int, clock: Callable[[], float]) -> Callable[[], float]:
    """Answers the golden inputs once and tells how long one of them took."""
    run, batch = runtimes.load(model, format, threads=threads), goldens.batch(model)
    run(batch)

    def once() -> float:
        start = clock()
        run(batch)
        return (clock() - start) / len(batch)

    return once


def _beside(usual: float | None) -> str:
    return "" if usual is None else f" (the model in use: {1000 * usual:.2f} ms)"


# ── Inputs ───────────────────────────────────────────────────────────────────────────────────────────


def _check_numbers(spec: ImageInput | LogMelInput) -> None:
    whole = ("height", "width", "channels", "rate_hz", "mels", "fft")
    for field in fields(spec):
        value = getattr(spec, field.name)
        fits = type(value) is int if field.name in whole else type(value) in (int, float)
        if not fits or not math.isfinite(value):
            raise ValueError(f"{field.name} is {value!r}")
    _require(spec.std > 0, "std is not above 0")


def _check_image(spec: ImageInput) -> None:
    _require(16 <= spec.height <= 512 and 16 <= spec.width <= 512, "height and width must be 16 to 512")
    _require(spec.channels in (1, 3), "channels must be 1 or 3")
    _require(0 <= spec.margin <= 1, "margin must be 0 to 1")


def _check_log_mel(spec: LogMelInput) -> None:
    _require(spec.rate_hz == RATE_HZ, f"rate_hz must be the kit's, {RATE_HZ}")
    _require(0 < spec.hop_s <= spec.window_s <= 0.2, "hop_s and window_s do not fit")
    _require(round(spec.hop_s * spec.rate_hz) >= 1, "hop_s is shorter than a sample")
    _require(
        spec.window_s * spec.rate_hz <= spec.fft <= 8192, "fft is shorter than the window, or above 8192"
    )
    _require(spec.window_s < spec.duration_s <= 30, "duration_s must be longer than a window, at most 30")
    _require(0 <= spec.low_hz < spec.high_hz <= spec.rate_hz / 2, "low_hz and high_hz do not fit")
    _require(8 <= spec.mels <= 256, "mels must be 8 to 256")
    _require(0 < spec.floor_db <= 200, "floor_db must be above 0")
    _require(spec.frames * spec.mels <= MAX_INPUT, "one stretch is too large")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
