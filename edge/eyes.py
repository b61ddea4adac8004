"""Frame -> observations of a room, and how eyes are made from the settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import cv2

from edge import manifest
from edge.expression import ExpressionReader
from edge.faces import Detector, FaceFinder, Glances, legibility
from edge.gaze import Gaze, next_due
from edge.load import Effort
from edge.manifest import ImageInput
from edge.models import weights
from edge.models.choice import open_model, shelf_of
from edge.models.trial import Trials
from edge.practice.closeup import CloseUp, close_effort
from edge.settings import Settings
from edge.types import Frame, ModelError, Observation, Presence, SettingsError


class Eyes:
    """Frame -> how many faces, and a reading of each. The same for the daemon's threads and offline."""

    FORGET_S = 3.0
    """A track that was not in sight for so long has no place in the order of readings any more."""

    def __init__(self, gaze: Gaze, reader: ExpressionReader) -> None:
        """Look with *gaze*, read with *reader*."""
        self.gaze, self._reader = gaze, reader
        self.model = reader.model
        self.close_up = CloseUp(gaze.another(close_effort(gaze.effort)), reader)
        """The same eyes on one player of the practice game; in use at another time."""
        self._reads_due: dict[int, float] = {}

    def adapt(self, offsets: tuple[float, ...]) -> None:
        """Read with what the kit learned; empty is without."""
        self._reader.offsets = offsets

    def __call__(self, frame: Frame) -> list[Observation | Presence]:
        """Nothing for a frame that comes sooner than needed; a face is read again only when that is due."""
        faces = self.gaze(frame)
        if faces is None:
            return []
        readable = [face for face in faces if legibility(face.crop) > 0]
        found: list[Observation | Presence] = [
            Presence(frame.at, len(faces), tuple(face.track for face in readable))
        ]
        due = [face for face in readable if frame.at >= self._reads_due.get(face.track, float("-inf"))]
        for face, scores in zip(due, self._reader(due), strict=True):
            found.append(Observation("face", face.at, scores, legibility(face.crop), face.track))
            before = self._reads_due.get(face.track, float("-inf"))
            self._reads_due[face.track] = next_due(before, frame.at, 1 / self.gaze.effort.reads_per_s)
        self._reads_due = {t: at for t, at in self._reads_due.items() if frame.at - at < self.FORGET_S}
        return found

    def reset(self) -> None:
        """Another camera, or a gap."""
        self._reads_due.clear()
        self.close_up.reset()
        self.gaze.reset()


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
    gaze = Gaze(finder, full_effort(settings), search_at=search_at)
    return Eyes(gaze, ExpressionReader(model, runtime))


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
