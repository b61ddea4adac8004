"""Expression and tone: what stands between a stage's input and the model."""

import numpy as np
import pytest

from edge.expression import ExpressionReader
from edge.manifest import Manifest
from edge.models.choice import find_model
from edge.runtimes import PREFERENCE, load
from edge.settings import Classifier
from edge.tone import ToneReader
from edge.types import LABELS, RATE_HZ, VOICE_LABELS, Box, Face, ModelError, Utterance


def face(value: int, side: int = 60) -> Face:
    crop = np.full((side, side, 3), value, np.uint8)
    crop[side // 2 :] //= 2
    return Face(1.0, 7, Box(0.1, 0.1, 0.2, 0.2), 0.9, crop)


@pytest.fixture(scope="module")
def expression() -> Manifest:
    return find_model(Classifier("face-expression"))


@pytest.fixture(scope="module")
def tone() -> Manifest:
    return find_model(Classifier("voice-tone"))


@pytest.mark.parametrize("format", PREFERENCE)
def test_a_batch_of_faces_is_read_as_each_by_itself(expression: Manifest, format: str) -> None:
    reader = ExpressionReader(expression, load(expression, format))
    faces = [face(40), face(120, side=23), face(250, side=300)]
    together, alone = reader(faces), [reader([one])[0] for one in faces]
    for a, b in zip(together, alone, strict=True):
        assert a.labels == LABELS
        assert a.probs == pytest.approx(b.probs, abs=1e-5)
        assert a.model == expression.id
    assert reader([]) == []


@pytest.mark.parametrize("format", PREFERENCE)
@pytest.mark.parametrize("seconds", [0.4, 3.0, 9.5])
def test_an_utterance_of_any_length_has_one_reading(tone: Manifest, format: str, seconds: float) -> None:
    reader = ToneReader(tone, load(tone, format))
    samples = np.random.default_rng(0).normal(0, 0.1, int(seconds * RATE_HZ)).astype(np.float32)
    scores = reader(Utterance(0.0, seconds, samples))
    assert scores.labels == VOICE_LABELS
    assert sum(scores.probs) == pytest.approx(1)


def test_loudness_is_no_emotion(tone: Manifest) -> None:
    reader = ToneReader(tone, load(tone))
    samples = np.random.default_rng(0).normal(0, 0.1, 3 * RATE_HZ).astype(np.float32)
    loud, quiet = (reader(Utterance(0.0, 3.0, samples * gain)) for gain in (1.0, 0.03))
    assert loud.probs == pytest.approx(quiet.probs, abs=0.02)


def test_a_model_of_the_other_sense_is_refused(expression: Manifest, tone: Manifest) -> None:
    with pytest.raises(ModelError, match="tone"):
        ExpressionReader(tone, load(tone, "fake"))
    with pytest.raises(ModelError, match="expression"):
        ToneReader(expression, load(expression, "fake"))


def test_logits_that_are_no_numbers_claim_nothing(expression: Manifest) -> None:
    (scores,) = expression.calibrate(np.full((1, 7), np.nan, np.float32))
    assert scores.probs == pytest.approx([1 / 7] * 7)
