"""The expression network: a small residual CNN whose graph quantises to int8 without float islands."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

STEMS = ("whole", "shrink", "fold")
SHRINKS = ("maximum", "stride")
ENDS = ("places", "average")


def convolve(
    inputs: int, outputs: int, *, size: int = 3, stride: int = 1, padding: int | None = None
) -> nn.Sequential:
    """A convolution and its batch normalisation, which export folds into the weights.

    Without *padding* the picture keeps its size, but for the stride.
    """
    margin = size // 2 if padding is None else padding
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, margin, bias=False),
        nn.BatchNorm2d(outputs),
    )


class Block(nn.Module):
    """Two 3x3 convolutions, beside a shortcut (He et al. 2015) unless it is *plain*.

    The shortcut is 1x1 where the shape changes.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, *, plain: bool = False) -> None:
        super().__init__()
        self.first = convolve(inputs, outputs, stride=stride)
        self.second = convolve(outputs, outputs)
        self.shortcut: nn.Module | None = None
        if plain:
            return
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = convolve(inputs, outputs, size=1, stride=stride)
        # The block starts out as its shortcut, which lets a high learning rate start safely.
        for parameter in self.second[1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.second(torch.relu(self.first(x)))
        return torch.relu(inner if self.shortcut is None else inner + self.shortcut(x))


class FaceNet(nn.Module):
    """Logits and features of one grey face.

    Plain 3x3 convolutions rather than depthwise ones: at this size they train about four times as many
    images a second on a CPU, and int8 kernels on Arm run them close to peak. The kit's network folds pixels
    into channels, because the one convolution on the whole side took a third of its time, and pools by
    maximum instead of strides, and its last convolution knows one place of the face from another instead of
    an average over all of them: docs/experiments-face.md tells how much faster such a network learns. Its
    teachers differ from it and from each other in these choices, because networks of one kind make the same
    mistakes.

    Args:
        labels: number of classes.
        side: of the faces in pixels, a multiple of 2 to the number of halvings.
        widths: channels of the stages, 16 or more each: torch 2.13 corrupts its heap when it trains narrower
            channels-last ones on several threads. Each stage works on half the side of the one before.
        blocks: blocks of each stage.
        stem: what is before the first stage. ``whole``: one convolution, and the stage works on the whole
            side. ``shrink``: the same, and the stage shrinks to half as the later ones do. ``fold``: each
            2 x 2 pixels become four channels before that convolution; nothing works on the whole side.
        shrink: ``maximum`` of 2 x 2 before a stage, or ``stride`` of its first convolution.
        plain: no shortcuts beside the convolutions.
        ends: ``places`` that are weighed against each other, or their ``average``.
        squeeze: channels that are left when places are weighed; not used for an average.
        features: width of the layer before the last: what a kit may learn from later.
        dropout: share of the features dropped while training.

    Shapes:
        input N x 1 x side x side float32, output N x labels.

    Raises:
        ValueError: the stages do not fit each other or the side, or a choice has another name.
    """

    def __init__(
        self,
        labels: int,
        *,
        side: int,
        widths: Sequence[int],
        blocks: Sequence[int],
        stem: str,
        shrink: str,
        plain: bool,
        ends: str,
        squeeze: int,
        features: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        halvings = len(widths) - (stem == "whole")
        if len(widths) != len(blocks) or side % 2**halvings:
            raise ValueError(f"{len(widths)} widths, {len(blocks)} blocks and side {side} do not fit")
        for name, chosen, known in (("stem", stem, STEMS), ("shrink", shrink, SHRINKS), ("ends", ends, ENDS)):
            if chosen not in known:
                raise ValueError(f"{name} {chosen!r}: {', '.join(known)}")
        folded = stem == "fold"
        layers: list[nn.Module] = [nn.PixelUnshuffle(2)] if folded else []
        layers += [convolve(4 if folded else 1, widths[0]), nn.ReLU()]
        channels = widths[0]
        for stage, (outputs, count) in enumerate(zip(widths, blocks, strict=True)):
            halves = stage > 0 or stem == "shrink"
            if halves and shrink == "maximum":
                layers.append(nn.MaxPool2d(2))
            for place in range(count):
                stride = 2 if halves and shrink == "stride" and place == 0 else 1
                layers.append(Block(channels, outputs, stride, plain=plain))
                channels = outputs
        self.body = nn.Sequential(*layers)
        if ends == "average":
            last = [nn.AdaptiveAvgPool2d(1), convolve(channels, features, size=1)]
        else:
            # As wide as what is left of the picture, so each place has weights of its own.
            left = side >> halvings
            last = [convolve(channels, squeeze, size=1), nn.ReLU()]
            last += [convolve(squeeze, features, size=left, padding=0)]
        self.embed = nn.Sequential(*last, nn.ReLU(), nn.Flatten())
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(features, labels)
        self.features_width = features

    def features(self, x: Tensor) -> Tensor:
        """What the head decides from: N x features_width, none below zero."""
        found: Tensor = self.embed(self.body(x))
        return found

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits N x labels and features N x features_width, for export."""
        found = self.features(x)
        return self.head(self.dropout(found)), found

    def forward(self, x: Tensor) -> Tensor:
        return self.both(x)[0]


def count_parameters(net: nn.Module) -> int:
    """Trainable numbers in *net*."""
    return sum(parameter.numel() for parameter in net.parameters())
