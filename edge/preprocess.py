"""From a crop to a tensor, from samples to log-mel; training calls these same functions."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from edge.manifest import ImageInput
from edge.types import Box, FloatArray, ImageArray


def crop_face(image: ImageArray, box: Box, *, margin: float) -> ImageArray:
    """Cut a square around *box*, grown by *margin* of its longer side on every side.

    Args:
        image: H x W x 3 uint8, or H x W.
        box: in fractions of the image.
        margin: ImageInput.margin.

    Returns:
        A square copy; where it reaches over the image's edge the edge pixels are repeated.
    """
    height, width = image.shape[:2]
    side = max(2, round(max(box.width * width, box.height * height) * (1 + 2 * margin)))
    left = round((box.x + box.width / 2) * width - side / 2)
    top = round((box.y + box.height / 2) * height - side / 2)
    inside = image[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)]
    if inside.shape[:2] == (side, side):
        return inside.copy()
    if inside.size == 0:
        return np.zeros((side, side, *image.shape[2:]), np.uint8)
    above, before = max(-top, 0), max(-left, 0)
    below, after = side - above - inside.shape[0], side - before - inside.shape[1]
    padded = cv2.copyMakeBorder(inside, above, below, before, after, cv2.BORDER_REPLICATE)
    return np.asarray(padded, np.uint8)


def face_tensor(crops: Sequence[ImageArray], spec: ImageInput) -> FloatArray:
    """Turn square crops of any size into one batch.

    Args:
        crops: each h x w x 3 BGR or h x w grey, uint8.
        spec: the model's input.

    Returns:
        N x height x width x channels float32; grey levels as (grey / 255 - mean) / std. Shrinking
        averages areas and growing is bilinear, so a near and a far face look alike to the model.
    """
    batch = np.empty((len(crops), spec.height, spec.width, spec.channels), np.float32)
    for row, crop in zip(batch, crops, strict=True):
        grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY) if crop.ndim == 3 else crop
        if grey.shape != (spec.height, spec.width):
            shrinks = grey.shape[0] > spec.height
            grey = cv2.resize(
                grey,
                (spec.width, spec.height),
                interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
            )
        row[...] = grey[..., None]
    batch *= 1 / (255 * spec.std)
    batch -= spec.mean / spec.std
    return batch
