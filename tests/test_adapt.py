"""What a kit learns from rounds, and what it refuses to, on answers drawn by a rule that is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge.practice import adapt
from edge.practice.adapt import Reference, Round, Rules

LABELS = 7
NEUTRAL, HAPPY = 6, 3
DARK = np.array([-0.6, -0.6, -0.3, -0.5, 0.2, -0.4, 1.6])
"""What a dark room adds to every face's answer."""


def answers(labels, *, room=None, surety=1.6, seed=0, looks=1):
    """Looks x N x labels: the right label stands out by *surety*, under noise and what the room adds."""
    random = np.random.default_rng(seed)
    scores = random.normal(0, 1, (looks, len(labels), LABELS)) * 0.3 + random.normal(
        0, 1, (len(labels), LABELS)
    )
    scores[:, np.arange(len(labels)), labels] += surety
    return adapt.log_softmax(scores + (np.zeros(LABELS) if room is None else room))


def play(labels, shown=None, **how):
    """One round of three looks for every label asked for; *shown* is what was played."""
    logs = answers(labels if shown is None else shown, looks=3, **how)
    return [Round(int(label), logs[:, place]) for place, label in enumerate(labels)]


def each(count):
    return np.repeat(np.arange(LABELS), count)


def accuracy(offsets, **how):
    truth = each(200)
    return float(((answers(truth, seed=99, **how)[0] + offsets).argmax(1) == truth).mean())


@pytest.fixture(scope="module")
def reference():
    truth = each(50)
    return Reference(answers(truth, seed=7, surety=5)[0], truth, np.full(LABELS, 1 / LABELS))


def test_what_a_dark_room_does_to_every_face_is_taken_back(reference):
    outcome = adapt.learn(play(each(4), room=DARK), reference)
    assert outcome.refusal is None
    assert (outcome.rounds, outcome.labels) == (28, 7)
    assert outcome.offsets[NEUTRAL] < -0.5
    assert outcome.gain > outcome.error
    assert accuracy(outcome.offsets, room=DARK) > accuracy(np.zeros(LABELS), room=DARK) + 0.05


def test_a_room_that_has_nothing_to_teach_is_left_alone(reference):
    refusals = [adapt.learn(play(each(4), seed=seed), reference).refusal for seed in range(10)]
    assert refusals.count("no_gain") >= 9


def test_the_order_of_the_rounds_decides_nothing(reference):
    rounds = play(each(3), room=DARK)
    shuffled = [rounds[place] for place in np.random.default_rng(1).permutation(len(rounds))]
    assert adapt.learn(shuffled, reference) == adapt.learn(rounds, reference)


def test_which_round_was_which_does_not_move_the_offsets(reference):
    rounds = play(each(3), room=DARK)
    swapped = [
        replace(one, label=other.label) for one, other in zip(rounds, rounds[3:] + rounds[:3], strict=True)
    ]
    assert adapt.trust(swapped, reference) == pytest.approx(adapt.trust(rounds, reference))


@pytest.mark.parametrize(
    ("shown", "how"),
    [
        pytest.param(np.roll(each(4), 4), {"room": DARK}, id="every label played as another"),
        pytest.param(np.full(28, NEUTRAL), {"room": DARK}, id="nobody plays, in the dark"),
        pytest.param(np.full(28, HAPPY), {"surety": 4}, id="everybody laughs"),
        pytest.param(np.where(np.arange(28) % 2, HAPPY, each(4)), {"surety": 5}, id="half of them laugh"),
    ],
)
def test_rounds_in_which_something_else_was_shown_teach_nothing(reference, shown, how):
    assert adapt.learn(play(each(4), shown, **how), reference).refusal == "not_shown"


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        pytest.param([], "too_few_rounds", id="none"),
        pytest.param(each(1), "too_few_rounds", id="one of each, which no other could check"),
        pytest.param(np.full(40, HAPPY), "too_few_labels", id="one label"),
        pytest.param(np.repeat([0, 3, 6], 9), "too_few_labels", id="three labels"),
    ],
)
def test_too_little_is_refused(reference, asked, refusal):
    asked = np.array(asked, np.int64)
    assert adapt.learn(play(asked, room=DARK), reference).refusal == refusal


def test_a_round_in_which_nobody_was_seen_does_not_count(reference):
    rounds = play(each(2), room=DARK)
    unseen = [replace(one, logs=one.logs[:0]) for one in rounds]
    assert adapt.learn(rounds + unseen, reference).rounds == len(rounds)


def test_what_was_not_asked_for_keeps_its_place(reference):
    asked = np.repeat([2, 3, 4, 5, 6], 5)
    outcome = adapt.learn(play(asked, room=DARK), reference)
    assert outcome.refusal is None
    assert outcome.offsets[:2] == (0, 0)


def test_people_in_good_light_lose_little_or_nothing_is_learned(reference):
    strict = Rules(most_loss=-1.0)
    rounds = play(each(4), room=DARK)
    assert adapt.learn(rounds, reference, strict).refusal == "would_harm"
    fragile = replace(reference, logs=answers(reference.labels, seed=7, surety=3)[0])
    loose = {"most_loss_of_one": 1.0, "parts": (1.0, 0.6, 0.3)}
    whole, part = (adapt.learn(rounds, fragile, Rules(most_loss=most, **loose)) for most in (1.0, 0.02))
    assert 0.2 < part.offsets[NEUTRAL] / whole.offsets[NEUTRAL] < 0.9
    before, after = (fragile.accuracies(np.array(one))[0] for one in (np.zeros(LABELS), part.offsets))
    assert before - after <= 0.02


def test_offsets_stay_bounded_whatever_is_answered(reference):
    silent = np.full((2, LABELS), -40.0)
    silent[:, 0] = 0
    offsets = adapt.trust([Round(int(label), silent) for label in each(20)], reference)
    assert np.isfinite(offsets).all()
    assert np.abs(offsets).max() <= Rules().most


def test_probabilities_of_nothing_become_finite():
    assert np.isfinite(adapt.to_logs([0.0, 1.0])).all()
