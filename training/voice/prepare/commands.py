"""``python -m training voice prepare …``: from recordings to a folder that can be trained on."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edge.models import weights
from edge.runtimes import silero
from edge.types import SettingsError, SourceError
from edge.vad import SpeechGate
from training.voice.prepare import ballots, collection, cutting, sheets, splits, tables
from training.voice.prepare.cutting import KIT, LANGUAGE, Wish

LISTED = 20
"""Undecided clips told on the terminal; the file holds all."""


def main(arguments: Sequence[str]) -> int:
    """Run one step; EdgeError passes to the caller, who tells it in one line."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.command(options)
    except KeyboardInterrupt:
        print(
            "training: stopped; what is whole is kept, the same command goes on from there", file=sys.stderr
        )
        return 130
    return code


def open_gate() -> SpeechGate:
    """The kit's own; ModelError where its weights are not set up."""
    return silero.open(weights.find("silero-vad"))


def _fail(line: str) -> None:
    print(f"training: {line}", file=sys.stderr)


def _cut(options: argparse.Namespace) -> int:
    wish = _wishes(options)
    asked = {name: getattr(options, name) for name in ("corpus", "min_s", "max_s", "pause_s", "margin_s")}
    with collection.alone(options.out):
        rules = cutting.rules_of(
            options.out, {key: value for key, value in asked.items() if value is not None}
        )
        failures = cutting.cut_all(
            options.recording, options.out, open_gate(), rules, wish, torn=options.keep_torn, failed=_fail
        )
        rows = collection.read(options.out)
    nameless = sum(not collection.speakers(row) for row in rows)
    print(
        f"{options.out}: {len(rows)} clips" + (f", {nameless} of them without a speaker" if nameless else "")
    )
    if failures:
        _fail(f"{failures} of {len(options.recording)} recordings could not be cut")
    return 2 if failures else 0


def _wishes(options: argparse.Namespace) -> Callable[[Path], Wish]:
    """What is known about each recording."""
    if options.speakers is None:
        return lambda _: Wish(options.speaker, options.language, options.licence)
    names: dict[str, list[str]] = {}
    for _, row in tables.read(options.speakers, ("recording", "speaker"))[1]:
        names.setdefault(row["recording"], []).append(row["speaker"])

    def wish(path: Path) -> Wish:
        found = [name for key in (str(path), path.name, path.stem) for name in names.get(key, [])]
        speakers = collection.SEVERAL.join(dict.fromkeys(filter(None, found)))
        if not speakers:
            raise SourceError(f"{path}: {options.speakers} names no speaker for it")
        return Wish(speakers, options.language, options.licence)

    return wish


def _sheet(options: argparse.Namespace) -> int:
    rows, votes = collection.read_cut(options.folder), ballots.read(options.folder)
    if options.undecided:
        undecided = set(ballots.undecided(votes))
        rows = [row for row in rows if collection.clip_name(row) in undecided]
    made = sheets.export(
        options.folder,
        rows,
        [name.strip() for name in options.annotators.split(",")],
        options.out,
        voted=votes.keys(),
        seed=options.shuffle_seed,
        separator=options.separator,
        copies=options.copy,
    )
    for path, count in made.items():
        print(f"{path}: {count} clips to label")
    return 0


def _labels(options: argparse.Namespace) -> int:
    with collection.alone(options.folder):
        rows = collection.read_cut(options.folder)
        new, wrong = sheets.collect(options.sheet, {collection.clip_name(row) for row in rows})
        for line in wrong:
            _fail(line)
        if wrong:
            _fail(f"{len(wrong)} rows are not right; nothing was taken over")
            return 2
        votes = ballots.read(options.folder)
        added, changed = ballots.add(votes, new)
        if not votes:
            raise SettingsError(f"{options.sheet[0]}: holds no labels yet")
        ballots.write(options.folder, votes)
        ballots.apply(rows, votes)
        collection.write(options.folder, rows)
    print(f"{added} new votes, {changed} changed\n\n{ballots.describe(votes)}")
    by_clip, undecided = ballots.by_clip(votes), ballots.undecided(votes)
    decided = len(by_clip) - len(undecided)
    print(
        f"\n{decided} clips carry a label by majority, {len(undecided)} have none{':' if undecided else ''}"
    )
    for clip in undecided[:LISTED]:
        print(f"  {clip}  " + ", ".join(f"{name} {label}" for name, label in by_clip[clip].items()))
    if len(undecided) > LISTED:
        print(f"  and {len(undecided) - LISTED} more; `sheet --undecided` asks another annotator")
    return 0


def _split(options: argparse.Namespace) -> int:
    with collection.alone(options.folder):
        rows = collection.read_cut(options.folder)
        nameless = sorted({row["src_path"] for row in rows if not collection.speakers(row)})
        if nameless and not options.recordings_are_speakers:
            raise SettingsError(
                f"{options.folder}: {len(nameless)} recordings have no speaker ({nameless[0]}); `cut` them "
                "again with --speakers, or say --recordings-are-speakers where nobody speaks in two of them"
            )
        try:
            splits.assign(
                rows, test=options.test, validation=options.validation, seed=options.seed, keep=options.keep
            )
        except SettingsError as error:
            raise SettingsError(f"{options.folder}: {error}") from error
        collection.write(options.folder, rows)
    print(splits.describe(rows))
    return 0


def _check(options: argparse.Namespace) -> int:
    rows = collection.read_cut(options.folder)
    wrong = splits.crossings(rows)
    wrong += [f"{row['path']}: is missing" for row in rows if not (options.folder / row["path"]).is_file()]
    for line in wrong:
        _fail(f"{options.folder}: {line}")
    if wrong:
        return 2
    print(splits.describe(rows))
    people = {name for row in rows for name in collection.speakers(row)}
    print(
        f"{len(rows)} clips are there; none of {len(people)} speakers and "
        f"{len({row['recording'] for row in rows})} recordings is in two splits"
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training voice prepare",
        description="From recordings to a folder that can be trained on; see docs/prepare-voice.md.",
    )
    commands = parser.add_subparsers(required=True, metavar="STEP")

    def add(name: str, command: Any, text: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text)
        one.set_defaults(command=command)
        if name != "cut":
            one.add_argument("folder", type=Path, metavar="DIR", help="what cut has written")
        return one

    _add_cut(add("cut", _cut, "cut recordings into utterances; what was cut before is not cut again"))
    sheet = add("sheet", _sheet, "write an empty label sheet for each annotator")
    sheet.add_argument("--annotators", required=True, metavar="A,B", help="short names, with commas between")
    sheet.add_argument("--out", type=Path, required=True, metavar="SHEETDIR", help="folder for the sheets")
    sheet.add_argument("--shuffle-seed", type=int, default=0, help="of the orders (default: %(default)s)")
    sheet.add_argument(
        "--separator",
        choices=(";", ","),
        default=";",
        help="of cells; Indonesian spreadsheets want ; (default: %(default)s)",
    )
    sheet.add_argument(
        "--copy", action="store_true", help="copy the clips there too, to hand over the folder"
    )
    sheet.add_argument("--undecided", action="store_true", help="only clips whose votes make no majority")
    labels = add("labels", _labels, "take filled sheets over, merge them by majority, tell the agreement")
    labels.add_argument("sheet", type=Path, nargs="+", metavar="SHEET", help="CSV, any separator")
    split = add("split", _split, "divide into train, validation and test; no speaker or recording in two")
    split.add_argument("--test", type=float, default=0.2, help="share of the clips (default: %(default)s)")
    split.add_argument("--validation", type=float, default=0.1, help="the same (default: %(default)s)")
    split.add_argument("--seed", type=int, default=0, help="of the search (default: %(default)s)")
    split.add_argument("--keep", action="store_true", help="move nothing that was placed before")
    split.add_argument(
        "--recordings-are-speakers",
        action="store_true",
        help="a recording without a speaker counts as a speaker of its own",
    )
    add("check", _check, "prove that every clip is there and no speaker or recording is in two splits")
    return parser


def _add_cut(cut: argparse.ArgumentParser) -> None:
    cut.add_argument("recording", type=Path, nargs="+", metavar="RECORDING", help="wav, flac, ogg or mp3")
    cut.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets clips/ and manifest.csv")
    who = cut.add_mutually_exclusive_group()
    who.add_argument("--speaker", metavar="NAME", help="who speaks in these recordings; several as ani+budi")
    who.add_argument(
        "--speakers", type=Path, metavar="MAP", help="CSV with the columns recording (file name) and speaker"
    )
    cut.add_argument("--language", help=f"of the speech (default: {LANGUAGE})")
    cut.add_argument("--licence", help="under which the recordings may be used")
    cut.add_argument("--corpus", help="what recipes call this folder (default: its name)")
    cut.add_argument("--min-s", type=float, help=f"shortest speech to keep (default: {KIT.shortest_s:g})")
    cut.add_argument("--max-s", type=float, help=f"where longer speech is cut (default: {KIT.longest_s:g})")
    cut.add_argument("--pause-s", type=float, help=f"silence that ends a clip (default: {KIT.pause_s:g})")
    cut.add_argument("--margin-s", type=float, help=f"kept before and after (default: {KIT.margin_s:g})")
    cut.add_argument("--keep-torn", action="store_true", help="take what there is of a torn recording")
