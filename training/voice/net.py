"""The tone network: a small residual CNN over log-mel pictures whose graph quantises to int8 cleanly."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from training.face.net import Block, convolve


class VoiceNet(nn.Module):
    """Logits of one stretch of speech.

    Where in the spectrum something happens matters, when it happens does not: so the mel axis is read out by
    one full-height convolution, and only time is averaged away.

    Args:
        labels: number of classes.
        mels: of the input.
        widths: channels of the stem, of each residual stage, and of the read-out.
        dropout: share of the pooled features dropped while training.

    Shapes:
        input N x 1 x frames x mels float32, output N x labels. Each stage after the stem halves both axes.
    """

    def __init__(self, labels: int, mels: int, widths: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        stem, *stages, out = widths
        layers: list[nn.Module] = [convolve(1, stem, size=5, stride=2), nn.ReLU()]
        bands, inputs = -(-mels // 2), stem
        for outputs in stages:
            layers.append(Block(inputs, outputs, stride=2))
            bands, inputs = -(-bands // 2), outputs
        self.body = nn.Sequential(*layers)
        self.read_out = nn.Sequential(
            nn.Conv2d(inputs, out, (1, bands), bias=False), nn.BatchNorm2d(out), nn.ReLU()
        )
        # AdaptiveAvgPool2d exports as one MEAN; x.mean((2, 3)) would bring a transpose along.
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout))
        self.head = nn.Linear(out, labels)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.pool(self.read_out(self.body(x))))
        return logits
