"""Training on some speakers, and judging the int8 files on the others: folds, or a corpus that is kept out.

Every part has a run folder of its own: a run that was stopped goes on where it was, and a part that is
finished is not trained again. What a part is judged on is seen by nothing that chooses: no epoch is picked,
and temperature and thresholds come from speakers out of the training part.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edge import manifest, runtimes
from edge.manifest import LogMelInput, Manifest
from edge.tone import ToneReader
from edge.types import VOICE_LABELS, FloatArray, SettingsError, Utterance
from training.metrics import Probabilities
from training.voice import corpora, hearing, speech
from training.voice.candidate import candidate
from training.voice.corpora import EMOTIONAL, OUTLIERS, Clip
from training.voice.hearing import Heard
from training.voice.recipes import Config

if TYPE_CHECKING:
    from torch import nn

ANSWERS = "answers.npz"
MODEL = "model"
FILES = ("tflite", "onnx", "float")
"""Who answers: the two shipped files, and the network that they were made from."""


EDITED = ("indowave",)
"""Corpora whose digital silences tell their classes; read over noise FLOOR_DB under the speech."""
FLOOR_DB = -45.0
Ask = Callable[[FloatArray], FloatArray]
"""Pictures in, logits out: a file's runtime, or the network."""


@dataclass(frozen=True, slots=True)
class Part:
    """One training, and whom it is judged on."""

    name: str
    config: Config
    """Its data names this part's speakers."""
    judged: list[Clip]
    """Labelled, or of a corpus that has them and without one of ours; nobody in them was learned from."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What one part's network and files said, as the kit would have heard it."""

    name: str
    clips: list[Clip]
    probs: dict[str, Probabilities]
    """By FILES, N x labels, calibrated."""
    temperature: float
    uncertain_below: float
    negative_below: float
    sounds: list[Clip]
    """Of each utterance that passed the gate in sound without a label: where it was."""
    sound_probs: Probabilities
    """The first shipped file's."""
    sound_s: float
    """How much of such sound there was."""
    epochs: int = 0
    """That the network was trained for: fewer than the recipe's where it was judged before its end."""


def divide(clips: Sequence[Clip], config: Config, folds: int, unnamed: Sequence[Clip] = ()) -> list[Part]:
    """Folds of the speakers of every corpus that has enough of them; each speaker is judged in one.

    The last fold is the recipe's own split, so that the network that ships is one of them. The recipe's test
    speakers aside, neighbours in the order of their names make up the other folds: RAVDESS' men and women are
    even in each. A fold's validation speakers come from the one after, as many of each corpus as the recipe
    names; only temperature and thresholds hang on them. A corpus of fewer speakers than folds only trains.

    Args:
        clips: of the data, with a label and outliers.
        config: the recipe.
        folds: how many.
        unnamed: clips of the same speakers without a label; they are judged only.

    Raises:
        SettingsError: the recipe tests nobody, or there are fewer than 2 folds or too many.
    """
    own = config.data
    if not own.test:
        raise SettingsError("the recipe's data.test names nobody, who would be the last fold")
    left = {
        corpus: sorted({clip.speaker for clip in clips if clip.corpus == corpus} - {*own.test})
        for corpus in own.corpora
    }
    most = max(map(len, left.values())) + 1
    if not 2 <= folds <= most:
        raise SettingsError(f"--folds {folds}: 2 to {most}, as many as there are speakers for")
    made = []
    for fold in range(folds - 1):
        test: list[str] = []
        validation: list[str] = []
        for names in left.values():
            if len(names) < folds:
                continue
            groups = np.array_split(np.array(names), folds - 1)
            after = groups[(fold + 1) % len(groups)] if folds > 2 else np.array(own.test)
            wanted = sum(name in own.validation for name in names)
            test += groups[fold].tolist()
            validation += [name for name in after.tolist() if name not in test][:wanted]
        made.append(replace(config, data=replace(own, test=test, validation=validation)))
    return [
        Part(f"fold{number}of{folds}", one, [c for c in (*clips, *unnamed) if c.speaker in one.data.test])
        for number, one in enumerate([*made, config], 1)
    ]


def leave_out(
    clips: Sequence[Clip], config: Config, corpora: Iterable[str], unnamed: Sequence[Clip] = ()
) -> list[Part]:
    """For each of *corpora* a training on all the others, judged on the whole of it.

    Raises:
        SettingsError: the recipe has no such corpus, or no other.
    """
    made = []
    for corpus in corpora:
        if corpus not in config.data.corpora or len(config.data.corpora) < 2:
            raise SettingsError(f"{corpus}: none of the recipe's corpora, {', '.join(config.data.corpora)}")
        shares = {name: share for name, share in config.data.corpora.items() if name != corpus}
        # The others' test speakers have nothing to judge here: they train.
        mine = {clip.speaker for clip in clips if clip.corpus == corpus}
        validation = [name for name in config.data.validation if name not in mine]
        data = replace(config.data, corpora=shares, test=[], validation=validation)
        judged = [clip for clip in (*clips, *unnamed) if clip.corpus == corpus]
        made.append(Part(f"without-{corpus}", replace(config, data=data), judged))
    return made


def judge_all(
    parts: Sequence[Part],
    clips: Sequence[Clip],
    data: Path,
    cache: Path,
    run: Path,
    *,
    train: bool = True,
    quiet: bool = False,
) -> list[Answers]:
    """All parts, one after the other; see judge."""
    found = []
    for number, part in enumerate(parts, 1):
        if not quiet:
            print(f"{run / part.name}: {number} of {len(parts)}", file=sys.stderr)
        found.append(judge(part, clips, data, cache, run / part.name, train=train, quiet=quiet))
    return found


def judge(
    part: Part,
    clips: Sequence[Clip],
    data: Path,
    cache: Path,
    folder: Path,
    *,
    train: bool = True,
    quiet: bool = False,
) -> Answers:
    """Train a part, or go on training it; make its int8 files; let them answer through gate and runtimes.

    Args:
        part: whom to learn from and whom to judge on.
        clips: all labelled clips and outliers of the data.
        data: folder of the corpora.
        cache: folder for what parts share.
        folder: of this part.
        train: else what the folder holds is judged as it is, finished or not.
        quiet: no progress bars.

    Raises:
        SettingsError: the folder was begun with another recipe.
        ModelError: the speech gate is not set up.
    """
    from convert.package import package  # noqa: PLC0415  the converters take seconds to import
    from training.voice.train import epochs_done, load_net, predict  # noqa: PLC0415
    from training.voice.train import train as learn  # noqa: PLC0415

    path, digest = folder / ANSWERS, _digest(part)
    if path.exists():
        return _load(path, digest, part, clips)
    splits = corpora.split(clips, part.config)
    if train:
        corpus = corpora.load(clips, data, part.config, cache, quiet=quiet)
        learned, watched = corpus.select(splits.train), corpus.select(splits.validation)
        learn(part.config, learned, watched, folder, quiet=quiet)
    net, begun = load_net(folder)
    if begun != part.config:
        raise SettingsError(f"{folder}: was begun with another recipe; name another --run folder")
    package(candidate(folder, data, cache=cache), folder / MODEL, version="0.0.0", to_ship=False, quiet=quiet)
    model = manifest.load(folder / MODEL)
    outliers = [clip for clip in splits.test if clip.corpus in OUTLIERS and clip.kind not in EMOTIONAL]
    heard = hearing.hear_all(part.judged, data, cache, quiet=quiet)
    heard |= hearing.hear_all(outliers, data, cache, quiet=quiet)
    files: dict[str, Ask] = {name: runtimes.load(model, name) for name in FILES[:2]}
    files[FILES[2]] = lambda batch: predict(net, batch)
    answers = ask(part, model, files, heard, outliers)
    answers = replace(answers, epochs=epochs_done(folder))
    _save(path, digest, answers)
    return answers


def ask(
    part: Part,
    model: Manifest,
    files: Mapping[str, Ask],
    heard: dict[Clip, Heard],
    outliers: Sequence[Clip],
) -> Answers:
    """Let a model's files read what was heard."""
    readers = {name: ToneReader(model, run) for name, run in files.items()}  # type: ignore[arg-type]
    probs = {
        name: np.array([read_clip(reader, heard[clip]) for clip in part.judged])
        for name, reader in readers.items()
    }
    first = readers[FILES[0]]
    passed = [(clip, first(utterance).probs) for clip in outliers for utterance in heard[clip].utterances]
    return Answers(
        name=part.name,
        clips=part.judged,
        probs=probs,
        temperature=model.temperature,
        uncertain_below=model.uncertain_below,
        negative_below=model.negative_below,
        sounds=[clip for clip, _ in passed],
        sound_probs=np.array([one for _, one in passed]).reshape(len(passed), len(model.labels)),
        sound_s=sum(heard[clip].duration_s for clip in outliers),
    )


def read_all(net: nn.Module, spec: LogMelInput, heard: Iterable[Heard]) -> Probabilities:
    """What a network says of clips in full precision, uncalibrated, N x labels."""
    from training.voice.train import predict  # noqa: PLC0415  torch takes seconds to import

    model = Manifest("voice-tone", "0.0.0", "tone", VOICE_LABELS, 1.0, 0.0, spec, {}, {}, Path())
    reader = ToneReader(model, lambda batch: predict(net, batch))  # type: ignore[arg-type]
    return np.array([read_clip(reader, one) for one in heard])


def read_clip(reader: ToneReader, heard: Heard) -> npt.NDArray[np.float64]:
    """One clip's probabilities: its utterances by their lengths, or all of it where the gate heard none.

    A corpus whose editing gives its classes away is read over noise, as a kit in a room would hear it.
    """
    parts = heard.utterances or [Utterance(0.0, heard.duration_s, heard.samples)]
    if heard.clip.corpus in EDITED:
        random = speech.chance(heard.clip)
        parts = [
            replace(part, samples=speech.floored(speech.levelled(part.samples), FLOOR_DB, random))
            for part in parts
        ]
    rows = [reader(part).probs for part in parts]
    return np.asarray(np.average(rows, axis=0, weights=[part.duration_s for part in parts]))


def _digest(part: Part) -> str:
    what = [asdict(part.config), [clip.path for clip in part.judged], list(VOICE_LABELS)]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def _save(path: Path, digest: str, answers: Answers) -> None:
    draft = path.with_name(f"new-{path.name}")
    np.savez_compressed(
        draft,
        digest=digest,
        numbers=[
            answers.temperature,
            answers.uncertain_below,
            answers.negative_below,
            answers.sound_s,
            answers.epochs,
        ],
        sounds=[clip.path for clip in answers.sounds],
        sound_probs=answers.sound_probs,
        tflite=answers.probs["tflite"],
        onnx=answers.probs["onnx"],
        float=answers.probs["float"],
    )
    draft.replace(path)


def _load(path: Path, digest: str, part: Part, clips: Sequence[Clip]) -> Answers:
    with np.load(path) as kept:
        if str(kept["digest"]) != digest:
            raise SettingsError(f"{path.parent}: was begun with another recipe; name another --run folder")
        temperature, uncertain_below, negative_below, sound_s, epochs = kept["numbers"].tolist()
        known = {clip.path: clip for clip in clips}
        return Answers(
            name=part.name,
            clips=part.judged,
            probs={name: kept[name] for name in FILES},
            temperature=temperature,
            uncertain_below=uncertain_below,
            negative_below=negative_below,
            sounds=[known[str(one)] for one in kept["sounds"]],
            sound_probs=kept["sound_probs"],
            sound_s=sound_s,
            epochs=int(epochs),
        )
