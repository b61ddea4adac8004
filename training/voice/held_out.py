"""The commands that judge the student on people, and on languages, that it never heard."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.types import SettingsError
from training import pages
from training.allocator import keep_memory
from training.pages import Section
from training.voice import corpora, orders, recipes
from training.voice.corpora import CACHE, Clip
from training.voice.recipes import Config

if TYPE_CHECKING:
    from training.voice.crossvalidation import Answers, Part

TITLES = {
    "folds": "The tone student on folds of speakers",
    "corpora": "The tone student on languages that it never heard",
    "order": "The order of languages",
}


def add_commands(commands: Any) -> None:
    """Add folds, corpora and order to the parser's *commands*."""
    text = "train and judge the int8 student on folds that share no speaker, or go on where it was stopped"
    folds = commands.add_parser("folds", help=text, description=text)
    folds.add_argument("--folds", type=int, default=4, metavar="N", help="default: %(default)s")
    folds.add_argument(
        "--card", type=Path, metavar="MODEL", help="also write the headline into MODEL/MODEL_CARD.md"
    )
    folds.set_defaults(command=_folds)

    text = "train on all corpora but one and judge the int8 student on that one, for each of some"
    corpora = commands.add_parser("corpora", help=text, description=text)
    corpora.add_argument(
        "--only", default="", metavar="NAME,NAME", help="corpora to leave out in turn (default: all)"
    )
    corpora.set_defaults(command=_corpora)

    text = "train English first and then Indonesian, beside all languages at once"
    order = commands.add_parser("order", help=text, description=text)
    order.add_argument("--orders", type=Path, default=orders.DEFAULT, help="stages (default: %(default)s)")
    order.set_defaults(command=_order)

    for name, one in (("folds", folds), ("corpora", corpora), ("order", order)):
        one.add_argument(
            "--data",
            type=Path,
            default=Path("../shared/data/voice"),
            help="folder of the speech corpora, with manifest.csv (default: %(default)s)",
        )
        one.add_argument("--config", type=Path, default=recipes.DEFAULT, help="recipe (default: %(default)s)")
        if name != "order":
            one.add_argument(
                "--as-they-are",
                dest="train",
                action="store_false",
                help="train nothing: judge the run folders that there are, finished or not",
            )
            one.add_argument(
                "--epochs", type=_numbers, metavar="N,N", help="instead of the recipe's: for all, or one each"
            )
        one.add_argument(
            "--run",
            type=Path,
            default=Path(f"runs/voice-{name}"),
            help="every training's run folder is in here (default: %(default)s)",
        )
        one.add_argument("--threads", type=int, default=2, help="of torch (default: %(default)s)")
        one.add_argument("--json", action="store_true", help="print JSON instead of tables")
        one.add_argument("--out", type=Path, metavar="DIR", help="also write a page with pictures there")
        one.add_argument("--report", type=Path, metavar="FILE", help="also write the tables there")


def _numbers(text: str) -> list[int]:
    found = [int(part) for part in text.split(",")]
    if not found or min(found) < 1:
        raise ValueError(text)
    return found


def _paced(parts: list[Part], epochs: list[int] | None) -> list[Part]:
    """The parts, with as many epochs as were asked for.

    Raises:
        SettingsError: it was asked for neither one number nor as many as there are parts.
    """
    if epochs is None:
        return parts
    if len(epochs) not in {1, len(parts)}:
        raise SettingsError(f"--epochs: one number, or {len(parts)}, one for each training")
    each = epochs * len(parts) if len(epochs) == 1 else epochs
    return [
        replace(part, config=replace(part.config, epochs=count))
        for part, count in zip(parts, each, strict=True)
    ]


def _there(parts: list[Part], options: argparse.Namespace) -> list[Part]:
    """Those with a run folder, where nothing is to be trained.

    Raises:
        SettingsError: there is none.
    """
    there = [part for part in parts if options.train or (options.run / part.name / "last.pt").exists()]
    if not there:
        raise SettingsError(f"{options.run}: holds no run of {parts[0].name} to {parts[-1].name}")
    return there


def _answers(parts: list[Part], clips: list[Clip], options: argparse.Namespace) -> list[Answers]:
    """What the parts' int8 files say, each trained first where that is asked for."""
    from training.voice import crossvalidation  # noqa: PLC0415

    return crossvalidation.judge_all(
        _there(parts, options),
        clips,
        options.data,
        CACHE,
        options.run,
        train=options.train,
        quiet=options.json,
    )


def _folds(options: argparse.Namespace) -> None:
    from training import model_card  # noqa: PLC0415
    from training.voice import crossvalidation, fold_figures, fold_report  # noqa: PLC0415

    config, clips, unnamed = _open(options)
    parts = _paced(crossvalidation.divide(clips, config, options.folds, unnamed), options.epochs)
    answers = _answers(parts, clips, options)
    found = _about(options, config, answers, "folds", f" --folds {options.folds}")
    found |= {"of": options.folds} | fold_figures.folds(answers)
    made = fold_report.fold_sections(found)
    _tell(options, "folds", found, made, fold_figures.reliability(answers))
    if options.card:
        text = f"`{found['command']}`\n\n{pages.markdown(fold_report.summary(found), level=3)}"
        model_card.refresh(options.card, text, "folds")


def _corpora(options: argparse.Namespace) -> None:
    from training.voice import crossvalidation, fold_figures, fold_report  # noqa: PLC0415

    config, clips, unnamed = _open(options)
    names = [name for name in options.only.split(",") if name] or list(config.data.corpora)
    parts = _paced(crossvalidation.leave_out(clips, config, names, unnamed), options.epochs)
    answers = _answers(parts, clips, options)
    only = f" --only {','.join(names)}" if options.only else ""
    found = _about(options, config, answers, "corpora", only) | fold_figures.corpora(answers)
    _tell(options, "corpora", found, fold_report.corpus_sections(found))


def _order(options: argparse.Namespace) -> None:
    config, clips, _ = _open(options)
    asked = orders.load(options.orders)
    place = orders.Place(options.data, CACHE, options.run)
    compared = orders.compare(asked, config, clips, place, quiet=options.json)
    found = {"command": f"python -m training voice order{_recipe(options)}", "about": []} | compared
    _tell(options, "order", found, orders.sections(found))


def _open(options: argparse.Namespace) -> tuple[Config, list[Clip], list[Clip]]:
    """The recipe, the clips and those without a label; torch is told how many threads to use.

    What a manifest says about splits is not asked: here everybody is judged once.
    """
    import torch  # noqa: PLC0415  takes seconds to import

    config = recipes.load(options.config)
    torch.set_num_threads(options.threads)
    keep_memory()
    clips, unnamed = corpora.read_manifest(options.data), corpora.read_unnamed(options.data)
    return config, [replace(clip, split="") for clip in clips], [replace(one, split="") for one in unnamed]


def _recipe(options: argparse.Namespace) -> str:
    return f" --config {options.config}" if options.config != recipes.DEFAULT else ""


def _about(
    options: argparse.Namespace, config: Config, answers: Sequence[Answers], name: str, given: str
) -> dict[str, Any]:
    epochs = "" if options.epochs is None else f" --epochs {','.join(map(str, options.epochs))}"
    recipe = _recipe(options)
    recipe += "" if options.train else " --as-they-are"
    each = ", ".join(f"{one.name} {one.epochs}" for one in answers)
    return {
        "command": f"python -m training voice {name}{given}{epochs}{recipe}",
        "about": [f"Epochs of {config.examples:,} examples: {each}; the recipe's are {config.epochs}."],
    }


def _tell(
    options: argparse.Namespace,
    name: str,
    found: dict[str, Any],
    made: Sequence[Section],
    answers: Any = None,
) -> None:
    from training.voice import fold_report  # noqa: PLC0415

    print(json.dumps(found, indent=2) if options.json else pages.markdown(made))
    if options.report:
        fold_report.save(options.report, TITLES[name], found, made)
    if options.out:
        page = fold_report.write(options.out, name, TITLES[name], found, made, answers=answers)
        print(page, file=sys.stderr)
