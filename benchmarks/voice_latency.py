"""How much processor time does the tone of three seconds of speech take, beside wav2vec2-base?

Each shipped file reads an utterance as the kit does: front end, stretches, mean. wav2vec2-base (Baevski et
al. 2020) for classification reads the same samples as ONNX, its matrices made int8 when it is run
("dynamic"), which is how such a model would be brought to a small computer. Its weights are random, because
the time does not depend on them; the architecture is the published one. One utterance, one thread, CPU time
of the calling thread; all take turns, so what slows the machine slows all of them, and the median counts.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import latency
from benchmarks.footprint import RESULTS, cpu_name
from convert.latency import median_ms
from convert.silence import silence
from edge import manifest, runtimes
from edge.manifest import LogMelInput
from edge.preprocess import FrontEnd
from edge.runtimes.onnx import start_session
from edge.tone import ToneReader
from edge.types import RATE_HZ, FloatArray, ModelError, Utterance

MODEL = Path("models/voice-tone")
PAGE = Path(__file__).resolve().parent.parent / "docs" / "voice-latency.md"
ROUNDS, QUICK_ROUNDS = 40, 6
SECONDS = 3.0
LABELS = 5
"""Of the study's classifier."""
RIVAL = "wav2vec2-base dynamic int8"
FLOOR, TARGET = 15, 40
"""How many times less time ours should take."""


@dataclass(frozen=True, slots=True)
class Latency:
    """One measurement."""

    machine: str
    model: str
    rounds: int
    seconds: float
    """Of speech."""
    stretches: int
    """That ours reads it in."""
    ms: dict[str, float]
    """Median CPU time of one utterance: ours by format, front end included; the front end; the rival."""
    bytes: dict[str, int]
    parameters: int
    """Of the rival."""
    ratios: dict[str, float]
    """The rival's time over ours, by format."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, keep; 2 stands for a model that cannot be measured."""
    code, kept = latency.run(
        "voice_latency",
        __doc__,
        argv,
        lambda folder, quick: measure(folder, QUICK_ROUNDS if quick else ROUNDS),
        describe,
        model=MODEL,
        results=RESULTS,
    )
    if kept is not None:
        PAGE.write_text(page(kept), "utf-8")
    return code


def measure(folder: Path, rounds: int) -> Latency:
    """Time the model in *folder* and wav2vec2-base.

    Raises:
        ModelError: no intact tone model.
    """
    model = manifest.load(folder)
    if not isinstance(model.input, LogMelInput):
        raise ModelError(f"{folder}: reads {model.task}, not tone of voice")
    front = FrontEnd(model.input)
    samples = np.random.default_rng(0).normal(0, 0.1, round(SECONDS * RATE_HZ)).astype(np.float32)
    utterance = Utterance(0.0, SECONDS, samples)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "rival.onnx"
        parameters = write_rival(path)
        runs: dict[str, Callable[[None], object]] = {
            f"{model.name} int8 {format}": _reading(
                ToneReader(model, runtimes.load(model, format)), utterance
            )
            for format in model.files
        }
        runs["front end alone"] = lambda _: front.batch(samples)
        runs[RIVAL] = _asking(path, samples)
        ms = {name: round(taken, 3) for name, taken in median_ms(runs, [None], rounds).items()}
        sizes = {f"{model.name} int8 {name}": file.path.stat().st_size for name, file in model.files.items()}
        sizes[RIVAL] = path.stat().st_size
    return Latency(
        machine=f"{platform.machine()}, {cpu_name()}, {os.cpu_count()} cores",
        model=model.id,
        rounds=rounds,
        seconds=SECONDS,
        stretches=len(front.cut(samples)),
        ms=ms,
        bytes=sizes,
        parameters=parameters,
        ratios={name: round(ms[RIVAL] / ms[f"{model.name} int8 {name}"], 1) for name in model.files},
    )


def write_rival(path: Path, **changes: Any) -> int:
    """Write wav2vec2-base for classification, untrained, with dynamic int8 matrices; returns its parameters.

    Args:
        path: the ONNX file.
        changes: to the configuration, for a smaller one.
    """
    with silence(), tempfile.TemporaryDirectory() as folder:
        import onnx  # noqa: PLC0415  all four take seconds to import
        import torch  # noqa: PLC0415
        import transformers  # noqa: PLC0415
        from onnxruntime import quantization  # noqa: PLC0415

        torch.manual_seed(0)
        config = transformers.Wav2Vec2Config(num_labels=LABELS, **changes)
        net = transformers.Wav2Vec2ForSequenceClassification(config).eval()
        whole = Path(folder) / "float.onnx"
        samples = torch.zeros(1, round(SECONDS * RATE_HZ))
        torch.onnx.export(
            _Logits(net),
            (samples,),
            str(whole),
            dynamo=True,
            external_data=False,
            verbose=False,
            input_names=["samples"],
            output_names=["logits"],
        )
        graph = onnx.load(str(whole))
        # The exporter also writes down the shapes of weights, which quantisation then transposes.
        weights = {one.name for one in graph.graph.initializer}
        kept = [one for one in graph.graph.value_info if one.name not in weights]
        del graph.graph.value_info[:]
        graph.graph.value_info.extend(kept)
        onnx.save(graph, str(whole))
        quantization.quantize_dynamic(
            str(whole),
            str(path),
            weight_type=quantization.QuantType.QInt8,
            op_types_to_quantize=["MatMul", "Gemm"],
        )
        return sum(one.numel() for one in net.parameters())


def _Logits(net: Any) -> Any:  # noqa: N802  a class in all but the import of torch
    import torch  # noqa: PLC0415

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, samples: Any) -> Any:
            return self.net(samples).logits

    return Logits()


def _reading(reader: ToneReader, utterance: Utterance) -> Callable[[None], object]:
    return lambda _: reader(utterance)


def _asking(path: Path, samples: FloatArray) -> Callable[[None], object]:
    session = start_session(path, threads=1)
    return lambda _: session.run(["logits"], {"samples": samples[None]})


def describe(result: Latency) -> str:
    """The table for people."""
    rows = [(name, f"{taken:.2f} ms", _size(result, name)) for name, taken in result.ms.items()]
    rows += [
        (f"wav2vec2-base over ours, {name}", f"{ratio:.1f} x", "") for name, ratio in result.ratios.items()
    ]
    width = max(len(name) for name, _, _ in rows)
    return "\n".join(
        [
            _title(result),
            *(f"{name:<{width}}  {figure:>10}  {size:>9}".rstrip() for name, figure, size in rows),
        ]
    )


def page(result: Latency) -> str:
    """The same as docs/voice-latency.md."""
    rows = [f"| {name} | {taken:.2f} | {_size(result, name)} |" for name, taken in result.ms.items()]
    ratios = [
        f"| {name} | {ratio:.1f} x | {_met(ratio, FLOOR)} | {_met(ratio, TARGET)} |"
        for name, ratio in result.ratios.items()
    ]
    about = (
        f"{_title(result)} Ours: log-mel front end and int8 model, {result.stretches} stretches. "
        f"wav2vec2-base: {result.parameters / 1e6:.1f} M parameters with random weights, on which the time "
        "does not depend; its matrices dynamic int8, on onnxruntime."
    )
    head = [
        "# What the tone of three seconds costs",
        "",
        "`python -m benchmarks.voice_latency`",
        "",
        about,
        "",
    ]
    first = ["| | ms | file |", "|---|---:|---:|", *rows, ""]
    columns = f"| | wav2vec2-base takes | floor, {FLOOR} x | target, {TARGET} x |"
    return "\n".join([*head, *first, columns, "|---|---:|---|---|", *ratios, ""])


def _met(ratio: float, wanted: float) -> str:
    return "met" if ratio >= wanted else "missed"


def _title(result: Latency) -> str:
    return (
        f"{result.model} on {result.machine}: {result.seconds:g} s of sound, one thread, median CPU time of "
        f"{result.rounds} rounds in turns."
    )


def _size(result: Latency, name: str) -> str:
    return f"{result.bytes[name] / 1e6:.1f} MB" if name in result.bytes else ""


if __name__ == "__main__":
    sys.exit(main())
