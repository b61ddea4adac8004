"""What each stage of the kit's own way takes, from a packed picture or a block of sound to an event on disk.

The stages are the kit's, put together as edge.kit does it, with a stopwatch around each. Source: a crowd of
made-up pictures, packed as JPEG like a USB camera's, and speech where espeak-ng can make it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np

from edge import runtimes
from edge.bench.clock import Stopwatch
from edge.bench.crowd import Crowd
from edge.ears import Ears
from edge.expression import ExpressionReader
from edge.eyes import Eyes, full_effort, make_detector, make_glances
from edge.faces import FaceFinder, Glances
from edge.gaze import Gaze
from edge.kit import make_rules
from edge.manifest import ImageInput, LogMelInput, Manifest
from edge.models import weights
from edge.models.choice import find_model
from edge.mood import RoomMood
from edge.outbox.disk import DiskOutbox, Limits
from edge.preprocess import FrontEnd
from edge.runtimes.silero import open as open_gate
from edge.settings import Settings
from edge.sources import open_microphone, replay_uri
from edge.stamp import Stamp
from edge.tone import ToneReader
from edge.types import RATE_HZ, AudioBlock, Frame, ModelError, Observation, Presence, Utterance
from edge.vad import SpeechSegmenter

CAMERA_FPS = 10.0
SEED = 20_110_718


class Timed:
    """A stage with a stopwatch around its calls; everything else is the stage's own."""

    def __init__(self, stage: Any, name: str, watch: Stopwatch) -> None:
        self._stage, self._timed = stage, watch.around(name, stage)

    def __call__(self, *items: Any) -> Any:
        """As the stage, which is not bothered with nothing."""
        return self._timed(*items) if len(items) != 1 or not isinstance(items[0], list) or items[0] else []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stage, name)


def timed(stage: Any, name: str, watch: Stopwatch) -> Any:
    """*stage* as it is, with a stopwatch around its calls."""
    return Timed(stage, name, watch)


@dataclass(frozen=True, slots=True)
class Sight:
    """The way of pictures over some seconds of video."""

    faces: int
    width: int
    seconds: float
    cpu_per_s: float
    """Processor seconds per second of video, from the picture in memory to observations."""
    looks: int
    read: int
    """Readings of faces."""
    found: float
    """Faces per look, of all that were there."""
    look_p95_ms: float
    """Wall time of one look."""


def timed_eyes(
    settings: Settings, watch: Stopwatch, *, runtime: str = "auto", threads: int = 1
) -> tuple[Eyes, Manifest]:
    """The kit's eyes; *watch* learns of ``detect``, ``glance``, ``find``, ``classify`` and ``read``.

    Raises:
        EdgeError: a weights file or a model is not in order.
    """
    cv2.setNumThreads(1)
    model = find_model(settings.expression)
    if not isinstance(model.input, ImageInput):
        raise ModelError(f"{model.folder}: is a model for {model.task}, not for expressions")
    detector = make_detector(settings)
    glances = make_glances(settings, detector)
    if glances is not None and glances.near is not None:
        near, glance = watch.around("near", glances.near), watch.around("glance", glances.detector)
        glances = Glances(glance, glances.every_s, near=near)
    finder = FaceFinder(
        watch.around("detect", detector), margin=model.input.margin, random=Random(SEED), glances=glances
    )
    reader = ExpressionReader(model, timed(runtimes.load(model, runtime, threads=threads), "classify", watch))
    effort, search_at = full_effort(settings), getattr(detector, "search_at", None)
    find, read = timed(finder, "find", watch), timed(reader, "read", watch)
    return Eyes(Gaze(find, effort, search_at=search_at), read), model


def watch_video(
    eyes: Eyes, frames: Sequence[Frame], crowd: Crowd, watch: Stopwatch
) -> tuple[Sight, list[Observation | Presence]]:
    """Look at frames that come CAMERA_FPS times a second. The first look, which allocates, is free."""
    eyes(frames[0])
    eyes.reset()
    watch.forget()
    seen: list[Observation | Presence] = []
    for frame in frames:
        with watch.lap("look"):
            found = eyes(frame)
        seen += found
    looks = [item.people for item in seen if isinstance(item, Presence)]
    seconds = len(frames) / CAMERA_FPS
    whole = watch.times("look")
    busy = watch.times("find")
    return (
        Sight(
            faces=crowd.faces,
            width=crowd.width,
            seconds=seconds,
            cpu_per_s=round(whole.cpu_s / seconds, 5),
            looks=len(looks),
            read=sum(isinstance(item, Observation) for item in seen),
            found=round(sum(looks) / max(1, len(looks) * crowd.faces), 3),
            look_p95_ms=busy.wall_p95_ms,
        ),
        seen,
    )


def measure(settings: Settings, scratch: Path, *, seconds: float, faces: int = 10) -> dict[str, Any]:
    """All stages, as a table by name: p50 and p95 of a call in ms, processor seconds per second of input.

    Raises:
        EdgeError: a weights file or a model is not in order.
    """
    watch = Stopwatch()
    crowd = Crowd(faces)
    frames = crowd.frames(weights.FOLDER, seconds, CAMERA_FPS)
    packed = [cv2.imencode(".jpg", frame.image)[1] for frame in frames[: round(CAMERA_FPS)]]
    eyes, _ = timed_eyes(settings, watch)
    sight, seen = watch_video(eyes, frames, crowd, watch)
    rows = {
        "detect": watch.times("detect"),
        "detect near": watch.times("near"),
        "detect known": watch.times("glance"),
        "track": watch.times("find", own=True),
        "crop": watch.times("read", own=True),
        "classify": watch.times("classify"),
    }
    table = {name: _row(times, seconds) for name, times in rows.items()}
    watch.forget()
    for picture in packed:
        with watch.lap("capture"):
            cv2.imdecode(picture, cv2.IMREAD_COLOR)
    capture = watch.times("capture")
    table = {"capture": _row(capture, len(packed) / CAMERA_FPS)} | table
    table |= _hear(settings, scratch, seconds, watch)
    table |= _tell(settings, scratch, seen, eyes, watch=watch, seconds=seconds)
    return {"sight": asdict(sight), "stages": table}


def _row(times: Any, seconds: float) -> dict[str, float]:
    return {
        "calls": times.calls,
        "p50_ms": times.p50_ms,
        "p95_ms": times.p95_ms,
        "cpu_s_per_s": round(times.cpu_s / seconds, 6),
    }


def _hear(settings: Settings, scratch: Path, seconds: float, watch: Stopwatch) -> dict[str, Any]:
    watch.forget()
    model = find_model(settings.tone)
    if not isinstance(model.input, LogMelInput):
        raise ModelError(f"{model.folder}: reads {model.task}, not tone of voice")
    reader = ToneReader(model, timed(runtimes.load(model, settings.tone.runtime), "tone", watch))
    gate = open_gate(weights.find("silero-vad"))
    blocks = _sound(scratch, seconds)
    ears = Ears(SpeechSegmenter(timed(gate, "VAD", watch)), reader)
    for block in blocks:
        with watch.lap("hearing"):
            ears(block)
    heard_s = sum(len(block.samples) for block in blocks) / RATE_HZ
    table = {"VAD": _row(watch.times("VAD"), heard_s)}
    hearing = watch.times("hearing", own=True).cpu_s
    # Utterances are few in a short run, so both halves of a reading are timed on one of three seconds too.
    spoken = Utterance(0.0, 3.0, np.random.default_rng(0).normal(0, 0.1, 3 * RATE_HZ).astype(np.float32))
    front = FrontEnd(model.input)
    spent = watch.times("tone").cpu_s
    watch.forget()
    for _ in range(20):
        with watch.lap("front end"):
            front.batch(spoken.samples)
        reader(spoken)
    for name, part in (("front end", hearing), ("tone", spent)):
        table[name] = _row(watch.times(name), heard_s) | {"cpu_s_per_s": round(part / heard_s, 6)}
    return table


def _sound(scratch: Path, seconds: float) -> list[AudioBlock]:
    """Speech, or where no program speaks, noise; the same number of blocks either way."""
    from edge.demo import speak  # noqa: PLC0415 -- only here

    path, wanted = speak(scratch), round(seconds * RATE_HZ / 512)
    if path is None:
        noise = np.random.default_rng(0).normal(0, 0.05, (wanted, 512)).astype(np.float32)
        return [AudioBlock("noise", seq, seq * 512 / RATE_HZ, samples) for seq, samples in enumerate(noise)]
    blocks = []
    with open_microphone(replay_uri(str(path), loop=True, speed=0)) as microphone:
        for block in microphone:
            blocks.append(block)
            if len(blocks) == wanted:
                return blocks
    return blocks


def _tell(
    settings: Settings,
    scratch: Path,
    seen: Sequence[Observation | Presence],
    eyes: Eyes,
    *,
    watch: Stopwatch,
    seconds: float,
) -> dict[str, Any]:
    """Mood and publication: events go through the outbox on disk, as they do on a kit."""
    watch.forget()
    mood = RoomMood(make_rules(settings, eyes, None), start=0.0)
    stamp = Stamp("bench")
    outbox = DiskOutbox(
        scratch / "bench-outbox.db", Limits(events=1000, bytes=10**7, age_s=3600, commit_s=10)
    )
    outbox.open()
    windows = []
    for item in seen:
        with watch.lap("mood"):
            mood.add(item)
            windows += list(mood.close(item.at, complete_to=item.at))
    windows += list(mood.finish(seconds))
    for _ in range(max(1, 40 // max(1, len(windows)))):
        for window in windows:
            with watch.lap("publish"):
                event = stamp.window(window)
                outbox.put(event)
                outbox.tend()
            outbox.done(event.id)
    outbox.close()
    publish = watch.times("publish")
    row = _row(publish, seconds) | {
        "cpu_s_per_s": round(publish.cpu_s / max(1, publish.calls) / settings.mood.window_s, 6),
        "events_per_s": round(publish.calls / max(publish.cpu_s, 1e-9)),
    }
    return {"mood": _row(watch.times("mood"), seconds), "publish": row}
