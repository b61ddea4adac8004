"""``python -m training voice …``: the commands of the tone model."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from edge.types import VOICE_LABELS, SettingsError
from training import figures
from training.allocator import keep_memory
from training.commands import add as add_command
from training.voice import candidate, corpora, held_out, recipes
from training.voice.corpora import CACHE
from training.voice.prepare import commands as prepare_commands
from training.voice.teacher import commands as teacher_commands


def main(arguments: Sequence[str]) -> int:
    """Run one command; EdgeError passes to the caller, who tells it in one line."""
    if arguments[:1] == ["prepare"]:
        return prepare_commands.main(arguments[1:])
    options = _parser().parse_args(arguments)
    options.command(options)
    return 0


def _explore(options: argparse.Namespace) -> None:
    config = recipes.load(options.config)
    parts = corpora.split(corpora.read_manifest(options.data), config)
    for name, clips in (("train", parts.train), ("validation", parts.validation), ("test", parts.test)):
        print(f"\n{name:>18}{'speakers':>10}" + "".join(f"{label:>9}" for label in (*VOICE_LABELS, "none")))
        for corpus in sorted({clip.corpus for clip in clips}):
            mine = [clip for clip in clips if clip.corpus == corpus]
            counts = Counter(clip.label for clip in mine)
            numbers = [len({clip.speaker for clip in mine}), *(counts[one] for one in (*VOICE_LABELS, None))]
            print(f"{corpus:>18}{numbers[0]:>10}" + "".join(f"{number:>9}" for number in numbers[1:]))


def _train(options: argparse.Namespace) -> None:
    import torch  # noqa: PLC0415

    from training.face.net import count_parameters  # noqa: PLC0415
    from training.voice import train  # noqa: PLC0415

    torch.set_num_threads(options.threads)
    keep_memory()
    config = recipes.load(options.config)
    clips = corpora.read_manifest(options.data)
    parts = corpora.split(clips, config)
    corpus = corpora.load(clips, options.data, config, CACHE)
    learned, teaching = corpus.select(parts.train), None
    if options.teacher:
        from training.voice import distillation  # noqa: PLC0415

        teaching = distillation.ask(options.teacher, learned.clips, options.data, CACHE, options.run)
    net = train.train(config, learned, corpus.select(parts.validation), options.run, teaching=teaching)
    print(
        f"{options.run}: {count_parameters(net)} parameters; "
        f"`python -m convert package --task voice` makes it a model"
    )


def _evaluate(options: argparse.Namespace) -> None:
    from training import model_card, model_toml  # noqa: PLC0415
    from training.voice import evaluation  # noqa: PLC0415

    config = recipes.load(options.config)
    table, reading = evaluation.evaluate(
        options.model, options.data, config, options.split, cache=CACHE, quiet=options.json
    )
    if options.json:
        print(json.dumps(table, indent=2))
    else:
        print(evaluation.describe(table))
    if options.report:
        recall = f"average recall {100 * table['uar']:.1f} %"
        title = f"{table['corpus']}, {options.split} speakers: {recall}, shares of each row in %"
        figures.draw_confusion(reading.matrix, VOICE_LABELS, title, options.report / "confusion.png")
    if options.write_metrics:
        model_toml.write_metrics(options.model, table)
        model_card.refresh(options.model, evaluation.describe(table))


def _claims(options: argparse.Namespace) -> None:
    """Set negative_below of a model folder from its first int8 file; the rest stays as it is."""
    from convert import confidence, verify  # noqa: PLC0415  the converters take seconds to import
    from edge import manifest  # noqa: PLC0415
    from edge.words import NEGATIVE  # noqa: PLC0415
    from training import model_toml  # noqa: PLC0415

    model, config = manifest.load(options.model), recipes.load(options.config)
    if model.input != config.input:
        raise SettingsError(f"{options.model}: does not hear what {options.config} says")
    clips = corpora.read_manifest(options.data)
    unmoved = candidate.unmoved(corpora.load(clips, options.data, config, CACHE), config)
    if unmoved is None:
        raise SettingsError(f"{options.data}: holds no calm speech of the recipe's validation speakers")
    logits = verify.ask_file(model, next(iter(model.files)), unmoved).logits
    below = confidence.negative_threshold(
        confidence.probabilities(logits, model.temperature),
        np.isin(model.labels, NEGATIVE),
        share=config.negative_share,
    )
    model_toml.write(replace(model, negative_below=below, version=options.version or model.version))
    print(f"{options.model}: negative below {below:.2f}, by {len(unmoved)} stretches without emotion")


def _adapt(options: argparse.Namespace) -> None:
    from training import pages  # noqa: PLC0415
    from training.practice import report  # noqa: PLC0415
    from training.voice import practice  # noqa: PLC0415

    config = recipes.load(options.config)
    reading = practice.read(options.model, options.data, config, "validation", CACHE)
    known = practice.reference_of(reading)
    if options.split != "validation":
        reading = practice.read(options.model, options.data, config, options.split, CACHE)
    table = practice.run(options.model, reading, known, options.split, classes=options.classes)
    print(json.dumps(table, indent=2) if options.json else pages.markdown(report.sections(table)))
    if options.page:
        command = f"python -m training voice adapt --split {options.split} --classes {options.classes}"
        report.refresh(options.page, "voice", command, table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training voice", description="The tone model.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--data",
        type=Path,
        default=Path("../shared/data/voice"),
        help="folder of the speech corpora, with manifest.csv (default: %(default)s)",
    )
    common.add_argument("--config", type=Path, default=recipes.DEFAULT, help="recipe (default: %(default)s)")
    add = partial(add_command, commands, common)

    commands.add_parser("prepare", help="cut recordings, collect labels, split: see `prepare --help`")
    teacher_commands.add_commands(commands)
    held_out.add_commands(commands)
    add("explore", _explore, "say how many clips and speakers each part holds, by corpus and label")
    train = add("train", _train, "train, or go on training; Ctrl-C and the same command again go on")
    train.add_argument(
        "--run", type=Path, default=Path("runs/voice"), help="run folder (default: %(default)s)"
    )
    train.add_argument("--threads", type=int, default=2, help="of torch (default: %(default)s)")
    train.add_argument(
        "--teacher",
        type=Path,
        metavar="DIR",
        help="also learn from its answers: a run folder of `voice finetune`, or a model folder",
    )
    claims = add("claims", _claims, "set from which probability a shipped model claims a negative tone")
    claims.add_argument("--model", type=Path, default=Path("models/voice-tone"), help="default: %(default)s")
    claims.add_argument("--version", help="a new one for model.toml (default: as it is)")
    adapt = add("adapt", _adapt, "try what a kit learns in the practice game, and what its guard refuses")
    adapt.add_argument("--model", type=Path, default=Path("models/voice-tone"), help="default: %(default)s")
    adapt.add_argument(
        "--split",
        choices=("test", "validation"),
        default="validation",
        help="speakers (default: %(default)s)",
    )
    adapt.add_argument("--classes", type=int, default=20, help="draws per person (default: %(default)s)")
    adapt.add_argument("--json", action="store_true", help="print JSON instead of tables")
    adapt.add_argument("--page", type=Path, help="also put tables and picture into this page")
    evaluate = add("evaluate", _evaluate, "judge a model folder's int8 files through the kit's own runtimes")
    evaluate.add_argument(
        "--model", type=Path, default=Path("models/voice-tone"), help="default: %(default)s"
    )
    evaluate.add_argument(
        "--split", choices=("test", "validation"), default="test", help="speakers (default: %(default)s)"
    )
    evaluate.add_argument("--json", action="store_true", help="print JSON instead of a table")
    evaluate.add_argument("--report", type=Path, metavar="DIR", help="also draw the confusion matrix there")
    evaluate.add_argument(
        "--write-metrics", action="store_true", help="store the figures in model.toml and MODEL_CARD.md"
    )
    return parser
