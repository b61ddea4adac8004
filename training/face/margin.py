"""How much wider FER-2013 frames a face than the kit's detectors do: the margin that a kit should add."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from edge.runtimes import blazeface, retinaface, yunet
from edge.types import Box, ImageArray

UPSCALED, BORDER = 192, 64
"""Pixels of a face's side and of the border around it: detectors know faces with something around them."""
SIDE = UPSCALED + 2 * BORDER

Detector = Callable[[ImageArray], list[tuple[Box, float]]]
DETECTORS: dict[str, Callable[[Path], Detector]] = {
    "retinaface": lambda path: retinaface.open(path, side=SIDE),
    "blazeface": blazeface.open,
    "yunet": yunet.open,
}


@dataclass(frozen=True, slots=True)
class Margins:
    """What was measured."""

    asked: int
    margins: npt.NDArray[np.float64]
    """Per found face, (side of the picture / longer side of the box - 1) / 2."""
    offsets: npt.NDArray[np.float64]
    """Per found face, by which share of the picture's side the box lies right of and below its middle."""


def measure(images: ImageArray, detect: Detector, *, quiet: bool = False) -> Margins:
    """Find the surest face in each of N x 48 x 48 pictures."""
    margins, offsets = [], []
    for image in tqdm(images, unit="face", disable=quiet):
        grown = cv2.resize(image, (UPSCALED, UPSCALED), interpolation=cv2.INTER_CUBIC)
        framed = cv2.copyMakeBorder(grown, BORDER, BORDER, BORDER, BORDER, cv2.BORDER_REPLICATE)
        found = detect(np.asarray(cv2.cvtColor(framed, cv2.COLOR_GRAY2BGR), np.uint8))
        if not found:
            continue
        box, _ = max(found, key=lambda pair: pair[1])
        share = UPSCALED / SIDE
        margins.append((share / max(box.width, box.height) - 1) / 2)
        offsets.append(((box.x + box.width / 2 - 0.5) / share, (box.y + box.height / 2 - 0.5) / share))
    return Margins(len(images), np.array(margins), np.array(offsets).reshape(-1, 2))
