"""Training of the expression network, from the data to the averaged weights. Reads top to bottom.

A killed run goes on from its last checkpoint and ends with the weights it would have had: every
epoch draws its chance from its own seed, so no generator state has to survive.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from edge import manifest, runtimes
from edge.manifest import ImageInput
from edge.types import LABELS, FloatArray, SettingsError
from training.devices import Device
from training.face import fer2013, pretrained, recipes
from training.face.augment import Chance, augment, mix, normalise
from training.face.fer2013 import Faces
from training.face.net import FaceNet
from training.face.pretrained import MobileNet
from training.face.recipes import Config, Distil, Optimiser, Pretrained
from training.loop import follow, save, schedule

FINAL = "final.pt"
"""What a finished run leaves: its recipe, labels and averaged weights."""
CHECKPOINT_SECONDS = 30.0
"""Least time between two checkpoints, which on a GPU would take longer to write than an epoch."""


@dataclass(frozen=True, slots=True)
class Examples:
    """The training split as tensors."""

    light: Tensor
    """N x 1 x H x W, 0 is black and 1 is white."""
    wanted: Tensor
    """N x labels; rows sum to 1."""
    votes: Tensor
    """N x 8 shares of the FER+ voters, or zeros."""

    def batches(self, size: int, place: Device, random: Generator) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """All examples, in random order; of each batch the part that *place* works on.

        The last batch is filled up from the beginning: a compiled network wants batches of one size.
        """
        order = torch.randperm(len(self.light), generator=random)
        missing = -len(order) % min(size, len(order))
        order = torch.cat([order, order[:missing]]).to(self.light.device)
        for rows in torch.split(order, size):
            mine = rows[place.rank :: place.world]
            yield self.light[mine], self.wanted[mine], self.votes[mine]


class Learner(nn.Module):
    """The network, and a second head that learns what the FER+ voters saw. It is not exported."""

    def __init__(self, config: Config, labels: int) -> None:
        super().__init__()
        self.net = _net(config, labels)
        self.votes_head = nn.Linear(self.net.features_width, fer2013.EXPRESSIONS)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the labels and of the votes, in float32."""
        logits, features = self.net.both(x)
        return logits.float(), self.votes_head(features).float()


class Teachers:
    """Finished networks whose averaged answer another one learns (Hinton et al. 2015).

    A run's network answers in torch; a model folder's int8 file answers through the kit's runtime.
    """

    def __init__(self, how: Distil, place: Device) -> None:
        self._teachers = [self._teacher(Path(folder), place) for folder in how.teachers]
        self._how, self._place = how, place

    def __call__(self, light: Tensor) -> Tensor:
        """Probabilities at the temperature, N x labels, for faces of N x 1 x H x W, 0 black and 1 white."""
        views = 2 if self._how.mirrored else 1
        seen = torch.cat([light, light.flip(3)][:views])
        with torch.no_grad(), self._place.autocast():
            answers = [answer(normalise(seen, spec)) for answer, spec in self._teachers]
        probs = [(answer.float() / self._how.temperature).softmax(1) for answer in answers]
        return torch.stack([view for answer in probs for view in answer.chunk(views)]).mean(0)

    @staticmethod
    def _teacher(folder: Path, place: Device) -> tuple[Callable[[Tensor], Tensor], ImageInput]:
        if not (folder / "model.toml").exists():
            net, spec = load_net(folder)
            net.to(place.device)
            if place.device.type == "cuda":
                net.compile()
            return net, spec
        model = manifest.load(folder)
        if not isinstance(model.input, ImageInput):
            raise SettingsError(f"{folder}: is a model for {model.task}, and teaches no expressions")
        run = runtimes.load(model, threads=1)  # one item at a time, so threads would only wait

        def answer(x: Tensor) -> Tensor:
            logits = run(x.permute(0, 2, 3, 1).float().cpu().contiguous().numpy())
            return torch.from_numpy(logits).to(x.device) / model.temperature

        return answer, model.input


def _net(config: Config, labels: int) -> FaceNet | MobileNet:
    if isinstance(config.net, Pretrained):
        shape = config.net
        return MobileNet(labels, side=shape.side, frozen=shape.frozen, dropout=shape.dropout)
    try:
        return FaceNet(labels, side=config.input.height, **asdict(config.net))
    except ValueError as error:
        raise SettingsError(f"the recipe's [net]: {error}") from None


def tensor(faces: Faces, spec: ImageInput) -> Tensor:
    """All *faces* as the kit would feed them, but N x 1 x H x W as torch wants them."""
    return torch.from_numpy(fer2013.batch(faces, spec).transpose(0, 3, 1, 2).copy())


def lit(faces: Faces, spec: ImageInput) -> Tensor:
    """All *faces* at the size of *spec*, N x 1 x H x W, 0 is black and 1 is white."""
    return tensor(faces, replace(spec, mean=0.0, std=1.0, least_std=0.0))


def train(
    config: Config,
    training: Faces,
    public: Faces,
    run: Path,
    *,
    labels: Sequence[str] = LABELS,
    place: Device | None = None,
    quiet: bool = False,
) -> FaceNet | MobileNet:
    """Train, or go on training, in the folder *run*.

    Args:
        config: the recipe.
        training: the cleaned training split; its labels are indices into *labels*.
        public: watched after every epoch, never learned from.
        run: holds ``last.pt`` (to go on), ``log.jsonl`` (one line per epoch) and, at the end, ``final.pt``
            and ``cost.json``.
        labels: the classes.
        place: where to train; the CPU by default.
        quiet: no progress bar.

    Returns:
        The network with the averaged weights, in evaluation mode.

    Raises:
        SettingsError: *run* was begun with another recipe, or the start or a teacher is missing.
        ModelError: a teacher is a damaged model folder.
    """
    place = place or Device(torch.device("cpu"))
    first_process = place.rank == 0
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    learner: Learner = _channels_last(Learner(config, len(labels))).to(place.device)
    if config.start:
        _begin(learner.net, Path(config.start))
    average = copy.deepcopy(learner)
    teachers = Teachers(config.distil, place)
    examples = _examples(config, training, len(labels), place)
    x_public = tensor(public, config.input)
    optimiser = _optimiser(learner, config, place)
    recipe = json.dumps(asdict(config))

    parts: dict[str, Any] = {"learner": learner, "average": average, "optimiser": optimiser}
    first, seconds = _resume(run / "last.pt", recipe, parts, place)
    if first_process:
        _forget_after(run / "log.jsonl", first)

    model: nn.Module = learner
    if place.world > 1:
        model = DistributedDataParallel(learner)
    if place.device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        model.compile()  # on a CPU plain code is faster
    steps = math.ceil(len(training) / config.batch)
    bar = tqdm(
        total=config.epochs * steps,
        initial=first * steps,
        unit="step",
        disable=quiet or not first_process,
        mininterval=5,
    )
    saved = time.monotonic()
    for epoch in range(first, config.epochs):
        began = time.monotonic()
        figures = _learn(
            config,
            epoch,
            examples,
            model=model,
            learner=learner,
            average=average,
            teachers=teachers,
            optimiser=optimiser,
            place=place,
            bar=bar,
        )
        took = time.monotonic() - began
        seconds += took
        if not first_process:
            continue
        figures["seconds"] = round(took, 1)
        if len(public):
            right = predict(average.net, x_public, place=place).argmax(1) == public.labels
            figures |= {"public_accuracy": round(float(right.mean()), 4)}
            bar.set_postfix_str(f"epoch {epoch} public {figures['public_accuracy']:.4f}")
        with (run / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(figures) + "\n")
        if epoch + 1 < config.epochs and time.monotonic() - saved < CHECKPOINT_SECONDS:
            continue
        saved = time.monotonic()
        save(
            {
                "config": recipe,
                "labels": list(labels),
                "epoch": epoch,
                "seconds": seconds,
                **{name: part.state_dict() for name, part in parts.items()},
            },
            run / "last.pt",
        )
    bar.close()
    if first_process:
        state = {name: value.cpu() for name, value in average.net.state_dict().items()}
        save({"config": recipe, "labels": list(labels), "net": state}, run / FINAL)
        cost = {"seconds": round(seconds), "threads": torch.get_num_threads(), "device": str(place)}
        (run / "cost.json").write_text(json.dumps(cost) + "\n", "utf-8")
    return average.net.cpu().eval()


def _examples(config: Config, training: Faces, labels: int, place: Device) -> Examples:
    wanted = fer2013.targets(training, config.target.votes, labels)
    return Examples(
        light=lit(training, config.input).to(place.device),
        wanted=torch.from_numpy(wanted).to(place.device),
        votes=torch.from_numpy(training.votes).to(place.device),
    )


def _resume(path: Path, recipe: str, parts: Mapping[str, Any], place: Device) -> tuple[int, float]:
    """Load a checkpoint into the parts, if there is one; the next epoch, and the seconds spent so far."""
    if not path.exists():
        return 0, 0.0
    state = torch.load(path, map_location=place.device, weights_only=True)
    if state["config"] != recipe:
        raise SettingsError(f"{path.parent}: was begun with another recipe; name another --run folder")
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return state["epoch"] + 1, state["seconds"]


def _begin(net: FaceNet | MobileNet, folder: Path) -> None:
    """Take over the weights of a run, or what a MobileNet can know of other faces."""
    if isinstance(net, MobileNet):
        pretrained.begin(net, folder)
    else:
        net.load_state_dict(load_net(folder)[0].state_dict())


def _optimiser(learner: Learner, config: Config, place: Device) -> torch.optim.Optimizer:
    """What moves the weights; each group's ``scale`` is its part of the rate.

    Only convolutions and matrices decay. SGD suits batch normalisation, which a pretrained network has
    folded into its weights: there each layer's gradient has another size, which AdamW does not mind.
    """
    how, fused = config.optimiser, place.device.type == "cuda"
    if not isinstance(config.net, Pretrained):
        return torch.optim.SGD(
            _groups(learner, 1.0, how),
            lr=how.rate,
            momentum=how.momentum,
            nesterov=True,
            fused=fused,
        )
    groups, scale = _groups(learner.votes_head, 1.0, how) + _groups(learner.net.head, 1.0, how), 1.0
    for layer in reversed(learner.net.body):
        scale *= config.net.fade
        groups += _groups(layer, scale, how)
    return torch.optim.AdamW(groups, lr=how.rate, betas=(how.momentum, 0.99), fused=fused)


def _groups(part: nn.Module, scale: float, how: Optimiser) -> list[dict[str, Any]]:
    learning = [p for p in part.parameters() if p.requires_grad]
    decaying, rest = [p for p in learning if p.ndim > 1], [p for p in learning if p.ndim <= 1]
    both = ((decaying, how.weight_decay), (rest, 0.0))
    return [{"params": params, "scale": scale, "weight_decay": decay} for params, decay in both if params]


def _learn(
    config: Config,
    epoch: int,
    examples: Examples,
    *,
    model: nn.Module,
    learner: Learner,
    average: Learner,
    teachers: Teachers,
    optimiser: torch.optim.Optimizer,
    place: Device,
    bar: Any,
) -> dict[str, float]:
    """One epoch; returns its line of the log."""
    seed = config.seed * 100_003 + epoch
    order, chance = Generator().manual_seed(seed), Chance(seed * 64 + place.rank, place.device)
    torch.manual_seed(seed * 64 + place.rank)  # dropout
    how, mixed = config.augment.at(epoch / config.epochs), config.augment.mixed(epoch / config.epochs)
    steps = math.ceil(len(examples.light) / config.batch)
    # A rare label's logit is raised by what its rarity costs it (Menon et al. 2021), while learning only.
    prior = config.target.balance * examples.wanted.mean(0).log().to(place.device)
    temperature, share = config.distil.temperature, config.distil.share
    scaler = torch.amp.GradScaler(place.device.type, enabled=place.precision is torch.float16)
    model.train()
    # Summed where they arise: to ask a GPU for a number is to wait for it.
    losses, right = torch.zeros((), device=place.device), torch.zeros((), device=place.device)
    for step, (plain, *targets) in enumerate(examples.batches(config.batch, place, order)):
        done = (epoch * steps + step) / (config.epochs * steps)
        for group in optimiser.param_groups:
            group["lr"] = group["scale"] * config.optimiser.rate * schedule(done, config.optimiser.warmup)
        light, (wanted, votes) = mix(augment(plain, how, chance), targets, mixed, chance)
        faces = normalise(light, config.input).contiguous(memory_format=torch.channels_last)
        with place.autocast():
            logits, vote_logits = model(faces)
        loss = functional.cross_entropy(logits + prior, wanted)
        if share:
            taught = functional.cross_entropy(logits / temperature, teachers(light)) * temperature**2
            loss = (1 - share) * loss + share * taught
        by_votes = -(votes * vote_logits.log_softmax(1)).sum() / votes.sum().clamp(min=1)
        optimiser.zero_grad(set_to_none=True)
        scaler.scale(loss + config.target.votes_head * by_votes).backward()
        scaler.step(optimiser)
        scaler.update()
        epochs_done = done * config.epochs
        follow(average, learner, min(config.optimiser.ema, epochs_done / (1 + epochs_done)))
        losses += loss.detach()
        right += (logits.argmax(1) == wanted.argmax(1)).float().mean()
        bar.update()
    return {
        "epoch": epoch,
        "rate": round(optimiser.param_groups[0]["lr"], 6),
        "loss": round(losses.item() / steps, 4),
        "training_accuracy": round(right.item() / steps, 4),
    }


def _forget_after(log: Path, epoch: int) -> None:
    """Take out of a log what was done after the checkpoint that a run goes on from."""
    if log.exists():
        lines = log.read_text("utf-8").splitlines(keepends=True)
        whole = [line for line in lines if line.endswith("\n")]  # a kill may have torn the last one
        log.write_text("".join(line for line in whole if json.loads(line)["epoch"] < epoch), "utf-8")


def load_net(run: Path) -> tuple[FaceNet | MobileNet, ImageInput]:
    """The averaged weights of a run, finished or not, and the input they were trained on.

    Raises:
        SettingsError: the folder holds no checkpoint.
    """
    path = run / FINAL if (run / FINAL).exists() else run / "last.pt"
    if not path.exists():
        raise SettingsError(f"{run}: holds no checkpoint; `python -m training face train` makes one")
    state = torch.load(path, map_location="cpu", weights_only=True)
    config = recipes.parse(json.loads(state["config"]), str(path))
    weights = state.get("net") or {
        name.removeprefix("net."): value
        for name, value in state["average"].items()
        if name.startswith("net.")
    }
    net = _net(config, len(state["labels"]))
    net.load_state_dict(weights)
    return _channels_last(net.eval()), config.input


def _channels_last(net: Any) -> Any:
    """The layout in which convolutions are fastest on a CPU."""
    return net.to(memory_format=torch.channels_last)


def predict(net: nn.Module, x: Tensor, batch: int = 512, *, place: Device | None = None) -> FloatArray:
    """Logits of N x 1 x H x W faces, N x labels; in full precision unless a *place* says how to hurry."""
    device, hurry = (place.device, place.autocast()) if place else (torch.device("cpu"), nullcontext())
    net.eval()
    parts = []
    with torch.inference_mode(), hurry:
        for start in range(0, len(x), batch):
            part = x[start : start + batch].to(device).contiguous(memory_format=torch.channels_last)
            parts.append(net(part).float().cpu().numpy())
    return np.asarray(np.concatenate(parts), np.float32)
