"""BlazeFace on LiteRT: the fastest face detector, for near faces or slow boards.

Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", 2019. The three
published files differ in input size and anchors only, so the file's own shapes say which one it is.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edge.runtimes.litert import open_interpreter
from edge.types import Box, FloatArray, ImageArray, ModelError

GRIDS = {
    (128, 896): ((8, 2), (16, 6)),  # short range: stride of each grid and anchors per cell
    (256, 896): ((16, 2), (32, 6)),  # back camera
    (192, 2304): ((4, 1),),  # full range
}
OVERLAP = 0.3
"""Boxes whose intersection over union with the best is larger are averaged into it, weighted by score."""


class BlazeFace:
    """Not thread-safe: one lane owns it."""

    def __init__(self, weights: Path, *, min_score: float, threads: int) -> None:
        try:
            self._net = open_interpreter(weights, threads=threads)
        except (ValueError, RuntimeError, OSError) as error:
            raise ModelError(f"{weights}: LiteRT cannot load it ({type(error).__name__})") from error
        self._input = self._net.get_input_details()[0]
        outputs = sorted(self._net.get_output_details(), key=lambda output: -int(output["shape"][-1]))
        self._boxes, self._scores = (output["index"] for output in outputs[:2])
        self._side = int(self._input["shape"][1])
        count = int(outputs[0]["shape"][1])
        if (self._side, count) not in GRIDS:
            raise ModelError(f"{weights}: {self._side} px and {count} anchors is no known BlazeFace")
        self._anchors = _anchors(self._side, GRIDS[self._side, count])
        self._canvas = np.zeros((self._side, self._side, 3), np.uint8)
        self._min_logit = float(np.log(min_score / (1 - min_score)))

    def __call__(self, image: ImageArray) -> list[tuple[Box, float]]:
        """Find faces in H x W x 3 BGR; box and probability of each, best first."""
        height, width = image.shape[:2]
        scale = self._side / max(height, width)
        across, down = max(1, round(width * scale)), max(1, round(height * scale))
        self._canvas[...] = 127
        shrinks = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        cv2.resize(image, (across, down), dst=self._canvas[:down, :across], interpolation=shrinks)
        batch = cv2.cvtColor(self._canvas, cv2.COLOR_BGR2RGB).astype(np.float32)[None]
        batch *= 1 / 127.5
        batch -= 1
        self._net.set_tensor(self._input["index"], batch)
        self._net.invoke()
        logits = self._net.get_tensor(self._scores)[0, :, 0]
        chosen = np.flatnonzero(logits >= self._min_logit)
        raw = self._net.get_tensor(self._boxes)[0, chosen, :4] / self._side
        centre, extent = raw[:, :2] + self._anchors[chosen], raw[:, 2:]
        boxes = np.concatenate([centre - extent / 2, extent], axis=1)
        boxes *= np.array([self._side / across, self._side / down] * 2, np.float32)
        return _average_overlapping(boxes, 1 / (1 + np.exp(-np.clip(logits[chosen], -80, 80))))


def open(path: Path, *, min_score: float = 0.5, threads: int = 1) -> BlazeFace:
    """Load one of BlazeFace's .tflite files, already checked against its sha256.

    Raises:
        ModelError: no TFLite runtime is installed, or the file is no BlazeFace.
    """
    return BlazeFace(path, min_score=min_score, threads=threads)


def _anchors(side: int, grids: tuple[tuple[int, int], ...]) -> FloatArray:
    """N x 2: centres in 0..1, row by row, grid by grid."""
    centres = []
    for stride, repeats in grids:
        cells = side // stride
        y, x, _ = np.meshgrid(np.arange(cells), np.arange(cells), np.arange(repeats), indexing="ij")
        centres.append((np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) / cells)
    return np.concatenate(centres).astype(np.float32)


def _average_overlapping(boxes: FloatArray, scores: FloatArray) -> list[tuple[Box, float]]:
    """Weighted non-maximum suppression: several anchors see one face, and their mean is steadier."""
    found = []
    left = np.argsort(-scores)
    while left.size:
        overlap = _overlaps(boxes[left[0]], boxes[left])
        group = left[overlap > OVERLAP] if overlap[0] > OVERLAP else left[:1]
        mean = np.average(boxes[group], axis=0, weights=scores[group])
        found.append((Box(*mean.tolist()), float(scores[group[0]])))
        left = left[~np.isin(left, group)]
    return found


def _overlaps(box: FloatArray, others: FloatArray) -> FloatArray:
    """Intersection over union of one left, top, width, height with N others."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[:2] + box[2:], others[:, :2] + others[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    union = np.prod(box[2:]) + np.prod(others[:, 2:], axis=1) - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float32)
