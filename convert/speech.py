"""The practice game's prompts as sound, for devices without a voice: espeak-ng reads our sentences.

The page speaks with a voice of the device where it has one; a Raspberry Pi behind a projector has none. So
each prompt lies in dashboard/static/speech as Ogg Opus, under half a megabyte in all, and ``spoken.txt``
beside them says which text each one speaks: a test notices when a sentence was changed and not spoken
again. espeak-ng's licence (GPL 3 or later) is about the program; the sentences are ours, and so is
their sound.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import soundfile
import soxr

from edge.types import SettingsError
from edge.words import LABELS

LANGUAGES = ("id", "en")
SPOKEN_TONES = ("happy", "sad", "angry")
RATE_HZ = 24_000
SPEED, PITCH = "140", "60"
"""Words a minute and 0..99: slower and a little higher than espeak-ng speaks by itself."""
COMPRESSION = 0.97
"""Of libsndfile's Opus, about 12 kbit/s: more would only render the synthesiser's rasp more faithfully."""
SILENCE = 0.003
"""Below this a sample is no speech; espeak-ng ends every sentence with a third of a second of it."""


def keys() -> Iterator[str]:
    """The texts that the page speaks, by their keys."""
    for stem in ("mood", "play.show", "play.find", "play.this", "play.seen"):
        yield from (f"{stem}.{label}" for label in LABELS)
    for stem in ("play.say", "play.heard"):
        yield from (f"{stem}.{label}" for label in SPOKEN_TONES)
    yield from (f"play.{name}" for name in ("which", "look", "partly", "thanks", "done"))


def render(static: Path, *, told: Callable[[str], None] = lambda _: None) -> int:
    """Speak every prompt in every language into ``static/speech``; how many bytes that takes.

    Raises:
        SettingsError: espeak-ng is not installed or fails, or *static* is not the dashboard's folder.
    """
    program = shutil.which("espeak-ng")
    if program is None:
        raise SettingsError("espeak-ng is not installed (Debian: espeak-ng)")
    lines, size = [], 0
    for language in LANGUAGES:
        folder = static / "speech" / language
        try:
            texts = json.loads((static / "texts" / f"{language}.json").read_text("utf-8"))
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"{static}: not the dashboard's static folder ({error})") from error
        for old in folder.glob("*.ogg"):
            old.unlink()
        for key in keys():
            path = folder / f"{key}.ogg"
            write(path, speak(program, language, texts[key]))
            size += path.stat().st_size
            lines.append(f"{language} {key} {texts[key]}\n")
        told(f"{folder}: {len(list(folder.glob('*.ogg')))} prompts")
    (static / "speech" / "spoken.txt").write_text("".join(lines), "utf-8")
    return size


def speak(program: str, language: str, text: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """One sentence, mono at RATE_HZ, without the silence around it.

    Raises:
        SettingsError: espeak-ng fails.
    """
    command = [program, "-v", language, "-s", SPEED, "-p", PITCH, "--stdout", text]
    spoken = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 -- our own words
    if spoken.returncode or not spoken.stdout:
        raise SettingsError(
            f"espeak-ng: {spoken.stderr.decode('utf-8', 'replace').strip()[:200] or 'failed'}"
        )
    samples, rate_hz = soundfile.read(BytesIO(spoken.stdout), dtype="float32")
    loud = np.flatnonzero(np.abs(samples) > SILENCE)
    whole = samples[loud[0] : loud[-1] + rate_hz // 20] if loud.size else samples
    return np.asarray(soxr.resample(whole, rate_hz, RATE_HZ), np.float32)


def write(path: Path, samples: np.ndarray[tuple[int], np.dtype[np.float32]]) -> None:
    """Ogg Opus, which every browser without a voice of its own plays."""
    soundfile.write(path, samples, RATE_HZ, format="OGG", subtype="OPUS", compression_level=COMPRESSION)
