"""The networks that others read expressions with, as published, with random weights."""

from __future__ import annotations

from edge.bench.graph import Graph, Tensor

LABELS = 7


def mobilefacenet() -> Graph:
    """MobileFaceNet at 112 x 112 (Chen et al. 2018, table 1), seven labels at its end, as in OpenCV Zoo."""
    graph = Graph(112, 112)
    x = graph.activate(graph.conv(graph.picture, 64, 3, stride=2), "PRelu")
    x = graph.activate(graph.conv(x, 64, 3, groups=64), "PRelu")
    for times, expansion, channels, stride in (
        (5, 2, 64, 2),
        (1, 4, 128, 2),
        (6, 2, 128, 1),
        (1, 4, 128, 2),
        (2, 2, 128, 1),
    ):
        for turn in range(times):
            x = _bottleneck(graph, x, channels, expansion * x.channels, 1 if turn else stride)
    x = graph.activate(graph.conv(x, 512, 1), "PRelu")
    x = graph.conv(x, 512, 7, groups=512, pad=0)
    graph.classify(graph.conv(x, 128, 1), LABELS)
    return graph


def _bottleneck(graph: Graph, x: Tensor, channels: int, inner: int, stride: int) -> Tensor:
    y = graph.activate(graph.conv(x, inner, 1), "PRelu")
    y = graph.activate(graph.conv(y, inner, 3, stride=stride, groups=inner), "PRelu")
    y = graph.conv(y, channels, 1)
    return graph.add(x, y) if stride == 1 and x.channels == channels else y


def efficientnet_b0() -> Graph:
    """EfficientNet-B0 at 224 x 224 (Tan and Le 2019, table 1), seven labels, as in EmotiEffLib."""
    graph = Graph(224, 224)
    x = graph.activate(graph.conv(graph.picture, 32, 3, stride=2), "Silu")
    for times, expansion, channels, size, stride in (
        (1, 1, 16, 3, 1),
        (2, 6, 24, 3, 2),
        (2, 6, 40, 5, 2),
        (3, 6, 80, 3, 2),
        (3, 6, 112, 5, 1),
        (4, 6, 192, 5, 2),
        (1, 6, 320, 3, 1),
    ):
        for turn in range(times):
            x = _inverted(graph, x, channels, expansion=expansion, size=size, stride=1 if turn else stride)
    x = graph.activate(graph.conv(x, 1280, 1), "Silu")
    graph.classify(graph.mean(x), LABELS)
    return graph


def _inverted(graph: Graph, x: Tensor, channels: int, *, expansion: int, size: int, stride: int) -> Tensor:
    y = x
    if expansion > 1:
        y = graph.activate(graph.conv(y, x.channels * expansion, 1), "Silu")
    y = graph.activate(graph.conv(y, y.channels, size, stride=stride, groups=y.channels), "Silu")
    squeezed = graph.activate(graph.conv(graph.mean(y), max(1, x.channels // 4), 1), "Silu")
    y = graph.multiply(y, graph.activate(graph.conv(squeezed, y.channels, 1), "Sigmoid"))
    y = graph.conv(y, channels, 1)
    return graph.add(x, y) if stride == 1 and x.channels == channels else y
