"""The commands around the teacher: fine-tuning Wav2Vec 2.0 in stages, and what it is compared with."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from edge.types import SettingsError
from training import pages
from training.voice import corpora, speech
from training.voice.teacher import curriculum

CACHE = Path("runs/cache")
UNTRAINED = ("tiny", "small")


def add_commands(commands: Any) -> None:
    """Add finetune, untrained-wav2vec2 and baselines to the parser's *commands*."""
    text = "fine-tune Wav2Vec 2.0 in stages, or go on; Ctrl-C and the same command again go on"
    finetune = commands.add_parser("finetune", help=text, description=text)
    finetune.add_argument(
        "--pretrained",
        required=True,
        metavar="PATH_OR_HUB_ID",
        help="what transformers' from_pretrained reads",
    )
    finetune.add_argument(
        "--stages",
        type=_paths,
        default=curriculum.STAGES,
        metavar="TOML,TOML",
        help="recipes, in order (default: training/voice-english.toml,training/voice-indonesian.toml)",
    )
    finetune.add_argument(
        "--run", type=Path, default=Path("runs/voice-teacher"), help="run folder (default: %(default)s)"
    )
    finetune.add_argument("--threads", type=int, default=2, help="of torch (default: %(default)s)")
    finetune.add_argument(
        "--device", default="auto", help="auto, cpu, cuda or cuda:N; torchrun spreads over several GPUs"
    )
    finetune.add_argument("--json", action="store_true", help="print JSON instead of tables")
    finetune.set_defaults(command=_finetune)

    text = "write a Wav2Vec 2.0 that has learned nothing, to try the path of a pre-trained one without a hub"
    untrained = commands.add_parser("untrained-wav2vec2", help=text, description=text)
    untrained.add_argument("--out", type=Path, required=True, metavar="DIR", help="new, or empty")
    untrained.add_argument("--size", choices=UNTRAINED, default="tiny", help="default: %(default)s")
    untrained.add_argument("--seed", type=int, default=0, help="of the weights (default: %(default)s)")
    untrained.set_defaults(command=_untrained)

    text = "cross-validate what the study's related work used: MFCC and prosody, and five learners"
    baselines = commands.add_parser("baselines", help=text, description=text)
    baselines.add_argument(
        "--folds", type=int, default=6, metavar="N", help="parts of the actors (default: %(default)s)"
    )
    baselines.add_argument("--out", type=Path, metavar="DIR", help="also write tables and a picture there")
    baselines.add_argument("--json", action="store_true", help="print JSON instead of tables")
    baselines.add_argument("--threads", type=int, default=2, help="of all learners (default: %(default)s)")
    baselines.add_argument(
        "--model",
        type=Path,
        default=Path("models/voice-tone"),
        help="whose figures, from its model.toml, stand beside them (default: %(default)s)",
    )
    baselines.set_defaults(command=_baselines)

    for one in (finetune, baselines):
        one.add_argument(
            "--data",
            type=Path,
            default=Path("../shared/data/voice"),
            help="folder of the speech corpora, with manifest.csv (default: %(default)s)",
        )


def _paths(text: str) -> list[Path]:
    return [Path(part) for part in text.split(",") if part]


def _finetune(options: argparse.Namespace) -> None:
    stages = curriculum.load_all(options.stages)
    if not stages:
        raise SettingsError("--stages: names no recipe")
    parts = curriculum.split(stages, corpora.read_manifest(options.data))
    import torch  # noqa: PLC0415  takes seconds
    from torch import distributed  # noqa: PLC0415

    from training import devices  # noqa: PLC0415
    from training.face.net import count_parameters  # noqa: PLC0415
    from training.voice.teacher import finetune, report, wav2vec2  # noqa: PLC0415

    torch.set_num_threads(options.threads)
    start = wav2vec2.load(options.pretrained, stages[0].labels, seed=stages[0].seed)
    clips = list(dict.fromkeys(clip for part in parts for clip in part.all))
    with devices.choose(options.device) as place:
        if place.rank:
            distributed.barrier()  # the first process fills the cache
        sounds = speech.load(clips, options.data, CACHE, quiet=options.json)
        if place.world > 1 and not place.rank:
            distributed.barrier()
        answers = finetune.run_all(stages, parts, sounds, start, options.run, place=place, quiet=options.json)
    if not answers:  # not the first process
        return
    net = wav2vec2.load(str(options.run / finetune.MODEL), stages[0].labels).net
    about = {
        "command": f"python -m training voice finetune --stages {','.join(map(str, options.stages))}",
        "pretrained": options.pretrained,
        "device": str(place),
        "parameters": count_parameters(net),
        "learned_from": {
            stage.name: {"clips": len(part.train), "speakers": len({clip.speaker for clip in part.train})}
            for stage, part in zip(stages, parts, strict=True)
        },
    }
    found = report.table(stages, answers, about)
    path = report.write(options.run, found)
    print(json.dumps(found, indent=2) if options.json else pages.markdown(report.sections(found)))
    print(f"{options.run / finetune.MODEL}: for from_pretrained; report: {path}", file=sys.stderr)


def _untrained(options: argparse.Namespace) -> None:
    from training.voice.teacher import wav2vec2  # noqa: PLC0415

    count = wav2vec2.write_untrained(options.out, options.size, seed=options.seed)
    print(f"{options.out}: {count:,} parameters that have learned nothing")


def _baselines(options: argparse.Namespace) -> None:
    from training.voice.teacher import baselines  # noqa: PLC0415

    found = baselines.compare(
        options.data, CACHE, options.folds, options.model, threads=options.threads, quiet=options.json
    )
    print(json.dumps(found, indent=2) if options.json else pages.markdown(baselines.sections(found)))
    if options.out:
        print(baselines.write(options.out, found), file=sys.stderr)
