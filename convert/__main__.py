"""``python -m convert``: run folder -> model folder, as a whole or step by step."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge import manifest
from edge.types import EdgeError, ModelError

if TYPE_CHECKING:
    from training.candidate import Candidate

TASKS = {"face": "training.face", "voice": "training.voice"}
"""Each module offers ``candidate(run, data) -> Candidate``."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 2 stands for anything the user can put right, a refused model included."""
    options = _parser().parse_args(arguments)
    try:
        candidate = _candidate(options.task, options.run, options.data)
        options.command(candidate, options)
    except EdgeError as error:
        print(f"convert: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in {"convert", "edge", "training"}:
            raise
        print(f"convert: needs {error.name}; `make train-env` installs it", file=sys.stderr)
        return 2
    return 0


def _candidate(task: str, run: Path, data: Path) -> Candidate:
    found: Candidate = importlib.import_module(TASKS[task]).candidate(run, data)
    return found


def _package(candidate: Candidate, options: argparse.Namespace) -> None:
    from convert.package import package  # noqa: PLC0415  the converters take seconds to import

    print("exporting, quantising and verifying; about a minute")
    model, found = package(candidate, options.model, version=options.version)
    for parity in found:
        print(parity)
    print(
        f"{options.model}: {model.id}, temperature {model.temperature:.3f}, "
        f"uncertain below {model.uncertain_below}"
    )


def _verify(candidate: Candidate, options: argparse.Namespace) -> None:
    from convert import verify  # noqa: PLC0415

    found, _ = verify.compare(manifest.load(options.model), candidate.net, candidate.inputs, candidate.truth)
    for parity in found:
        print(parity)
    verify.refuse_loss(found)


def _export(candidate: Candidate, options: argparse.Namespace) -> None:
    from convert import export  # noqa: PLC0415

    options.out.mkdir(parents=True, exist_ok=True)
    item_shape = candidate.calibration.shape[1:]
    export.export_tflite(candidate.net, item_shape, options.out / "float.tflite")
    export.export_onnx(candidate.net, item_shape, options.out / "float.onnx")
    np.save(options.out / "calibration.npy", candidate.calibration)
    print(f"{options.out}: float.tflite, float.onnx, calibration.npy")


def _quantise(candidate: Candidate, options: argparse.Namespace) -> None:
    from convert import quantise  # noqa: PLC0415
    from convert.package import FILES  # noqa: PLC0415

    for source in (options.out / "float.tflite", options.out / "float.onnx"):
        if not source.is_file():
            raise ModelError(f"{source}: not found; the export command writes it")
    quantise.quantise_tflite(
        options.out / "float.tflite", candidate.calibration, options.out / FILES["tflite"]
    )
    quantise.quantise_onnx(options.out / "float.onnx", candidate.calibration, options.out / FILES["onnx"])
    print(f"{options.out}: {', '.join(FILES.values())}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m convert",
        description="Turns a training run into a model folder with int8 TFLite and ONNX files.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command, text in (
        ("package", _package, "all of it: export, quantise, verify, calibrate, write model.toml"),
        ("export", _export, "write float.tflite and float.onnx"),
        ("quantise", _quantise, "make the exported files int8"),
        ("verify", _verify, "hold a model folder's files against the run they came from"),
    ):
        one = commands.add_parser(name, help=text, description=text)
        one.add_argument("--task", choices=TASKS, default="face", help="which network it is (default: face)")
        one.add_argument("--run", type=Path, required=True, help="run folder of the training")
        one.add_argument("--data", type=Path, required=True, help="the task's data, as for training")
        if name in {"package", "verify"}:
            one.add_argument(
                "--model", type=Path, required=True, help="model folder, as models/face-expression"
            )
        else:
            one.add_argument("--out", type=Path, required=True, help="folder for the files")
        if name == "package":
            one.add_argument("--version", default="1.0.0", help="version for model.toml (default: 1.0.0)")
        one.set_defaults(command=command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
