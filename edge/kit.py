"""The composition root: settings become objects, and the objects become four lanes.

Only this module and what it is made of know several stages; the stages do not know each other. ``Capture``
fetches a source's items, ``Eyes`` and ``Ears`` make observations of them.
"""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random, SystemRandom
from tempfile import TemporaryDirectory
from threading import Event as Flag
from typing import TypeVar

from edge import __version__, discovery, vitals
from edge.brake import Brake
from edge.broker.certificates import CertificateError, check_client
from edge.capture import Capture, Report
from edge.contract.commands import CROWDED, Command
from edge.ears import Ears, make_ears
from edge.events import SCHEMA, Adapted, Info, Learning, Model, Sense, SourceName
from edge.eyes import Eyes, make_eyes
from edge.flow import Mailbox, OpenDevices
from edge.manifest import Manifest
from edge.models.choice import shelf_of
from edge.models.trial import Trials
from edge.mood import RoomMood, Rules
from edge.outbox import Outbox
from edge.outbox.disk import DiskOutbox, Limits
from edge.outbox.memory import MemoryOutbox
from edge.panel import Panel
from edge.practice.game import Game, Round
from edge.practice.game import Rules as GameRules
from edge.practice.learned import FILE as LEARNED
from edge.practice.learned import Learned
from edge.practice.pupil import Pupil
from edge.runtimes import resolve
from edge.settings import Classifier, Settings
from edge.sinks import Access, Sink, open_sink
from edge.sources import (
    Camera,
    Microphone,
    is_recorded,
    open_camera,
    open_microphone,
)
from edge.state.modes import ChosenMode
from edge.state.switches import Switches
from edge.supervisor import Lane
from edge.types import (
    AudioBlock,
    Frame,
    Look,
    Modality,
    Observation,
    Presence,
    SettingsError,
)
from edge.verdict import PictureJudge, SoundJudge
from edge.words import LABELS

Item = TypeVar("Item", Frame, AudioBlock)
Part = TypeVar("Part", Eyes, Ears)

OUTBOX = "outbox.db"
"""In the state folder."""
FIRST_WINDOW_S = 2.0
"""Of looking and listening; the page has something to show soon after a start."""


@dataclass(slots=True)
class Pace:
    """What the vision lane measured since it was last asked."""

    frames: int = 0
    since: float = field(default_factory=time.monotonic)
    latencies_s: deque[float] = field(default_factory=lambda: deque(maxlen=600))

    def count(self, at: float, now: float) -> None:
        """A frame of the time *at* has been read."""
        self.frames += 1
        self.latencies_s.append(now - at)

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
        self.brake = None if self.eyes is None else Brake(settings, self.eyes, self.blocks, self.mode.now)
        self.presses: Mailbox[str] = Mailbox(8)
        self.panel = Panel(button=settings.panel.button, led=settings.panel.led, pressed=self._take_press)
        self.devices = OpenDevices(self.panel.light)
        self._captures = dict(self._make_captures())
        self.outbox: Outbox | None = None
        """Where events wait for the broker, once ``open_mqtt`` made it."""

    def start_mood(self, at: float) -> RoomMood:
        """The mood stage, its first window beginning at *at*."""
        rules = make_rules(self.settings, self.eyes, self.ears)
        return RoomMood(replace(rules, first_s=FIRST_WINDOW_S), start=at)

    def observed_to(self, now: float) -> float:
        """Up to when all that open devices have to tell has become observations, which may wait."""
        delivered = [one.delivered for name, one in self._captures.items() if name in self.devices]
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
        if self.brake is not None:
            self.brake.release(self.mode.now)

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
        self.observations.wake()  # the main thread waits there

    def _take_press(self) -> None:
        self.presses.put("capture")
        self.observations.wake()

    def lanes(self) -> Iterator[tuple[str, Callable[[], Lane]]]:
        """Name and work of every lane that this kit's sources need."""
        if self.eyes is not None:
            yield "camera", self._captures["camera"].lane
            yield "vision", partial(self._attend, "camera", self.frames, self.eyes, self._look)
        if self.ears is not None:
            yield "microphone", self._captures["microphone"].lane
            yield "hearing", partial(self._attend, "microphone", self.blocks, self.ears, self._listen)

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
            absent=tuple(name for name, present in self.has.items() if not present),
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

    def _make_captures(self) -> Iterator[tuple[SourceName, Capture]]:
        settings = self.settings
        make = partial(
            Capture, switches=self.switches, devices=self.devices, tell=self.reports.put, stop=self._stop
        )
        if self.has["camera"]:
            judge = PictureJudge(after_s=settings.camera.problem_after_s)
            judged = None if is_recorded(settings.camera.uri) else judge
            yield "camera", make("camera", self._open_camera, self.frames, judge=judged)
        if self.has["microphone"]:
            hearer = SoundJudge(after_s=settings.microphone.problem_after_s)
            heard = None if is_recorded(settings.microphone.uri) else hearer
            yield "microphone", make("microphone", self._open_microphone, self.blocks, judge=heard)

    def _open_camera(self) -> Camera:
        return open_camera(self.settings.camera.uri)

    def _open_microphone(self) -> Microphone:
        return open_microphone(self.settings.microphone.uri)

    def obey_switches(self) -> None:
        """Have every device closed that may not be open; its lane does so within a fraction of a second."""
        for name in self.has:
            if not self.switches.allows(name):
                self.devices.dismiss(name)

    def _attend(
        self,
        name: SourceName,
        box: Mailbox[Item],
        part: Part,
        read: Callable[[Part, Item], Sequence[Observation | Presence | Look]],
    ) -> Lane:
        """Read what comes from *name*; begin anew with another task, and after the device was closed."""
        task: object = None
        while True:
            item = box.get(timeout_s=0.5)
            if task != (task := (self.mode.now, self.round)):
                part.reset()
            if item is not None:
                with self.trials.watching(part.model.name):
                    found = read(part, item)
                for one in found:
                    self.observations.put(one)
            elif not self.switches.allows(name):
                part.reset()
            yield

    def _look(self, eyes: Eyes, frame: Frame) -> Sequence[Observation | Presence | Look]:
        """At the room; or at one player, while a round of the game is on, and at nobody between rounds."""
        round = self.round
        found: Sequence[Observation | Presence | Look] = ()
        if self.mode.now == "class":
            found = eyes(frame)
        elif round is not None and round.takes("face", frame.at) and (look := eyes.close_up(frame)):
            found = (look,)
        if found:
            self.pace.count(frame.at, time.monotonic())
        return found

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
