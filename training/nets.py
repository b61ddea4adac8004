"""The expression network: a small residual CNN whose graph quantises to int8 without float islands."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def convolve(inputs: int, outputs: int, *, size: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution followed by its batch normalisation, which export folds into the weights."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2015), which is 1x1 where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = convolve(inputs, outputs, stride=stride)
        self.second = convolve(outputs, outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = convolve(inputs, outputs, size=1, stride=stride)
        # The block starts out as its shortcut, which lets a high learning rate start safely.
        for parameter in self.second[1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.relu(self.first(x))
        return torch.relu(self.second(inner) + self.shortcut(x))


class FaceNet(nn.Module):
    """Logits of one grey face.

    Plain 3x3 convolutions rather than depthwise ones: at this size they train about four times as many
    images a second on a CPU, and int8 kernels on Arm run them close to peak.

    Args:
        labels: number of classes.
        widths: channels of the stem and of the stages, 16 or more each: torch 2.13 corrupts its heap when it
            trains narrower channels-last ones on several threads.
        dropout: share of the pooled features dropped while training.

    Shapes:
        input N x 1 x H x W float32 (48 x 48 on the kit; any size from 24 while training),
        output N x labels.
    """

    def __init__(self, labels: int, widths: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        stem, *stages = widths
        layers: list[nn.Module] = [
            convolve(1, stem),
            nn.ReLU(),
            convolve(stem, stages[0], stride=2),
            nn.ReLU(),
        ]
        inputs = stages[0]
        for index, outputs in enumerate(stages):
            if index:
                layers.append(Residual(inputs, outputs, stride=2))
            layers.append(Residual(outputs, outputs, stride=1))
            inputs = outputs
        self.body = nn.Sequential(*layers)
        # AdaptiveAvgPool2d exports as one MEAN; x.mean((2, 3)) would bring a transpose along.
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout))
        self.head = nn.Linear(inputs, labels)

    def features(self, x: Tensor) -> Tensor:
        """Pooled features, N x widths[-1]."""
        pooled: Tensor = self.pool(self.body(x))
        return pooled

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x))
        return logits


def count_parameters(net: nn.Module) -> int:
    """Trainable numbers in *net*."""
    return sum(parameter.numel() for parameter in net.parameters())
