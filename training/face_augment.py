"""Augmentation of a whole batch of faces at once: one affine resampling, then light, blur and blanks.

Every random number comes from the generator that is passed in, so an epoch can be repeated exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Augment:
    """How far faces may be changed; see training/face.toml."""

    degrees: float
    zoom: float
    shift: float
    shear: float
    contrast: float
    brightness: float
    erase: float
    blur: float
    sizes: list[tuple[float, int]]

    def size(self, progress: float) -> int:
        """Side in pixels of the faces at this share (0..1) of the epochs."""
        return [side for start, side in self.sizes if progress >= start][-1]


def augment(faces: Tensor, how: Augment, size: int, random: Generator) -> Tensor:
    """A changed copy of *faces*.

    Args:
        faces: N x 1 x H x W, normalised.
        how: the limits.
        size: side of the result in pixels.
        random: the only source of chance.

    Returns:
        N x 1 x size x size.
    """
    moved = _move(faces, how, size, random)
    count = len(moved)
    gain = 1 + how.contrast * _spread(random, count, 1, 1, 1)
    moved = moved * gain + how.brightness * _spread(random, count, 1, 1, 1)
    moved = _blur(moved, how.blur, random)
    return _erase(moved, how.erase, random)


def _spread(random: Generator, *shape: int) -> Tensor:
    """Uniform numbers in -1..1."""
    return torch.rand(*shape, generator=random) * 2 - 1


def _move(faces: Tensor, how: Augment, size: int, random: Generator) -> Tensor:
    count = len(faces)
    angle = math.radians(how.degrees) * _spread(random, count)
    scale = torch.exp(math.log1p(how.zoom) * _spread(random, count))
    stretch = torch.exp(math.log1p(how.zoom / 3) * _spread(random, count))
    mirror = torch.where(torch.rand(count, generator=random) < 0.5, -1.0, 1.0)
    shear = how.shear * _spread(random, count)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    shift = 2 * how.shift * _spread(random, count, 2)
    across = torch.stack([cos * mirror * stretch, shear - sin, shift[:, 0]], 1)
    down = torch.stack([sin * mirror * stretch, cos, shift[:, 1]], 1)
    grid = functional.affine_grid(torch.stack([across, down], 1), [count, 1, size, size], align_corners=False)
    # Edge pixels are repeated, as edge.preprocess.crop_face does at the border of a frame.
    return functional.grid_sample(faces, grid, padding_mode="border", align_corners=False)


def _blur(faces: Tensor, probability: float, random: Generator) -> Tensor:
    """Shrink some faces and grow them again: what a child in the last row looks like."""
    chosen = torch.rand(len(faces), generator=random) < probability
    side = int(torch.randint(14, 29, (1,), generator=random))
    if bool(chosen.any()) and side < faces.shape[-1]:
        small = functional.interpolate(faces[chosen], size=side, mode="area")
        faces[chosen] = functional.interpolate(small, size=faces.shape[-1], mode="bilinear")
    return faces


def _erase(faces: Tensor, probability: float, random: Generator) -> Tensor:
    """Blank a rectangle of 0.15 to 0.5 of the side in some faces: hands, hair, another child's head."""
    count, _, height, width = faces.shape
    extent = 0.15 + 0.35 * torch.rand(count, 2, generator=random)
    centre = torch.rand(count, 2, generator=random)
    rows = ((torch.arange(height) + 0.5) / height - centre[:, :1]).abs() < extent[:, :1] / 2
    columns = ((torch.arange(width) + 0.5) / width - centre[:, 1:]).abs() < extent[:, 1:] / 2
    chosen = torch.rand(count, 1, 1, generator=random) < probability
    return faces.masked_fill((rows[:, :, None] & columns[:, None, :] & chosen)[:, None], 0.0)
