"""YuNet in OpenCV's own runtime: the drop-in for who has the official file from the OpenCV Zoo.

Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", 2023.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edge.types import Box, ImageArray, ModelError

OVERLAP = 0.3


class YuNet:
    """Not thread-safe: one lane owns it."""

    def __init__(self, weights: Path, *, min_score: float, side: int) -> None:
        try:
            self._net = cv2.FaceDetectorYN.create(str(weights), "", (320, 320), min_score, OVERLAP)
        except cv2.error as error:
            raise ModelError(f"{weights}: OpenCV cannot load it as YuNet") from error
        self._side = side
        self._size = (320, 320)

    def __call__(self, image: ImageArray) -> list[tuple[Box, float]]:
        """Find faces in H x W x 3 BGR; box and score of each, best first."""
        height, width = image.shape[:2]
        scale = self._side / max(height, width)
        size = (max(32, round(width * scale)), max(32, round(height * scale)))
        if size != (width, height):
            way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            image = np.asarray(cv2.resize(image, size, interpolation=way), np.uint8)
        if size != self._size:
            self._net.setInputSize(size)
            self._size = size
        _, rows = self._net.detect(image)
        if rows is None:
            return []
        boxes = rows[:, :4] / np.array([*size, *size], np.float32)
        order = np.argsort(-rows[:, -1])
        return [(Box(*boxes[k].tolist()), float(rows[k, -1])) for k in order]


def open(path: Path, *, min_score: float = 0.6, side: int = 960) -> YuNet:
    """Load the official YuNet file, already checked against its sha256.

    Args:
        path: the weights.
        min_score: score under which an answer is no face.
        side: every picture is enlarged or shrunk until its longer side has so many pixels.

    Raises:
        ModelError: OpenCV refuses the file.
    """
    return YuNet(path, min_score=min_score, side=side)
