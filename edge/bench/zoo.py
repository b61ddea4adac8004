"""OpenCV Zoo's way to read expressions: YuNet on every frame, MobileFaceNet at 112 pixels on every face.

Both on OpenCV's own runtime, one face at a time, as the Zoo's demo does. YuNet's file is taken where there is
one; elsewhere RetinaFace on 640 pixels stands in for it, which takes about as long (docs/detectors.md).
MobileFaceNet has random weights: its own cannot be had from a package registry.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edge.bench import nets
from edge.models import weights
from edge.runtimes import retinaface
from edge.types import FloatArray, Frame, ImageArray

MARKS = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    np.float32,
)
"""Eyes, nose and corners of the mouth in a picture of 112 x 112 pixels, as faces are aligned everywhere."""


class Zoo:
    """The pipeline. One thread."""

    def __init__(self, scratch: Path, *, yunet: Path | None, size: tuple[int, int]) -> None:
        """Prepare for frames of *size*, width and height; *scratch* takes the network's file."""
        path = scratch / "mobilefacenet.onnx"
        graph = nets.mobilefacenet()
        graph.write(path, nets.LABELS)
        self.multiply_adds = graph.multiply_adds
        """Of one face."""
        self._net = cv2.dnn.readNetFromONNX(str(path))
        self.stands_in = yunet is None
        self._retinaface = retinaface.open(weights.find("retinaface"), side=640) if yunet is None else None
        self._yunet = cv2.FaceDetectorYN.create(str(yunet), "", size, 0.6, 0.3) if yunet is not None else None
        self.faces = 0
        """Read so far."""

    def __call__(self, frame: Frame) -> None:
        """Find, align and read all faces of the frame."""
        for marks in self.detect(frame.image):
            self.read(frame.image, marks)

    def detect(self, image: ImageArray) -> list[FloatArray]:
        """Five marks of each face, in pixels."""
        if self._yunet is not None:
            _, rows = self._yunet.detect(image)
            return [] if rows is None else [row[4:14].reshape(5, 2) for row in np.asarray(rows, np.float32)]
        assert self._retinaface is not None
        height, width = image.shape[:2]
        found: list[FloatArray] = []
        for box, _ in self._retinaface(image):
            corner = np.array([box.x * width, box.y * height], np.float32)
            extent = np.array([box.width * width, box.height * height], np.float32)
            found.append(np.asarray(corner + MARKS / 112 * extent, np.float32))
        return found

    def read(self, image: ImageArray, marks: FloatArray) -> None:
        """Align one face by its marks and run the network."""
        move, _ = cv2.estimateAffinePartial2D(marks, MARKS, method=cv2.LMEDS)
        if move is None:
            return
        face = cv2.warpAffine(image, move, (112, 112))
        blob = cv2.dnn.blobFromImage(face, 1 / 127.5, (112, 112), (127.5, 127.5, 127.5), swapRB=True)
        self._net.setInput(blob)
        self._net.forward()
        self.faces += 1
