"""Faces in, calibrated expression scores out."""

from __future__ import annotations

from collections.abc import Sequence

from edge.manifest import ImageInput, Manifest
from edge.preprocess import face_tensor
from edge.runtimes import Runtime
from edge.types import Face, FloatArray, ModelError, Scores


class ExpressionReader:
    """The expression model on crops, all faces of a frame in one batch."""

    def __init__(self, manifest: Manifest, runtime: Runtime) -> None:
        """Read with *manifest*'s model, loaded as *runtime*.

        Raises:
            ModelError: the model does not read images.
        """
        if not isinstance(manifest.input, ImageInput):
            raise ModelError(f"{manifest.id}: reads {manifest.task}, not expressions")
        self.model, self._spec, self._runtime = manifest, manifest.input, runtime

    def __call__(self, faces: Sequence[Face]) -> list[Scores]:
        """One Scores per face, in order."""
        if not faces:
            return []
        return self.model.calibrate(self._runtime(face_tensor([face.crop for face in faces], self._spec)))

    def read_one(self, face: Face) -> tuple[Scores, FloatArray | None]:
        """A face's Scores and the features they were decided from; None where the model gives none."""
        batch = face_tensor([face.crop], self._spec)
        if not self.model.features:
            return self.model.calibrate(self._runtime(batch))[0], None
        logits, features = self._runtime.both(batch)
        return self.model.calibrate(logits)[0], features[0]
