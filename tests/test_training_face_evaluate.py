"""Evaluation of the expression model on made-up faces: intervals, views, conditions, cost, tables, page."""

from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs `make train-env`")

from edge import manifest
from edge.types import LABELS, ImageArray, SettingsError
from tests.conftest import ROOT
from tests.test_training_face import write_faces
from training import cost, figures, metrics, model_toml
from training.__main__ import main
from training.face import fer2013, report, tables, views
from training.face.evaluation import Evaluation, evaluate, robustness
from training.face.reading import Reading
from training.face.robustness import CONDITIONS

MODEL = ROOT / "models" / "face-expression"
BY_KEY = {one.key: one for one in CONDITIONS}


def portrait() -> ImageArray:
    """A drawn face: nobody's photograph."""
    face = np.full((48, 48), 90, np.uint8)
    cv2.ellipse(face, (24, 25), (18, 22), 0, 0, 360, 170.0, -1)
    for x in (15, 33):
        cv2.circle(face, (x, 19), 3, 40.0, -1)
    cv2.ellipse(face, (24, 36), (8, 4), 0, 0, 180, 30.0, 2)
    return face


def reading(count: int = 700, share: float = 0.7) -> Reading:
    """Answers of which about *share* are right, with fitting confidence."""
    random = np.random.default_rng(3)
    truth = np.arange(count) % 7
    answer = np.where(random.random(count) < share, truth, (truth + 1) % 7)
    probs = np.full((count, 7), (1 - share) / 6)
    probs[np.arange(count), answer] = share
    return Reading(truth, probs)


def faces_of(
    votes: list[list[float]], labels: list[int], nothing: list[float] | None = None
) -> fer2013.Faces:
    return fer2013.Faces(
        np.zeros((len(labels), 48, 48), np.uint8),
        np.array(labels),
        np.array(votes, np.float32),
        np.array(nothing or [0.0] * len(labels), np.float32),
    )


def vote(**shares: float) -> list[float]:
    return [shares.get(name, 0.0) for name in fer2013.VOTES[: fer2013.EXPRESSIONS]]


def table_of(found: Reading, faces: fer2013.Faces, *, whole: bool = True) -> dict[str, object]:
    """What evaluate would put together, without a model file."""
    model = manifest.load(MODEL)
    return {
        "command": "python -m training face evaluate",
        "split": "public",
        "images": len(found),
        "parameters": 1234,
        "confusion": dict(zip(LABELS, found.matrix.tolist(), strict=True)),
        **views.headline(found, model),
        "without_training_duplicates": views.part(found, np.arange(len(found)) > 9),
        "without_near_duplicates": views.part(found, np.arange(len(found)) > 19),
        "with_mirror": views.quality(found),
        "ferplus_majority": views.ferplus_majority(found, faces, LABELS),
        "three_classes": views.three_classes(found, LABELS),
        "formats": {"tflite": {"bytes": 12, **views.quality(found)}},
        "per_class": views.per_class(found, LABELS),
        **robustness(dict.fromkeys(CONDITIONS, found), LABELS, whole=whole),
        "training": cost.summarise([cost.Cost(3600, 2, "CPU")]),
    }


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    found = reading()
    faces = fer2013.Faces(
        np.tile(portrait(), (len(found), 1, 1)),
        found.truth,
        np.tile(np.array(vote(happiness=1.0), np.float32), (len(found), 1)),
        np.zeros(len(found), np.float32),
    )
    splits = {"training": faces, "public": faces, "private": faces.take(np.arange(50))}
    return Evaluation(manifest.load(MODEL), table_of(found, faces), found, splits)


def test_intervals_hold_their_figure_and_shrink_with_the_number_of_faces() -> None:
    wide, narrow = (views.quality(reading(count)) for count in (140, 2800))
    for figure in ("accuracy", "macro_f1", "uar"):
        for one in (wide, narrow):
            low, high = one[f"{figure}_interval"]
            assert low < one[figure] < high
        assert np.diff(narrow[f"{figure}_interval"]) < 0.5 * np.diff(wide[f"{figure}_interval"])


def test_the_interval_of_the_calibration_error_finds_a_bad_one() -> None:
    truth = np.repeat([0, 1], 500)
    boast = np.tile([0.9, 0.1], (1000, 1))  # right half of the time
    low, high = metrics.calibration_interval(boast, truth)
    assert 0.36 < low < metrics.calibration_error(boast, truth) < high < 0.44
    assert (low, high) == metrics.calibration_interval(boast, truth), "not repeatable"


def test_groups_are_drawn_whole() -> None:
    truth, groups = np.zeros(40, np.int64), np.repeat([0, 1], 20)
    predicted = np.repeat([0, 1], 20)
    matrices = metrics.resample(truth, predicted, 2, groups=groups, rounds=50)
    assert set(matrices[:, 0, 0].tolist()) <= {0, 20, 40}
    assert (matrices.sum((1, 2)) == 40).all()


def test_per_class_figures_leave_out_what_does_not_occur() -> None:
    found = reading().take(reading().truth != LABELS.index("disgust"))
    table = views.per_class(found, LABELS)
    assert "disgust" not in table
    matrix = found.matrix
    assert table["fear"]["recall"] == pytest.approx(metrics.recalls(matrix)[2], abs=1e-4)
    assert table["fear"]["recall_interval"][0] < table["fear"]["recall"] < table["fear"]["recall_interval"][1]
    json.dumps(table, allow_nan=False)


def test_nothing_is_known_of_no_faces() -> None:
    nobody = reading().take(np.zeros(700, bool))
    assert views.part(nobody, slice(None)) == {
        "images": 0,
        "accuracy": 0.0,
        "accuracy_interval": [0.0, 1.0],
    }


def test_a_majority_is_one_clear_answer_with_a_label() -> None:
    votes = [
        vote(happiness=0.6, neutral=0.4),
        vote(fear=0.5, surprise=0.5),
        vote(contempt=0.8, anger=0.2),
        vote(),
        vote(sadness=1.0),
        vote(disgust=0.4, anger=0.3, sadness=0.3),
    ]
    faces = faces_of(votes, [3, 2, 0, 6, 4, 0], [0.0, 0.0, 0.0, 1.0, 0.6, 0.0])
    assert views.majority(faces, LABELS).tolist() == [LABELS.index("happy"), -1, -1, -1, -1, 1]
    probs = np.eye(7)[[3, 0, 0, 0, 0, 0]]
    table = views.ferplus_majority(Reading(faces.labels, probs), faces, LABELS)
    assert (table["images"], table["accuracy"], table["label_agreement"]) == (2, 0.5, 0.5)


def test_three_classes_looks_at_three_kinds_of_faces_and_three_labels() -> None:
    truth = np.array([LABELS.index(label) for label in ("happy", "sad", "fear", "fear", "angry")])
    probs = np.full((5, 7), 0.01)
    for row, likely in enumerate(("happy", "sad", "fear", "sad", "angry")):
        probs[row, LABELS.index(likely)] = 0.3
    probs[:, LABELS.index("neutral")] = 0.6  # the likeliest of all seven, but not asked for
    table = views.three_classes(Reading(truth, probs), LABELS)
    assert (table["images"], table["accuracy"]) == (4, 0.75)
    assert {label: one["recall"] for label, one in table["per_class"].items()} == {
        "happy": 1.0,
        "sad": 1.0,
        "fear": 0.5,
    }


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda one: one.key)
def test_a_condition_changes_a_copy_and_always_the_same_way(condition: object) -> None:
    assert condition in CONDITIONS
    one = BY_KEY[condition.key]  # type: ignore[attr-defined]
    faces = np.stack([portrait()] * 3)
    first, second = one.apply(faces), one.apply(faces[:2])
    assert (faces == portrait()).all(), "the picture itself was changed"
    for before, after in zip(first, second, strict=False):
        assert before.dtype == np.uint8
        assert np.array_equal(before, after), "depends on which other faces were asked for"
    side = int(one.key.split("_")[1]) if one.family == "size" else 48
    assert first[0].shape == (side, side)
    assert first[0].shape != (48, 48) or not np.array_equal(first[0], portrait())


def test_light_and_noise_do_what_they_say() -> None:
    grey = np.full((1, 48, 48), 100, np.uint8)
    means = {
        key: BY_KEY[key].apply(grey)[0].mean() for key in ("light_25", "light_10", "light_200", "noise_20")
    }
    assert means == pytest.approx(
        {"light_25": 25, "light_10": 10, "light_200": 200, "noise_20": 100}, abs=1.5
    )
    assert BY_KEY["noise_20"].apply(grey)[0].std() == pytest.approx(20, abs=1.5)


def test_heads_tilt_to_the_side_that_is_named() -> None:
    face = np.zeros((1, 48, 48), np.uint8)
    face[0, 4:8, 22:26] = 255  # the top of the head
    columns = {
        key: np.argwhere(BY_KEY[key].apply(face)[0] > 100)[:, 1].mean() for key in BY_KEY if "tilt" in key
    }
    assert columns["tilt_left_20"] < columns["tilt_left_10"] < 23.5 < columns["tilt_right_10"]
    assert columns["tilt_right_10"] < columns["tilt_right_20"]


@pytest.mark.parametrize(
    ("key", "covered", "free"),
    [
        ("hand_mouth", (slice(32, 42), slice(18, 30)), (slice(0, 14), slice(14, 34))),
        ("sunglasses", (slice(17, 21), slice(13, 18)), (slice(28, 48), slice(0, 48))),
        ("glasses", (slice(18, 20), slice(22, 26)), (slice(28, 48), slice(0, 48))),
    ],
)
def test_what_is_covered_and_what_is_not(
    key: str, covered: tuple[slice, slice], free: tuple[slice, slice]
) -> None:
    faces = np.full((8, 48, 48), 120, np.uint8)
    faces[:, ::2] = 180  # stripes that a hand hides
    for before, after in zip(faces, BY_KEY[key].apply(faces), strict=True):
        assert np.array_equal(before[free], after[free])
        assert (before[covered] != after[covered]).mean() > 0.8


def test_a_hand_hides_either_eye_by_turns() -> None:
    faces = np.full((20, 48, 48), 120, np.uint8)
    faces[:, ::2] = 180
    left, right = [], []
    for before, after in zip(faces, BY_KEY["hand_eye"].apply(faces), strict=True):
        left.append((before != after)[16:22, 12:18].mean() > 0.9)
        right.append((before != after)[16:22, 30:36].mean() > 0.9)
    assert np.array_equal(left, ~np.array(right))
    assert 0 < sum(left) < 20


def test_the_worst_conditions_are_told_label_by_label() -> None:
    good, bad = reading(share=0.95), reading(share=0.2)
    hard = {one: bad if one.key in {"jpeg_10", "light_10", "hand_mouth"} else good for one in CONDITIONS}
    table = robustness(hard, LABELS, whole=True)
    assert set(table["robustness_worst"]) == {"jpeg_10", "light_10", "hand_mouth"}
    assert set(table["robustness_worst"]["jpeg_10"]) == set(LABELS)
    assert table["robustness"]["blur_1_px"] > 0.9
    assert table["robustness"]["jpeg_10"] < 0.3
    assert list(table["accuracy_by_side_px"]) == ["12", "16", "20", "24", "32", "40"]
    assert "robustness" not in robustness(hard, LABELS, whole=False)


def test_energy_and_carbon_follow_from_time_and_assumptions(tmp_path: Path) -> None:
    hour = cost.Cost(3600, 2, "CPU")
    assert cost.kwh([hour], watts_per_core=10) == pytest.approx(0.020 * cost.OVERHEAD)
    assert cost.kwh([hour, hour]) == pytest.approx(2 * cost.kwh([hour]))
    assert cost.kwh([cost.Cost(3600, 0, "NVIDIA H100 80GB HBM3")]) == pytest.approx(0.7 * cost.OVERHEAD)
    shared = cost.Cost(3600, 2, "4 x CPU")
    assert cost.kwh([shared], watts_per_core=10) == pytest.approx(4 * cost.kwh([hour], watts_per_core=10))
    assert cost.co2e_g(2.0, grid_kg_per_kwh=0.5) == pytest.approx(1000)
    table = cost.summarise([hour])
    assert table["co2e_g"] == pytest.approx(1000 * table["kwh"] * cost.GRID_KG_PER_KWH, abs=0.5)
    (tmp_path / cost.FILE).write_text('{"seconds": 3600.0, "threads": 2, "device": "CPU"}', "utf-8")
    assert cost.load(tmp_path) == hour
    for torn in ("{", "[]", '{"seconds": 1}', '{"seconds": -1, "threads": 1, "device": "cpu"}'):
        (tmp_path / cost.FILE).write_text(torn, "utf-8")
        with pytest.raises(SettingsError, match=cost.FILE):
            cost.load(tmp_path)
    with pytest.raises(SettingsError, match="not found"):
        cost.load(tmp_path / "absent")


def test_the_tables_say_what_was_measured(evaluation: Evaluation) -> None:
    text = tables.describe(evaluation.table)
    low, high = evaluation.table["accuracy_interval"]
    value = f"{100 * evaluation.table['accuracy']:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
    rows = [[cell.strip() for cell in line.split("|")] for line in text.splitlines() if line.startswith("|")]
    assert ["", "accuracy", value, ""] in rows
    fear = [str(count) for count in evaluation.table["confusion"]["fear"]]
    assert ["", "fear", *fear, ""] in rows
    for words in ("FER+ majority", "mirror image", "three classes", "hand over the mouth", "g CO2e"):
        assert words in text, words
    less = {
        key: value for key, value in evaluation.table.items() if "robust" not in key and key != "training"
    }
    assert "hand over" not in tables.describe(less)
    assert "12 px" in tables.describe(less)


class _Page(HTMLParser):
    """Collects pictures and whatever would be fetched; void elements aside, tags must close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.links += [str(values[name]) for name in ("href", "src") if name in values]
        if tag == "img":
            assert values.get("alt")
            self.pictures.append(str(values["src"]))
        if tag not in {"img", "meta", "source"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone_with_its_pictures(evaluation: Evaluation, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    lines = [
        {"epoch": epoch, "loss": 2 - epoch / 5, "training_accuracy": 0.3, "public_accuracy": 0.4}
        for epoch in range(3)
    ]
    (run / "log.jsonl").write_text("\n".join(json.dumps(line) for line in lines), "utf-8")
    page = report.write(tmp_path / "report", evaluation, [run])
    text = page.read_text("utf-8")
    parsed = _Page()
    parsed.feed(text)
    assert not parsed.open
    assert parsed.links == parsed.pictures, "the page would fetch something"
    assert set(parsed.pictures) == {
        "data.png",
        "confusion.png",
        "labels.png",
        "reliability.png",
        "robustness.png",
        "conditions.png",
        "curves.png",
    }
    for name in parsed.pictures:
        picture = cv2.imread(str(page.parent / name), cv2.IMREAD_GRAYSCALE)
        assert picture is not None, name
        assert picture.std() > 5, f"{name} is empty"
    assert "photographs" in text
    assert f"{100 * evaluation.table['macro_f1']:.1f} %" in text


def test_a_run_without_a_log_is_one_line(tmp_path: Path) -> None:
    for torn in (None, "", "{", "[1]", '{"epoch": 1}'):
        if torn is not None:
            (tmp_path / "log.jsonl").write_text(torn, "utf-8")
        with pytest.raises(SettingsError, match=r"log\.jsonl"):
            report.read_log(tmp_path)


def test_quick_figures_are_not_stored(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["face", "evaluate", "--quick", "--write-metrics", "--data", "absent"]) == 2
    assert "--quick" in capsys.readouterr().err


def test_a_confusion_matrix_is_drawn(tmp_path: Path) -> None:
    figures.draw_confusion(
        np.array([[3, 1], [0, 0]]), ("a", "b"), "empty row", tmp_path / "new" / "confusion.png"
    )
    assert cv2.imread(str(tmp_path / "new" / "confusion.png")) is not None


def test_the_figures_survive_model_toml(evaluation: Evaluation, tmp_path: Path) -> None:
    folder = tmp_path / "another-name"
    shutil.copytree(MODEL, folder)
    model_toml.write_metrics(folder, evaluation.table)
    assert manifest.load(folder).metrics == evaluation.table


def test_a_model_keeps_what_its_training_took(tmp_path: Path) -> None:
    folder, data = tmp_path / "another-name", write_faces(tmp_path / "faces")
    shutil.copytree(MODEL, folder)
    spent = cost.summarise([cost.Cost(1800, 2, "CPU")])
    model_toml.write_metrics(folder, {"training": spent})
    kept = evaluate(folder, data, "public", quick=True, quiet=True).table
    assert kept["training"] == spent
    assert "robustness" not in kept
    assert kept["images"] == 21
    (tmp_path / cost.FILE).write_text('{"seconds": 36.0, "threads": 1, "device": "cpu"}', "utf-8")
    fresh = evaluate(folder, data, "public", runs=[tmp_path, tmp_path], quick=True, quiet=True).table
    assert (fresh["training"]["runs"], fresh["training"]["hours"]) == (2, 0.02)
