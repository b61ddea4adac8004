"""The composition root: settings become objects, and the objects become four lanes.

Only this module knows all stages; the stages do not know each other. ``Eyes`` and ``Ears`` are the two ways
from a source's item to observations, the same for the daemon's threads and for offline replay.
"""

from __future__ import annotations

import math
import shutil
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random, SystemRandom
from tempfile import TemporaryDirectory
from threading import Event as Flag
from typing import Any, Literal, NamedTuple

import cv2

from edge import __version__, discovery, manifest, vitals
from edge.broker.certificates import CertificateError, check_client
from edge.contract.commands import CROWDED, Command
from edge.events import SCHEMA, Adapted, Info, Learning, Model, Sense, SourceStatus
from edge.expression import ExpressionReader
from edge.faces import Detector, FaceFinder, Glances, legibility
from edge.flow import Mailbox, OpenDevices
from edge.load import Ceiling, Effort, Governor, Strain, ladder
from edge.manifest import ImageInput, Manifest
from edge.models import weights
from edge.models.choice import open_model, shelf_of
from edge.models.trial import Trials
from edge.mood import RoomMood, Rules
from edge.outbox import Outbox
from edge.outbox.disk import DiskOutbox, Limits
from edge.outbox.memory import MemoryOutbox
from edge.panel import Panel
from edge.practice.closeup import CloseUp, close_effort
from edge.practice.game import Game, Round
from edge.practice.game import Rules as GameRules
from edge.practice.learned import FILE as LEARNED
from edge.practice.learned import Learned
from edge.practice.pupil import Pupil
from edge.runtimes import resolve
from edge.settings import Classifier, Settings
from edge.sinks import Access, Sink, open_sink
from edge.sources import (
    BLOCK_SAMPLES,
    Camera,
    Microphone,
    is_recorded,
    open_camera,
    open_microphone,
    replay_uri,
)
from edge.state.modes import ChosenMode
from edge.state.switches import Switches
from edge.supervisor import Lane
from edge.tone import ToneReader
from edge.types import (
    RATE_HZ,
    AudioBlock,
    EdgeError,
    Frame,
    Look,
    Modality,
    ModelError,
    Observation,
    Presence,
    Scores,
    SettingsError,
    SourceError,
    StuckError,
    Utterance,
)
from edge.vad import SpeechSegmenter
from edge.verdict import ABOUT, PictureJudge, SoundJudge, Verdict
from edge.words import LABELS

SourceName = Literal["camera", "microphone"]
OUTBOX = "outbox.db"
"""In the state folder."""
FIRST_WINDOW_S = 2.0
"""Of looking and listening; the page has something to show soon after a start."""


class Report(NamedTuple):
    """What a lane says of its source."""

    source: SourceName
    status: SourceStatus
    problem: str | None = None
    text: str = ""


class Eyes:
    """Frame -> how many faces, and a reading of each."""

    FORGET_S = 3.0
    """A track that was not in sight for so long has no place in the order of readings any more."""

    def __init__(
        self,
        finder: FaceFinder,
        reader: ExpressionReader,
        effort: Effort,
        *,
        search_at: Callable[[int], None] | None = None,
    ) -> None:
        """Look no harder than *effort*, by the frames' own times; *search_at* sets the detector's width."""
        self._finder, self._reader = finder, reader
        self.model = reader.model
        self.effort = effort
        """May be replaced at any time, from any thread."""
        self._search_at = search_at
        self.close_up = CloseUp(finder, reader, close_effort(effort), search_at=search_at)
        """The same eyes on one player of the practice game; in use at another time."""
        self._due = float("-inf")
        self._reads_due: dict[int, float] = {}

    def adapt(self, offsets: tuple[float, ...]) -> None:
        """Read with what the kit learned; empty is without."""
        self._reader.offsets = offsets

    @property
    def resizable(self) -> bool:
        """Whether the detector can search at another width."""
        return self._search_at is not None

    def __call__(self, frame: Frame) -> list[Observation | Presence]:
        """Nothing for a frame that comes sooner than needed; a face is read again only when that is due."""
        if frame.at < self._due:
            return []
        effort = self.effort
        self._due = _next_due(self._due, frame.at, 1 / effort.fps)
        if self._search_at is not None:
            self._search_at(effort.search_px)
        faces = self._finder(frame)
        readable = [face for face in faces if legibility(face.crop) > 0]
        found: list[Observation | Presence] = [
            Presence(frame.at, len(faces), tuple(face.track for face in readable))
        ]
        due = [face for face in readable if frame.at >= self._reads_due.get(face.track, float("-inf"))]
        for face, scores in zip(due, self._reader(due), strict=True):
            found.append(Observation("face", face.at, scores, legibility(face.crop), face.track))
            before = self._reads_due.get(face.track, float("-inf"))
            self._reads_due[face.track] = _next_due(before, frame.at, 1 / effort.reads_per_s)
        self._reads_due = {t: at for t, at in self._reads_due.items() if frame.at - at < self.FORGET_S}
        return found

    def reset(self) -> None:
        """Another camera, or a gap."""
        self._due = float("-inf")
        self._reads_due.clear()
        self.close_up.reset()
        self._finder.reset()


def _next_due(due: float, at: float, period_s: float) -> float:
    """When to do again what was due at *due* and is done at *at*.

    Half a period of slack keeps the rate when frames come at no multiple of it.
    """
    return max(due + period_s, at + period_s / 2)


class Ears:
    """AudioBlock -> a reading of each utterance that ended in it."""

    def __init__(self, segmenter: SpeechSegmenter, reader: ToneReader) -> None:
        """Listen with *segmenter*, read with *reader*."""
        self._segmenter, self._reader = segmenter, reader
        self.model = reader.model

    def __call__(self, block: AudioBlock) -> list[Observation]:
        """An utterance counts at its end, by how much of one reading's length it fills."""
        return [self._read(utterance) for utterance in self._segmenter(block)]

    def flush(self) -> list[Observation]:
        """A reading of the utterance that was still going on when the sound ended."""
        return [self._read(utterance) for utterance in self._segmenter.flush()]

    def close(self, block: AudioBlock) -> list[Look]:
        """The same for one player of the practice game."""
        looks = []
        for utterance in self._segmenter(block):
            scores, plain = self._reader.read(utterance)
            heard = self._weigh(utterance, scores)
            looks.append(Look("voice", heard.at, heard, plain=plain))
        return looks

    def adapt(self, offsets: tuple[float, ...]) -> None:
        """Read with what the kit learned; empty is without."""
        self._reader.offsets = offsets

    def _read(self, utterance: Utterance) -> Observation:
        return self._weigh(utterance, self._reader(utterance))

    def _weigh(self, utterance: Utterance, scores: Scores) -> Observation:
        end = utterance.at + utterance.duration_s
        weight = min(1.0, utterance.duration_s / self._reader.stretch_s)
        return Observation("voice", end, scores, weight)

    def reset(self) -> None:
        """Another microphone, or a gap."""
        self._segmenter.reset()


@dataclass(slots=True)
class Pace:
    """What the vision lane measured since it was last asked."""

    frames: int = 0
    since: float = field(default_factory=time.monotonic)
    latencies_s: deque[float] = field(default_factory=lambda: deque(maxlen=600))

    def take(self, now: float) -> tuple[float, list[float]]:
        """Frames per second and the sorted latencies since the last call."""
        fps = self.frames / max(now - self.since, 1e-3)
        latencies = sorted(self.latencies_s)
        self.frames, self.since = 0, now
        self.latencies_s.clear()
        return fps, latencies


class Kit:
    """Everything that runs on one kit, loaded and ready; ``daemon.run`` sets it going."""

    def __init__(self, settings: Settings, *, stop: Flag, random: Random | None = None) -> None:
        """Load models and detectors; touches no camera, microphone or network.

        Raises:
            EdgeError: a model, a weights file or a setting does not do.
        """
        self.settings = settings
        self._stop = stop
        self.has: dict[SourceName, bool] = {
            "camera": settings.camera.uri != "none",
            "microphone": settings.microphone.uri != "none",
        }
        if not any(self.has.values()):
            raise SettingsError("camera.uri and microphone.uri are both none: there is nothing to do")
        if self.has["camera"]:
            self._open_camera()  # checks the URI and touches no device
        if self.has["microphone"]:
            self._open_microphone()
        self.trials = Trials(shelf_of(settings))
        self.eyes = self.ears = None
        with self.trials.starting():
            if self.has["camera"]:
                self.eyes = make_eyes(settings, random=random or SystemRandom(), trials=self.trials)
            if self.has["microphone"]:
                self.ears = make_ears(settings, trials=self.trials)
        self.switches = Switches(settings.state_folder / "switches.json")
        self.mode = ChosenMode(settings.state_folder / "mode.json", settings.mode or "class")
        self.learned = Learned(settings.state_folder / LEARNED)
        self.pupil = Pupil(self.learned, self._readers())
        self.adapt()
        self.round: Round | None = None
        """The practice game's round that is on. Replaced as a whole by the main thread, read by the lanes."""
        self.frames: Mailbox[Frame] = Mailbox(1)
        self.blocks: Mailbox[AudioBlock] = Mailbox(64)
        self.observations: Mailbox[Observation | Presence | Look] = Mailbox(1024)
        self.reports: Mailbox[Report] = Mailbox(64)
        self.commands: Mailbox[Command] = Mailbox(64)
        self.crowded_out: Mailbox[Command] = Mailbox(64)
        """Commands that newer ones took the place of; what even this does not hold is only counted."""
        self.pace = Pace()
        self.governor = self._make_governor()
        self._measured = (time.monotonic(), time.process_time(), 0)
        self.cpu_percent: float | None = None
        self._judges: dict[SourceName, PictureJudge | SoundJudge] = {}
        if self.has["camera"] and not is_recorded(settings.camera.uri):
            self._judges["camera"] = PictureJudge(after_s=settings.camera.problem_after_s)
        if self.has["microphone"] and not is_recorded(settings.microphone.uri):
            self._judges["microphone"] = SoundJudge(after_s=settings.microphone.problem_after_s)
        self._delivered: dict[SourceName, float] = {}
        """Time of the newest item of each device since it was opened."""
        self.presses: Mailbox[str] = Mailbox(8)
        self.panel = Panel(
            button=settings.panel.button, led=settings.panel.led, pressed=lambda: self.presses.put("capture")
        )
        self.devices = OpenDevices(self.panel.light)
        self.outbox: Outbox | None = None
        """Where events wait for the broker, once ``open_mqtt`` made it."""

    def start_mood(self, at: float) -> RoomMood:
        """The mood stage, its first window beginning at *at*."""
        rules = make_rules(self.settings, self.eyes, self.ears)
        return RoomMood(replace(rules, first_s=FIRST_WINDOW_S), start=at)

    def observed_to(self, now: float) -> float:
        """Up to when all that open devices have to tell has become observations, which may wait."""
        delivered = [self._delivered.get(name, -math.inf) for name in self.has if name in self.devices]
        waiting = (self.frames.oldest, self.blocks.oldest)
        return min([now, *delivered, *(item.at for item in waiting if item is not None)])

    def start_game(self) -> Game:
        """The practice game, with no round on."""
        return Game(GameRules(certain=make_rules(self.settings, self.eyes, self.ears).certain))

    def play(self, round: Round | None) -> None:
        """Look, or listen, for *round* and nothing else; None looks at nobody. In practice mode only."""
        self.round = round

    def change_mode(self) -> None:
        """After ``mode`` was set: no round is on, and the load is governed from the full effort again."""
        self.round = None
        self.governor = self._make_governor()

    def _make_governor(self) -> Governor | None:
        settings, eyes = self.settings, self.eyes
        if eyes is None:
            return None
        full = eyes.effort = full_effort(settings)
        if self.mode.now == "practice":
            full = eyes.close_up.effort = close_effort(full)
        efforts = ladder(full, window_s=settings.mood.window_s, resizable=eyes.resizable)
        return Governor(efforts, Ceiling(settings.load.cpu_percent, settings.load.temperature_c))

    def open_mqtt(self) -> Sink:
        """The broker of the settings, not connected yet.

        Raises:
            SettingsError: the address, the password file or the certificate authority does not do.
        """
        mqtt = self.settings.mqtt
        try:
            password = Path(mqtt.password_file).read_text("utf-8").strip() if mqtt.password_file else ""
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"mqtt.password_file: {error}") from error
        try:
            check_client(mqtt.cert_file, mqtt.key_file)
        except CertificateError as error:
            raise SettingsError(str(error)) from error
        access = Access(
            password, mqtt.ca_file, mqtt.protocol, mqtt.keepalive_s, mqtt.cert_file, mqtt.key_file
        )
        self.outbox = make_outbox(self.settings)
        try:
            return open_sink(
                mqtt.url,
                kit=self.settings.kit_name,
                on_command=self._take_command,
                access=access,
                outbox=self.outbox,
            )
        except OSError as error:  # ssl.SSLError among them
            raise SettingsError(f"mqtt.ca_file: {error}") from error
        except ValueError as error:
            raise SettingsError(f"mqtt.url: {error}") from error

    def introduce(self, sink: Sink) -> None:
        """Announce this kit to Home Assistant, or take back what was announced before."""
        wanted = self.settings.homeassistant
        prefix, memory = (
            wanted.prefix if wanted.discovery else "",
            self.settings.state_folder / "announced.json",
        )
        sources = [name for name, present in self.has.items() if present]
        for name, payload in discovery.announcements(
            self.info(), sources, memory, prefix=prefix, language=wanted.language
        ):
            sink.announce(name, payload, again_on=discovery.birth_topic(wanted.prefix))

    def _take_command(self, command: Command) -> None:
        if (gone := self.commands.put(command)) is not None:
            self.crowded_out.put(replace(gone, refusal=CROWDED))

    def lanes(self) -> Iterator[tuple[str, Callable[[], Lane]]]:
        """Name and work of every lane that this kit's sources need."""
        if self.eyes is not None:
            yield "camera", partial(self._capture, "camera", self._open_camera, self.frames)
            yield "vision", partial(self._see, self.eyes)
        if self.ears is not None:
            yield "microphone", partial(self._capture, "microphone", self._open_microphone, self.blocks)
            yield "hearing", partial(self._hear, self.ears)

    def info(self) -> Info:
        """What the info topic says."""
        settings = self.settings
        return Info(
            schema=SCHEMA,
            kit=settings.kit_name,
            room=settings.room or settings.kit_name,
            software=f"suasana {__version__}",
            mode=self.mode.now,
            labels=settings.mood.view,
            models=tuple(self._models()),
            capture=self.switches.now,
            window_s=settings.mood.window_s,
            min_people=settings.mood.min_people,
            replay=any(
                is_recorded(uri, behind_faults=True) for uri in (settings.camera.uri, settings.microphone.uri)
            ),
            adapted=tuple(self._adapted()),
            learning=tuple(
                Learning(sense, one.rounds, one.next_at, one.refusal)
                for sense, one in self.pupil.progress.items()
            ),
        )

    def _readers(self) -> dict[Sense, Manifest]:
        """The model that reads each sense."""
        parts: dict[Sense, Eyes | Ears | None] = {"face": self.eyes, "voice": self.ears}
        return {sense: part.model for sense, part in parts.items() if part is not None}

    def adapt(self) -> None:
        """Read with what was learned for exactly these models, and without anything else."""
        for sense, part in (("face", self.eyes), ("voice", self.ears)):
            if part is not None:
                head = self.learned.heads.get(sense)  # type: ignore[call-overload]
                mine = head is not None and head.belongs(part.model)
                part.adapt(tuple(head.offsets[label] for label in part.model.labels) if mine else ())

    def _adapted(self) -> Iterator[Adapted]:
        models = self._readers()
        for sense, head in self.learned.heads.items():
            used = sense in models and head.belongs(models[sense])
            yield Adapted(sense, head.model, head.rounds, head.made, used)

    def _models(self) -> Iterator[Model]:
        if self.eyes is not None:
            yield describe_model(self.eyes.model, self.settings.expression, self.trials)
        if self.ears is not None:
            yield describe_model(self.ears.model, self.settings.tone, self.trials)

    def _open_camera(self) -> Camera:
        return open_camera(self.settings.camera.uri)

    def _open_microphone(self) -> Microphone:
        return open_microphone(self.settings.microphone.uri)

    def _capture(
        self,
        name: SourceName,
        open_source: Callable[[], Camera | Microphone],
        box: Mailbox[Any],
    ) -> Lane:
        """Open the device while its switch is on, close it while it is off, and say how it does."""
        while True:
            if not self.switches.allows(name):
                box.clear()
                self.reports.put(Report(name, "disabled"))
                while not self.switches.allows(name):
                    self._stop.wait(0.1)
                    yield
            try:
                over = yield from self._deliver(name, open_source, box)
            except EdgeError as error:
                box.clear()
                problem = "stuck" if isinstance(error, StuckError) else "failed"
                judge = self._judges.get(name)
                self.reports.put(Report(name, "recovering", (judge and judge.problem) or problem, str(error)))
                raise
            if over:
                return

    def _deliver(
        self, name: SourceName, open_source: Callable[[], Camera | Microphone], box: Mailbox[Any]
    ) -> Generator[None, None, bool]:
        """Hand on what the device gives and its judge finds worth reading; whether the source is over."""
        judge: Callable[[Any], Verdict] = self._judges.get(name, _wave_through)
        told: Verdict | None = None
        self._delivered.pop(name, None)
        source = open_source()
        with self.devices.hold(name, source.close) as hold, source:
            for item in source:
                if not self.switches.allows(name):
                    return False
                verdict = judge(item)
                problem = verdict.problem
                if told is None or problem != told.problem:
                    told = verdict
                    status: SourceStatus = "online" if problem in (None, "dark") else "recovering"
                    text = f"{item.source}: {ABOUT[problem]}" if problem else ""
                    self.reports.put(Report(name, status, problem, text))
                if verdict.read:
                    box.put(item)
                self._delivered[name] = item.at
                yield
                if verdict.reopen and problem:
                    raise SourceError(f"{item.source}: {ABOUT[problem]}")
        return not hold.dismissed

    def obey_switches(self) -> None:
        """Have every device closed that may not be open; its lane does so within a fraction of a second."""
        for name in self.has:
            if not self.switches.allows(name):
                self.devices.dismiss(name)

    def tend_load(self, now: float) -> bool:
        """Measure how hard the board works when that is due, and look less hard or harder; whether so."""
        governor, eyes = self.governor, self.eyes
        if governor is None or eyes is None or not governor.due(now):
            return False
        (at, cpu_s, lost), self._measured = (
            self._measured,
            (now, time.process_time(), self.blocks.dropped),
        )
        self.cpu_percent = round(100 * (self._measured[1] - cpu_s) / max(now - at, 1e-3), 1)
        strain = Strain(
            at=now,
            cpu_percent=self.cpu_percent,
            temperature_c=vitals.temperature_c(),
            throttled=vitals.throttled(),
            heard_late_s=len(self.blocks) * BLOCK_SAMPLES / RATE_HZ,
            lost_blocks=self.blocks.dropped - lost,
        )
        changed = governor.heed(strain)
        if self.mode.now == "practice":
            eyes.close_up.effort = governor.effort
        else:
            eyes.effort = governor.effort
        return changed

    def _see(self, eyes: Eyes) -> Lane:
        vitals.give_way()  # sound is little work and cannot wait; pictures can be left out
        task: object = None
        while True:
            frame = self.frames.get(timeout_s=0.5)
            if task != (task := (self.mode.now, self.round)):
                eyes.reset()
            if frame is None:
                if not self.switches.allows("camera"):
                    eyes.reset()
            else:
                with self.trials.watching(eyes.model.name):
                    found = self._look(eyes, frame)
                if found:
                    self.pace.frames += 1
                    self.pace.latencies_s.append(time.monotonic() - frame.at)
                for item in found:
                    self.observations.put(item)
            yield

    def _look(self, eyes: Eyes, frame: Frame) -> Sequence[Observation | Presence | Look]:
        """At the room; or at one player, while a round of the game is on, and at nobody between rounds."""
        if self.mode.now == "class":
            return eyes(frame)
        round = self.round
        if round is None or not round.takes("face", frame.at):
            return ()
        look = eyes.close_up(frame)
        return () if look is None else (look,)

    def _hear(self, ears: Ears) -> Lane:
        task: object = None
        while True:
            block = self.blocks.get(timeout_s=0.5)
            if task != (task := (self.mode.now, self.round)):
                ears.reset()
            if block is None:
                if not self.switches.allows("microphone"):
                    ears.reset()
            else:
                with self.trials.watching(ears.model.name):
                    found = self._listen(ears, block)
                for item in found:
                    self.observations.put(item)
            yield

    def _listen(self, ears: Ears, block: AudioBlock) -> Sequence[Observation | Look]:
        """To the room; or to one player, while a round of the game is on that listens."""
        if self.mode.now == "class":
            return ears(block)
        round = self.round
        if round is None or not round.takes("voice", block.at):
            return ()
        return ears.close(block)


def rehearse(settings: Settings, *, stop: Flag) -> None:
    """Do what a start does before it opens anything, and leave no trace: no trial of a model is counted.

    Raises:
        EdgeError: what a start would refuse.
    """
    installed = settings.state_folder / "models"
    with TemporaryDirectory() as scratch:
        try:
            if installed.is_dir():
                shutil.copytree(installed, Path(scratch) / "models")
        except OSError as error:
            raise SettingsError(f"{installed}: {error}") from error
        Kit(replace(settings, state_dir=scratch), stop=stop).open_mqtt()


def make_outbox(settings: Settings) -> Outbox:
    """Where events wait for the broker; not open yet."""
    outbox = settings.outbox
    if outbox.keep == "memory":
        return MemoryOutbox()
    limits = Limits(
        events=outbox.max_events,
        bytes=round(outbox.max_mb * 1e6),
        age_s=outbox.max_age_h * 3600,
        commit_s=outbox.commit_s,
    )
    return DiskOutbox(settings.state_folder / OUTBOX, limits, mono_id=vitals.mono_id())


def _wave_through(_item: Frame | AudioBlock) -> Verdict:
    """Of recordings: a photo that does not move is as it should be."""
    return Verdict()


def as_camera_uri(text: str) -> str:
    """What people type as a source URI: ``0`` and ``/dev/video0`` are cameras, a file is replayed."""
    if text.isdigit() or text.startswith("/dev/"):
        return f"opencv:{text}"
    return replay_uri(text, loop=True) if Path(text).exists() else text


def as_microphone_uri(text: str) -> str:
    """What people type as a source URI: an existing file is replayed, a bare word is a device's name."""
    if Path(text).exists():
        return replay_uri(text, loop=True)
    return text if ":" in text or text == "none" else f"pyaudio:{text}"


def make_eyes(settings: Settings, *, random: Random, trials: Trials | None = None) -> Eyes:
    """Detector, tracks and expression model.

    Raises:
        EdgeError: a weights file is missing or altered, or a model does not fit.
    """
    model, runtime = open_model(settings.expression, trials or Trials(shelf_of(settings)))
    if not isinstance(model.input, ImageInput):
        raise ModelError(f"{model.folder}: is a model for {model.task}, not for expressions")
    cv2.setNumThreads(1)  # four small cores are shared by four lanes; OpenCV's pool would spin on all of them
    detector = make_detector(settings)
    finder = FaceFinder(
        detector, margin=model.input.margin, random=random, glances=make_glances(settings, detector)
    )
    search_at: Callable[[int], None] | None = getattr(detector, "search_at", None)
    return Eyes(finder, ExpressionReader(model, runtime), full_effort(settings), search_at=search_at)


def make_glances(settings: Settings, detector: Detector) -> Glances | None:
    """How *detector* finds known faces again, where it can and the settings want that."""
    glance: Detector | None = getattr(detector, "glance", None)
    if glance is None or not settings.faces.look_around_s:
        return None
    return Glances(glance, settings.faces.look_around_s, near=getattr(detector, "near", None))


def full_effort(settings: Settings) -> Effort:
    """How hard the settings ask to look."""
    faces = settings.faces
    return Effort(faces.max_fps, faces.search_px, faces.reads_per_s)


def make_detector(settings: Settings) -> Detector:
    """The face detector that the settings ask for.

    Raises:
        EdgeError: its weights are missing or altered.
    """
    if settings.faces.detector == "yunet":
        from edge.runtimes import yunet

        if not settings.faces.yunet:
            raise SettingsError('faces.detector = "yunet" needs faces.yunet, the path of the ONNX file')
        path = Path(settings.faces.yunet)
        manifest.check_sha256(path, settings.faces.yunet_sha256)
        return yunet.open(path)
    if settings.faces.detector == "blazeface":
        from edge.runtimes import blazeface

        return blazeface.open(weights.find("blazeface-back"))
    from edge.runtimes import retinaface

    return retinaface.open(weights.find("retinaface"), side=settings.faces.search_px)


def make_ears(settings: Settings, *, trials: Trials | None = None) -> Ears:
    """Speech gate and tone model.

    Raises:
        EdgeError: a weights file is missing or altered, or a model does not fit.
    """
    from edge.runtimes import silero

    model, runtime = open_model(settings.tone, trials or Trials(shelf_of(settings)))
    return Ears(SpeechSegmenter(silero.open(weights.find("silero-vad"))), ToneReader(model, runtime))


def make_rules(settings: Settings, eyes: Eyes | None, ears: Ears | None) -> Rules:
    """The settings and the models' own thresholds, as mood wants them."""
    mood = settings.mood
    certain: dict[Modality, float] = {}
    if eyes is not None:
        certain["face"] = eyes.model.uncertain_below
    if ears is not None:
        certain["voice"] = ears.model.uncertain_below
    negative_voice = 0.0 if ears is None else ears.model.negative_below
    return Rules(
        window_s=mood.window_s,
        min_people=mood.min_people,
        time_constant_s=mood.smoothing_s,
        certain=certain,
        negative_voice=negative_voice,
        voice_weight=mood.voice_weight,
        view=tuple(label for label in LABELS if label in mood.view),
    )


def describe_model(model: Manifest, classifier: Classifier, trials: Trials) -> Model:
    """The model as the info topic names it."""
    runtime = resolve(model, classifier.runtime)
    return Model(
        task="expression" if model.task == "expression" else "tone",
        id=model.id,
        runtime=runtime,
        sha256=model.files[runtime].sha256,
        trial=trials.on_trial(model.name),
        instead_of=trials.instead_of(model.name, model.version),
    )
