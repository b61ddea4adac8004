"""RetinaFace (MobileNet 0.25) on onnxruntime: the face detector that a kit uses by itself.

Deng et al., "RetinaFace: Single-stage Dense Face Localisation in the Wild", 2019. Anchors sit on three grids
(strides 8, 16, 32); the network answers per anchor with an offset and a face probability. How it compares
with the other detectors: docs/detectors.md.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from edge.runtimes.onnx import refusing, start_session
from edge.types import Box, FloatArray, ImageArray

MEAN_BGR = (104.0, 117.0, 123.0)
ANCHORS = ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))
"""Stride of each grid and the side lengths of the squares on each of its cells, in input pixels."""
CENTRE_VARIANCE, SIZE_VARIANCE = 0.1, 0.2
OVERLAP = 0.4
"""Of two boxes whose intersection over union is larger, the weaker is dropped."""
NEAR_SIDE = 640
"""Faces of a sixteenth of the picture's width are 40 pixels wide then, and found nearly always."""
GLANCE_SCORE = 0.5
"""Enough where a face was a moment ago."""


class RetinaFace:
    """Not thread-safe: one lane owns it."""

    def __init__(self, weights: Path, *, min_score: float, side: int, threads: int) -> None:
        with refusing(weights, "RetinaFace file"):
            self._session = start_session(weights, threads=threads, sizes_vary=True)
            self._input = self._session.get_inputs()[0].name
            self._outputs = [self._session.get_outputs()[number].name for number in range(2)]
        self._min_score = min_score
        self._side = side

    def search_at(self, side: int) -> None:
        """Bring the longer side of the next pictures to so many pixels."""
        self._side = side

    def __call__(self, image: ImageArray) -> list[tuple[Box, float]]:
        """Box (fractions of the picture) and probability of each face in H x W x 3 BGR, best first."""
        return self._at(image, self._side)

    def near(self, image: ImageArray) -> list[tuple[Box, float]]:
        """The same, of near faces only: on NEAR_SIDE pixels, a quarter of the work of twice as many."""
        return self._at(image, min(NEAR_SIDE, self._side))

    def _at(self, image: ImageArray, side: int) -> list[tuple[Box, float]]:
        height, width = image.shape[:2]
        scale = side / max(height, width)
        size = (max(32, round(width * scale)), max(32, round(height * scale)))
        if size != (width, height):  # sampling while it shrinks would leave small faces' pixels out
            way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            image = np.asarray(cv2.resize(image, size, interpolation=way), np.uint8)
        return self._search(image, self._min_score)

    def glance(self, image: ImageArray) -> list[tuple[Box, float]]:
        """The same at the picture's own size, and surer: it shows places where faces were a moment ago."""
        return self._search(image, min(GLANCE_SCORE, self._min_score))

    def _search(self, image: ImageArray, min_score: float) -> list[tuple[Box, float]]:
        size = (image.shape[1], image.shape[0])
        offsets, probabilities = self._session.run(self._outputs, {self._input: _planes(image)})
        scores = probabilities[0, :, 1]
        chosen = np.flatnonzero(scores >= min_score)
        if not chosen.size:
            return []
        boxes = _decode(offsets[0, chosen], _anchors(*size)[chosen])
        kept = cv2.dnn.NMSBoxes(boxes.tolist(), scores[chosen].tolist(), min_score, OVERLAP)
        boxes /= np.array([*size, *size], np.float32)
        return [(Box(*boxes[k].tolist()), float(scores[chosen[k]])) for k in np.asarray(kept).ravel()]


def open(path: Path, *, min_score: float = 0.7, side: int = 1280, threads: int = 1) -> RetinaFace:
    """Load the detector's ONNX file.

    Args:
        path: the weights, already checked against their sha256.
        min_score: probability under which an answer is no face.
        side: every picture is enlarged or shrunk until its longer side has so many pixels. The time goes
            with its square; docs/detectors.md says what it buys.
        threads: of onnxruntime's pool.

    Raises:
        ModelError: onnxruntime is missing, or refuses the file.
    """
    return RetinaFace(path, min_score=min_score, side=side, threads=threads)


def _planes(image: ImageArray) -> FloatArray:
    """1 x 3 x H x W, less MEAN_BGR: what cv2.dnn.blobFromImage makes, in half of its time."""
    planes = np.empty((1, 3, *image.shape[:2]), np.float32)
    for plane, out, mean in zip(cv2.split(image), planes[0], MEAN_BGR, strict=True):
        np.subtract(plane, np.float32(mean), out=out)
    return planes


@lru_cache(maxsize=64)
def _anchors(width: int, height: int) -> FloatArray:
    """N x 3: centre x, centre y and side of each anchor in pixels, in the network's order."""
    grids = []
    for stride, sides in ANCHORS:
        rows, columns = -(-height // stride), -(-width // stride)
        y, x, side = np.meshgrid(np.arange(rows), np.arange(columns), sides, indexing="ij")
        grids.append(np.stack([(x + 0.5) * stride, (y + 0.5) * stride, side], axis=-1).reshape(-1, 3))
    return np.asarray(np.concatenate(grids), np.float32)


def _decode(offsets: FloatArray, anchors: FloatArray) -> FloatArray:
    """N x 4 left, top, width, height in pixels of N x 4 network offsets."""
    side = anchors[:, 2:]
    centre = anchors[:, :2] + offsets[:, :2] * CENTRE_VARIANCE * side
    extent = side * np.exp(offsets[:, 2:] * SIZE_VARIANCE)
    return np.concatenate([centre - extent / 2, extent], axis=1)
