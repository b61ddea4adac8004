"""edge.preprocess: the log-mel front end. The golden vector keeps training and kit on the same numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.manifest import LogMelInput
from edge.preprocess import FrontEnd
from edge.types import FloatArray

SPEC = LogMelInput(
    rate_hz=16_000,
    mels=64,
    fft=1024,
    window_s=0.04,
    hop_s=0.015,
    duration_s=2.41,
    low_hz=60.0,
    high_hz=7000.0,
    floor_db=60.0,
    mean=-10.0,
    std=15.0,
)
GOLDEN = Path(__file__).with_name("golden_log_mel.csv")
"""Every 16th frame and 8th band of ``chirp``'s picture. A change here changes what every shipped model sees:
train again before writing it anew with ``python tests/test_preprocess_voice.py``."""


def chirp() -> FloatArray:
    """2.41 s from 100 Hz to 6 kHz, a bit of noise, half a second of silence in the middle."""
    times = np.arange(38_560) / 16_000
    sweep = np.sin(2 * np.pi * (100 * times + (6000 - 100) / (2 * 2.41) * times**2))
    # Integer arithmetic gives the same noise with every numpy.
    noise = (np.arange(38_560, dtype=np.uint64) * np.uint64(2_654_435_761) % np.uint64(65_536)) / 32_768 - 1
    sound = 0.3 * sweep + 0.03 * noise
    sound[16_000:24_000] = 0
    return sound.astype(np.float32)


def sample(picture: FloatArray) -> FloatArray:
    return picture[::16, ::8]


def test_the_golden_vector_still_holds() -> None:
    (picture,) = FrontEnd(SPEC).batch(chirp())
    expected = np.loadtxt(GOLDEN, delimiter=",", dtype=np.float32)
    np.testing.assert_allclose(sample(picture[..., 0]), expected, atol=2e-3)


@pytest.mark.parametrize("changes", [{}, {"mels": 128, "fft": 640}, {"high_hz": 8000.0}])
def test_bands_are_triangles_on_the_mel_scale(changes: dict[str, float]) -> None:
    spec = replace(SPEC, **changes)
    front = FrontEnd(spec)
    samples = chirp()[: front.stretch]
    windows = np.lib.stride_tricks.sliding_window_view(samples, round(spec.window_s * spec.rate_hz))
    hann = np.hanning(windows.shape[1] + 1)[:-1]
    power = np.abs(np.fft.rfft(windows[:: round(spec.hop_s * spec.rate_hz)] * hann, spec.fft)) ** 2
    mels = 2595 * np.log10(1 + np.array([spec.low_hz, spec.high_hz]) / 700)
    edges = 700 * (10 ** (np.linspace(*mels, spec.mels + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(spec.fft, 1 / spec.rate_hz)
    triangles = [np.interp(bins, edges[k : k + 3], [0, 1, 0], 0, 0) for k in range(spec.mels)]
    np.testing.assert_allclose(front.energies(samples), power @ np.transpose(triangles), rtol=1e-3, atol=1e-6)
    again = front.energies(samples[: front.stretch // 2])
    np.testing.assert_array_equal(again, front.energies(samples)[: len(again)])


def test_shape_and_type_fit_the_spec() -> None:
    batch = FrontEnd(SPEC).batch(chirp())
    assert batch.shape == (1, SPEC.frames, SPEC.mels, 1)
    assert batch.dtype == np.float32


@pytest.mark.parametrize("gain", [0.001, 0.1, 3.0])
def test_loudness_tells_nothing(gain: float) -> None:
    front = FrontEnd(SPEC)
    np.testing.assert_allclose(front.batch(chirp() * np.float32(gain)), front.batch(chirp()), atol=1e-3)


def test_silence_around_short_speech_does_not_move_its_level() -> None:
    front = FrontEnd(SPEC)
    speech = chirp()[:16_000]
    (short,) = front.batch(speech)
    (padded,) = front.batch(np.pad(speech, (4800, 4800)))
    np.testing.assert_allclose(short, padded, atol=1e-3)


@pytest.mark.parametrize("samples", [0, 1, 16_000])
def test_digital_silence_and_next_to_nothing_are_even_and_finite(samples: int) -> None:
    batch = FrontEnd(SPEC).batch(np.zeros(samples, np.float32))
    assert batch.shape == (1, SPEC.frames, SPEC.mels, 1)
    assert np.ptp(batch) == 0
    assert np.isfinite(batch).all()


@pytest.mark.parametrize(("factor", "expected"), [(0.3, 1), (1, 1), (1.01, 2), (2, 2), (2.5, 3)])
def test_stretches_cover_all_of_a_long_utterance(factor: float, expected: int) -> None:
    front = FrontEnd(SPEC)
    samples = np.arange(1, round(front.stretch * factor) + 1, dtype=np.float32)
    stretches = front.cut(samples)
    assert [len(stretch) for stretch in stretches] == [front.stretch] * expected
    assert set(samples.tolist()) <= set(np.concatenate(stretches).tolist())


def test_a_pure_tone_lights_up_its_own_band() -> None:
    times = np.arange(38_560) / 16_000
    bands = []
    for hertz in (150, 440, 1000, 3000, 6500):
        (picture,) = FrontEnd(SPEC).batch(np.sin(2 * np.pi * hertz * times).astype(np.float32))
        bands.append(int(picture[80, :, 0].argmax()))
    mel = 2595 * np.log10(1 + np.array([150, 440, 1000, 3000, 6500, 60, 7000]) / 700)
    expected = (mel[:5] - mel[5]) / (mel[6] - mel[5]) * (SPEC.mels + 1) - 1
    np.testing.assert_allclose(bands, expected, atol=1)


def test_every_band_hears_something() -> None:
    for spec in (SPEC, replace(SPEC, mels=40, fft=512, window_s=0.032)):
        noise = np.random.default_rng(0).normal(0, 0.1, 40_000).astype(np.float32)
        assert (FrontEnd(spec).energies(noise).mean(0) > 0).all()


def test_a_batch_is_scaled_like_its_stretches() -> None:
    front = FrontEnd(SPEC)
    energies = np.stack([front.energies(chirp()), front.energies(chirp()[::-1] * np.float32(0.01))])
    np.testing.assert_allclose(front.scale(energies)[1], front.scale(energies[1]), atol=1e-6)


if __name__ == "__main__":
    np.savetxt(GOLDEN, sample(FrontEnd(SPEC).batch(chirp())[0, ..., 0]), "%.4f", ",")
