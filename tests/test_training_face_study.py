"""Splits, folds and the study's set-up on made-up faces: nothing leaks, nothing is trained twice."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs `make train-env`")

from edge.types import LABELS, SettingsError  # noqa: E402
from tests.conftest import SHARED  # noqa: E402
from tests.test_training_face import TINY  # noqa: E402
from training import pages  # noqa: E402
from training.__main__ import main  # noqa: E402
from training.devices import Device  # noqa: E402
from training.face import crossvalidation, fer2013, recipes, study, train  # noqa: E402
from training.face.crossvalidation import Judged  # noqa: E402
from training.face.fer2013 import Faces  # noqa: E402

HAPPY, SAD, FEAR = (LABELS.index(label) for label in study.STUDY_LABELS)
CPU = Device(torch.device("cpu"))


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Two threads wait for each other on a busy machine, which makes a second of training a minute."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "study.toml"
    path.write_text(TINY.replace("epochs = 3", "epochs = 2"), "utf-8")
    return path


def make_faces(labels: list[int], seed: int = 0) -> Faces:
    """Noise with a bar that tells the label."""
    images = np.random.default_rng(seed).integers(0, 120, (len(labels), 48, 48)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[6 * label : 6 * label + 8] += 130
    count = len(labels)
    return Faces(images, np.array(labels), np.zeros((count, 8), np.float32), np.zeros(count, np.float32))


def write_csv(folder: Path, labels: list[int]) -> Path:
    """fer2013.csv with these training faces and a face of every label in the test splits."""
    faces = make_faces([*labels, *range(7), *range(7)])
    usages = ["Training"] * len(labels) + ["PublicTest"] * 7 + ["PrivateTest"] * 7
    rows = zip(faces.labels, faces.images, usages, strict=True)
    lines = [f"{label},{' '.join(map(str, image.ravel()))},{usage}" for label, image, usage in rows]
    (folder / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *lines]), "utf-8")
    return folder


def test_the_studys_split_has_its_sizes() -> None:
    fold = crossvalidation.split(16142, study.TEST_SHARE)
    assert (len(fold.training), len(fold.test)) == (12913, 3229)
    assert np.array_equal(np.sort(np.concatenate([fold.training, fold.test])), np.arange(16142))
    assert np.array_equal(fold.test, crossvalidation.split(16142, study.TEST_SHARE).test), (
        "the same every time"
    )
    assert np.diff(fold.test).max() > 1, "drawn at random, not the last fifth"


def test_folds_judge_every_face_once_and_hold_every_label_alike() -> None:
    labels = np.random.default_rng(1).permutation(np.repeat([0, 1, 2], [52, 23, 6]))
    folds = crossvalidation.stratify(labels, 5)
    assert np.array_equal(np.sort(np.concatenate([fold.test for fold in folds])), np.arange(81))
    for fold in folds:
        assert not set(fold.test) & set(fold.training)
        assert len(fold.test) + len(fold.training) == 81
        assert len(fold.test) in {16, 17}
        counts = np.bincount(labels[fold.test], minlength=3)
        assert (abs(counts - np.array([52, 23, 6]) / 5) < 1).all()
    for wrong in (0, 1, 7):
        with pytest.raises(SettingsError, match=f"--folds {wrong}: 2 to 6"):
            crossvalidation.stratify(labels, wrong)


def test_the_studys_recipe_has_the_shipped_network_and_no_finished_teachers() -> None:
    ours, shipped = recipes.load(study.RECIPE), recipes.load(recipes.DEFAULT)
    assert replace(ours.net, dropout=0) == replace(shipped.net, dropout=0)
    assert ours.input == shipped.input
    assert not ours.distil.teachers


def test_the_studys_labels_are_picked_and_renumbered() -> None:
    faces = make_faces([HAPPY, 0, SAD, FEAR, 6, HAPPY])
    chosen = study.select(faces)
    assert chosen.labels.tolist() == [0, 1, 2, 0]
    assert np.array_equal(chosen.images, faces.images[[0, 2, 3, 5]])
    assert fer2013.targets(chosen, 0.5, len(study.STUDY_LABELS)).shape == (4, 3)


def test_a_finished_fold_is_not_trained_again_and_other_faces_are_refused(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, faces = recipes.load(recipe), make_faces([0, 1, 2] * 8)
    folds = crossvalidation.stratify(faces.labels, 2)
    labels = study.STUDY_LABELS
    monkeypatch.setattr(train, "CHECKPOINT_SECONDS", 0.0)
    learn, epochs = train._learn, []

    def counted(*arguments: object, **more: object) -> dict[str, float]:
        epochs.append(arguments[1])
        if len(epochs) == 4:
            raise KeyboardInterrupt
        return learn(*arguments, **more)

    monkeypatch.setattr(train, "_learn", counted)
    with pytest.raises(KeyboardInterrupt):
        crossvalidation.judge_all(config, faces, folds, labels, tmp_path, place=CPU)
    first = crossvalidation.judge_all(config, faces, folds, labels, tmp_path, place=CPU)
    assert epochs == [0, 1, 0, 1, 1], "the second fold goes on with its second epoch"
    again = crossvalidation.judge_all(config, faces, folds, labels, tmp_path, place=CPU)
    assert len(epochs) == 5
    assert [one.predicted.tolist() for one in again] == [one.predicted.tolist() for one in first]

    others = replace(faces, images=faces.images[::-1].copy())
    with pytest.raises(SettingsError, match="other faces"):
        crossvalidation.judge_all(config, others, folds, labels, tmp_path, place=CPU)
    with pytest.raises(SettingsError, match="another recipe"):
        crossvalidation.judge_all(replace(config, seed=9), faces, folds, labels, tmp_path, place=CPU)


def test_no_epoch_is_chosen_and_no_teacher_asked(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = recipes.load(recipe)
    taught = replace(config, epochs=1, distil=replace(config.distil, teachers=["absent"], share=0.5))
    faces = make_faces([0, 1, 2] * 5)
    fold = crossvalidation.split(len(faces), 0.2)
    crossvalidation.judge_all(taught, faces, [fold], study.STUDY_LABELS, tmp_path, place=CPU)
    assert "teachers are left out" in capsys.readouterr().err
    log = [json.loads(line) for line in (tmp_path / "split" / "log.jsonl").read_text().splitlines()]
    assert len(log) == 1
    assert "public_accuracy" not in log[0]


def test_a_teacher_named_by_its_recipe_learns_with_every_fold(recipe: Path, tmp_path: Path) -> None:
    """It learns from the fold's own part, before its pupil, and is not trained again."""
    config = replace(recipes.load(recipe), epochs=1)
    config = replace(config, distil=replace(config.distil, teachers=[str(recipe)], share=0.5))
    faces = make_faces([0, 1, 2] * 5)
    folds = crossvalidation.stratify(faces.labels, 2)
    judged = crossvalidation.judge_all(config, faces, folds, study.STUDY_LABELS, tmp_path, place=CPU)
    for one in judged:
        teacher = tmp_path / one.name / recipe.stem
        assert (teacher / "final.pt").exists()
        pupil = json.loads(torch.load(tmp_path / one.name / "final.pt", weights_only=True)["config"])
        assert pupil["distil"]["teachers"] == [str(teacher)]
    absent = replace(config, distil=replace(config.distil, teachers=["absent.toml"]))
    with pytest.raises(SettingsError, match="absent"):
        crossvalidation.judge_all(absent, faces, folds, study.STUDY_LABELS, tmp_path / "no", place=CPU)


def test_copies_across_the_split_are_known_and_unsound_faces_are_not_learned(
    recipe: Path, tmp_path: Path
) -> None:
    faces = make_faces([0, 1, 2] * 6)
    faces.images[:] = np.random.default_rng(1).integers(0, 256, faces.images.shape)  # unlike each other
    test = np.array([0, 1, 2, 3])
    faces.images[0] = faces.images[9]  # a copy of a learned face
    faces.images[1] = faces.images[10][:, ::-1]  # its mirror image
    faces.images[12] = faces.images[13]  # learned from, but under two labels
    faces.images[2] = faces.images[12]  # so this is a copy of nothing that is learned
    faces.votes_for_nothing[17] = 0.9
    fold = crossvalidation.Fold("one", np.setdiff1d(np.arange(18), test), test)
    config = replace(recipes.load(recipe), epochs=1)
    judged = crossvalidation.judge(config, faces, fold, study.STUDY_LABELS, tmp_path, quiet=True)
    assert judged.fresh.tolist() == [False, False, True, True]
    assert (judged.learned, judged.left_out) == (11, 3)
    assert judged.truth.tolist() == [0, 1, 2, 0]


def judged(name: str, truth: list[int], predicted: list[int], fresh: list[bool]) -> Judged:
    return Judged(name, np.array(truth), np.array(predicted), np.array(fresh), 10, 1, 99)


def test_figures_over_folds() -> None:
    one = judged("fold1of2", [0, 0, 1, 2], [0, 0, 1, 1], [True, False, True, True])
    two = judged("fold2of2", [0, 0, 1, 2], [0, 1, 0, 2], [False, True, True, False])
    table = crossvalidation.table([one, two], study.STUDY_LABELS)
    assert table["images"] == 8
    assert table["accuracy"] == 5 / 8
    assert table["confusion"] == [[3, 1, 0], [1, 1, 0], [0, 1, 1]]
    assert table["without_copies"]["images"] == 5
    assert table["without_copies"]["accuracy"] == 2 / 5
    assert (table["mean"]["accuracy"], table["sd"]["accuracy"]) == (0.625, pytest.approx(0.1768))
    assert table["mean"]["recall_fear"] == 0.5
    assert table["per_class"]["happy"] | {"recall_interval": 0} == table["per_class"]["happy"] | {
        "precision": 0.75,
        "recall": 0.75,
        "f1": 0.75,
        "recall_interval": 0,
    }
    low, high = table["accuracy_interval"]
    assert 0 <= low < 5 / 8 < high <= 1
    assert "mean" not in crossvalidation.table([one], study.STUDY_LABELS)
    nothing = crossvalidation.table([judged("split", [0, 1], [0, 1], [False, False])], study.STUDY_LABELS)
    assert nothing["without_copies"]["images"] == 0


def test_the_study_stands_beside_ours_and_nothing_is_made_up() -> None:
    faces = make_faces([0, 1, 2] * 8)
    one = judged("split", [0, 0, 0, 1, 2], [0, 0, 1, 1, 2], [True] * 5)
    table = study.compare([one], faces)
    assert table["study"] == {"accuracy": 0.4419, "recall": {"happy": 1.0, "sad": 0.0, "fear": 0.0}}
    assert table["always_happy"] == {"accuracy": 0.6, "macro_f1": 0.25}
    told = pages.markdown(study.sections(table))
    rows = {line.split("|")[1].strip(): line for line in told.splitlines() if line.startswith("|")}
    assert "44.19 %" in rows["accuracy"]
    assert "80.00 %" in rows["accuracy"]
    assert "not known" in rows["macro F1"]
    assert "0.00 %" in rows["recall of fear"]


def test_the_command_prints_json_and_writes_a_page(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_csv(tmp_path, [HAPPY, SAD, FEAR, HAPPY, 0] * 6)
    command = ["face", "reproduce-study", "--data", str(data), "--config", str(recipe), "--epochs", "1"]
    command += ["--run", str(tmp_path / "run"), "--threads", "1", "--device", "cpu", "--json"]
    assert main([*command, "--out", str(tmp_path / "page")]) == 0
    table = json.loads(capsys.readouterr().out)
    assert (table["faces"], table["images"]) == (24, 5)
    assert {"accuracy", "macro_f1", "per_class", "confusion", "without_copies", "study"} <= table.keys()
    page = (tmp_path / "page" / "folds.html").read_text("utf-8")
    for name in re.findall(r'<img src="([^"]+)"', page):
        assert cv2.imread(str(tmp_path / "page" / name)) is not None
    assert Counter(one.suffix for one in (tmp_path / "page").iterdir()) == {".png": 2, ".html": 1}
    assert main([*command, "--folds", "3"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert list(table["folds"]) == ["fold1of3", "fold2of3", "fold3of3"]
    assert table["images"] == 24
    assert main([*command, "--folds", "9"]) == 2
    assert main([*command, "--epochs", "0"]) == 2


def test_all_seven_labels_are_cross_validated(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_csv(tmp_path, list(range(7)) * 4)
    command = ["face", "crossvalidate", "--data", str(data), "--config", str(recipe), "--epochs", "1"]
    command += ["--run", str(tmp_path / "run"), "--threads", "1", "--device", "cpu", "--folds", "2"]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "Mean and standard deviation over the folds" in told
    assert "| recall of surprise" in told


@pytest.mark.skipif(not (SHARED / "face").is_dir(), reason="../shared/data/face is not here")
def test_the_real_data_has_as_many_faces_as_the_study_says() -> None:
    training = fer2013.load(SHARED / "face")["training"]
    assert not training.votes[5274].any(), "FER+ has another row's votes there"
    faces = study.select(training)
    assert len(faces) == 16142
    assert len(crossvalidation.split(len(faces), study.TEST_SHARE).test) == 3229
    assert np.bincount(faces.labels).tolist() == [7215, 4830, 4097]
