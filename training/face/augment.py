"""Augmentation of a whole batch of faces at once: what cameras, rooms, detectors and hands do to a face.

Every random number comes from the Chance that is passed in, so an epoch can be repeated exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cache

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


class Chance:
    """Where the random numbers of an epoch come from.

    What differs from face to face is drawn where the faces live, so that a GPU never waits for the host; the
    few choices that hold for a whole batch are drawn on the host.
    """

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        self._device = torch.device(device)
        self._there = Generator(self._device).manual_seed(seed)
        self._host = Generator().manual_seed(seed)

    def uniform(self, *shape: int) -> Tensor:
        """Numbers in 0..1."""
        return torch.rand(*shape, generator=self._there, device=self._device)

    def spread(self, *shape: int) -> Tensor:
        """Numbers in -1..1."""
        return self.uniform(*shape) * 2 - 1

    def normal(self, *shape: int) -> Tensor:
        """Numbers of mean 0 and deviation 1."""
        return torch.randn(*shape, generator=self._there, device=self._device)

    def some(self, count: int, probability: float) -> Tensor:
        """Which rows of *count* something happens to: on average this share of them."""
        chosen = int(count * probability + self.number())
        return torch.randperm(count, generator=self._there, device=self._device)[:chosen]

    def number(self) -> float:
        """One number in 0..1 for the whole batch."""
        return float(torch.rand((), generator=self._host))

    def whole(self, low: int, high: int) -> int:
        """One whole number from *low* to below *high* for the whole batch."""
        return int(torch.randint(low, high, (), generator=self._host))


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


def augment(light: Tensor, how: Augment, chance: Chance) -> Tensor:
    """A changed copy of some faces.

    Args:
        light: N x 1 x H x W, 0 is black and 1 is white; H and W multiples of 8.
        how: the limits.
        chance: the only source of chance; its device is that of *light*.

    Returns:
        N x 1 x H x W.
    """
    light = _expose(light, how, chance)
    light = _blur(light, how.blur, chance)
    light = _compress(light, how.jpeg, chance)
    light = _move(light, how, chance)
    return _erase(light, how.erase, chance)


def normalise(light: Tensor, spec: ImageInput) -> Tensor:
    """What edge.preprocess.face_tensor would make of such faces: N x 1 x H x W, as a network wants them."""
    if not spec.least_std:
        return (light - spec.mean) / spec.std
    std, mean = torch.std_mean(light, (2, 3), correction=0, keepdim=True)
    return (light - mean) / std.clamp(min=spec.least_std)


def mix(
    faces: Tensor, targets: list[Tensor], probability: float, chance: Chance
) -> tuple[Tensor, list[Tensor]]:
    """Mix each face with the one that stands opposite in the batch, and the targets in the same shares.

    By equal chance the two are laid over each other (mixup, Zhang et al. 2018) or a rectangle of one is put
    into the other (CutMix, Yun et al. 2019).

    Args:
        faces: N x 1 x H x W.
        targets: tensors of N rows that mean shares.
        probability: that this batch is mixed at all.
        chance: the only source of chance.
    """
    if chance.number() >= probability:
        return faces, targets
    height, width = faces.shape[-2:]
    if chance.number() < 0.5:
        # The arcsine of a uniform number is Beta(1/2, 1/2): mostly one face, sometimes both.
        share = math.sin(chance.number() * (math.pi / 2)) ** 2
        mixed = faces.flip(0).lerp(faces, share)
    else:
        side = math.sqrt(chance.number())
        rows, columns = round(side * height), round(side * width)
        top, left = chance.whole(0, height - rows + 1), chance.whole(0, width - columns + 1)
        mixed = faces.clone()
        patch = (..., slice(top, top + rows), slice(left, left + columns))
        mixed[patch] = faces.flip(0)[patch]
        share = 1 - rows * columns / (height * width)
    return mixed, [target.flip(0).lerp(target, share) for target in targets]


def _expose(light: Tensor, how: Augment, chance: Chance) -> Tensor:
    """Dark rooms, windows behind heads, flat and hard light, and the noise of a small sensor."""
    shape = (len(light), 1, 1, 1)
    gamma = torch.exp(how.gamma * chance.spread(*shape))
    light = light.clamp(0, 1) ** gamma
    middle = light.mean((2, 3), keepdim=True)
    light = middle + (light - middle) * (1 + how.contrast * chance.spread(*shape))
    gain = torch.exp(-how.dark * chance.uniform(*shape) ** 3)
    # Dark faces carry as much noise as bright ones, so less is left of them.
    noise = how.noise * chance.uniform(*shape) ** 3
    return (light * gain + noise * chance.normal(*light.shape)).clamp(0, 1)


def _blur(light: Tensor, probability: float, chance: Chance) -> Tensor:
    """Shrink some faces and grow them again: what a child in the last row looks like."""
    chosen, side = chance.some(len(light), probability), chance.whole(10, 33)
    if len(chosen):
        small = functional.interpolate(light[chosen], size=side, mode="area")
        light[chosen] = functional.interpolate(small, size=light.shape[-1], mode="bilinear")
    return light


def _compress(light: Tensor, probability: float, chance: Chance) -> Tensor:
    """JPEG's loss: the cosine transform of 8 x 8 blocks, rounded in steps (ITU-T T.81)."""
    chosen = chance.some(len(light), probability)
    count, (height, width) = len(chosen), light.shape[-2:]
    if not count:
        return light
    cosines, luminance = _jpeg(light.device)
    blocks = (255 * light[chosen] - 128).reshape(count, height // 8, 8, width // 8, 8).transpose(2, 3)
    steps = luminance * (1 + 4 * chance.uniform(count, 1, 1, 1, 1))
    kept = torch.round(cosines @ blocks @ cosines.T / steps) * steps
    blocks = cosines.T @ kept @ cosines
    light[chosen] = ((blocks.transpose(2, 3).reshape(count, 1, height, width) + 128) / 255).clamp(0, 1)
    return light


@cache
def _jpeg(device: torch.device) -> tuple[Tensor, Tensor]:
    """The matrix of the cosine transform and the steps at quality 50, 8 x 8 each."""
    frequency, place = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    cosines = torch.cos(math.pi * frequency * (2 * place + 1) / 16) / 2
    cosines[0] /= math.sqrt(2)
    return cosines.to(device), torch.tensor(JPEG_LUMINANCE, device=device)


def _move(light: Tensor, how: Augment, chance: Chance) -> Tensor:
    """Turn, scale, stretch, shear, shift and mirror, in one resampling."""
    count = len(light)
    angle = math.radians(how.degrees) * chance.spread(count)
    scale = torch.exp(math.log1p(how.zoom) * chance.spread(count))
    stretch = torch.exp(math.log1p(how.zoom / 3) * chance.spread(count))
    mirror = 1 - 2 * (chance.uniform(count) < 0.5).float()
    shear = how.shear * chance.spread(count)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    shift = 2 * how.shift * chance.spread(count, 2)
    across = torch.stack([cos * mirror * stretch, shear - sin, shift[:, 0]], 1)
    down = torch.stack([sin * mirror * stretch, cos, shift[:, 1]], 1)
    grid = functional.affine_grid(torch.stack([across, down], 1), list(light.shape), align_corners=False)
    # Edge pixels are repeated, as edge.preprocess.crop_face does at the border of a frame.
    return functional.grid_sample(light, grid, padding_mode="border", align_corners=False)


def _erase(light: Tensor, probability: float, chance: Chance) -> Tensor:
    """Cover a rectangle of 0.15 to 0.6 of the side in some faces with any grey: hands, hair, other heads."""
    count, _, height, width = light.shape
    extent = 0.15 + 0.45 * chance.uniform(count, 2)
    centre = chance.uniform(count, 2)
    grey = chance.uniform(count, 1, 1, 1)
    rows = torch.arange(height, device=light.device).add(0.5).div(height) - centre[:, :1]
    columns = torch.arange(width, device=light.device).add(0.5).div(width) - centre[:, 1:]
    inside = (rows.abs() < extent[:, :1] / 2)[:, :, None] & (columns.abs() < extent[:, 1:] / 2)[:, None, :]
    chosen = (chance.uniform(count) < probability)[:, None, None]
    return torch.where((inside & chosen)[:, None], grey, light)
