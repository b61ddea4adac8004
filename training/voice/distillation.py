"""What a teacher says of the training clips: soft targets for a student (distillation, Hinton et al. 2015).

A teacher is a run folder of `voice finetune` (or what it wrote there for from_pretrained), or a model folder
with int8 files. It is asked once; its answers are kept in the student's run folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge import manifest, runtimes
from edge.tone import ToneReader
from edge.types import VOICE_LABELS, SettingsError
from training.metrics import Probabilities
from training.voice import crossvalidation, hearing, speech
from training.voice.corpora import Clip
from training.voice.teacher import curriculum

ANSWERS = "teacher.npz"


def ask(
    teacher: Path, clips: Sequence[Clip], data: Path, cache: Path, run: Path, *, quiet: bool = False
) -> Probabilities:
    """The teacher's answers, clips x VOICE_LABELS; not a number for clips without a label.

    A label that the teacher does not know gets 0, and the others share the rest.

    Args:
        teacher: its folder.
        clips: that the student learns from.
        data: folder of the corpora.
        cache: folder for speech and where it was heard.
        run: the student's, which keeps the answers.
        quiet: no progress bars.

    Raises:
        SettingsError: the folder is no teacher, or it knows none of the labels.
        ModelError: the model folder is not intact.
    """
    path, digest = run / ANSWERS, _digest(teacher, clips)
    if path.exists():
        with np.load(path) as kept:
            if str(kept["digest"]) == digest:
                return np.asarray(kept["probs"], np.float64)
    labelled = [clip for clip in clips if clip.label is not None]
    if (teacher / "model.toml").exists():
        labels, found = _ask_model(teacher, labelled, data, cache, quiet=quiet)
    else:
        labels, found = _ask_wav2vec2(teacher, labelled, data, cache, quiet=quiet)
    columns = [labels.index(label) if label in labels else None for label in VOICE_LABELS]
    if all(column is None for column in columns):
        raise SettingsError(f"--teacher {teacher}: knows none of {', '.join(VOICE_LABELS)}")
    mine = np.stack([np.zeros(len(found)) if c is None else found[:, c] for c in columns], 1)
    probs = np.full((len(clips), len(VOICE_LABELS)), np.nan)
    rows = [row for row, clip in enumerate(clips) if clip.label is not None]
    probs[rows] = mine / np.maximum(mine.sum(1, keepdims=True), 1e-9)
    run.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, digest=digest, probs=probs)
    return probs


def _ask_model(
    folder: Path, clips: Sequence[Clip], data: Path, cache: Path, *, quiet: bool
) -> tuple[list[str], Probabilities]:
    model = manifest.load(folder)
    reader = ToneReader(model, runtimes.load(model))
    heard = hearing.hear_all(clips, data, cache, quiet=quiet)
    return list(model.labels), np.array([crossvalidation.read_clip(reader, heard[clip]) for clip in clips])


def _ask_wav2vec2(
    folder: Path, clips: Sequence[Clip], data: Path, cache: Path, *, quiet: bool
) -> tuple[list[str], Probabilities]:
    import torch  # noqa: PLC0415  takes seconds to import

    from training.devices import Device  # noqa: PLC0415
    from training.voice.teacher import finetune, wav2vec2  # noqa: PLC0415

    inner = folder / finetune.MODEL
    source = inner if inner.is_dir() else folder
    try:
        names = json.loads((source / "config.json").read_text("utf-8"))["id2label"]
        labels = [str(names[str(index)]) for index in range(len(names))]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"--teacher {folder}: neither a model folder nor a run of `voice finetune` ({error})"
        ) from error
    stage = curriculum.load(curriculum.STAGES[0])
    if sorted(labels) != sorted(stage.labels):
        raise SettingsError(f"--teacher {folder}: its labels are {', '.join(labels)}")
    stage = replace(stage, labels=labels)
    listener = wav2vec2.load(str(source), labels)
    sounds = speech.load(clips, data, cache, quiet=quiet)
    return labels, finetune.answer(listener, stage, sounds, Device(torch.device("cpu"))).probs


def _digest(teacher: Path, clips: Sequence[Clip]) -> str:
    """Of the teacher's files, by name, size and time, and of who is to be judged."""
    try:
        files = [
            (path.relative_to(teacher).as_posix(), path.stat().st_size, path.stat().st_mtime_ns)
            for path in sorted(teacher.rglob("*"))
            if path.is_file()
        ]
    except OSError as error:
        raise SettingsError(f"--teacher {teacher}: {error.strerror or error}") from error
    if not files:
        raise SettingsError(f"--teacher {teacher}: no such folder, or an empty one")
    return hashlib.sha256(json.dumps([files, [clip.path for clip in clips]]).encode()).hexdigest()
