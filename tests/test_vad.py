"""edge.vad: segmentation on a scripted gate, and on the real one where it is set up."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.models import weights
from edge.runtimes import silero
from edge.types import RATE_HZ, AudioBlock, FloatArray, ModelError, SourceError, Utterance
from edge.vad import WINDOW, Segmentation, SpeechSegmenter

WINDOW_S = WINDOW / RATE_HZ


class Scripted:
    """A gate whose probability is the window's mean, so that the sound itself is the script."""

    def __init__(self) -> None:
        self.resets = 0

    def __call__(self, window: FloatArray) -> float:
        assert window.shape == (WINDOW,)
        return float(window.mean())

    def reset(self) -> None:
        self.resets += 1


def sound(*parts: tuple[float, int]) -> FloatArray:
    """Probability and number of windows, one after the other."""
    return np.concatenate([np.full(WINDOW * windows, level, np.float32) for level, windows in parts])


def blocks(samples: FloatArray, sizes: list[int], at: float = 100.0) -> list[AudioBlock]:
    cut: list[AudioBlock] = []
    start = 0
    for seq, size in enumerate(itertools.cycle(sizes)):
        if start >= len(samples):
            return cut
        part = samples[start : start + size]
        cut.append(AudioBlock("test", seq, at + start / RATE_HZ, part))
        start += size
    raise AssertionError


def hear(samples: FloatArray, sizes: list[int] | None = None) -> list[Utterance]:
    segmenter = SpeechSegmenter(Scripted())
    return [u for block in blocks(samples, sizes or [WINDOW]) for u in segmenter(block)]


def test_speech_is_cut_out_with_its_margins() -> None:
    (utterance,) = hear(sound((0, 50), (0.9, 30), (0, 20)))
    margin = round(0.1 / WINDOW_S)
    assert utterance.at == pytest.approx(100 + (50 - margin) * WINDOW_S)
    assert utterance.duration_s == pytest.approx((30 + 2 * margin) * WINDOW_S)
    assert utterance.samples.sum() == pytest.approx(0.9 * 30 * WINDOW, rel=1e-3)


def test_speech_at_the_very_start_has_no_margin_before_it() -> None:
    (utterance,) = hear(sound((0.9, 30), (0, 20)))
    assert utterance.at == 100.0


def test_a_short_pause_does_not_split_and_a_long_one_does() -> None:
    pause = round(0.3 / WINDOW_S)
    assert len(hear(sound((0.9, 20), (0, pause - 1), (0.9, 20), (0, 20)))) == 1
    assert len(hear(sound((0.9, 20), (0, pause + 1), (0.9, 20), (0, 20)))) == 2


def test_between_the_thresholds_speech_goes_on_but_does_not_begin() -> None:
    assert hear(sound((0.45, 60), (0, 20))) == []
    (utterance,) = hear(sound((0.9, 5), (0.45, 40), (0, 20)))
    assert utterance.duration_s > 45 * WINDOW_S


def test_too_little_speech_is_dropped_and_its_margins_do_not_count() -> None:
    shortest = round(0.4 / WINDOW_S)
    assert hear(sound((0, 30), (0.9, shortest - 1), (0, 20))) == []
    assert len(hear(sound((0, 30), (0.9, shortest), (0, 20)))) == 1


def test_long_speech_is_cut_and_nothing_is_lost_or_counted_twice() -> None:
    speech = sound((0.9, 400))
    found = hear(np.concatenate([speech, sound((0, 20))]))
    assert all(u.duration_s <= Segmentation().longest_s + WINDOW_S for u in found)
    for before, after in itertools.pairwise(found):
        assert after.at == pytest.approx(before.at + before.duration_s)
    assert sum(float(u.samples.sum()) for u in found) == pytest.approx(float(speech.sum()), rel=1e-3)


def test_flush_hands_out_the_open_utterance_once() -> None:
    segmenter = SpeechSegmenter(Scripted())
    for block in blocks(sound((0.9, 30)), [WINDOW]):
        assert segmenter(block) == []
    (utterance,) = segmenter.flush()
    assert utterance.duration_s == pytest.approx(30 * WINDOW_S)
    assert segmenter.flush() == []


@pytest.mark.parametrize("skip", ["seq", "time"])
def test_a_gap_ends_the_utterance_and_sets_a_new_clock(skip: str) -> None:
    gate = Scripted()
    segmenter = SpeechSegmenter(gate)
    first = AudioBlock("test", 0, 100.0, sound((0.9, 30)))
    second = AudioBlock(
        "test", 5 if skip == "seq" else 1, 200.0 if skip == "time" else 101.0, sound((0.9, 30), (0, 20))
    )
    assert segmenter(first) == []
    before, after = segmenter(second)
    assert before.at == 100.0
    assert before.duration_s == pytest.approx(30 * WINDOW_S)
    assert after.at == second.at
    assert gate.resets == 2


def test_a_stamp_that_wobbles_is_no_gap() -> None:
    segmenter = SpeechSegmenter(Scripted())
    found = []
    for block in blocks(sound((0.9, 40), (0, 20)), [WINDOW]):
        late = AudioBlock("test", block.seq, block.at + 0.1 * (block.seq % 2), block.samples)
        found += segmenter(late)
    assert len(found) == 1


def test_another_rate_is_refused() -> None:
    with pytest.raises(SourceError, match="44100"):
        SpeechSegmenter(Scripted())(AudioBlock("test", 0, 0.0, sound((0, 1)), 44_100))


@settings(deadline=None)
@given(
    script=st.lists(st.tuples(st.sampled_from([0.0, 0.4, 0.9]), st.integers(1, 30)), min_size=1, max_size=5),
    sizes=st.lists(st.integers(64, 3000), min_size=1, max_size=5),
)
def test_the_answer_does_not_depend_on_the_blocks(script: list[tuple[float, int]], sizes: list[int]) -> None:
    samples = np.concatenate([sound(*script), sound((0, 20))])
    whole, cut = hear(samples), hear(samples, sizes)
    assert [(round(u.at, 6), u.duration_s) for u in cut] == [(round(u.at, 6), u.duration_s) for u in whole]
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(whole, cut, strict=True))


@pytest.fixture
def gate() -> silero.SpeechGate:
    try:
        return silero.open(weights.find("silero-vad"))
    except ModelError as error:
        pytest.skip(str(error))


def test_silero_hears_no_speech_in_silence_and_noise(gate: silero.SpeechGate) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (60, WINDOW)).astype(np.float32)
    assert max(gate(window) for window in noise) < 0.5
    assert max(gate(np.zeros(WINDOW, np.float32)) for _ in range(30)) < 0.5


def test_silero_starts_afresh_after_sound_that_is_not_finite(gate: silero.SpeechGate) -> None:
    window = np.random.default_rng(1).normal(0, 0.1, WINDOW).astype(np.float32)
    expected = gate(window)
    assert gate(np.full(WINDOW, np.nan, np.float32)) == 0.0
    assert gate(window) == expected


def test_a_file_that_is_not_silero_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "torn.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(ModelError, match="not a usable Silero"):
        silero.open(path)
