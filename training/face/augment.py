"""Augmentation of a whole batch of faces at once: what cameras, rooms, detectors and hands do to a face.

Every random number comes from the generator that is passed in, so an epoch can be repeated exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Generator, Tensor
from torch.nn import functional

from edge.manifest import ImageInput

JPEG_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
"""Quantisation steps of the luminance at quality 50 (ITU-T T.81, table K.1)."""


@dataclass(frozen=True, slots=True)
class Augment:
    """How far faces may be changed; see training/face.toml."""

    degrees: float
    zoom: float
    shift: float
    shear: float
    dark: float
    gamma: float
    contrast: float
    noise: float
    erase: float
    blur: float
    jpeg: float
    strength: list[tuple[float, float]]
    mix: list[tuple[float, float]]

    def at(self, progress: float) -> Augment:
        """The limits at this share (0..1) of the epochs."""
        factor = _reached(self.strength, progress)
        limits = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: factor * limit for name, limit in limits.items() if name in LIMITS})

    def mixed(self, progress: float) -> float:
        """Probability that a batch is mixed at this share (0..1) of the epochs."""
        return _reached(self.mix, progress)


LIMITS = frozenset(field.name for field in fields(Augment)) - {"strength", "mix"}
"""What strength scales."""


def _reached(steps: Sequence[tuple[float, float]], progress: float) -> float:
    return [value for start, value in steps if progress >= start][-1]


def augment(light: Tensor, how: Augment, random: Generator) -> Tensor:
    """A changed copy of some faces.

    Args:
        light: N x 1 x H x W, 0 is black and 1 is white; H and W multiples of 8.
        how: the limits.
        random: the only source of chance; lives on the CPU whatever *light* lives on.

    Returns:
        N x 1 x H x W.
    """
    light = _expose(light, how, random)
    light = _blur(light, how.blur, random)
    light = _compress(light, how.jpeg, random)
    light = _move(light, how, random)
    return _erase(light, how.erase, random)


def normalise(light: Tensor, spec: ImageInput) -> Tensor:
    """What edge.preprocess.face_tensor would make of such faces: N x 1 x H x W, as a network wants them."""
    if not spec.least_std:
        return (light - spec.mean) / spec.std
    std, mean = torch.std_mean(light, (2, 3), correction=0, keepdim=True)
    return (light - mean) / std.clamp(min=spec.least_std)


def mix(
    faces: Tensor, targets: list[Tensor], probability: float, random: Generator
) -> tuple[Tensor, list[Tensor]]:
    """Mix each face with the one that stands opposite in the batch, and the targets in the same shares.

    By equal chance the two are laid over each other (mixup, Zhang et al. 2018) or a rectangle of one is put
    into the other (CutMix, Yun et al. 2019).

    Args:
        faces: N x 1 x H x W.
        targets: tensors of N rows that mean shares.
        probability: that this batch is mixed at all.
        random: the only source of chance.
    """
    if torch.rand((), generator=random) >= probability:
        return faces, targets
    height, width = faces.shape[-2:]
    if torch.rand((), generator=random) < 0.5:
        # The arcsine of a uniform number is Beta(1/2, 1/2): mostly one face, sometimes both.
        share = float(torch.sin(torch.rand((), generator=random) * (math.pi / 2)) ** 2)
        mixed = faces.flip(0).lerp(faces, share)
    else:
        side = math.sqrt(float(torch.rand((), generator=random)))
        rows, columns = round(side * height), round(side * width)
        top = int(torch.randint(0, height - rows + 1, (), generator=random))
        left = int(torch.randint(0, width - columns + 1, (), generator=random))
        mixed = faces.clone()
        patch = (..., slice(top, top + rows), slice(left, left + columns))
        mixed[patch] = faces.flip(0)[patch]
        share = 1 - rows * columns / (height * width)
    return mixed, [target.flip(0).lerp(target, share) for target in targets]


def _spread(random: Generator, like: Tensor, *shape: int) -> Tensor:
    """Uniform numbers in -1..1, where *like* lives."""
    return (torch.rand(*shape, generator=random) * 2 - 1).to(like.device)


def _chosen(random: Generator, like: Tensor, probability: float) -> Tensor:
    """Which of the faces something happens to, N, where *like* lives."""
    return (torch.rand(len(like), generator=random) < probability).to(like.device)


def _expose(light: Tensor, how: Augment, random: Generator) -> Tensor:
    """Dark rooms, windows behind heads, flat and hard light, and the noise of a small sensor."""
    shape = (len(light), 1, 1, 1)
    gamma = torch.exp(how.gamma * _spread(random, light, *shape))
    light = light.clamp(0, 1) ** gamma
    middle = light.mean((2, 3), keepdim=True)
    light = middle + (light - middle) * (1 + how.contrast * _spread(random, light, *shape))
    gain = torch.exp(-how.dark * torch.rand(*shape, generator=random).to(light.device) ** 3)
    # Dark faces carry as much noise as bright ones, so less is left of them.
    grain = torch.randn(light.shape, generator=random).to(light.device)
    noise = how.noise * torch.rand(*shape, generator=random).to(light.device) ** 3
    return (light * gain + noise * grain).clamp(0, 1)


def _blur(light: Tensor, probability: float, random: Generator) -> Tensor:
    """Shrink some faces and grow them again: what a child in the last row looks like."""
    chosen = _chosen(random, light, probability)
    side = int(torch.randint(10, 33, (1,), generator=random))
    if bool(chosen.any()):
        small = functional.interpolate(light[chosen], size=side, mode="area")
        light[chosen] = functional.interpolate(small, size=light.shape[-1], mode="bilinear")
    return light


def _compress(light: Tensor, probability: float, random: Generator) -> Tensor:
    """JPEG's loss: the cosine transform of 8 x 8 blocks, rounded in steps (ITU-T T.81)."""
    chosen = _chosen(random, light, probability)
    coarseness = 1 + 4 * torch.rand(len(light), 1, 1, 1, generator=random).to(light.device)
    if not bool(chosen.any()):
        return light
    frequency, place = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    cosines = torch.cos(math.pi * frequency * (2 * place + 1) / 16) / 2
    cosines[0] /= math.sqrt(2)
    cosines = cosines.to(light.device)
    count, _, height, width = light[chosen].shape
    shape = (count, height // 8, 8, width // 8, 8)
    blocks = (255 * light[chosen] - 128).reshape(shape).transpose(2, 3)
    steps = torch.tensor(JPEG_LUMINANCE, device=light.device) * coarseness[chosen][:, None]
    kept = torch.round(cosines @ blocks @ cosines.T / steps) * steps
    blocks = cosines.T @ kept @ cosines
    light[chosen] = ((blocks.transpose(2, 3).reshape(count, 1, height, width) + 128) / 255).clamp(0, 1)
    return light


def _move(light: Tensor, how: Augment, random: Generator) -> Tensor:
    """Turn, scale, stretch, shear, shift and mirror, in one resampling."""
    count = len(light)
    angle = math.radians(how.degrees) * _spread(random, light, count)
    scale = torch.exp(math.log1p(how.zoom) * _spread(random, light, count))
    stretch = torch.exp(math.log1p(how.zoom / 3) * _spread(random, light, count))
    mirror = 1 - 2 * _chosen(random, light, 0.5).float()
    shear = how.shear * _spread(random, light, count)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    shift = 2 * how.shift * _spread(random, light, count, 2)
    across = torch.stack([cos * mirror * stretch, shear - sin, shift[:, 0]], 1)
    down = torch.stack([sin * mirror * stretch, cos, shift[:, 1]], 1)
    grid = functional.affine_grid(torch.stack([across, down], 1), list(light.shape), align_corners=False)
    # Edge pixels are repeated, as edge.preprocess.crop_face does at the border of a frame.
    return functional.grid_sample(light, grid, padding_mode="border", align_corners=False)


def _erase(light: Tensor, probability: float, random: Generator) -> Tensor:
    """Cover a rectangle of 0.15 to 0.5 of the side in some faces with any grey: hands, hair, other heads."""
    count, _, height, width = light.shape
    extent = (0.15 + 0.35 * torch.rand(count, 2, generator=random)).to(light.device)
    centre = torch.rand(count, 2, generator=random).to(light.device)
    grey = torch.rand(count, 1, 1, 1, generator=random).to(light.device)
    rows = torch.arange(height, device=light.device).add(0.5).div(height) - centre[:, :1]
    columns = torch.arange(width, device=light.device).add(0.5).div(width) - centre[:, 1:]
    inside = (rows.abs() < extent[:, :1] / 2)[:, :, None] & (columns.abs() < extent[:, 1:] / 2)[:, None, :]
    chosen = _chosen(random, light, probability)[:, None, None]
    return torch.where((inside & chosen)[:, None], grey, light)
