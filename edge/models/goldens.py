"""Does a model answer here what it answered where it was made? Made-up inputs, and the answers kept with it.

Pictures and noise are made by whole-number arithmetic, so that every board makes the same ones. They then go
the way of real ones, through preprocess: a wrong resize shows as well as a wrong kernel. No face and no voice
of anybody is in them. The answers lie in ``models/<name>/golden.toml``, per file and bound to its sha256.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge import manifest
from edge.manifest import ImageInput, LogMelInput, Manifest
from edge.preprocess import FrontEnd, face_tensor
from edge.runtimes import load
from edge.types import FloatArray, ImageArray, ModelError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = "golden.toml"
INPUTS = 2
"""Version of the made-up inputs; answers to other ones prove nothing."""
TOLERANCE = 0.05
"""Largest difference of a calibrated probability that rounding explains; the formats differ by 0.005."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one weights file did."""

    runtime: str
    worst: float
    """Largest difference of a calibrated probability from the kept answers."""

    @property
    def good(self) -> bool:
        """Whether rounding explains the difference."""
        return self.worst <= TOLERANCE  # a NaN is not


def check(model: Manifest, runtime: str, *, threads: int = 1) -> Verdict:
    """Load the model's file for *runtime*, ask it, and compare.

    Raises:
        ModelError: the runtime or the file does not do, or there is no answer to compare with.
    """
    kept = _kept(model, runtime)
    answers = answer(model, runtime, threads=threads)
    if answers.shape != kept.shape:
        raise ModelError(f"{model.folder / FILE}: {kept.shape} answers, but the model gives {answers.shape}")
    differences = np.abs(_probabilities(model, answers) - _probabilities(model, kept))
    worst = float(differences.max()) if np.isfinite(answers).all() else float("nan")
    return Verdict(runtime, worst)


def answer(model: Manifest, runtime: str, *, threads: int = 1) -> FloatArray:
    """Logits, N x labels, of the model's made-up inputs.

    Raises:
        ModelError: the runtime is not installed or the file is not usable.
    """
    return load(model, runtime, threads=threads)(batch(model))


def batch(model: Manifest) -> FloatArray:
    """The model's made-up inputs, preprocessed as a kit does it."""
    if isinstance(model.input, ImageInput):
        return face_tensor(pictures(), model.input)
    return np.concatenate([FrontEnd(model.input).batch(sound) for sound in sounds(model.input)])


def write(folder: Path) -> Path:
    """Keep what the model in *folder* answers on this machine; the file, for kits to compare with.

    Raises:
        ModelError: the folder is no intact model, or a file does not load.
    """
    model, path = manifest.load(folder), folder / FILE
    lines = ["# Written by `python -m convert golden`: answers to the made-up inputs of edge.models.goldens."]
    lines += [f"inputs = {INPUTS}"]
    for runtime, file in model.files.items():
        rows = (", ".join(f"{value:.4f}" for value in row) for row in answer(model, runtime))
        lines += ["", f"[{runtime}]", f'sha256 = "{file.sha256}"', "logits = ["]
        lines += [*(f"  [{row}]," for row in rows), "]"]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def _kept(model: Manifest, runtime: str) -> FloatArray:
    path = model.folder / FILE
    try:
        table = tomllib.loads(path.read_text("utf-8"))
        if table["inputs"] != INPUTS:
            raise ModelError(f"{path}: answers to other inputs; `python -m convert golden` writes new ones")
        kept: Mapping[str, Any] = table[runtime]
        if kept["sha256"] != model.files[runtime].sha256:
            raise ModelError(f"{path}: answers of another {runtime} file")
        return np.array(kept["logits"], np.float32)
    except FileNotFoundError:
        raise ModelError(f"{path}: not there; `python -m convert golden` writes it") from None
    except (
        OSError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:  # a torn file among them
        raise ModelError(f"{path}: not readable ({error})") from error


def _probabilities(model: Manifest, logits: FloatArray) -> npt.NDArray[np.float64]:
    return np.array([scores.probs for scores in model.calibrate(logits)])


# ── What is asked ────────────────────────────────────────────────────────────────────────────────────


def pictures() -> list[ImageArray]:
    """Square pictures as a detector crops them, near and far, h x w x 3 BGR: drawings, shades and noise."""
    drawn = [
        _drawing(96, mouth=lambda x, _: 680 - x * x // 700),  # corners up
        _drawing(96, mouth=lambda x, _: 520 + x * x // 1500),  # corners down
        _drawing(24, mouth=lambda x, _: 570 + 0 * x),
        np.add.outer(_ramp(64), _ramp(64)) // 8 % 256,
        _noise(48 * 48, seed=1).reshape(48, 48) % 256,
        np.full((48, 48), 128),
    ]
    return [np.repeat(picture[..., None], 3, axis=2).astype(np.uint8) for picture in drawn]


def _drawing(side: int, *, mouth: Callable[[Ints, Ints], Ints]) -> Ints:
    """A bright oval with two eyes, brows and a mouth, on grey; coordinates go from -1000 to 1000."""
    line = _ramp(side) * 2 - 1000
    x, y = np.meshgrid(line, line)
    picture = np.full((side, side), 90)
    picture[x * x * 10 + y * y * 7 < 7_000_000] = 190
    for centre in (-380, 380):
        picture[(x - centre) ** 2 + (2 * (y + 220)) ** 2 < 32_000] = 40
        picture[(np.abs(x - centre) < 230) & (np.abs(y + 470) < 50)] = 70
    picture[(np.abs(y - mouth(x, y)) < 60) & (np.abs(x) < 420)] = 50
    return picture


def _ramp(count: int) -> Ints:
    """From 0 to nearly 1000."""
    return np.arange(count, dtype=np.int64) * 1000 // count


def _noise(count: int, *, seed: int) -> Ints:
    """Whole numbers from 0 to 65,535, the same on every board (a linear congruential generator)."""
    values, state = np.empty(count, np.int64), seed
    for index in range(count):
        state = (state * 1_103_515_245 + 12_345) % 2**31
        values[index] = state >> 15
    return values


def sounds(spec: LogMelInput) -> Iterator[FloatArray]:
    """Sounds of one stretch, mono, -1..1: two that glide like a voice, a hiss in bursts, and near silence."""
    count = round(spec.duration_s * spec.rate_hz)
    clock = np.arange(count) / spec.rate_hz
    hiss = (_noise(count, seed=2) - 32_768) / 32_768
    for low_hz, rise_hz, syllables in ((220, 160, 4), (130, -40, 2)):
        phase = 2 * np.pi * (low_hz * clock + rise_hz * clock**2 / (2 * spec.duration_s))
        voice = sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 13))
        loudness = np.clip(np.sin(np.pi * syllables * clock), 0.02, None)
        yield (0.2 * voice * loudness + 0.002 * hiss).astype(np.float32)
    yield (0.3 * hiss * (np.floor(clock * 3) % 2)).astype(np.float32)
    yield (0.001 * hiss).astype(np.float32)
