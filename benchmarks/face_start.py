"""How fast does an expression network learn, by how it shrinks the picture and what it makes of the places?

Networks that share widths and blocks see the same 20,000 training faces of FER-2013 once, unchanged, in the
same order. Two of them shrink the picture by strides, two by the maximum of 2 x 2; one of each two averages
over all places in the end, the other weighs each place. A fifth folds pixels into channels first and does as
the last. The figure is the share of right answers before learning from them, over each quarter of the
steps, so no test picture is looked at.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from benchmarks.footprint import RESULTS
from edge.manifest import ImageInput
from edge.types import LABELS, EdgeError
from training.allocator import keep_memory
from training.devices import Device
from training.face import fer2013, train
from training.face.net import FaceNet

SPEC = ImageInput(height=48, width=48, channels=1, mean=0.5, std=0.25, margin=0.0)
WIDTHS, FEATURES, SQUEEZE = (32, 64, 96), 128, 32
FACES, BATCH, RATE = 20_000, 128, 0.05


def network(stem: str, shrinks_by: str, ends_in: str) -> FaceNet:
    """One of them; see FaceNet for the words."""
    return FaceNet(
        len(LABELS),
        side=SPEC.height,
        widths=WIDTHS,
        blocks=[1] * len(WIDTHS),
        stem=stem,
        shrink=shrinks_by,
        plain=False,
        ends=ends_in,
        squeeze=SQUEEZE,
        features=FEATURES,
    )


def learn(net: nn.Module, x: Tensor, labels: Tensor) -> list[float]:
    """One pass over *x*; the share of right answers in each quarter of it."""
    net = net.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimiser = torch.optim.SGD(net.parameters(), lr=RATE, momentum=0.9, nesterov=True)
    place, right = Device(torch.device("cpu")), []
    for start in range(0, len(x), BATCH):
        faces = x[start : start + BATCH].contiguous(memory_format=torch.channels_last)
        wanted = labels[start : start + BATCH]
        with place.autocast():
            logits = net(faces).float()
        optimiser.zero_grad()
        functional.cross_entropy(logits, wanted).backward()
        optimiser.step()
        right.append(logits.argmax(1) == wanted)
    return [round(float(part.float().mean()), 3) for part in torch.cat(right).chunk(4)]


def main(argv: Sequence[str] | None = None) -> int:
    """Train them all, print, keep; 2 stands for data that is not there."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.face_start", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/face"), help="as for training")
    parser.add_argument("--faces", type=int, default=FACES, help="how many (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON only")
    arguments = parser.parse_args(argv)
    keep_memory()
    try:
        training, _ = fer2013.clean(fer2013.load(arguments.data))
    except EdgeError as error:
        print(f"benchmarks.face_start: {error}", file=sys.stderr)
        return 2
    order = torch.randperm(len(training), generator=torch.Generator().manual_seed(0))[: arguments.faces]
    x = train.tensor(training.take(order.numpy()), SPEC)
    labels = torch.from_numpy(training.labels)[order]
    kinds = [("shrink", by, to) for by in ("stride", "maximum") for to in ("average", "places")]
    kinds.append(("fold", "maximum", "places"))
    found = {}
    for kind in tqdm(kinds, unit="network", disable=arguments.json):
        torch.manual_seed(0)
        found[", ".join(kind)] = learn(network(*kind), x, labels)
    result = {"faces": len(x), "training_accuracy_by_quarter": found}
    if arguments.faces == FACES:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "face_start.json").write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        for name, quarters in found.items():
            print(f"{name:<26}" + "".join(f"{share:>8.1%}" for share in quarters))
    return 0


if __name__ == "__main__":
    sys.exit(main())
