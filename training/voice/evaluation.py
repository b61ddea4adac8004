"""Evaluation of the shipped tone model: its int8 files, through the kit's own speech gate and runtimes.

A clip is read as the kit would read it: the gate cuts utterances out of it, each is read, and a clip with
several counts by their lengths. A clip in which the gate hears no speech is read whole, so that none is left
out; how many those were is part of the figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from edge import manifest, runtimes
from edge.manifest import LogMelInput, Manifest
from edge.tone import ToneReader
from edge.types import ModelError, SettingsError, Utterance
from edge.words import NEGATIVE
from training import metrics
from training.metrics import IntArray, Probabilities
from training.voice import corpora, hearing
from training.voice.corpora import EMOTIONAL, OUTLIERS, Clip
from training.voice.hearing import Heard
from training.voice.recipes import Config

MAIN = "ravdess"
"""The corpus of the headline figures: most speakers, all labels, comparable with what others report."""
DIGITS = 4


@dataclass(frozen=True, slots=True)
class Reading:
    """A model file's answers to labelled clips."""

    clips: list[Clip]
    truth: IntArray
    probs: Probabilities

    def take(self, rows: Sequence[int]) -> Reading:
        """The chosen rows."""
        return Reading([self.clips[row] for row in rows], self.truth[rows], self.probs[rows])

    @property
    def matrix(self) -> IntArray:
        """Confusion, labels x labels."""
        return metrics.confusion(self.truth, np.asarray(self.probs.argmax(1)), self.probs.shape[1])


def evaluate(
    folder: Path,
    data: Path,
    config: Config,
    split: str = "test",
    *,
    cache: Path | None = None,
    quiet: bool = False,
) -> tuple[dict[str, Any], Reading]:
    """Figures of the model in *folder* on speakers kept apart, and on sound without emotion.

    Args:
        folder: ``models/voice-tone``.
        data: folder of the corpora.
        config: names the speakers.
        split: ``test``, or ``validation`` while still choosing.
        cache: folder that keeps where speech was heard; nothing is kept if None.
        quiet: no progress bar.

    Returns:
        A table of fractions, ready for JSON and for [metrics], and the preferred format's answers on the main
        corpus (RAVDESS without calm; all there is where RAVDESS is absent), which the figures at the top are
        of. ``formats`` holds every file's own.

    Raises:
        ModelError: no intact tone model, or the speech gate is not set up.
        SettingsError: no data.
    """
    model = manifest.load(folder)
    if not isinstance(model.input, LogMelInput):
        raise ModelError(f"{folder}: reads {model.task}, not tone of voice")
    parts = corpora.split(corpora.read_manifest(data), config)
    outliers = [clip for clip in parts.test if clip.label is None]
    chosen = {"test": parts.test, "validation": [*parts.validation, *outliers]}[split]
    heard = list(hearing.hear_all(chosen, data, cache, quiet=quiet).values())
    speech = [one for one in heard if one.clip.label is not None]
    if not speech:
        raise SettingsError(f"{data}: holds none of the {split} speakers")
    readings = {
        name: read(model, speech, name, quiet=quiet) for name in runtimes.PREFERENCE if name in model.files
    }
    name, best = next(iter(readings.items()))
    names = sorted({one.clip.corpus for one in speech})
    headline = [MAIN] if MAIN in names else names
    main = _plain(best, headline)
    table: dict[str, Any] = {
        "command": f"python -m training voice evaluate --model {folder} --data {data} --split {split}",
        "split": split,
        "held_out_speakers": config.data.test if split == "test" else config.data.validation,
        "parameters": count_parameters(model),
        **figures(main, model),
        "corpus": ", ".join(headline),
        "uar_calm_as_neutral": round(metrics.average_recall(_all(best, headline).matrix), DIGITS),
        "unheard": round(sum(not one.utterances for one in speech) / len(speech), DIGITS),
        **false_readings(model, [one for one in heard if one.clip.label is None], name),
        "per_class_recall": _recalls(main, model),
        "corpora": {corpus: figures(_plain(best, [corpus]), model) for corpus in names},
        "formats": {
            one: {
                "bytes": model.files[one].path.stat().st_size,
                "uar": round(metrics.average_recall(_plain(reading, headline).matrix), DIGITS),
                "accuracy": round(metrics.accuracy(_plain(reading, headline).matrix), DIGITS),
            }
            for one, reading in readings.items()
        },
    }
    return table, main


def read(model: Manifest, heard: Iterable[Heard], runtime: str, *, quiet: bool = True) -> Reading:
    """Let one file of *model* read labelled clips, as the kit would."""
    reader = ToneReader(model, runtimes.load(model, runtime))
    clips, truth, probs = [], [], []
    for one in tqdm(list(heard), runtime, unit="clip", disable=quiet or None, leave=False):
        parts = one.utterances or [Utterance(0.0, one.duration_s, one.samples)]
        rows = [reader(part).probs for part in parts]
        probs.append(np.average(rows, axis=0, weights=[part.duration_s for part in parts]))
        truth.append(model.labels.index(one.clip.label or ""))
        clips.append(one.clip)
    return Reading(clips, np.array(truth, np.int64), np.array(probs))


def figures(reading: Reading, model: Manifest) -> dict[str, Any]:
    """Headline figures of one corpus; the 95 % interval draws whole speakers."""
    count = len(model.labels)
    names = [clip.speaker for clip in reading.clips]
    speakers = np.unique(names, return_inverse=True)[1]
    predicted = np.asarray(reading.probs.argmax(1), np.int64)
    claimed = np.array(
        [model.claims(model.labels[row.argmax()], row.max()) for row in reading.probs], np.bool_
    )
    low, high = metrics.interval(metrics.average_recall, reading.truth, predicted, count, groups=speakers)
    sure = reading.take(np.flatnonzero(claimed).tolist())
    return {
        "clips": len(reading.clips),
        "speakers": len(set(names)),
        "uar": round(metrics.average_recall(reading.matrix), DIGITS),
        "uar_interval": [round(low, DIGITS), round(high, DIGITS)],
        "accuracy": round(metrics.accuracy(reading.matrix), DIGITS),
        "ece": round(metrics.calibration_error(reading.probs, reading.truth), DIGITS),
        "claimed": round(float(claimed.mean()), DIGITS),
        "claimed_accuracy": round(metrics.accuracy(sure.matrix), DIGITS),
    }


def false_readings(model: Manifest, heard: Iterable[Heard], runtime: str) -> dict[str, Any]:
    """How often sound without emotion gets past the gate and is claimed to be a negative tone.

    Children talking, coughs, rain, dogs: what a classroom holds besides emotional speech. Laughing, crying
    and the like are left out, because a reading of those would not be false.
    """
    reader = ToneReader(model, runtimes.load(model, runtime))
    seconds, negative, again, claimed, utterances = 0.0, 0, 0, 0, 0
    before = ("", "")
    for one in heard:
        if one.clip.corpus not in OUTLIERS or one.clip.kind in EMOTIONAL:
            continue
        seconds += one.duration_s
        for utterance in one.utterances:
            label, probability = reader(utterance).best
            utterances += 1
            sure = model.claims(label, probability)
            claimed += sure
            worrying = sure and label in NEGATIVE
            negative += worrying
            # As edge.mood asks it: the utterance before, of the same speaker, was claimed to be the same.
            again += worrying and before == (one.clip.speaker, label)
            before = (one.clip.speaker, label if worrying else "")
    hours = max(seconds, 1.0) / 3600
    return {
        "false_per_hour": round(negative / hours, 1),
        "false_per_hour_twice": round(again / hours, 1),
        "false_hours": round(seconds / 3600, 3),
        "false_utterances": utterances,
        "false_claimed": claimed,
    }


def count_parameters(model: Manifest) -> int:
    """Weights and biases in the shipped ONNX file, batch normalisation already folded in."""
    import onnx  # noqa: PLC0415

    graph = onnx.load(str(model.files["onnx"].path)).graph
    quantised = {node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    return sum(int(np.prod(one.dims)) for one in graph.initializer if one.name in quantised)


def _all(reading: Reading, corpora: Sequence[str]) -> Reading:
    """The clips of some corpora."""
    return reading.take([row for row, clip in enumerate(reading.clips) if clip.corpus in corpora])


def _plain(reading: Reading, corpora: Sequence[str]) -> Reading:
    """The same without RAVDESS' calm, which is no class of the model."""
    mine = _all(reading, corpora)
    return mine.take([row for row, clip in enumerate(mine.clips) if clip.kind != "calm"])


def _recalls(reading: Reading, model: Manifest) -> dict[str, float]:
    found = metrics.recalls(reading.matrix)
    return {label: round(float(one), DIGITS) for label, one in zip(model.labels, found, strict=True)}


def describe(table: dict[str, Any]) -> str:
    """The figures as Markdown, for a terminal and for the model card."""
    low, high = table["uar_interval"]
    recall = f"{table['uar']:.4f} ({low:.4f} to {high:.4f})"
    sound = f"{table['false_hours']:.3f}, {table['false_utterances']}"
    lines = [
        f"`{table['command']}`",
        "",
        f"{table['clips']} clips of {table['speakers']} {table['split']} speakers ({table['corpus']}).",
        f"{table['parameters']:,} parameters.",
        "",
        "| figure | value |",
        "|---|---|",
        f"| unweighted average recall (95 % interval over speakers) | {recall} |",
        f"| the same with calm counted as neutral | {table['uar_calm_as_neutral']:.4f} |",
        f"| accuracy | {table['accuracy']:.4f} |",
        f"| expected calibration error | {table['ece']:.4f} |",
        f"| readings sure enough to be claimed | {table['claimed']:.4f} |",
        f"| accuracy of those | {table['claimed_accuracy']:.4f} |",
        f"| clips in which the gate heard no speech | {table['unheard']:.4f} |",
        f"| negative readings claimed per hour of sound without emotion | {table['false_per_hour']:.1f} |",
        f"| … when the next utterance must agree, as a kit asks | {table['false_per_hour_twice']:.1f} |",
        f"| … hours of it, and utterances that the gate let pass | {sound} |",
        "",
        "| file | bytes | average recall | accuracy |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {one['bytes']:,} | {one['uar']:.4f} | {one['accuracy']:.4f} |"
        for name, one in table["formats"].items()
    ]
    lines += ["", f"| {' | '.join(table['per_class_recall'])} |"]
    lines += [f"|{'---|' * len(table['per_class_recall'])}"]
    lines += [f"| {' | '.join(f'{one:.4f}' for one in table['per_class_recall'].values())} |"]
    lines += [
        "",
        "| corpus | clips | speakers | average recall | 95 % interval | claimed | right of those |",
        "|---|---|---|---|---|---|---|",
    ]
    for corpus, one in table["corpora"].items():
        low, high = one["uar_interval"]
        lines.append(
            f"| {corpus} | {one['clips']} | {one['speakers']} | {one['uar']:.4f} | {low:.4f} to {high:.4f} "
            f"| {one['claimed']:.4f} | {one['claimed_accuracy']:.4f} |"
        )
    return "\n".join(lines)
