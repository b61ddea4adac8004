"""AudioBlock -> observations of a room, and how ears are made from the settings."""

from __future__ import annotations

from edge.models import weights
from edge.models.choice import open_model, shelf_of
from edge.models.trial import Trials
from edge.settings import Settings
from edge.tone import ToneReader
from edge.types import AudioBlock, Look, Observation, Scores, Utterance
from edge.vad import SpeechSegmenter


class Ears:
    """AudioBlock -> a reading of each utterance that ended in it. The same for the daemon and offline."""

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


def make_ears(settings: Settings, *, trials: Trials | None = None) -> Ears:
    """Speech gate and tone model.

    Raises:
        EdgeError: a weights file is missing or altered, or a model does not fit.
    """
    from edge.runtimes import silero

    model, runtime = open_model(settings.tone, trials or Trials(shelf_of(settings)))
    return Ears(SpeechSegmenter(silero.open(weights.find("silero-vad"))), ToneReader(model, runtime))
