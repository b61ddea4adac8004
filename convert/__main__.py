"""``python -m convert``: run folder -> model folder, as a whole or step by step; model folders -> Space."""

from __future__ import annotations

import argparse
import getpass
import importlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge import manifest
from edge.models import goldens
from edge.types import EdgeError, SettingsError

if TYPE_CHECKING:
    from training.candidate import Candidate

Command = Callable[[argparse.Namespace], None]
TASKS = {"face": "training.face.commands", "voice": "training.voice.candidate"}
"""Each module offers ``candidate(run, data) -> Candidate``."""
SPLITS = {"face": ("public", "private")}
"""Where a task has several to judge on, its ``candidate`` takes ``split=``; the first is the default."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 2 stands for anything the user can put right, a refused model included."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except EdgeError as error:
        print(f"convert: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in {"convert", "edge", "training"}:
            raise
        print(f"convert: needs {error.name}; `make train-env` installs it", file=sys.stderr)
        return 2
    return 0


def _space(options: argparse.Namespace) -> None:
    from convert import space  # noqa: PLC0415  a run needs none of it

    files = space.write(options.out, options.models)
    size = sum((options.out / file).stat().st_size for file in files)
    print(f"{options.out}: {len(files)} files, {size / 1e6:.1f} MB; push it to a Space, or try it:")
    print(f"python {options.out / 'app.py'} --port 7860")


def _golden(options: argparse.Namespace) -> None:
    for folder in options.model:
        print(f"{goldens.write(folder)}: written")


def _new_key(options: argparse.Namespace) -> None:
    from convert import sign  # noqa: PLC0415  only who signs needs cryptography

    key = sign.new_key(options.out, options.owner, passphrase=_passphrase(options, new=True))
    print(f"{options.out / options.owner}.key: private; keep it, and a copy, where nobody else can read it")
    print(
        f"{options.out / options.owner}.pub: for kits, into the folder or the list that their settings name"
    )
    print(key)


def _sign(options: argparse.Namespace) -> None:
    from convert import sign  # noqa: PLC0415

    private = sign.read_key(options.key, passphrase=_passphrase(options))
    model, path = sign.sign(options.model, private, options.out)
    print(f"{path}: {model.id}, {path.stat().st_size / 1e6:.1f} MB")


def _passphrase(options: argparse.Namespace, *, new: bool = False) -> bytes:
    """From the file that the options name, or asked for; nothing is asked where nobody can answer."""
    if options.passphrase_file:
        try:
            return bytes(options.passphrase_file.read_bytes().strip())
        except OSError as error:
            raise SettingsError(f"{options.passphrase_file}: {error.strerror or error}") from error
    if not options.passphrase:
        return b""
    text = getpass.getpass("Passphrase: ")
    if new and getpass.getpass("Once more: ") != text:
        raise SettingsError("the two passphrases differ")
    return text.encode()


def _add_keys(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "make a pair of keys to sign model packages with"
    new = commands.add_parser("new-key", help=text, description=text)
    new.add_argument("--out", type=Path, required=True, metavar="DIR", help="outside of any Git checkout")
    new.add_argument(
        "--owner", default="models", help="name of the files, and told on kits (default: models)"
    )
    new.set_defaults(command=_new_key)
    text = "make one signed file of a model folder, for `suasana models install`; needs no PyTorch"
    one = commands.add_parser("sign", help=text, description=text)
    one.add_argument("--model", type=Path, required=True, metavar="DIR", help="as models/face-expression")
    one.add_argument("--key", type=Path, required=True, metavar="FILE", help="the private key, OWNER.key")
    one.add_argument("--out", type=Path, required=True, help="the file, or a folder for NAME-VERSION.suasana")
    one.set_defaults(command=_sign)
    for command in (new, one):
        command.add_argument("--passphrase", action="store_true", help="ask for the key's passphrase")
        command.add_argument("--passphrase-file", type=Path, metavar="FILE", help="read it from a file")


def _with_candidate(command: Callable[[Candidate, argparse.Namespace], None]) -> Command:
    """The command with the run that its options name."""

    def run(options: argparse.Namespace) -> None:
        command(_candidate(options.task, options.run, options.data, options.split), options)

    return run


def _candidate(task: str, run: Path, data: Path, split: str | None) -> Candidate:
    if split is not None and split not in SPLITS.get(task, ()):
        raise SettingsError(f"--split {split}: the {task} task has {_names(SPLITS.get(task, ()))}")
    more = {} if split is None else {"split": split}
    found: Candidate = importlib.import_module(TASKS[task]).candidate(run, data, **more)
    return found


def _names(splits: Sequence[str]) -> str:
    return " and ".join(splits) if splits else "validation items only"


def _package(candidate: Candidate, options: argparse.Namespace) -> None:
    from convert.package import package  # noqa: PLC0415  the converters take seconds to import

    print("exporting, quantising and verifying; about a minute")
    model, found = package(
        candidate,
        options.model,
        version=options.version,
        name=options.model.resolve().name,  # models/<name>
        floats=options.float,
        quiet=False,
    )
    for parity in found:
        print(parity)
    print(
        f"{options.model}: {model.id}, temperature {model.temperature:.3f}, "
        f"uncertain below {model.uncertain_below}"
    )


def _verify(candidate: Candidate, options: argparse.Namespace) -> None:
    from convert import report, verify  # noqa: PLC0415

    split = options.split or SPLITS.get(options.task, ("validation",))[0]
    command = f"python -m convert verify --task {options.task} --run {options.run} --data {options.data}"
    command += f" --model {options.model}" + (f" --split {split}" if options.task in SPLITS else "")
    found = report.make(
        candidate,
        manifest.load(options.model),
        command=command,
        split=split,
        floats=options.float,
        quiet=options.json,
    )
    print(json.dumps(report.as_json(found), indent=2) if options.json else report.as_text(found))
    if options.report:
        options.report.parent.mkdir(parents=True, exist_ok=True)
        options.report.write_text(report.as_markdown(found), "utf-8")
    verify.refuse_loss(found.parities)


def _export(candidate: Candidate, options: argparse.Namespace) -> None:
    from convert.package import FLOAT_FILES, export_floats  # noqa: PLC0415

    options.out.mkdir(parents=True, exist_ok=True)
    export_floats(candidate, options.out)
    np.save(options.out / "calibration.npy", candidate.calibration)
    print(f"{options.out}: {', '.join(FLOAT_FILES.values())}, calibration.npy")


def _quantise(candidate: Candidate, options: argparse.Namespace) -> None:
    from convert.package import FILES, quantise_floats  # noqa: PLC0415

    quantise_floats(candidate, options.out)
    print(f"{options.out}: {', '.join(FILES.values())}")


def _speech(options: argparse.Namespace) -> None:
    from convert.speech import render  # noqa: PLC0415

    size = render(options.static, told=print)
    print(f"{options.static / 'speech'}: {size / 1000:.0f} kB")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m convert",
        description="Turns a training run into a model folder with int8 TFLite and ONNX files.",
    )
    parser.set_defaults(split=None)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command, text in (
        ("package", _package, "all of it: export, quantise, verify, calibrate, write model.toml"),
        ("export", _export, "write model.float.tflite and model.float.onnx"),
        ("quantise", _quantise, "make the exported files int8"),
        ("verify", _verify, "hold every file, int8 and float, against the run they came from; refuse a loss"),
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
            one.add_argument("--float", type=Path, metavar="DIR", help="keep the float files there")
        if name == "verify":
            one.add_argument(
                "--split",
                choices=sorted({split for splits in SPLITS.values() for split in splits}),
                help="of the face task: public, which selects (default), or private, which is read once per "
                "shipped model",
            )
            one.add_argument(
                "--float",
                type=Path,
                metavar="DIR",
                help="where package kept the float files (else: exported)",
            )
            one.add_argument("--report", type=Path, metavar="FILE", help="also write it there, as Markdown")
            one.add_argument("--json", action="store_true", help="print JSON instead of tables")
        one.set_defaults(command=_with_candidate(command))
    _add_keys(commands)
    text = "write golden.toml: what the model's files answer here to made-up inputs; needs no run"
    one = commands.add_parser("golden", help=text, description=text)
    one.add_argument("--model", type=Path, nargs="+", required=True, help="model folders")
    one.set_defaults(command=_golden)
    text = (
        "write a folder that can be pushed to a Hugging Face Space: page, models, weights; needs no PyTorch"
    )
    one = commands.add_parser("space", help=text, description=text)
    one.add_argument("--out", type=Path, required=True, help="new folder, or a checkout of a Space")
    one.add_argument(
        "--models", type=Path, default=Path("models"), help="folder of the model folders (default: models)"
    )
    one.set_defaults(command=_space)
    text = "speak the practice game's prompts with espeak-ng, for devices without a voice; needs no PyTorch"
    one = commands.add_parser("speech", help=text, description=text)
    one.add_argument(
        "--static",
        type=Path,
        default=Path("dashboard/static"),
        help="the page's folder (default: %(default)s)",
    )
    one.set_defaults(command=_speech)
    return parser


if __name__ == "__main__":
    sys.exit(main())
