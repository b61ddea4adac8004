"""Faces in, calibrated expression scores out."""

from __future__ import annotations

from collections.abc import Sequence

from edge.manifest import ImageInput, Manifest
from edge.preprocess import face_tensor
from edge.runtimes import Runtime
from edge.types import Face, ModelError, Scores


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
        self.offsets: tuple[float, ...] = ()
        """What the kit learned, one per label, or nothing. May be replaced at any time, from any thread."""

    def __call__(self, faces: Sequence[Face]) -> list[Scores]:
        """One Scores per face, in order."""
        if not faces:
            return []
        logits = self._runtime(face_tensor([face.crop for face in faces], self._spec))
        return self.model.calibrate(logits, self.offsets)

    def read_one(self, face: Face) -> tuple[Scores, Scores]:
        """A face's Scores, and what they would be without what the kit learned."""
        logits = self._runtime(face_tensor([face.crop], self._spec))
        return self.model.calibrate(logits, self.offsets)[0], self.model.calibrate(logits)[0]
