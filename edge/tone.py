"""Utterances in, calibrated tone-of-voice scores out."""

from __future__ import annotations

from edge.manifest import LogMelInput, Manifest
from edge.preprocess import FrontEnd
from edge.runtimes import Runtime
from edge.types import ModelError, Scores, Utterance


class ToneReader:
    """The tone model on utterances."""

    def __init__(self, manifest: Manifest, runtime: Runtime) -> None:
        """Read with *manifest*'s model, loaded as *runtime*.

        Raises:
            ModelError: the model does not read sound.
        """
        if not isinstance(manifest.input, LogMelInput):
            raise ModelError(f"{manifest.id}: reads {manifest.task}, not tone of voice")
        self.model, self._runtime = manifest, runtime
        self._front_end = FrontEnd(manifest.input)
        self.stretch_s = manifest.input.duration_s
        """Seconds that one reading looks at."""

    def __call__(self, utterance: Utterance) -> Scores:
        """The mean over the utterance's stretches, of the probabilities."""
        stretches = self.model.calibrate(self._runtime(self._front_end.batch(utterance.samples)))
        labels = self.model.labels
        probs = tuple(sum(s.probs[i] for s in stretches) / len(stretches) for i in range(len(labels)))
        return Scores(labels, probs, self.model.id)
