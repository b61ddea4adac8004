"""Fine-tuning of the teacher, stage after stage, from somebody's pre-trained network to one of its own.

Each stage starts from what the stage before wrote. A killed run goes on where its last whole epoch ended and
ends with the weights it would have had: every example draws its chance from the seed, the epoch and its own
place, so no generator state has to survive, and several processes draw what one would have drawn.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from edge.types import FloatArray, SettingsError
from training import metrics
from training.devices import Device
from training.loop import save, schedule
from training.metrics import IntArray, Probabilities
from training.voice import augment, speech
from training.voice.corpora import Clip
from training.voice.speech import Sounds
from training.voice.teacher import curriculum, wav2vec2, waves
from training.voice.teacher.curriculum import Parts, Stage
from training.voice.teacher.wav2vec2 import Listener

MODEL = "model"
BEGUN = "begun.json"
ANSWERS = "answers.npz"
START = "start"


@dataclass(frozen=True, slots=True)
class Answers:
    """What a network said about a stage's test speakers."""

    clips: list[Clip]
    truth: IntArray
    probs: Probabilities
    """N x labels."""

    @property
    def speakers(self) -> IntArray:
        """A number for each clip's speaker."""
        names = [clip.speaker for clip in self.clips]
        return np.asarray(np.unique(names, return_inverse=True)[1], np.int64)


class Examples:
    """Augmented stretches of speech with their targets, drawn so that no corpus and no class prevails."""

    def __init__(self, stage: Stage, number: int, sounds: Sounds, chances: Probabilities) -> None:
        """Draw from *sounds* with these *chances*; *number* tells the stages of a run apart."""
        self._stage, self._number, self._sounds, self._chances = stage, number, sounds, chances
        allowed = {
            corpus: curriculum.present(stage.labels, (clip for clip in sounds.clips if clip.corpus == corpus))
            for corpus in {clip.corpus for clip in sounds.clips}
        }
        self._targets = np.stack([_target(clip, stage, allowed[clip.corpus]) for clip in sounds.clips])

    def batches(self, epoch: int, place: Device) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """One epoch, of each batch the part that *place* works on, made while the one before is learned.

        Yields:
            N x samples; N x labels targets; N x labels, true where the clip's corpus has the label.
        """
        stage = self._stage
        with ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(self._make, epoch, 0, place)
            for step in range(1, stage.steps + 1):
                batch = coming.result()
                if step < stage.steps:
                    coming = ahead.submit(self._make, epoch, step, place)
                x, wanted, allowed = (part.to(place.device, non_blocking=True) for part in batch)
                yield x, wanted, allowed

    def digest(self) -> str:
        """Of which clips are drawn, and how often."""
        paths = json.dumps([clip.path for clip in self._sounds.clips])
        return hashlib.sha256(paths.encode() + self._chances.tobytes()).hexdigest()

    def _make(self, epoch: int, step: int, place: Device) -> tuple[Tensor, Tensor, Tensor]:
        stage, seed = self._stage, [self._stage.seed, self._number, epoch, step]
        rows = np.random.default_rng(seed).choice(len(self._chances), stage.batch, p=self._chances)
        mine = range(place.rank, stage.batch, place.world)
        heard = np.stack([self._hear(rows[row], np.random.default_rng([*seed, row])) for row in mine])
        targets = self._targets[rows[list(mine)]]
        if stage.augment.mixup:
            random = np.random.default_rng([*seed, stage.batch + place.rank])
            # It blends pictures, N x frames x mels; to it a stretch is one very wide frame.
            blend, targets = augment.mix(heard[:, None], targets, stage.augment, random)
            heard = blend[:, 0]
        count = len(stage.labels)
        allowed = targets[:, count:] > 0
        return torch.from_numpy(heard), torch.from_numpy(targets[:, :count].copy()), torch.from_numpy(allowed)

    def _hear(self, row: int, random: np.random.Generator) -> FloatArray:
        stage = self._stage
        samples = waves.cut(self._sounds.samples[row], stage.length, stage.augment, random)
        heard = waves.colour(samples, stage.augment, random)
        return speech.floored(heard, stage.data.noise_floor_db, random)


def _target(clip: Clip, stage: Stage, allowed: Sequence[str]) -> FloatArray:
    """One-hot over the labels, smoothed over those that the clip's corpus has; and then which those are.

    A corpus that lacks a label cannot teach when not to say it, so its clips do not count against it.
    """
    may = np.array([label in allowed for label in stage.labels], np.float32)
    one_hot = np.array([label == clip.label for label in stage.labels], np.float32)
    smoothing = stage.augment.smoothing
    return np.concatenate([(1 - smoothing) * one_hot + smoothing * may / may.sum(), may])


def chances(clips: Sequence[Clip], drawn: Sequence[tuple[Stage, float]]) -> Probabilities:
    """How likely each clip is drawn: shares of stages and corpora, classes even within a corpus.

    Args:
        clips: to learn from.
        drawn: stages with their share of the examples.
    """
    found = np.zeros(len(clips))
    for stage, share in drawn:
        cells: dict[tuple[str, str], list[int]] = {}
        for row, clip in enumerate(clips):
            if clip.corpus in stage.data.corpora and clip.label is not None:
                cells.setdefault((clip.corpus, clip.label), []).append(row)
        whole = sum(stage.data.corpora.values())
        for (corpus, _), rows in cells.items():
            weights = np.array([stage.data.calm if clips[row].kind == "calm" else 1.0 for row in rows])
            classes = sum(other == corpus for other, _ in cells)
            found[rows] += share * stage.data.corpora[corpus] / whole / classes * weights / weights.sum()
    return np.asarray(found / found.sum())


def shares(stages: Sequence[Stage]) -> list[tuple[Stage, float]]:
    """Of the last of *stages*: what it rehearses goes to the earlier ones in equal parts."""
    *before, last = stages
    if not before:
        return [(last, 1.0)]
    each = last.data.rehearsal / len(before)
    return [*((stage, each) for stage in before if each), (last, 1 - last.data.rehearsal)]


def run_all(
    stages: Sequence[Stage],
    parts: Sequence[Parts],
    sounds: Sounds,
    start: Listener,
    run: Path,
    *,
    place: Device,
    quiet: bool = False,
) -> list[list[Answers]]:
    """Fine-tune through all stages in the folder *run*, or go on doing so.

    Args:
        stages: in order.
        parts: their clips.
        sounds: of those clips.
        start: what the first stage begins with, with a head for its labels.
        run: holds a folder per stage: ``model`` (what from_pretrained reads), ``log.jsonl``, ``cost.json``,
            ``answers.npz`` and, while it learns, ``last.pt``; ``start`` with the answers before the first
            stage; and the last stage's ``model``.
        place: where to train.
        quiet: no progress bar.

    Returns:
        The answers to every stage's test speakers before the first stage and after each; nothing in all but
        the first process.

    Raises:
        SettingsError: *run* was begun with another recipe, start or data.
    """
    for stage in stages:
        if stage.batch < place.world:
            raise SettingsError(f"stage {stage.name}: a batch of {stage.batch} for {place.world} processes")
    tests = [sounds.select(part.test) for part in parts]
    listener = start
    _check_length(listener, stages[0])
    answers = [_judged(listener, stages, tests, run / START, place, quiet=quiet)]
    for number, stage in enumerate(stages):
        drawn = shares(stages[: number + 1])
        learned = [clip for part in parts[: number + 1] for clip in part.train]
        mine = sounds.select(dict.fromkeys(learned))
        folder = run / f"{number + 1}-{stage.name}"
        examples = Examples(stage, number, mine, chances(mine.clips, drawn))
        listener = _tune(
            stage,
            listener,
            examples,
            watched=sounds.select(parts[number].validation),
            folder=folder,
            place=place,
            quiet=quiet,
        )
        answers.append(_judged(listener, stages, tests, folder, place, quiet=quiet))
    if place.rank:
        return []
    listener.save(run / MODEL)
    return answers


def _check_length(listener: Listener, stage: Stage) -> None:
    """Refuse stretches of fewer frames than the network masks at once: transformers fails on them."""
    config = listener.net.config
    frames = int(listener.net._get_feat_extract_output_lengths(stage.length))  # noqa: SLF001  no public one exists
    needed = max(1, config.mask_time_length if config.mask_time_prob > 0 else 0)
    if frames < needed:
        raise SettingsError(
            f"stage {stage.name}: crop_s gives {frames} frames, the network masks {needed} at once"
        )


def _tune(
    stage: Stage,
    listener: Listener,
    examples: Examples,
    *,
    watched: Sounds,
    folder: Path,
    place: Device,
    quiet: bool,
) -> Listener:
    """One stage, or the rest of it; returns what it wrote, read again."""
    first_process = place.rank == 0
    net = listener.net.to(place.device)
    first, seconds = 0, 0.0
    if first_process:
        _begin(folder, {"stage": asdict(stage), "start": listener.fingerprint(), "data": examples.digest()})
    place.meet()
    if not (folder / MODEL).exists():
        optimiser = torch.optim.AdamW(_groups(listener, stage), lr=stage.optimiser.rate)
        if (folder / "last.pt").exists():
            state = torch.load(folder / "last.pt", map_location=place.device, weights_only=True)
            net.load_state_dict(state["net"])
            optimiser.load_state_dict(state["optimiser"])
            first, seconds = state["epoch"] + 1, state["seconds"]
        place.meet()
        bar = tqdm(
            desc=stage.name,
            total=stage.epochs * stage.steps,
            initial=first * stage.steps,
            unit="step",
            disable=quiet or not first_process,
            mininterval=5,
        )
        for epoch in range(first, stage.epochs):
            began = time.monotonic()
            found = _learn(
                stage, epoch, listener, examples=examples, optimiser=optimiser, place=place, bar=bar
            )
            seconds += time.monotonic() - began
            if not first_process:
                continue
            if watched.clips:
                found["validation_uar"] = round(recall(answer(listener, stage, watched, place)), 4)
            bar.set_postfix_str(f"loss {found['loss']:.3f}")
            with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(found) + "\n")
            state = {"net": net.state_dict(), "optimiser": optimiser.state_dict()}
            save({**state, "epoch": epoch, "seconds": seconds}, folder / "last.pt")
        bar.close()
        if first_process:
            cost = {"seconds": round(seconds), "threads": torch.get_num_threads(), "device": str(place)}
            (folder / "cost.json").write_text(json.dumps(cost) + "\n", "utf-8")
            listener.save(folder / MODEL)  # its presence says that the stage is over
            (folder / "last.pt").unlink()
    place.meet()
    return wav2vec2.load(str(folder / MODEL), stage.labels)


def _groups(listener: Listener, stage: Stage) -> list[dict[str, Any]]:
    """Parameters by depth, each level at its own peak rate; biases and norms are not decayed."""
    rule = stage.optimiser
    groups = []
    for level, named in enumerate(listener.levels()):
        peak = rule.head_rate if level == 0 else rule.rate * rule.layer_decay ** (level - 1)
        for decayed in (True, False):
            chosen = [one for _, one in named if (one.ndim > 1) is decayed]
            decay = rule.weight_decay if decayed else 0.0
            groups.append({"params": chosen, "peak": peak, "weight_decay": decay})
    return [group for group in groups if group["params"]]


def _learn(
    stage: Stage,
    epoch: int,
    listener: Listener,
    *,
    examples: Examples,
    optimiser: torch.optim.Optimizer,
    place: Device,
    bar: Any,
) -> dict[str, float]:
    """One epoch; returns its line of the log."""
    seed = (stage.seed * 100_003 + epoch) * 64 + place.rank
    torch.manual_seed(seed)  # dropout
    np.random.seed(seed % 2**32)  # noqa: NPY002  transformers draws from it what it masks
    layers = listener.free(stage.free_share(epoch), encoder=not stage.freeze_encoder)
    model: nn.Module = listener.net
    if place.world > 1:  # anew every epoch: it only gathers what learned when it was made
        model = DistributedDataParallel(listener.net)
    scaler = torch.amp.GradScaler(place.device.type, enabled=place.precision is torch.float16)
    learning = [one for one in listener.net.parameters() if one.requires_grad]
    model.train()
    losses, right, seen = 0.0, 0.0, 0
    for step, (x, wanted, allowed) in enumerate(examples.batches(epoch, place)):
        done = (epoch * stage.steps + step) / (stage.epochs * stage.steps)
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * schedule(done, stage.optimiser.warmup)
        with place.autocast():
            logits = model(listener.scaled(x)).logits
        logits = logits.float().masked_fill(~allowed, -1e4)
        loss = -(wanted * logits.log_softmax(1)).sum(1).mean()
        optimiser.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        scaler.unscale_(optimiser)
        nn.utils.clip_grad_norm_(learning, stage.optimiser.clip)
        scaler.step(optimiser)
        scaler.update()
        losses += loss.item() * len(x)
        right += (logits.argmax(1) == wanted.argmax(1)).sum().item()
        seen += len(x)
        bar.update()
    return {
        "epoch": epoch,
        "layers": layers,
        "loss": round(losses / seen, 4),
        "training_accuracy": round(right / seen, 4),
    }


def _judged(
    listener: Listener,
    stages: Sequence[Stage],
    tests: Sequence[Sounds],
    folder: Path,
    place: Device,
    *,
    quiet: bool,
) -> list[Answers]:
    """Answers to every stage's test speakers, from *folder* or asked now; of the first process only."""
    found: list[Answers] = []
    if place.rank == 0:
        path, mark = folder / ANSWERS, listener.fingerprint()
        folder.mkdir(parents=True, exist_ok=True)
        kept = _kept(path, mark, tests)
        if not kept:
            listener.net.to(place.device)
            pairs = tqdm(list(zip(stages, tests, strict=True)), "judging", disable=quiet or None, leave=False)
            kept = [answer(listener, stage, sounds, place).probs for stage, sounds in pairs]
            with path.with_suffix(".new").open("wb") as file:
                np.savez(file, *kept, mark=np.array(mark))
            path.with_suffix(".new").replace(path)
        truths = [_truth(stage, sounds) for stage, sounds in zip(stages, tests, strict=True)]
        found = [
            Answers(sounds.clips, truth, probs)
            for sounds, truth, probs in zip(tests, truths, kept, strict=True)
        ]
    place.meet()
    return found


def _kept(path: Path, mark: str, tests: Sequence[Sounds]) -> list[Probabilities]:
    """Answers of the same weights to as many clips; nothing where there are none."""
    if not path.exists():
        return []
    with np.load(path) as file:
        parts = [file[f"arr_{index}"] for index in range(len(file.files) - 1)]
        fits = str(file["mark"]) == mark and list(map(len, parts)) == [len(one.clips) for one in tests]
    return parts if fits else []


def answer(listener: Listener, stage: Stage, sounds: Sounds, place: Device, batch: int = 32) -> Answers:
    """Probabilities for whole clips: the mean over stretches that cover them, over their floor of noise."""
    pieces, owners = [], []
    for row, (clip, samples) in enumerate(zip(sounds.clips, sounds.samples, strict=True)):
        random = speech.chance(clip)
        for piece in speech.stretches(samples, stage.length):
            pieces.append(speech.floored(piece, stage.data.noise_floor_db, random))
            owners.append(row)
    listener.net.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(pieces), batch):
            x = torch.from_numpy(np.stack(pieces[start : start + batch])).to(place.device)
            with place.autocast():
                logits = listener.net(listener.scaled(x)).logits
            parts.append(logits.double().softmax(1).cpu().numpy())
    probs = np.zeros((len(sounds.clips), len(stage.labels)))
    np.add.at(probs, owners, np.concatenate(parts))
    return Answers(sounds.clips, _truth(stage, sounds), probs / np.bincount(owners)[:, None])


def _truth(stage: Stage, sounds: Sounds) -> IntArray:
    return np.array([stage.labels.index(clip.label or "") for clip in sounds.clips], np.int64)


def recall(answers: Answers) -> float:
    """Unweighted average recall over the classes that occur."""
    count = answers.probs.shape[1]
    predicted = np.asarray(answers.probs.argmax(1), np.int64)
    return metrics.average_recall(metrics.confusion(answers.truth, predicted, count))


def _begin(folder: Path, what: dict[str, Any]) -> None:
    """Remember what the stage was begun with; one begun with something else is not continued."""
    path = folder / BEGUN
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(json.dumps(what, indent=1) + "\n", "utf-8")
        known = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: {error}") from error
    names = {"stage": "another recipe", "start": "another pre-trained network", "data": "other clips"}
    if wrong := [text for key, text in names.items() if known.get(key) != what[key]]:
        raise SettingsError(f"{folder}: was begun with {wrong[0]}; name another --run folder")
