"""Does the microphone of the settings deliver sound, and what other microphones are there?

Its level is measured and it is forgotten. Nothing is opened that a running kit uses or that is switched off.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import numpy as np

from edge.checks import Finding, Patient, finding
from edge.sources import BLOCK_SAMPLES, Device, microphones_here, open_microphone
from edge.types import RATE_HZ, FloatArray, SourceError
from edge.verdict import CLIPPED_BLOCKS, judge_sound

LISTENED_S = 1.5
SOUND_PROBLEMS = ("silent", "clipped")


def examine(patient: Patient) -> Iterator[Finding]:
    """One line about the microphone in the settings, one per other microphone."""
    assert patient.settings is not None
    uri = patient.settings.microphone.uri
    here = microphones_here()
    if uri == "none":
        yield finding("microphone.none")
    elif patient.running is not None:
        yield finding(f"microphone.kit_{patient.running.sources.get('microphone', 'unknown')}", uri=uri)
        health = patient.running.health
        if health is not None and health.microphone_problem in SOUND_PROBLEMS:
            yield finding(f"microphone.{health.microphone_problem}", uri=uri)
    elif patient.is_off("microphone"):
        yield finding("microphone.off", uri=uri)
    else:
        yield from _try(uri, here)
    for device in here:
        if device.uri != uri:
            yield finding("microphone.other", name=device.name, uri=device.uri)


def _try(uri: str, here: list[Device]) -> Iterator[Finding]:
    heard: list[FloatArray] = []
    try:
        with open_microphone(uri) as microphone, closing(iter(microphone)) as blocks:  # type: ignore[type-var]
            for block in blocks:
                heard.append(block.samples)
                if len(heard) * BLOCK_SAMPLES >= LISTENED_S * RATE_HZ:
                    break
    except SourceError as error:
        known = ", ".join(f'"{device.uri}"' for device in here)
        name = "microphone.failed" if here else "microphone.absent"
        yield finding(name, uri=uri, reason=str(error), known=known)
        return
    if not heard:
        yield finding("microphone.empty", uri=uri)
        return
    wrong = [judge_sound(samples) for samples in heard]
    rms = float(np.sqrt(np.mean(np.square(np.concatenate(heard), dtype=np.float64))))
    if all(problem == "silent" for problem in wrong):
        yield finding("microphone.silent", uri=uri)
    elif wrong.count("clipped") > CLIPPED_BLOCKS * len(wrong):
        yield finding("microphone.clipped", uri=uri)
    else:
        yield finding("microphone.ok", uri=uri, level_db=round(20 * np.log10(max(rms, 1e-9))))
