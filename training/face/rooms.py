"""FER-2013 as the cameras of different rooms show it: every face of a split under one room's condition.

Nobody wrote down who is on the pictures, so a room is the only thing that its faces can share. Between two
looks at one face the head moves a little; what the camera does to it stays. Faces, rooms and looks are
seeded, so whoever asks gets the same answers, and a cache keeps them, without the pictures.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from edge import runtimes
from edge.manifest import ImageInput, Manifest
from edge.practice import adapt
from edge.preprocess import face_tensor
from edge.types import FloatArray, ImageArray, ModelError
from training.face.fer2013 import Faces
from training.face.robustness import CONDITIONS, Change, blur, expose, jpeg, move
from training.practice.classes import Answers

LOOKS = 2
"""At every face; the first one is judged, both are learned from."""
BATCH = 64

_BY_KEY = {one.key: one for one in CONDITIONS}


@dataclass(frozen=True, slots=True)
class Room:
    """What one camera in one place does to every face."""

    key: str
    text: str
    """For people."""
    changes: tuple[Change, ...]


def _rooms() -> tuple[Room, ...]:
    known = "light_10", "noise_20", "light_25", "light_200", "blur_2_px", "jpeg_10", "tilt_left_20", "glasses"
    return (
        Room("plain", "as in the data", ()),
        *(Room(key, _BY_KEY[key].text, (_BY_KEY[key].change,)) for key in known),
        Room(
            "webcam",
            "a quarter of the light, blur 1 px, JPEG 30",
            (expose(0.25), blur(1.0), jpeg(30)),
        ),
        Room(
            "corner",
            "tilted 20° left, 24 px wide",
            (_BY_KEY["tilt_left_20"].change, _BY_KEY["side_24_px"].change),
        ),
    )


ROOMS = _rooms()
"""The first is the one without a change."""


def answers(model: Manifest, faces: Faces, room: Room, cache: Path, *, split: str) -> Answers:
    """What the kit's preferred file of *model* says to every face in *room*.

    Args:
        model: an expression model.
        faces: all of a split.
        room: one of ROOMS.
        cache: folder that keeps the answers by the file's sha256.
        split: the faces' name there.

    Raises:
        ModelError: the model reads something else, or its file cannot be opened.
    """
    if not isinstance(model.input, ImageInput):
        raise ModelError(f"{model.id}: reads {model.task}, not expressions")
    kind = runtimes.resolve(model)
    path = cache / f"{model.files[kind].sha256[:16]}-{split}-{len(faces)}-{room.key}.npz"
    if path.is_file():
        with np.load(path) as kept:
            logits, features = kept["logits"], kept["features"]
    else:
        logits, features = _ask(model, model.input, kind, faces, room)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, logits=logits, features=features)
    logs = adapt.log_softmax(logits.astype(np.float64) / model.temperature)
    return Answers(logs, faces.labels, features.astype(np.float64))


def _ask(
    model: Manifest, spec: ImageInput, kind: str, faces: Faces, room: Room
) -> tuple[FloatArray, npt.NDArray[np.float16]]:
    run = runtimes.load(model, kind)
    logits = np.empty((LOOKS, len(faces), len(model.labels)), np.float32)
    features = np.empty((LOOKS, len(faces), model.features), np.float16)
    bar = tqdm(total=LOOKS * len(faces), desc=room.text, unit="face", disable=None, leave=False)
    with bar:
        for look in range(LOOKS):
            for start in range(0, len(faces), BATCH):
                rows = range(start, min(start + BATCH, len(faces)))
                seen = [show(faces.images[row], room, row, look) for row in rows]
                batch, part = face_tensor(seen, spec), slice(start, start + BATCH)
                if model.features:
                    logits[look, part], features[look, part] = run.both(batch)
                else:
                    logits[look, part] = run(batch)
                bar.update(len(seen))
    return logits, features


def show(face: ImageArray, room: Room, row: int, look: int) -> ImageArray:
    """One look at one face."""
    random = np.random.default_rng((zlib.crc32(room.key.encode()), row, look))
    seen = move(
        face,
        degrees=random.normal(0, 3),
        zoom=1 + random.normal(0, 0.03),
        right=random.normal(0, 0.02),
        down=random.normal(0, 0.02),
    )
    for change in room.changes:
        seen = change(seen, random)
    return seen
