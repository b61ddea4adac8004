"""Recordings through the same stages, as fast as the machine allows, with the same answer each time.

Nothing here has a thread or a clock: items are taken in the order of their own times, track numbers come
from a seeded source, and events are dated from the recording's start (1970-01-01, ``unsynced``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from heapq import merge
from pathlib import Path
from random import Random

from edge.ears import Ears, make_ears
from edge.events import Event
from edge.eyes import Eyes, make_eyes
from edge.kit import make_rules
from edge.mood import RoomMood
from edge.settings import Settings
from edge.sources import Camera, Microphone, open_camera, open_microphone, replay_uri
from edge.stamp import Stamp
from edge.types import Observation, Presence, SourceError

SOUND = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff"}
SEED = 20_110_718

Batch = tuple[float, Sequence[Observation | Presence]]
"""Media time of an item, and what was observed in it."""


def replay(settings: Settings, paths: Sequence[Path]) -> Iterator[Event]:
    """Yield the events of one room whose camera and microphone recorded *paths*.

    Args:
        settings: models, faces and mood are used; nothing else.
        paths: at most one picture source (video, image, folder of images) and one of sound.

    Raises:
        EdgeError: a file is missing, torn, empty or not what it seems, or there are two of a kind.
    """
    sounds = [path for path in paths if path.suffix.lower() in SOUND]
    sights = [path for path in paths if path.suffix.lower() not in SOUND]
    if len(sounds) > 1 or len(sights) > 1:
        raise SourceError("one room has one camera and one microphone: give at most one file of each kind")
    eyes = make_eyes(settings, random=Random(SEED)) if sights else None
    ears = make_ears(settings) if sounds else None
    mood = RoomMood(make_rules(settings, eyes, ears), start=0.0)
    stamp = Stamp(
        "replay",
        boot_id=fingerprint(paths),
        wall=_zero,
        monotonic=_zero,
        quality=lambda: "unsynced",
        mono_id="",
    )
    last = 0.0
    with ExitStack() as stack:
        streams: list[Iterator[Batch]] = []
        if eyes is not None:
            camera = stack.enter_context(open_camera(replay_uri(str(sights[0]), speed=0)))
            streams.append(_watch(camera, eyes))
        if ears is not None:
            microphone = stack.enter_context(open_microphone(replay_uri(str(sounds[0]), speed=0)))
            streams.append(_listen(microphone, ears))
        for last, found in merge(*streams, key=lambda batch: batch[0]):
            for item in found:
                mood.add(item)
            for window in mood.close(last, complete_to=last):
                yield stamp.window(window)
    for window in mood.finish(last):
        yield stamp.window(window)


def _watch(camera: Camera, eyes: Eyes) -> Iterator[Batch]:
    for frame in camera:
        yield frame.at, eyes(frame)


def _listen(microphone: Microphone, ears: Ears) -> Iterator[Batch]:
    at = 0.0
    for block in microphone:
        at = block.at
        yield at, ears(block)
    yield at, ears.flush()


def fingerprint(paths: Sequence[Path]) -> str:
    """32 hex digits from the files' bytes: the same recordings give the same event ids.

    Raises:
        SourceError: a file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        for path in paths:
            for file in sorted(path.iterdir()) if path.is_dir() else [path]:
                if file.is_file():
                    digest.update(file.read_bytes())
    except OSError as error:
        raise SourceError(f"{error.filename}: {error.strerror}") from error
    return digest.hexdigest()[:32]


def _zero() -> float:
    return 0.0
