"""torch -> float TFLite and float ONNX, both N x height x width x channels in.

Out come ``logits``, N x labels, and from a network that has ``both`` also ``features``, N x features_width.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from convert.silence import silence


def features_width(net: nn.Module) -> int:
    """Numbers in the second output of *net*; 0 if it has logits only.

    A network with features offers ``both(x) -> (logits, features)`` and ``features_width``.
    """
    return int(net.features_width) if hasattr(net, "both") else 0  # type: ignore[arg-type]


class Outputs(nn.Module):
    """The network's outputs by the names under which the kit finds them."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        if not features_width(self.net):
            return {"logits": self.net(x)}
        logits, features = self.net.both(x)  # type: ignore[operator]
        # They are above zero already. But a tensor that leaves the graph and also feeds the head would be
        # float for both when the rest becomes int8, and LiteRT has no such layer. A step in between, which
        # takes a microsecond, keeps them apart.
        return {"logits": logits, "features": torch.relu(features)}


class ChannelsLast(nn.Module):
    """The network as the kit sees it: takes the batch that edge.preprocess makes, channels last."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.named = Outputs(net)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.named(x.permute(0, 3, 1, 2)).values())


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
        nhwc = litert_torch.to_channel_last_io(Outputs(dense.eval()), args=[0]).eval()
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
            output_names=["logits", "features"] if features_width(net) else ["logits"],
            verbose=False,
        )
    _forget_origin(path)


def _forget_origin(path: Path) -> None:
    """Take out of an ONNX file where in the source, and so where on whose disk, each node came from."""
    import onnx  # noqa: PLC0415

    model = onnx.load(str(path))
    graph = model.graph
    for part in (
        model,
        graph,
        *graph.node,
        *graph.input,
        *graph.output,
        *graph.value_info,
        *graph.initializer,
    ):
        del part.metadata_props[:]
        part.doc_string = ""
    onnx.save(model, str(path))
