"""torch -> float TFLite and float ONNX, both N x height x width x channels in and N x labels out."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from convert.silence import silence


class ChannelsLast(nn.Module):
    """The network as the kit sees it: takes the batch that edge.preprocess makes, channels last."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x.permute(0, 3, 1, 2))
        return logits


def export_tflite(net: nn.Module, item_shape: Sequence[int], path: Path) -> None:
    """Write a float TFLite file for one item at a time.

    Args:
        net: in evaluation mode, N x channels x height x width in.
        item_shape: height, width, channels.
        path: the file to write.
    """
    with silence():
        import litert_torch  # noqa: PLC0415  half a minute of imports that only this function needs

        # Weights that lie channels-last in memory, as fast CPU training has them, come out scrambled.
        dense = copy.deepcopy(net).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        nhwc = litert_torch.to_channel_last_io(dense.eval(), args=[0]).eval()
        litert_torch.convert(nhwc, (torch.rand(1, *item_shape),)).export(str(path))


def export_onnx(net: nn.Module, item_shape: Sequence[int], path: Path) -> None:
    """Write a float ONNX file for batches of any size; arguments as for export_tflite."""
    with silence():
        torch.onnx.export(
            ChannelsLast(net).eval(),
            (torch.rand(2, *item_shape),),
            str(path),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            external_data=False,
            input_names=["input"],
            output_names=["logits"],
            verbose=False,
        )
