"""How much wider FER-2013 frames a face than a detector does: the crop margin that the kit should add."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from edge.types import ImageArray, SourceError

UPSCALED, BORDER = 192, 64
"""Pixels of a face's side and of the border around it: detectors know faces with something around them."""


@dataclass(frozen=True, slots=True)
class Margins:
    """What was measured."""

    found: int
    asked: int
    margins: npt.NDArray[np.float64]
    """Per found face, (side of the picture / longer side of the box - 1) / 2."""
    offsets: npt.NDArray[np.float64]
    """Per found face, by which share of the picture's side the box lies right of and below its middle."""


def measure(images: ImageArray, detector: Path, *, quiet: bool = False) -> Margins:
    """Find the face in each of N x 48 x 48 pictures with a YuNet file.

    Raises:
        SourceError: the detector's file is missing or does not load.
    """
    side = UPSCALED + 2 * BORDER
    try:
        find = cv2.FaceDetectorYN.create(str(detector), "", (side, side), 0.6)
    except cv2.error as error:
        raise SourceError(f"{detector}: not a YuNet file ({str(error).strip().splitlines()[-1]})") from error
    margins, offsets = [], []
    for image in tqdm(images, unit="face", disable=quiet):
        grown = cv2.resize(image, (UPSCALED, UPSCALED), interpolation=cv2.INTER_CUBIC)
        framed = cv2.copyMakeBorder(grown, BORDER, BORDER, BORDER, BORDER, cv2.BORDER_REPLICATE)
        _, found = find.detect(cv2.cvtColor(framed, cv2.COLOR_GRAY2BGR))
        if found is None:
            continue
        x, y, width, height = found[np.argmax(found[:, -1]), :4]
        margins.append((UPSCALED / max(width, height) - 1) / 2)
        offsets.append(((x + width / 2 - side / 2) / UPSCALED, (y + height / 2 - side / 2) / UPSCALED))
    return Margins(len(margins), len(images), np.array(margins), np.array(offsets).reshape(-1, 2))
