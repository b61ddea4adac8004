"""``training voice adapt``: people the tone model never heard play the practice game, one voice at a time.

Here a room is a person: the corpora tell who speaks, so rounds and what is judged are of the same voice. A
kit does not tell voices apart; this is what it is worth where one person plays and is then listened to, as a
teacher is. A row of all persons of a corpus together shows what is left where many play and many speak.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from edge import manifest, runtimes
from edge.practice import adapt
from edge.practice.adapt import Reference
from edge.types import SettingsError
from training import metrics
from training.metrics import IntArray
from training.practice import classes as playing
from training.practice import report
from training.practice.classes import Answers, Class
from training.voice import corpora, evaluation, hearing
from training.voice.evaluation import MAIN, Reading
from training.voice.recipes import Config

CLIPS_A_LABEL = 32
"""In the reference."""
ROUNDS = (1, 2, 3)
"""Of each label: RAVDESS has four neutral clips of a person, and some have to be left to judge."""
SPARED = 2
"""Clips of every label at least that are not played."""


def read(model: Path, data: Path, config: Config, split: str, cache: Path) -> Reading:
    """The shipped file's answers to all labelled clips of the *split*'s speakers, calm ones left out.

    Raises:
        ModelError: no intact tone model, or the speech gate is not set up.
        SettingsError: no data.
    """
    loaded = manifest.load(model)
    parts = corpora.split(corpora.read_manifest(data), config)
    wanted = {"test": parts.test, "validation": parts.validation}[split]
    clips = [clip for clip in wanted if clip.label is not None and clip.kind != "calm"]
    if not clips:
        raise SettingsError(f"{data}: holds none of the {split} speakers")
    heard = hearing.hear_all(clips, data, cache)
    return evaluation.read(loaded, heard.values(), runtimes.resolve(loaded), quiet=False)


def run(model: Path, reading: Reading, known: Reference, split: str, *, classes: int) -> dict[str, Any]:
    """Everything that the page tells.

    Args:
        model: folder of the tone model.
        reading: of ``read``.
        known: what the guard compares with.
        split: the speakers' name.
        classes: draws of rounds per person and row.
    """
    loaded = manifest.load(model)
    people = sorted({(clip.corpus, clip.speaker) for clip in reading.clips})
    names = [(clip.corpus, clip.speaker) for clip in reading.clips]
    groups: dict[str, list[Answers]] = {}
    for corpus in sorted({corpus for corpus, _ in people}):
        own = [one for one in people if one[0] == corpus]
        groups[corpus] = [_answers(reading, [name == one for name in names]) for one in own]
        if corpus == MAIN:
            groups[f"{MAIN}, all together"] = [_answers(reading, [name[0] == corpus for name in names])]
    table: dict[str, Any] = {
        "split": split,
        "model": loaded.id,
        "people": len(people),
        "what": "corpus",
        "picture": "practice-learning-voice.png",
        "caption": "Change of the recall by corpus, with everything believed and with the guard",
        "names": {key: f"{key} ({_count(key, voices)})" for key, voices in groups.items()},
        "text": _text(loaded.id, split, classes),
        "rooms": {},
    }
    for key, voices in tqdm(groups.items(), "playing", unit="corpus", disable=None):
        rounds = {}
        for each in (*ROUNDS, None):
            found = [_judge(voice, known, each, classes) for voice in voices]
            rounds[str(each or report.AS_A_KIT)] = _together([one for one in found if one])
        table["rooms"][key] = {"rounds": {count: one for count, one in rounds.items() if one}}
    table["rooms"] = {key: one for key, one in table["rooms"].items() if report.AS_A_KIT in one["rounds"]}
    return table


def reference_of(reading: Reading) -> Reference:
    """For the guard: the main corpus of a reading of the validation speakers."""
    answers = _answers(reading, [clip.corpus == MAIN for clip in reading.clips])
    return playing.reference_of(answers, each=CLIPS_A_LABEL)


def _answers(reading: Reading, rows: list[bool]) -> Answers:
    return Answers(adapt.to_logs(reading.probs[rows])[None], reading.truth[rows])


def _judge(
    voice: Answers, known: Reference, each: int | None, classes: int
) -> tuple[Answers, list[Class]] | None:
    """One person's draws; None where too few labels have clips enough to play and to judge."""
    often = np.bincount(voice.truth, minlength=voice.logs.shape[2])
    least = (each or 2) + SPARED
    kept = np.flatnonzero(often >= least)
    if len(kept) < adapt.Rules().least_labels:
        return None
    voice = voice.take(np.isin(voice.truth, kept))
    return voice, playing.play_classes(voice, known, each=each, classes=classes, spared=SPARED)


def _together(found: list[tuple[Answers, list[Class]]]) -> dict[str, Any]:
    """The mean over persons, with intervals that draw whole persons; a single one is judged as a room is."""
    if not found:
        return {}
    each = [playing.judge(voice, played) for voice, played in found]
    if len(each) == 1:
        return each[0]
    reasons = sorted({reason for one in each for reason in one["refused"]})
    return {
        "people": len(each),
        "classes": each[0]["classes"],
        "rounds": _mean([one["rounds"] for one in each]),
        "before": {key: _mean([one["before"][key] for one in each]) for key in ("even", "mixed")},
        "learned": _mean([one["learned"] for one in each]),
        "refused": {reason: _mean([one["refused"].get(reason, 0.0) for one in each]) for reason in reasons},
        "harmed": _mean([one["harmed"] for one in each]),
        "harmed_unguarded": _mean([one["harmed_unguarded"] for one in each]),
        **{
            kind: {
                **{key: _mean([one[kind][key] for one in each]) for key in ("even", "mixed")},
                **{f"{key}_interval": _spread([one[kind][key] for one in each]) for key in ("even", "mixed")},
            }
            for kind in ("unguarded", "guarded")
        },
    }


def _mean(values: list[float]) -> float:
    return round(float(np.mean(values)), playing.DIGITS)


def _spread(values: list[float]) -> list[float]:
    random = np.random.default_rng(0)
    drawn: IntArray = random.integers(0, len(values), (playing.RESAMPLES, len(values)))
    return [round(end, playing.DIGITS) for end in metrics.middle(np.array(values)[drawn].mean(1).tolist())]


def _count(key: str, voices: list[Answers]) -> str:
    people = f"{len(voices)} persons" if len(voices) > 1 else "as one voice"
    return people if key != MAIN else f"{people}, each alone"


def _text(model: str, split: str, classes: int) -> str:
    return (
        f"{model}, the {split} speakers: a row is the mean over the persons of a corpus, of {classes} draws "
        "of rounds each; the clips of the same person that were not drawn are read before and after. *Right "
        "before* and the changes are average recalls. Intervals draw whole persons; where there are few, "
        "they say little. *Harmed*: draws after which the person's other clips are read worse by more than "
        f"{100 * playing.HARM:g} point."
    )
