"""``python -m training face …``: the commands of the expression model."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edge.types import LABELS, SettingsError
from training.allocator import keep_memory
from training.candidate import Candidate
from training.commands import add as add_command
from training.face import fer2013, recipes, sources
from training.face.fer2013 import Faces

CALIBRATION_FACES = 512
"""Training faces from which the int8 ranges are taken."""
LEAST_RECALL = 0.45
"""On PublicTest, of every expression; see balance."""


def main(arguments: Sequence[str]) -> int:
    """Run one command; EdgeError passes to the caller, who tells it in one line."""
    options = _parser().parse_args(arguments)
    options.command(options)
    return 0


def candidate(run: Path, data: Path, split: str = "public") -> Candidate:
    """The network of a run, with what conversion needs to make and judge its int8 files.

    Args:
        run: run folder.
        data: as for training.
        split: what its files are judged on. PublicTest, which also balances the head whatever is judged,
            decides; PrivateTest (``private``) is for the report of a model that ships.

    Raises:
        SettingsError: *run* holds no checkpoint.
        SourceError: *data* lacks the faces.
    """
    import torch  # noqa: PLC0415  takes seconds

    from training.face import balance, train  # noqa: PLC0415

    net, spec = train.load_net(run)
    splits = fer2013.load(data)
    training, _ = fer2013.clean(splits)
    public = splits["public"]
    logits = train.predict(net, train.tensor(public, spec))
    with torch.no_grad():
        net.head.bias.add_(torch.from_numpy(balance.biases(logits, public.labels, least=LEAST_RECALL)))
    rows = np.random.default_rng(0).choice(
        len(training), min(CALIBRATION_FACES, len(training)), replace=False
    )
    judged = splits[split]
    return Candidate(
        name="face-expression",
        task="expression",
        labels=LABELS,
        net=net,
        input=spec,
        calibration=fer2013.batch(training.take(rows), spec),
        inputs=fer2013.batch(judged, spec),
        truth=judged.labels,
    )


def _explore(options: argparse.Namespace) -> None:
    from training import pages  # noqa: PLC0415
    from training.face import exploration  # noqa: PLC0415

    splits = fer2013.load(options.data, options.votes)
    found = exploration.explore(splits)
    print(pages.markdown(exploration.sections(found)))
    if options.out:
        print(f"\n{exploration.write(options.out, found, splits, str(options.data))}")


def _train(options: argparse.Namespace) -> None:
    import torch  # noqa: PLC0415

    from training import devices  # noqa: PLC0415
    from training.face import train  # noqa: PLC0415
    from training.face.net import count_parameters  # noqa: PLC0415

    if options.run and len(options.config) > 1:
        raise SettingsError("--run names one folder, but several recipes are to be trained")
    torch.set_num_threads(options.threads)
    keep_memory()
    asked = [(recipes.load(path), options.run or recipes.run_folder(path)) for path in options.config]
    splits = fer2013.load(options.data, options.votes)
    training, cleaning = fer2013.clean(splits)
    with devices.choose(options.device) as place:
        if place.rank == 0:
            print(f"{len(training)} faces; taken out: {cleaning}; trains on {place}")
        for config, run in asked:
            net = train.train(config, training, splits["public"], run, place=place)
            place.meet()  # the next recipe may begin with what the first process has written
            if place.rank == 0:
                print(
                    f"{run}: {count_parameters(net)} parameters; `python -m convert package` makes it a model"
                )


def _average(options: argparse.Namespace) -> None:
    from training.face import average  # noqa: PLC0415

    average.average(options.runs, options.run)
    print(f"{options.run}: the mean of {len(options.runs)}; `python -m convert package` makes it a model")


def _ensemble(options: argparse.Namespace) -> None:
    import torch  # noqa: PLC0415

    from training import devices  # noqa: PLC0415
    from training.face import ensemble  # noqa: PLC0415

    torch.set_num_threads(options.threads)
    public = fer2013.load(options.data)["public"]
    width = max(len(str(folder)) for folder in options.teachers)
    print(f"{'PublicTest':<{width}}   plain  mirror images too")
    with devices.choose(options.device) as place:
        for name, plain, mirrored in ensemble.judge(options.teachers, public, place):
            print(f"{name:<{width}}  {plain:6.1%}  {mirrored:6.1%}", flush=True)


def _evaluate(options: argparse.Namespace) -> None:
    from training import model_card, model_toml  # noqa: PLC0415
    from training.face import evaluation, report, tables  # noqa: PLC0415

    if options.quick and options.write_metrics:
        raise SettingsError("--quick leaves out figures that --write-metrics has to store")
    found = evaluation.evaluate(
        options.model, options.data, options.split, runs=options.run, quick=options.quick, quiet=options.json
    )
    text = tables.describe(found.table)
    print(json.dumps(found.table, indent=2) if options.json else text)
    if options.report:
        page = report.write(options.report, found, options.run)
        print(f"{page}: holds photographs of the data, so keep it to yourself", file=sys.stderr)
    if options.write_metrics:
        model_toml.write_metrics(options.model, found.table)
        model_card.refresh(options.model, text)


def _reproduce_study(options: argparse.Namespace) -> None:
    from training.face import crossvalidation, study  # noqa: PLC0415

    faces = study.select(fer2013.load(options.data, options.votes)["training"])
    folds = [crossvalidation.split(len(faces), study.TEST_SHARE)]
    if options.folds is not None:
        folds = crossvalidation.stratify(faces.labels, options.folds)
    judged = _judge(options, faces, folds, study.STUDY_LABELS)
    if judged:
        table = study.compare(judged, faces)
        title = "The early-childhood study's set-up"
        _tell(options, "reproduce-study", title, table, study.sections(table))


def _crossvalidate(options: argparse.Namespace) -> None:
    from training.face import crossvalidation, fold_tables  # noqa: PLC0415

    faces = fer2013.load(options.data, options.votes)["training"]
    judged = _judge(options, faces, crossvalidation.stratify(faces.labels, options.folds), LABELS)
    if judged:
        table = {"faces": len(faces), "labels": list(LABELS), **crossvalidation.table(judged, LABELS)}
        title = f"{options.folds}-fold cross-validation"
        _tell(options, "crossvalidate", title, table, fold_tables.results(table))


def _judge(options: argparse.Namespace, faces: Faces, folds: Any, labels: Sequence[str]) -> Any:
    """Train and judge every fold; nothing in all but the first of torchrun's processes."""
    import torch  # noqa: PLC0415

    from training import devices  # noqa: PLC0415
    from training.face import crossvalidation  # noqa: PLC0415

    torch.set_num_threads(options.threads)
    keep_memory()
    config = recipes.load(options.config)
    if options.epochs is not None:
        if options.epochs < 1:
            raise SettingsError(f"--epochs {options.epochs}: at least 1")
        config = replace(config, epochs=options.epochs)
    with devices.choose(options.device) as place:
        judged = crossvalidation.judge_all(config, faces, folds, labels, options.run, place=place)
    return judged if place.rank == 0 else []


def _tell(options: argparse.Namespace, name: str, title: str, table: dict[str, Any], made: Any) -> None:
    from training import pages  # noqa: PLC0415
    from training.face import fold_tables  # noqa: PLC0415

    config = os.path.relpath(options.config)
    chosen = {"config": config, "folds": options.folds, "epochs": options.epochs}
    given = "".join(f" --{key} {value}" for key, value in chosen.items() if value is not None)
    command = f"python -m training face {name}{given}"
    print(json.dumps({"command": command, **table}, indent=2) if options.json else pages.markdown(made))
    if options.out:
        print(fold_tables.write(options.out, title, command, table, made), file=sys.stderr)


def _margin(options: argparse.Namespace) -> None:
    from training.face import margin  # noqa: PLC0415

    detect = margin.DETECTORS[options.detector](options.weights)
    training, _ = fer2013.clean(fer2013.load(options.data))
    rows = np.random.default_rng(0).choice(len(training), min(options.faces, len(training)), replace=False)
    found = margin.measure(training.images[rows], detect)
    print(f"{options.detector} found {len(found.margins)} of {found.asked} faces")
    if len(found.margins):
        low, middle, high = np.percentile(found.margins, [25, 50, 75])
        right, below = np.median(found.offsets, 0)
        print(f"margin: median {middle:+.3f}, half of them within {low:+.3f} to {high:+.3f}")
        print(f"its boxes lie {right:+.3f} right of and {below:+.3f} below the middle (shares of the side)")


def _adapt(options: argparse.Namespace) -> None:
    from training import pages  # noqa: PLC0415
    from training.face import practice  # noqa: PLC0415
    from training.practice import report  # noqa: PLC0415

    if options.write_reference:
        print(practice.write_reference(options.model, options.data, options.cache))
        return
    table = practice.run(
        options.model,
        options.data,
        options.split,
        options.cache,
        classes=options.classes,
        heads=not options.quick,
    )
    made = report.sections(table)
    print(json.dumps(table, indent=2) if options.json else pages.markdown(made))
    if options.page:
        command = f"python -m training face adapt --split {options.split} --classes {options.classes}"
        report.refresh(options.page, "face", command, table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training face", description="The expression model.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--data",
        type=Path,
        default=Path("../shared/data/face"),
        help=f"file or folder with {sources.FORMS} (default: %(default)s)",
    )
    add = partial(add_command, commands, common)

    explore = add(
        "explore", _explore, "say what is in the data, what is taken out of it, and how voters disagree"
    )
    explore.add_argument("--votes", type=Path, help="FER+'s fer2013new.csv, where it is not beside the faces")
    explore.add_argument("--out", type=Path, metavar="DIR", help="also write a page with pictures there")
    train = add("train", _train, "train, or go on training; Ctrl-C and the same command again go on")
    train.add_argument(
        "--config",
        type=Path,
        nargs="+",
        default=[recipes.DEFAULT],
        help="recipes, trained one after another (default: face.toml, which models/face-expression took)",
    )
    train.add_argument("--votes", type=Path, help="FER+'s fer2013new.csv, where it is not beside the faces")
    train.add_argument(
        "--run", type=Path, help="run folder of a single recipe (default: runs/ and the recipe's name)"
    )
    train.add_argument("--threads", type=int, default=2, help="of torch (default: %(default)s)")
    train.add_argument(
        "--device", default="auto", help="auto, cpu, cuda or cuda:N; torchrun spreads over several GPUs"
    )
    _add_average(commands)
    ensemble = add("ensemble", _ensemble, "say what networks know alone and together, before they teach")
    ensemble.add_argument(
        "teachers", nargs="+", type=Path, metavar="FOLDER", help="run folders or model folders"
    )
    ensemble.add_argument("--threads", type=int, default=2, help="of torch (default: %(default)s)")
    ensemble.add_argument("--device", default="auto", help="as for train")
    evaluate = add("evaluate", _evaluate, "judge a model folder's int8 files through the kit's own runtimes")
    evaluate.add_argument(
        "--model", type=Path, default=Path("models/face-expression"), help="default: %(default)s"
    )
    evaluate.add_argument("--split", choices=fer2013.USAGES, default="public", help="default: %(default)s")
    evaluate.add_argument("--json", action="store_true", help="print JSON instead of a table")
    evaluate.add_argument(
        "--quick", action="store_true", help="leave out how the faces are read under worse conditions"
    )
    evaluate.add_argument(
        "--report",
        type=Path,
        metavar="DIR",
        help="also write report.html and its pictures there (not for git)",
    )
    evaluate.add_argument(
        "--run",
        type=Path,
        metavar="DIR",
        action="append",
        default=[],
        help="run folder that made the model, for curves and cost; again for every other (teachers, rounds)",
    )
    evaluate.add_argument(
        "--write-metrics", action="store_true", help="store the figures in model.toml and MODEL_CARD.md"
    )
    _add_folds(add)
    adapt = add("adapt", _adapt, "try what a kit learns in the practice game, and what its guard refuses")
    adapt.add_argument(
        "--model", type=Path, default=Path("models/face-expression"), help="default: %(default)s"
    )
    adapt.add_argument(
        "--split", choices=("public", "private"), default="public", help="default: %(default)s"
    )
    adapt.add_argument("--classes", type=int, default=60, help="drawn for a row (default: %(default)s)")
    adapt.add_argument("--quick", action="store_true", help="leave out the comparison of heads")
    adapt.add_argument("--json", action="store_true", help="print JSON instead of tables")
    adapt.add_argument(
        "--page", type=Path, help="also put tables and picture into this page, between its marks"
    )
    adapt.add_argument(
        "--write-reference",
        action="store_true",
        help="only make the model's part of edge/practice/reference.toml",
    )
    adapt.add_argument(
        "--cache", type=Path, default=Path("runs/practice"), help="keeps answers (default: %(default)s)"
    )
    margin = add(
        "margin", _margin, "measure how much wider the data frames faces than a detector of the kit does"
    )
    margin.add_argument("--detector", choices=("retinaface", "blazeface", "yunet"), default="retinaface")
    margin.add_argument("--weights", type=Path, required=True, help="the detector's file")
    margin.add_argument("--faces", type=int, default=500, help="how many to look at (default: %(default)s)")
    return parser


def _add_average(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "make one network of several that began with each other's weights: the mean of them"
    average = commands.add_parser("average", help=text, description=text)
    average.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders, finished")
    average.add_argument("--run", type=Path, required=True, help="run folder to make")
    average.set_defaults(command=_average)


def _add_folds(add: Callable[..., argparse.ArgumentParser]) -> None:
    """The commands that train on a part of the training split and judge the rest."""
    study = add(
        "reproduce-study",
        _reproduce_study,
        "train on the early-childhood study's three classes and split, and print its figures beside ours",
    )
    study.add_argument(
        "--folds", type=int, metavar="N", help="cross-validate instead of one random 80/20 split"
    )
    cross = add("crossvalidate", _crossvalidate, "mean and deviation over folds of the training split")
    cross.add_argument("--folds", type=int, metavar="N", default=5, help="default: %(default)s")
    for one, config, run in (
        (study, recipes.DEFAULT.with_name("face_study.toml"), "runs/face-study"),
        (cross, recipes.DEFAULT, "runs/face-folds"),
    ):
        one.add_argument("--votes", type=Path, help="FER+'s fer2013new.csv, where it is not beside the faces")
        one.add_argument("--config", type=Path, default=config, help="recipe (default: %(default)s)")
        one.add_argument("--epochs", type=int, help="instead of the recipe's")
        one.add_argument(
            "--run",
            type=Path,
            default=Path(run),
            help="every fold's run folder is in here (default: %(default)s)",
        )
        one.add_argument("--threads", type=int, default=2, help="of torch (default: %(default)s)")
        one.add_argument("--device", default="auto", help="as for train")
        one.add_argument("--json", action="store_true", help="print JSON instead of tables")
        one.add_argument("--out", type=Path, metavar="DIR", help="also write a page with pictures there")
