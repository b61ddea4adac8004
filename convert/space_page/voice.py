"""A sound file -> what the kit's own stages hear in it: the parts that are speech, and a reading of each."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile

from convert.space_page.trouble import UnreadableError, look
from edge import manifest
from edge.models import weights
from edge.runtimes import load, silero
from edge.sources import open_microphone, replay_uri
from edge.tone import ToneReader
from edge.types import RATE_HZ, FloatArray, Scores, SourceError, Utterance
from edge.vad import SpeechSegmenter

LONGEST_S = 120.0
BARS = 200
"""Of the drawn waveform."""
SILENT = 1e-4
"""A recording that never gets louder holds nothing: its microphone was off."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A part that the speech gate let pass, and its reading."""

    start_s: float
    end_s: float
    scores: Scores


@dataclass(frozen=True, slots=True)
class Heard:
    """A whole recording."""

    duration_s: float
    peaks: tuple[float, ...]
    """BARS of them, evenly spread, the loudest 1."""
    spoken: tuple[Spoken, ...]
    overall: Scores | None
    """The mean reading, each part weighing as much as it is long; None without speech."""
    torn: bool
    """The file promised more than it holds."""
    silent: bool
    mp3: bytes
    """What was heard, to be played again: mono, 16 kHz. Empty without speech."""


class VoiceReader:
    """The speech gate and the tone model. Not thread-safe: the page asks one question at a time."""

    def __init__(self, root: Path) -> None:
        """Load from the folder that holds models/ and weights/.

        Raises:
            ModelError: a file is missing or altered.
        """
        self.model = manifest.load(root / "models" / "voice-tone")
        gate = silero.open(weights.find("silero-vad", folder=root / "weights"))
        self._segmenter = SpeechSegmenter(gate)
        self._reader = ToneReader(self.model, load(self.model, "onnx"))

    def __call__(self, path: Path) -> Heard:
        """Read a whole file.

        Raises:
            UnreadableError: it is too long, torn from the start, or no sound.
        """
        _check(path)
        self._segmenter.reset()
        blocks: list[FloatArray] = []
        utterances: list[Utterance] = []
        try:
            with open_microphone(replay_uri(str(path), speed=0)) as sound:
                for block in sound:
                    blocks.append(block.samples)
                    utterances += self._segmenter(block)
                    if block.at > LONGEST_S + 1:  # its header told less than it holds
                        raise UnreadableError("trouble.voice.long", limit=LONGEST_S / 60)
        except SourceError:
            raise UnreadableError("trouble.voice.torn") from None
        utterances += self._segmenter.flush()
        samples = np.concatenate(blocks)
        spoken = tuple(Spoken(u.at, u.at + u.duration_s, self._reader(u)) for u in utterances)
        return Heard(
            duration_s=len(samples) / RATE_HZ,
            peaks=_peaks(samples),
            spoken=spoken,
            overall=average(spoken),
            torn=_is_torn(path, len(samples) / RATE_HZ),
            silent=bool(np.abs(samples).max() < SILENT),
            mp3=_pack(samples) if spoken else b"",
        )


def average(spoken: tuple[Spoken, ...]) -> Scores | None:
    """The mean of the probabilities, weighted by duration; None of nothing."""
    if not spoken:
        return None
    lengths = [part.end_s - part.start_s for part in spoken]
    probs = np.average([part.scores.probs for part in spoken], axis=0, weights=lengths)
    return Scores(spoken[0].scores.labels, tuple(probs.tolist()), spoken[0].scores.model)


def _check(path: Path) -> None:
    kind = look(path)
    if kind == "empty":
        raise UnreadableError("trouble.empty")
    try:
        told = soundfile.info(str(path))
    except (soundfile.LibsndfileError, TypeError):  # a file called .raw makes it ask for a rate
        raise UnreadableError(f"trouble.voice.{'torn' if kind == 'sound' else kind}") from None
    if told.duration > LONGEST_S:
        raise UnreadableError("trouble.voice.too_long", minutes=told.duration / 60, limit=LONGEST_S / 60)


def _is_torn(path: Path, heard_s: float) -> bool:
    """Whether the file ends before its header says, which libsndfile hides for wav."""
    told = soundfile.info(str(path))
    if told.duration > heard_s + 0.5:
        return True
    with path.open("rb") as file:
        head = file.read(8)
    if head[:4] != b"RIFF":
        return False
    size = struct.unpack("<I", head[4:])[0] + 8
    streamed = size > 0xFFFF0000  # written without knowing the length
    return not streamed and path.stat().st_size < size - 1


def _peaks(samples: FloatArray) -> tuple[float, ...]:
    edges = np.linspace(0, len(samples), BARS + 1).round().astype(int)
    heights = [float(np.abs(samples[a:b]).max()) if b > a else 0.0 for a, b in pairwise(edges)]
    loudest = max(*heights, SILENT)
    return tuple(height / loudest for height in heights)


def _pack(samples: FloatArray) -> bytes:
    """As MP3, which every browser plays."""
    packed = io.BytesIO()
    with soundfile.SoundFile(packed, "w", RATE_HZ, 1, format="MP3") as file:
        for start in range(0, len(samples), RATE_HZ):
            file.write(samples[start : start + RATE_HZ])
    return packed.getvalue()
