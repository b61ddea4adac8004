"""Training of the tone network, from cached energies to the averaged weights. Reads top to bottom.

A killed run goes on where its last whole epoch ended and ends with the weights it would have had: every
epoch draws its chance from its own seed, so no generator state has to survive.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from edge.preprocess import FrontEnd
from edge.types import VOICE_LABELS, FloatArray, SettingsError
from training import metrics
from training.loop import follow, save, schedule
from training.metrics import Probabilities
from training.voice import recipes
from training.voice.augment import change_voice, change_voices, colour, cut, mask, mix
from training.voice.corpora import OUTLIERS, Corpus
from training.voice.net import VoiceNet
from training.voice.recipes import Config

CHILD_FACTORS = (1.2, 1.4, 1.6)
"""By how much calm speech is raised to be tried as a child's."""


class Examples:
    """An endless supply of augmented stretches in which no corpus, and no class within one, prevails."""

    def __init__(self, corpus: Corpus, config: Config, teaching: Probabilities | None = None) -> None:
        """Draw from *corpus*, which holds training speakers and outliers; *teaching* is as for train."""
        self._corpus, self._config = corpus, config
        self._front = FrontEnd(config.input)
        self._chances = chances(corpus, config)
        self._scenes = [row for row, clip in enumerate(corpus.clips) if clip.corpus in OUTLIERS]
        self._targets = np.stack([_target(clip.label, config.augment.smoothing) for clip in corpus.clips])
        if teaching is not None:
            taught = np.isfinite(teaching).all(1)
            own = (1 - config.teacher_share) * self._targets[taught]
            self._targets[taught] = own + config.teacher_share * teaching[taught].astype(np.float32)

    def batches(self, random: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch: N x 1 x frames x mels and N x labels."""
        config, augment = self._config, self._config.augment
        for _ in range(config.examples // config.batch):
            rows = random.choice(len(self._chances), config.batch, p=self._chances)
            speech = np.stack([self._cut(row, random) for row in rows])
            scenes = np.stack(
                [self._cut(row, random) for row in random.choice(self._scenes, config.batch)]
                if self._scenes
                else [np.zeros_like(one) for one in speech]
            )
            speech = change_voices(speech, config.input, augment, random)
            heard = colour(speech, scenes, augment, config.input.hop_s, random)
            pictures = mask(self._front.scale(heard), augment, random)
            wanted = self._targets[rows]
            if augment.mixup:
                pictures, wanted = mix(pictures, wanted, augment, random)
            yield torch.from_numpy(pictures[:, None]), torch.from_numpy(wanted)

    def _cut(self, row: int, random: np.random.Generator) -> FloatArray:
        index = int(random.integers(len(self._config.augment.speeds)))
        speed = self._config.augment.speeds[index]
        first, end = self._corpus.spans[row]
        span = round(first / speed), round(end / speed)
        return cut(self._corpus.frames[index][row], span, self._config.input.frames, random)


def chances(corpus: Corpus, config: Config) -> npt.NDArray[np.float64]:
    """How likely each clip is drawn: shares per corpus from the recipe, classes even within a corpus."""
    shares = np.zeros(len(corpus.clips))
    cells: dict[tuple[str, str], list[int]] = {}
    for row, clip in enumerate(corpus.clips):
        group = "outliers" if clip.corpus in OUTLIERS else clip.corpus
        cells.setdefault((group, clip.label or clip.corpus), []).append(row)
    for (group, _), rows in cells.items():
        share = config.data.outliers if group == "outliers" else config.data.corpora[group]
        weights = np.array([config.data.calm if corpus.clips[row].kind == "calm" else 1.0 for row in rows])
        classes = sum(other == group for other, _ in cells)
        shares[rows] = share / classes * weights / weights.sum()
    return np.asarray(shares / shares.sum())


def _target(label: str | None, smoothing: float) -> FloatArray:
    """One-hot, smoothed; even for what carries no label."""
    even = np.full(len(VOICE_LABELS), 1 / len(VOICE_LABELS), np.float32)
    if label is None:
        return even
    one_hot = np.array([label == one for one in VOICE_LABELS], np.float32)
    return np.asarray((1 - smoothing) * one_hot + smoothing * even, np.float32)


def centred(corpus: Corpus, config: Config) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Labelled clips as the kit would see them: the middle of the speech at its own speed, nothing added.

    Returns:
        N x frames x mels x 1 and the index into VOICE_LABELS.
    """
    labelled = corpus.select(clip for clip in corpus.clips if clip.label is not None)
    pictures = FrontEnd(config.input).scale(middles(labelled, config))[..., None]
    return pictures, np.array([VOICE_LABELS.index(clip.label or "") for clip in labelled.clips])


def middles(corpus: Corpus, config: Config) -> FloatArray:
    """The middle of each clip's speech at its own speed: linear energies, N x frames x mels."""
    frames = config.input.frames
    stretches = np.zeros((len(corpus.clips), frames, config.input.mels), np.float32)
    plain = corpus.frames[config.augment.speeds.index(1.0)]
    for stretch, (first, end), logs in zip(stretches, corpus.spans, plain, strict=True):
        start = (first + end - frames) // 2
        low, high = max(first, start), min(end, start + frames, len(logs))
        stretch[low - start : high - start] = 10 ** logs[low:high].astype(np.float32)
    return stretches


def unmoved(outliers: Corpus, calm: Corpus, config: Config) -> FloatArray:
    """What must not be claimed to be negative: sound without a label, and calm speech, also as from children.

    Args:
        outliers: clips without emotion that training may have seen.
        calm: neutral clips of validation speakers; each counts once as it is, and once for each of
            CHILD_FACTORS with pitch and formants raised, because a class is mostly children who talk.
        config: the recipe.

    Returns:
        N x frames x mels x 1, as for the network.
    """
    spoken = middles(calm, config)
    raised = [change_voice(spoken, config.input, factor) for factor in CHILD_FACTORS]
    energies = np.concatenate([middles(outliers, config), spoken, *raised])
    return FrontEnd(config.input).scale(energies)[..., None]


def train(
    config: Config,
    corpus: Corpus,
    validation: Corpus,
    run: Path,
    *,
    start: nn.Module | None = None,
    teaching: Probabilities | None = None,
    quiet: bool = False,
) -> VoiceNet:
    """Train, or go on training, in the folder *run*.

    Args:
        config: the recipe.
        corpus: training speakers and outliers.
        validation: speakers watched after every epoch, never learned from.
        run: holds ``last.pt`` (to go on), ``log.jsonl`` (one line per epoch) and, at the end, ``final.pt``.
        start: whose weights to begin with: what an earlier stage learned; fresh ones if None.
        teaching: a teacher's answers to the corpus' clips, clips x labels; of rows that are not finite only
            the label is learned.
        quiet: no progress bar.

    Returns:
        The network with the averaged weights, in evaluation mode.

    Raises:
        SettingsError: *run* was begun with another recipe, start or teacher.
    """
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    net: VoiceNet = _channels_last(_make(config))
    if start is not None:
        net.load_state_dict(start.state_dict())
    average = copy.deepcopy(net)
    examples = Examples(corpus, config, teaching)
    watched, truth = centred(validation, config)
    groups: list[dict[str, Any]] = [
        {"params": [p for p in net.parameters() if p.ndim > 1]},
        {"params": [p for p in net.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(
        groups, lr=config.optimiser.rate, weight_decay=config.optimiser.weight_decay
    )
    recipe, origin = json.dumps(asdict(config)), _origin(start, teaching)

    first = 0
    if (run / "last.pt").exists():
        state = torch.load(run / "last.pt", weights_only=True)
        if (state["config"], state.get("origin", "")) != (recipe, origin):
            raise SettingsError(
                f"{run}: was begun with another recipe, start or teacher; name another --run folder"
            )
        net.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        first = state["epoch"] + 1

    steps = config.examples // config.batch
    bar = tqdm(total=config.epochs * steps, initial=first * steps, unit="step", disable=quiet, mininterval=5)
    for epoch in range(first, config.epochs):
        loss = _learn(config, epoch, examples, net=net, average=average, optimiser=optimiser, bar=bar)
        answers = predict(average, watched).argmax(1)
        figures = {"epoch": epoch, "loss": round(loss, 4)} | _watch(validation, truth, answers)
        with (run / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(figures) + "\n")
        bar.set_postfix_str(json.dumps(figures))
        save(
            {
                "config": recipe,
                "origin": origin,
                "net": net.state_dict(),
                "average": average.state_dict(),
                "optimiser": optimiser.state_dict(),
                "epoch": epoch,
            },
            run / "last.pt",
        )
    bar.close()
    save({"config": recipe, "average": average.state_dict()}, run / "final.pt")
    return average.eval()


def _origin(start: nn.Module | None, teaching: Probabilities | None) -> str:
    """What a run hangs on besides its recipe."""
    if start is None and teaching is None:
        return ""
    digest = hashlib.sha256()
    for values in () if start is None else start.state_dict().values():
        digest.update(values.contiguous().numpy().tobytes())
    if teaching is not None:
        digest.update(np.ascontiguousarray(teaching).tobytes())
    return digest.hexdigest()


def _watch(
    validation: Corpus, truth: npt.NDArray[np.int64], answers: npt.NDArray[np.int64]
) -> dict[str, float]:
    """Unweighted average recall per corpus; RAVDESS' calm is no part of it."""
    clips = [clip for clip in validation.clips if clip.label is not None]
    figures = {}
    for name in sorted({clip.corpus for clip in clips}):
        rows = [row for row, clip in enumerate(clips) if clip.corpus == name and clip.kind != "calm"]
        matrix = metrics.confusion(truth[rows], answers[rows], len(VOICE_LABELS))
        figures[f"{name}_uar"] = round(metrics.average_recall(matrix), 4)
    return figures


def _learn(
    config: Config,
    epoch: int,
    examples: Examples,
    *,
    net: nn.Module,
    average: nn.Module,
    optimiser: torch.optim.Optimizer,
    bar: Any,
) -> float:
    """One epoch; returns its mean loss."""
    random = np.random.default_rng([config.seed, epoch])
    torch.manual_seed(config.seed * 100_003 + epoch)  # dropout
    steps = config.examples // config.batch
    # bfloat16 halves the time of an epoch where the processor multiplies it natively.
    fast = torch.ops.mkldnn._is_mkldnn_bf16_supported()  # noqa: SLF001  no public question exists
    net.train()
    losses = 0.0
    for step, (x, wanted) in enumerate(examples.batches(random)):
        done = (epoch * steps + step) / (config.epochs * steps)
        for group in optimiser.param_groups:
            group["lr"] = config.optimiser.rate * schedule(done, config.optimiser.warmup)
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            logits = net(x.contiguous(memory_format=torch.channels_last)).float()
        loss = functional.cross_entropy(logits, wanted)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        epochs_done = done * config.epochs
        follow(average, net, min(config.optimiser.ema, epochs_done / (1 + epochs_done)))
        losses += loss.item()
        bar.update()
    return losses / steps


def _make(config: Config) -> VoiceNet:
    return VoiceNet(len(VOICE_LABELS), config.input.mels, config.net.widths, config.net.dropout)


def load_net(run: Path) -> tuple[VoiceNet, Config]:
    """The averaged weights of a run, finished or not, and its recipe.

    Raises:
        SettingsError: the folder holds no checkpoint.
    """
    path = run / "final.pt" if (run / "final.pt").exists() else run / "last.pt"
    if not path.exists():
        raise SettingsError(f"{run}: holds no checkpoint; `python -m training voice train` makes one")
    state = torch.load(path, weights_only=True)
    config = recipes.parse(json.loads(state["config"]), str(path))
    net = _make(config)
    net.load_state_dict(state["average"])
    laid_out: VoiceNet = _channels_last(net.eval())
    return laid_out, config


def epochs_done(run: Path) -> int:
    """Whole epochs that a run has behind it; 0 where there is none."""
    path = run / "last.pt"
    return torch.load(path, weights_only=True)["epoch"] + 1 if path.exists() else 0


def _channels_last(net: Any) -> Any:
    """The layout in which convolutions are fastest on a CPU."""
    return net.to(memory_format=torch.channels_last)


def predict(net: nn.Module, pictures: FloatArray, batch: int = 256) -> FloatArray:
    """Logits of N x frames x mels x 1 pictures, N x labels, in full precision."""
    net.eval()
    with torch.inference_mode():
        parts = [
            net(torch.from_numpy(pictures[start : start + batch]).permute(0, 3, 1, 2)).numpy()
            for start in range(0, len(pictures), batch)
        ]
    return np.asarray(np.concatenate(parts), np.float32)
