"""What networks answer together: whether they would teach a pupil more than one of them knows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from training.devices import Device
from training.face import train
from training.face.fer2013 import Faces
from training.face.recipes import Distil

BATCH = 128


def judge(folders: Sequence[Path], faces: Faces, place: Device) -> Iterator[tuple[str, float, float]]:
    """Accuracy of each, then of all together, as a pupil would hear them.

    Args:
        folders: run folders or model folders, as a recipe's ``teachers``; all of one size of face.
        faces: whose labels count.
        place: where to ask them.

    Yields:
        Name, share of right answers, and the same with the answer for the mirror image in the mean.

    Raises:
        SettingsError: a folder holds no network.
        ModelError: a damaged model folder.
    """
    truth = torch.from_numpy(faces.labels)
    whole: list[tuple[Tensor, Tensor]] = []
    for folder in folders:
        plain, mirrored = _ask(folder, faces, place)
        whole.append((plain, mirrored))
        yield str(folder), _right(plain, truth), _right(mirrored, truth)
    if len(whole) > 1:
        plain, mirrored = (torch.stack(one).mean(0) for one in zip(*whole, strict=True))
        yield "together", _right(plain, truth), _right(mirrored, truth)


def _ask(folder: Path, faces: Faces, place: Device) -> tuple[Tensor, Tensor]:
    """Probabilities for the faces, and the means of these and of those for their mirror images."""
    teacher = train.Teachers(Distil([str(folder)], mirrored=False, share=1.0, temperature=1.0), place)
    light = torch.from_numpy(faces.images[:, None]).float() / 255
    plain, flipped = (
        torch.cat([teacher(part.to(place.device)).cpu() for part in torch.split(view, BATCH)])
        for view in (light, light.flip(3))
    )
    return plain, (plain + flipped) / 2


def _right(probs: Tensor, truth: Tensor) -> float:
    return float((probs.argmax(1) == truth).float().mean())
