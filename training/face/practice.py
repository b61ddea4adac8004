"""``training face adapt``: rooms of FER-2013 play the practice game, and the kit learns or refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tqdm import tqdm

from edge import manifest
from edge.manifest import Manifest
from edge.practice import reference
from edge.types import ModelError
from training.face import fer2013, rooms
from training.face.fer2013 import Faces
from training.face.rooms import ROOMS
from training.practice import classes as playing
from training.practice import heads as others
from training.practice import report
from training.practice.classes import Answers

PEOPLE_A_LABEL = 50
"""In the reference."""
SPLITS = {"public": "PublicTest", "private": "PrivateTest"}
COMPARED = "plain", "light_10", "noise_20", "webcam"
"""Rooms in which heads are compared."""
PLAYED = "plain", "light_10"
"""Rooms in which something else than asked for is shown."""
PLAYED_ROUNDS = 5


def run(model: Path, data: Path, split: str, cache: Path, *, classes: int, heads: bool) -> dict[str, Any]:
    """Everything that the page tells.

    Args:
        model: folder of an expression model.
        data: FER-2013.
        split: ``public`` chooses; ``private`` is for the report.
        cache: keeps answers.
        classes: per row of the main table; half as many for the others.
        heads: compare heads too.

    Raises:
        ModelError: no such model, or it has no reference yet.
        SourceError: no such data.
    """
    loaded = manifest.load(model)
    faces = fer2013.load(data)[split]
    known = reference.load(loaded.name, loaded.labels)
    if known is None:
        raise ModelError(f"{loaded.id}: has no reference; --write-reference makes one")
    read = {
        one.key: rooms.answers(loaded, faces, one, cache, split=split)
        for one in tqdm(ROOMS, "reading", unit="room", disable=None)
    }
    plain = read["plain"]
    table: dict[str, Any] = {
        "split": split,
        "model": loaded.id,
        "people": len(faces),
        "what": "room",
        "picture": "practice-learning-face.png",
        "caption": "Change of the accuracy by room, with everything believed and with the guard",
        "names": {one.key: one.text for one in ROOMS},
        "text": _text(loaded, split, faces, classes),
        "rooms": {},
        "plays_rounds": PLAYED_ROUNDS,
    }
    for key, room in tqdm(read.items(), "playing", unit="room", disable=None):
        rounds = {}
        for each in (*playing.ROUNDS, None):
            played = playing.play_classes(room, known, each=each, classes=classes)
            back = None if room is plain else plain
            rounds[str(each or report.AS_A_KIT)] = playing.judge(room, played, plain=back)
        table["rooms"][key] = {"rounds": rounds}
    table["plays"] = {
        key: {
            name: playing.judge(
                read[key],
                playing.play_classes(
                    read[key], known, play, each=PLAYED_ROUNDS, classes=max(2, classes // 2)
                ),
            )
            for name, play in tqdm(playing.plays(loaded.labels).items(), "playing", disable=None)
        }
        for key in PLAYED
    }
    if heads:
        some = {key: read[key] for key in COMPARED}
        table["heads"] = others.compare(some, known, classes=max(2, classes // 3))
    return table


def write_reference(model: Path, data: Path, cache: Path) -> Path:
    """Make the model's part of edge/practice/reference.toml, from PublicTest as it is."""
    loaded = manifest.load(model)
    faces = fer2013.load(data)["public"]
    plain: Answers = rooms.answers(loaded, faces, ROOMS[0], cache, split="public")
    known = playing.reference_of(plain, each=PEOPLE_A_LABEL)
    report.write_reference(loaded.name, loaded.labels, loaded.id, known)
    return reference.PATH


def _text(model: Manifest, split: str, faces: Faces, classes: int) -> str:
    return (
        f"{model.id}, {SPLITS[split]}: {classes} classes a row, each of people drawn for its rounds; all "
        f"others of the {len(faces)} are read before and after. *Right before* and the changes are of an "
        "even mix of labels, as the game asks for them, but for the column that says otherwise. *All "
        "believed* is without the guard. *Harmed*: classes in which others are read worse by more than "
        f"{100 * playing.HARM:g} point, in either mix. *Light back*: what a head that was learned there "
        "does to people as in the data. Differences are in points, with 95 % bootstrap intervals over "
        "classes and people."
    )
