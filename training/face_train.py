"""Training of the expression network, from the data to the averaged weights. Reads top to bottom.

A killed run goes on where its last whole epoch ended and ends with the weights it would have had: every
epoch draws its chance from its own seed, so no generator state has to survive.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from edge.manifest import ImageInput
from edge.types import LABELS, FloatArray, SettingsError
from training import face_config, face_data
from training.face_augment import augment
from training.face_config import Config
from training.face_data import Faces
from training.nets import FaceNet


@dataclass(frozen=True, slots=True)
class Examples:
    """The training split as tensors."""

    x: Tensor
    """N x 1 x H x W, as the kit would feed it."""
    wanted: Tensor
    """N x labels; rows sum to 1."""
    votes: Tensor
    """N x 8 shares of the FER+ voters, or zeros."""

    def batches(self, size: int, random: Generator) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """All examples once, in random order."""
        order = torch.randperm(len(self.x), generator=random)
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            yield self.x[rows], self.wanted[rows], self.votes[rows]


class Learner(nn.Module):
    """The network, and a second head that learns what the FER+ voters saw. It is not exported."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.net = FaceNet(len(LABELS), config.net.widths, config.net.dropout)
        self.votes_head = nn.Linear(self.net.head.in_features, face_data.EXPRESSIONS)


def tensor(faces: Faces, spec: ImageInput) -> Tensor:
    """All *faces* as the kit would feed them, but N x 1 x H x W as torch wants them."""
    return torch.from_numpy(face_data.batch(faces, spec).transpose(0, 3, 1, 2).copy())


def train(config: Config, training: Faces, public: Faces, run: Path, *, quiet: bool = False) -> FaceNet:
    """Train, or go on training, in the folder *run*.

    Args:
        config: the recipe.
        training: the cleaned training split.
        public: watched after every epoch, never learned from.
        run: holds ``last.pt`` (to go on), ``log.jsonl`` (one line per epoch) and, at the end, ``final.pt``.
        quiet: no progress bar.

    Returns:
        The network with the averaged weights, in evaluation mode.

    Raises:
        SettingsError: *run* was begun with another recipe.
    """
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    learner: Learner = _channels_last(Learner(config))
    if config.start:
        learner.net.load_state_dict(load_net(Path(config.start))[0].state_dict())
    average = copy.deepcopy(learner)
    examples = Examples(
        x=tensor(training, config.input),
        wanted=torch.from_numpy(face_data.targets(training, config.target.votes)),
        votes=torch.from_numpy(training.votes),
    )
    x_public = tensor(public, config.input)
    groups: list[dict[str, Any]] = [
        {"params": [p for p in learner.parameters() if p.ndim > 1]},
        {"params": [p for p in learner.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.SGD(
        groups,
        lr=config.optimiser.rate,
        momentum=config.optimiser.momentum,
        weight_decay=config.optimiser.weight_decay,
        nesterov=True,
    )
    recipe = json.dumps(asdict(config))

    first = 0
    if (run / "last.pt").exists():
        state = torch.load(run / "last.pt", weights_only=True)
        if state["config"] != recipe:
            raise SettingsError(f"{run}: was begun with another recipe; name another --run folder")
        learner.load_state_dict(state["learner"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        first = state["epoch"] + 1

    steps = math.ceil(len(training) / config.batch)
    bar = tqdm(total=config.epochs * steps, initial=first * steps, unit="step", disable=quiet, mininterval=5)
    for epoch in range(first, config.epochs):
        figures = _learn(
            config,
            epoch,
            examples,
            learner=learner,
            average=average,
            optimiser=optimiser,
            bar=bar,
        )
        right = predict(average.net, x_public).argmax(1) == public.labels
        figures |= {"public_accuracy": round(float(right.mean()), 4)}
        with (run / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(figures) + "\n")
        bar.set_postfix_str(f"epoch {epoch} public {figures['public_accuracy']:.4f}")
        _save(
            {
                "config": recipe,
                "learner": learner.state_dict(),
                "average": average.state_dict(),
                "optimiser": optimiser.state_dict(),
                "epoch": epoch,
            },
            run / "last.pt",
        )
    bar.close()
    _save({"config": recipe, "net": average.net.state_dict()}, run / "final.pt")
    return average.net.eval()


def _learn(
    config: Config,
    epoch: int,
    examples: Examples,
    *,
    learner: Learner,
    average: Learner,
    optimiser: torch.optim.Optimizer,
    bar: Any,
) -> dict[str, float]:
    """One epoch; returns its line of the log."""
    random = Generator().manual_seed(config.seed * 100_003 + epoch)
    torch.manual_seed(config.seed * 100_003 + epoch)  # dropout
    size = config.augment.size(epoch / config.epochs)
    steps = math.ceil(len(examples.x) / config.batch)
    # bfloat16 halves the time of an epoch where the processor multiplies it natively.
    fast = torch.ops.mkldnn._is_mkldnn_bf16_supported()  # noqa: SLF001  no public question exists
    learner.train()
    losses, right = 0.0, 0.0
    for step, (x, wanted, votes) in enumerate(examples.batches(config.batch, random)):
        done = (epoch * steps + step) / (config.epochs * steps)
        for group in optimiser.param_groups:
            group["lr"] = config.optimiser.rate * _schedule(done, config.optimiser.warmup)
        faces = augment(x, config.augment, size, random).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            features = learner.net.features(faces)
            logits, vote_logits = learner.net.head(features).float(), learner.votes_head(features).float()
        loss = functional.cross_entropy(logits, wanted)
        by_votes = -(votes * vote_logits.log_softmax(1)).sum() / votes.sum().clamp(min=1)
        optimiser.zero_grad(set_to_none=True)
        (loss + config.target.votes_head * by_votes).backward()
        optimiser.step()
        epochs_done = done * config.epochs
        _follow(average, learner, min(config.optimiser.ema, epochs_done / (1 + epochs_done)))
        losses += loss.item() * len(x)
        right += (logits.argmax(1) == wanted.argmax(1)).sum().item()
        bar.update()
    return {
        "epoch": epoch,
        "size": size,
        "rate": round(optimiser.param_groups[0]["lr"], 5),
        "loss": round(losses / len(examples.x), 4),
        "training_accuracy": round(right / len(examples.x), 4),
    }


def _schedule(done: float, warmup: float) -> float:
    """Share of the peak rate after this share of all steps."""
    if done < warmup:
        return 0.02 + 0.98 * done / warmup
    return 0.5 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))


def _follow(average: nn.Module, learner: nn.Module, decay: float) -> None:
    """Move the averaged weights and batch statistics a little towards the learner's."""
    with torch.no_grad():
        for mean, new in zip(average.state_dict().values(), learner.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(new, 1 - decay)


def _save(state: dict[str, Any], path: Path) -> None:
    """Write whole or not at all: a kill in between leaves the previous file."""
    torch.save(state, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def load_net(run: Path) -> tuple[FaceNet, ImageInput]:
    """The averaged weights of a run, finished or not, and the input they were trained on.

    Raises:
        SettingsError: the folder holds no checkpoint.
    """
    path = run / "final.pt" if (run / "final.pt").exists() else run / "last.pt"
    if not path.exists():
        raise SettingsError(f"{run}: holds no checkpoint; `python -m training face train` makes one")
    state = torch.load(path, weights_only=True)
    config = face_config.parse(json.loads(state["config"]), str(path))
    weights = state.get("net") or {
        name.removeprefix("net."): value
        for name, value in state["average"].items()
        if name.startswith("net.")
    }
    net = FaceNet(len(LABELS), config.net.widths)
    net.load_state_dict(weights)
    return _channels_last(net.eval()), config.input


def _channels_last(net: Any) -> Any:
    """The layout in which convolutions are fastest on a CPU."""
    return net.to(memory_format=torch.channels_last)


def predict(net: nn.Module, x: Tensor, batch: int = 512) -> FloatArray:
    """Logits of N x 1 x H x W faces, N x labels, in full precision."""
    net.eval()
    with torch.inference_mode():
        parts = [
            net(x[start : start + batch].contiguous(memory_format=torch.channels_last)).numpy()
            for start in range(0, len(x), batch)
        ]
    return np.asarray(np.concatenate(parts), np.float32)
