"""Long recordings: what they are, and their sound in blocks, as the kit's microphone lane would deliver it.

A recording is known by its bytes, not its name, so that a renamed copy is not taken for another one.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from edge.types import RATE_HZ, AudioBlock, FloatArray, SourceError
from edge.vad import WINDOW

_CHUNK = 8192
"""Samples read at once; of the chunk in which a recording is torn, nothing is left."""
_RATES_HZ = (1000, 768_000)
_UNKNOWN = 0xFFFF_FF00
"""Sizes from here on mean that the writer of a stream did not know its length."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One file of sound."""

    path: Path
    key: str
    """Twelve hex digits of the file's sha256."""
    rate_hz: int
    duration_s: float
    """As the file tells."""
    tear: str | None
    """What says that the end is missing, where that can be seen without decoding."""


def inspect(path: Path) -> Recording:
    """Look at a file without decoding it.

    Raises:
        SourceError: missing, empty, or no sound that can be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for its writer
            raise SourceError(f"{path}: is a folder, pipe or device, not a file")
        with path.open("rb") as file:
            digest = hashlib.sha256()
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from error
    if not path.stat().st_size:
        raise SourceError(f"{path}: the file is empty")
    try:
        with soundfile.SoundFile(path) as sound:
            rate, frames, log = sound.samplerate, sound.frames, sound.extra_info
    except soundfile.LibsndfileError as error:
        raise SourceError(f"{path}: has no sound that can be read (wav, flac, ogg and mp3 can)") from error
    if not _RATES_HZ[0] <= rate <= _RATES_HZ[1]:
        raise SourceError(f"{path}: {rate} Hz is no sample rate of sound")
    return Recording(path, digest.hexdigest()[:12], rate, frames / rate, _tear(log))


def _tear(log: str) -> str | None:
    """What libsndfile noticed about a missing end; it shortens the length it tells without an error."""
    if "lacks an end-of-stream bit" in log:
        return "its last page is missing"
    for told, there in re.findall(r"^ *(?:data|SSND) *: (\d+) \(should be (\d+)\)", log, re.MULTILINE):
        if int(there) < int(told) < _UNKNOWN:
            return f"{100 * int(there) / int(told):.0f} % of it is there"
    return None


def listen(recording: Recording, *, torn: bool = False) -> Iterator[AudioBlock]:
    """The sound in blocks of one speech-gate window: mono, 16 kHz, -1..1; zeros fill the last.

    Args:
        recording: what ``inspect`` found.
        torn: deliver what there is of a torn file, without an error.

    Raises:
        SourceError: torn; what came before the tear was delivered.
    """
    if recording.tear and not torn:
        raise SourceError(f"{recording.path}: torn, {recording.tear}")
    held: FloatArray = np.zeros(0, np.float32)
    seq = 0
    for chunk in _resampled(recording, torn=torn):
        held = np.concatenate([held, np.clip(chunk, -1, 1)])
        whole = len(held) // WINDOW * WINDOW
        for window in held[:whole].reshape(-1, WINDOW):
            yield AudioBlock(recording.path.name, seq, seq * WINDOW / RATE_HZ, window.copy())
            seq += 1
        held = held[whole:]
    if len(held):
        padded = np.pad(held, (0, WINDOW - len(held)))
        yield AudioBlock(recording.path.name, seq, seq * WINDOW / RATE_HZ, padded)


def _resampled(recording: Recording, *, torn: bool) -> Iterator[FloatArray]:
    """Mono at 16 kHz, band-limited and without a click where chunks meet."""
    chunks = _chunks(recording, torn=torn)
    if recording.rate_hz == RATE_HZ:
        yield from chunks
        return
    stream = soxr.ResampleStream(recording.rate_hz, RATE_HZ, 1, dtype="float32")
    for chunk in chunks:
        yield stream.resample_chunk(chunk)
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def _chunks(recording: Recording, *, torn: bool) -> Iterator[FloatArray]:
    """Mono at the file's own rate."""
    read = 0
    with soundfile.SoundFile(recording.path) as file:
        while True:
            try:
                chunk = file.read(_CHUNK, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError:
                break  # torn: told below, by what is missing
            if not len(chunk):
                break
            read += len(chunk)
            yield np.nan_to_num(chunk, posinf=1, neginf=-1).mean(axis=1)
        told = file.frames
    # A hundredth of a second may be missing: mp3 headers count padding that decoders drop.
    if read + recording.rate_hz / 100 < told and not torn:
        there, all_of_it = clock(read / recording.rate_hz), clock(told / recording.rate_hz)
        raise SourceError(f"{recording.path}: torn, {there} of {all_of_it} can be read")


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
