import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.smoothing import blend, choose

LABELS = ("a", "b", "c")


def simplex(size: int) -> st.SearchStrategy[tuple[float, ...]]:
    weights = st.lists(st.floats(0.01, 1), min_size=size, max_size=size)
    return weights.map(lambda w: tuple(x / sum(w) for x in w))


@given(old=simplex(3), new=simplex(3), elapsed=st.floats(-5, 100), constant=st.floats(0, 10))
def test_blending_stays_a_probability(old, new, elapsed: float, constant: float) -> None:
    mixed = blend(old, new, elapsed_s=elapsed, time_constant_s=constant)
    assert sum(mixed) == pytest.approx(1)
    for low_high, value in zip(zip(old, new, strict=True), mixed, strict=True):
        assert min(low_high) - 1e-9 <= value <= max(low_high) + 1e-9


def test_after_one_time_constant_the_past_counts_one_over_e() -> None:
    (value, _) = blend((1.0, 0.0), (0.0, 1.0), elapsed_s=2.0, time_constant_s=2.0)
    assert value == pytest.approx(0.3679, abs=1e-4)


def test_no_constant_means_no_memory() -> None:
    assert blend((1.0, 0.0), (0.0, 1.0), elapsed_s=0.1, time_constant_s=0) == (0.0, 1.0)


def test_nothing_strong_enough_is_uncertain() -> None:
    assert choose(LABELS, (0.4, 0.35, 0.25), "uncertain", enter=0.5, leave=0.4) == "uncertain"


def test_leaving_takes_less_than_entering() -> None:
    values = (0.45, 0.3, 0.25)
    assert choose(LABELS, values, "a", enter=0.5, leave=0.4) == "a"
    assert choose(LABELS, values, "uncertain", enter=0.5, leave=0.4) == "uncertain"


def test_a_new_leader_needs_its_lead() -> None:
    assert choose(LABELS, (0.40, 0.45, 0.15), "a", enter=0.35, leave=0.25, lead=0.1) == "a"
    assert choose(LABELS, (0.35, 0.50, 0.15), "a", enter=0.35, leave=0.25, lead=0.1) == "b"


@given(values=st.lists(simplex(3), min_size=2, max_size=40))
def test_a_new_claim_always_entered_and_an_old_one_never_fell_below_leave(values) -> None:
    held = "uncertain"
    for probs in values:
        label = choose(LABELS, probs, held, enter=0.5, leave=0.4)
        if label != "uncertain":
            assert probs[LABELS.index(label)] >= (0.4 if label == held else 0.5)
        held = label
