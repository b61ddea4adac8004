"""The simulation of what rooms teach: on answers drawn by a rule that is known."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy", reason="needs `make train-env`")
pytest.importorskip("tqdm", reason="needs `make train-env`")

from edge import manifest
from edge.practice import adapt, reference
from edge.types import LABELS, SettingsError
from tests.conftest import ROOT
from tests.test_adapt import DARK, answers, each
from training.practice import classes as playing
from training.practice import report
from training.practice.classes import Answers

TRUTH = each(40)


def room(**how: object) -> Answers:
    return Answers(answers(TRUTH, looks=2, **how), TRUTH)


@pytest.fixture(scope="module")
def good() -> Answers:
    return room(surety=5)


@pytest.fixture(scope="module")
def known(good: Answers) -> adapt.Reference:
    return playing.reference_of(good, each=30)


def test_a_dark_room_gains_with_an_interval_and_a_good_one_is_left_alone(good, known) -> None:
    dark = room(room=DARK, surety=2)
    found = playing.judge(dark, playing.play_classes(dark, known, each=4, classes=6), plain=good)
    low, high = found["guarded"]["even_interval"]
    assert 0 < low <= found["guarded"]["even"] <= high
    assert found["learned"] > 0.5
    assert found["light_back"]["worst"] >= -0.05
    kept = playing.judge(good, playing.play_classes(good, known, each=4, classes=6))
    assert kept["learned"] == 0
    assert kept["guarded"]["even"] == 0
    assert sum(kept["refused"].values()) == pytest.approx(1)


def test_whoever_plays_is_not_judged_and_people_may_be_spared(known) -> None:
    (one,) = playing.play_classes(room(), known, each=50, classes=1, spared=5)
    assert np.bincount(TRUTH[~one.drawn]).tolist() == [5] * len(LABELS)


def test_every_way_to_play_shows_what_its_name_says() -> None:
    asked, random = np.repeat(np.arange(7), 4), np.random.default_rng(0)
    shown = {name: TRUTH[play(TRUTH, asked, random)] for name, play in playing.plays(LABELS).items()}
    assert (shown["as asked"] == asked).all()
    assert not (shown["each label played as another"] == asked).any()
    assert (shown["half of the rounds wrong"] != asked).sum() == 14
    assert (shown["all laughing"] == LABELS.index("happy")).all()
    assert (shown["half of the rounds neutral"] == LABELS.index("neutral")).sum() >= 14


def test_the_packaged_reference_is_of_every_label_and_of_people_read_well() -> None:
    packaged = reference.load("face-expression", LABELS)
    assert packaged is not None
    assert set(np.bincount(packaged.labels)) == {50}
    assert packaged.shares.sum() == pytest.approx(1, abs=1e-3)
    assert np.exp(packaged.logs).sum(1) == pytest.approx(1, abs=0.05)
    # Fifty a label are a draw, so their accuracy lies around the card's figure for an even mix.
    shipped = manifest.load(ROOT / "models" / "face-expression").metrics["uar"]
    draw = np.sqrt(shipped * (1 - shipped) / len(packaged.labels))
    assert packaged.accuracies(np.zeros(len(LABELS)))[0] == pytest.approx(shipped, abs=3 * draw)


def test_a_page_without_its_marks_is_refused(tmp_path) -> None:
    page = tmp_path / "page.md"
    with pytest.raises(SettingsError, match="No such file"):
        report.refresh(page, "face", "command", {})
    page.write_text("# Page")
    with pytest.raises(SettingsError, match="lacks the marks"):
        report.refresh(page, "face", "command", {})
