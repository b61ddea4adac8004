"""Utterances in, calibrated tone-of-voice scores out."""

from __future__ import annotations

from edge.manifest import LogMelInput, Manifest
from edge.preprocess import FrontEnd
from edge.runtimes import Runtime
from edge.types import FloatArray, ModelError, Scores, Utterance


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
        self.offsets: tuple[float, ...] = ()
        """What the kit learned, one per label, or nothing. May be replaced at any time, from any thread."""

    def __call__(self, utterance: Utterance) -> Scores:
        """The mean over the utterance's stretches, of the probabilities."""
        return self.read(utterance)[0]

    def read(self, utterance: Utterance) -> tuple[Scores, Scores]:
        """The same, and what it would be without what the kit learned."""
        logits = self._runtime(self._front_end.batch(utterance.samples))
        return self._mean(logits, self.offsets), self._mean(logits, ())

    def _mean(self, logits: FloatArray, offsets: tuple[float, ...]) -> Scores:
        stretches = self.model.calibrate(logits, offsets)
        labels = self.model.labels
        probs = tuple(sum(s.probs[i] for s in stretches) / len(stretches) for i in range(len(labels)))
        return Scores(labels, probs, self.model.id)
