"""The parity report: every file of a model beside the float network, as text, Markdown or JSON."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from convert import verify
from convert.export import features_width
from convert.latency import median_ms
from convert.package import FLOAT_FILES, export_floats
from convert.verify import Parity
from edge.manifest import Manifest, ModelFile
from edge.runtimes import load
from edge.types import FloatArray, ModelError
from training.candidate import Candidate

YARDSTICK = "float tflite"
"""The latencies are also given as multiples of this one's, from the same run."""
NETWORK = "float torch"
PARITY_HEAD = ("file", "accuracy", "lost", "same answer", "ECE", "features alike", "least")
COST_HEAD = ("file", "bytes", "ms per item", f"of {YARDSTICK}")


@dataclass(frozen=True, slots=True)
class Report:
    """What ``convert verify`` found."""

    command: str
    model: str
    split: str
    items: int
    temperature: float
    machine: str
    parities: tuple[Parity, ...]
    """Of the shipped int8 files, then of the float files."""
    sizes: dict[str, int]
    """Bytes, by file."""
    latencies: dict[str, float]
    """Median CPU milliseconds per item on one thread, by file, and of the network on torch."""


def make(
    candidate: Candidate,
    model: Manifest,
    *,
    command: str,
    split: str,
    floats: Path | None = None,
    quiet: bool = False,
) -> Report:
    """Ask every file of *model*, and its float files, about all of the candidate's inputs.

    Args:
        candidate: the run that the model was packaged from, with the inputs to judge on.
        model: the packaged model.
        command: what the reader would type for the same figures.
        split: what the inputs are.
        floats: folder in which ``package --float`` kept the float files; exported anew if None.
        quiet: no progress bars.

    Raises:
        ModelError: a file is missing, or the run and the model do not belong together.
    """
    width = features_width(candidate.net)
    if width != model.features or candidate.labels != model.labels or candidate.input != model.input:
        raise ModelError(f"{model.folder}: was not made from this run (labels, input or features differ)")
    with tempfile.TemporaryDirectory() as name:
        if floats is None:
            export_floats(candidate, Path(name))
        files = {f"int8 {runtime}": (model, runtime) for runtime in model.files}
        files |= {
            f"float {runtime}": (_float(model, floats or Path(name)), runtime) for runtime in FLOAT_FILES
        }
        expected = verify.ask_network(candidate.net, candidate.inputs)
        parities = tuple(
            verify.compare(
                file,
                verify.ask_file(owner, runtime, candidate.inputs, quiet=quiet),
                expected,
                candidate.truth,
                model.temperature,
            )
            for file, (owner, runtime) in files.items()
        )
        runs: dict[str, Callable[[FloatArray], object]] = {NETWORK: _network(candidate.net)}
        runs |= {file: load(owner, runtime) for file, (owner, runtime) in files.items()}
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            latencies = median_ms(runs, [item[None] for item in candidate.inputs[:64]])
        finally:
            torch.set_num_threads(threads)
        sizes = {file: owner.files[runtime].path.stat().st_size for file, (owner, runtime) in files.items()}
    return Report(
        command=command,
        model=model.id,
        split=split,
        items=len(candidate.inputs),
        temperature=model.temperature,
        machine=f"{platform.machine()}, {platform.system()}",
        parities=parities,
        sizes=sizes,
        latencies=latencies,
    )


def _float(model: Manifest, folder: Path) -> Manifest:
    """The same model with its float files."""
    files = {runtime: ModelFile(folder / file, "") for runtime, file in FLOAT_FILES.items()}
    for file in files.values():
        if not file.path.is_file():
            raise ModelError(f"{file.path}: not found; `package --float` keeps the float files")
    return replace(model, files=files, folder=folder)


def _network(net: nn.Module) -> Callable[[FloatArray], object]:
    net.eval()

    def run(batch: FloatArray) -> object:
        with torch.inference_mode():
            return net(torch.from_numpy(batch).permute(0, 3, 1, 2))

    return run


def as_json(report: Report) -> dict[str, Any]:
    """Fractions, bytes and milliseconds, by file."""
    first = report.parities[0]
    return {
        "command": report.command,
        "model": report.model,
        "split": report.split,
        "items": report.items,
        "temperature": report.temperature,
        "machine": report.machine,
        "limits": {
            "lost": verify.MOST_LOST,
            "lost_target": verify.TARGET_LOST,
            "ece_rise": verify.MOST_MISCALIBRATED,
            "features_alike": verify.LEAST_ALIKE,
        },
        "torch": {
            "accuracy": first.accuracy_torch,
            "ece": first.ece_torch,
            "latency_ms": report.latencies[NETWORK],
        },
        "files": {
            parity.file: {
                **{key: value for key, value in asdict(parity).items() if key != "file"},
                "lost": parity.lost,
                "bytes": report.sizes[parity.file],
                "latency_ms": report.latencies[parity.file],
                "latency_of_float_tflite": report.latencies[parity.file] / report.latencies[YARDSTICK],
            }
            for parity in report.parities
        },
    }


def as_text(report: Report) -> str:
    """For a terminal."""
    tables = [*_align(_parity(report)), "", *_align(_cost(report))]
    return "\n".join([_title(report), "", *tables, "", _verdict(report)])


def as_markdown(report: Report) -> str:
    """A page of its own."""
    lines = [f"# Parity of {report.model}", "", _title(report), "", f"Command: `{report.command}`", ""]
    for table in (_parity(report), _cost(report)):
        lines += [f"| {' | '.join(table[0])} |", f"|{'---|' * len(table[0])}"]
        lines += [f"| {' | '.join(row)} |" for row in table[1:]]
        lines.append("")
    return "\n".join([*lines, _verdict(report), ""])


def _title(report: Report) -> str:
    return (
        f"{report.model} on all {report.items} items of {report.split}, beside the float network on torch; "
        f"calibration error (ECE) at temperature {report.temperature:.3f}; "
        f"median CPU time of one item on one thread, {report.machine}."
    )


def _parity(report: Report) -> list[tuple[str, ...]]:
    first = report.parities[0]
    rows: list[tuple[str, ...]] = [
        PARITY_HEAD,
        (NETWORK, _percent(first.accuracy_torch), "", "", _percent(first.ece_torch), "", ""),
    ]
    for one in report.parities:
        alike = [
            "" if figure is None else f"{figure:.4f}"
            for figure in (one.features_alike, one.features_least_alike)
        ]
        shares = [
            _percent(one.accuracy),
            f"{100 * one.lost:+.2f}",
            _percent(one.agreement),
            _percent(one.ece),
        ]
        rows += [(one.file, *shares, *alike)]
    return rows


def _cost(report: Report) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [COST_HEAD]
    for file, taken in report.latencies.items():
        size = f"{report.sizes[file]:,}" if file in report.sizes else ""
        rows.append((file, size, f"{taken:.3f}", f"{taken / report.latencies[YARDSTICK]:.2f} x"))
    return rows


def _verdict(report: Report) -> str:
    worst = max(parity.lost for parity in report.parities if parity.file.startswith("int8"))
    target = "met" if worst <= verify.TARGET_LOST else "missed"
    return (
        f"int8 costs at most {100 * worst:.2f} points; {100 * verify.MOST_LOST:.1f} are allowed, "
        f"the target of {100 * verify.TARGET_LOST:.1f} is {target}."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _align(table: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return [
        "  ".join(
            cell.ljust(width) if not column else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
