"""Training of the expression model on a handful of made-up faces: cleaning, targets, resumption, figures."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs `make train-env`")

from edge import manifest, runtimes  # noqa: E402
from edge.manifest import ImageInput  # noqa: E402
from edge.preprocess import face_tensor  # noqa: E402
from edge.types import LABELS, SettingsError, SourceError  # noqa: E402
from tests.conftest import ROOT, SHARED  # noqa: E402
from training import metrics, model_card  # noqa: E402
from training.__main__ import main  # noqa: E402
from training.devices import Device  # noqa: E402
from training.face import balance, fer2013, recipes, train  # noqa: E402
from training.face import commands as face_commands  # noqa: E402
from training.face.augment import Augment, Chance, augment, mix, normalise  # noqa: E402
from training.face.net import FaceNet, count_parameters  # noqa: E402

TINY = """
start = ""
seed = 1
epochs = 3
batch = 16
[net]
widths = [16, 16, 16]
blocks = [1, 1, 1]
stem = "shrink"
shrink = "maximum"
plain = false
ends = "places"
squeeze = 16
features = 24
dropout = 0.1
[input]
height = 48
width = 48
channels = 1
mean = 0.5
std = 0.25
margin = 0.0
least_std = 0.02
[optimiser]
rate = 0.1
momentum = 0.9
weight_decay = 5e-4
warmup = 0.1
ema = 0.9
[target]
votes = 0.4
votes_head = 0.5
balance = 0.2
[distil]
teachers = []
mirrored = true
share = 0.0
temperature = 1.0
[augment]
degrees = 10.0
zoom = 0.1
shift = 0.05
shear = 0.05
dark = 0.5
gamma = 0.2
contrast = 0.2
noise = 0.05
erase = 0.5
blur = 0.5
jpeg = 0.5
strength = [[0.0, 1.0], [0.6, 0.5]]
mix = [[0.0, 0.5], [0.9, 0.0]]
"""


def write_faces(folder: Path) -> Path:
    """A data folder like the real one: 7 training faces per class, 3 per test split, 4 to be taken out."""
    random = np.random.default_rng(0)
    usage = np.repeat([0, 1, 2], [49 + 4, 21, 21]).astype(np.uint8)
    labels = np.concatenate([np.arange(49) % 7, [0, 1, 2, 3], np.arange(42) % 7]).astype(np.uint8)
    blotches = random.integers(0, 120, (len(labels), 12, 12)).astype(np.uint8)
    faces = blotches.repeat(4, 1).repeat(4, 2)
    for image, label in zip(faces, labels, strict=True):
        image[6 * label : 6 * label + 8] += 130
    faces[49], faces[50], faces[51] = faces[53], faces[54], faces[74]  # two twins in public, one in private
    faces[48] = cv2.GaussianBlur(faces[75], (3, 3), 0)[:, ::-1]  # the same photograph in private, mirrored
    faces[46] = faces[47]  # under another label
    votes = np.zeros((len(labels), 10), np.uint8)
    votes[np.arange(len(labels)), labels] = 10
    votes[52] = [0] * 9 + [10]  # not a face
    padded = np.zeros((110, 48, 48), np.uint8)
    padded[: len(faces)] = faces
    sheet = padded.reshape(10, 11, 48, 48).transpose(0, 2, 1, 3).reshape(480, 528)
    folder.mkdir(exist_ok=True)
    cv2.imwrite(str(folder / fer2013.PIXELS), sheet)
    sure = np.ones(len(labels), bool)
    np.savez(folder / fer2013.TABLE, label=labels, usage=usage, votes=votes, votes_ok=sure)
    return folder


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Two threads wait for each other on a busy machine, which makes a second of training a minute."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_faces(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> recipes.Config:
    path = tmp_path_factory.mktemp("recipe") / "face.toml"
    path.write_text(TINY, "utf-8")
    return recipes.load(path)


def test_twins_of_test_pictures_and_non_faces_are_taken_out(data: Path) -> None:
    splits = fer2013.load(data)
    kept, cleaning = fer2013.clean(splits)
    assert {name: len(faces) for name, faces in splits.items()} == {
        "training": 53,
        "public": 21,
        "private": 21,
    }
    assert cleaning == fer2013.Cleaning(
        in_public=2, in_private=1, near_public=0, near_private=1, disputed=2, not_a_face=1
    )
    assert len(kept) == 46
    assert not fer2013.contained(kept, splits["public"]).any()
    assert not fer2013.contained(kept, splits["private"]).any()


def test_targets_translate_the_votes() -> None:
    # Voters say "surprise" (column 2) for two faces, one of which FER-2013 calls fear.
    votes = np.zeros((3, 8), np.float32)
    votes[0, 2] = votes[1, 2] = 1
    faces = fer2013.Faces(
        np.zeros((3, 48, 48), np.uint8),
        np.array([LABELS.index("fear"), LABELS.index("surprise"), LABELS.index("sad")]),
        votes,
        np.zeros(3, np.float32),
    )
    wanted = fer2013.targets(faces, 0.4)
    assert wanted.sum(1) == pytest.approx(1)
    assert wanted[0, LABELS.index("fear")] == pytest.approx(0.6 + 0.4 * 0.5)
    assert wanted[0, LABELS.index("surprise")] == pytest.approx(0.4 * 0.5)
    assert wanted[2, LABELS.index("sad")] == 1, "without votes the label stands"


@pytest.mark.parametrize("damage", ["no table", "no picture", "torn table", "small picture"])
def test_damaged_data_is_one_line(tmp_path: Path, damage: str) -> None:
    write_faces(tmp_path)
    if damage == "no table":
        (tmp_path / fer2013.TABLE).unlink()
    elif damage == "no picture":
        (tmp_path / fer2013.PIXELS).unlink()
    elif damage == "torn table":
        (tmp_path / fer2013.TABLE).write_bytes(b"PK torn")
    else:
        cv2.imwrite(str(tmp_path / fer2013.PIXELS), np.zeros((96, 96), np.uint8))
    with pytest.raises(SourceError) as caught:
        fer2013.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_wrong_recipe_names_the_key(tmp_path: Path) -> None:
    path = tmp_path / "face.toml"
    for old, new, message in (
        ("epochs = 3", "epoch = 3", "epoch"),
        ("dropout = 0.1", "", "dropout"),
        ("seed = 1", "seed =", "face.toml"),
    ):
        path.write_text(TINY.replace(old, new), "utf-8")
        with pytest.raises(SettingsError, match=message):
            recipes.load(path)


@pytest.mark.parametrize(
    ("recipe", "most"),
    [
        ("face.toml", 1_000_000),
        ("face_large.toml", 4_000_000),
    ],
)
def test_the_shipped_recipes_make_small_networks(recipe: str, most: int) -> None:
    config = recipes.load(recipes.DEFAULT.with_name(recipe))
    net = FaceNet(len(LABELS), side=config.input.height, **asdict(config.net)).eval()
    assert most / 2 < count_parameters(net) <= most
    logits, features = net.both(torch.zeros(2, 1, 48, 48))
    assert logits.shape == (2, len(LABELS))
    assert features.shape == (2, net.features_width)
    assert net.features_width <= 128
    assert bool((features >= 0).all())


@pytest.mark.parametrize("change", [("stem", "half"), ("shrink", "mean"), ("ends", "sum"), ("blocks", [1])])
def test_a_network_that_cannot_be_is_one_line(change: tuple[str, Any], recipe: recipes.Config) -> None:
    net = replace(recipe.net, **dict([change]))
    with pytest.raises(SettingsError, match=r"the recipe's \[net\]: "):
        train._net(replace(recipe, net=net), 7)


STILL: dict[str, Any] = dict.fromkeys(
    ("degrees", "zoom", "shift", "shear", "dark", "gamma", "contrast", "noise", "erase", "blur", "jpeg"), 0.0
)
WILD = STILL | {"degrees": 20, "zoom": 0.2, "dark": 1, "gamma": 0.5, "noise": 0.1, "erase": 1, "blur": 1}
SPEC = ImageInput(height=48, width=48, channels=1, mean=0.5, std=0.25, margin=0.0)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_augmentation_is_repeatable_and_can_be_switched_off() -> None:
    faces = torch.rand(6, 1, 48, 48, generator=seeded(0))
    same = augment(faces, Augment(**STILL, strength=[(0, 1)], mix=[(0, 0)]), Chance(1))
    for before, after in zip(faces, same, strict=True):
        off = min(float((after - before).abs().max()), float((after - before.flip(-1)).abs().max()))
        assert off < 1e-4, "neither the face nor its mirror image"
    wild = Augment(**WILD, strength=[(0.0, 1.0), (0.5, 0.25)], mix=[(0.0, 0.5), (0.9, 0.0)])
    assert [wild.mixed(0.0), wild.mixed(0.89), wild.mixed(0.9), wild.mixed(1.0)] == [0.5, 0.5, 0.0, 0.0]
    assert (wild.at(0.4).degrees, wild.at(0.5).degrees, wild.at(0.5).blur) == (20, 5, 0.25)
    one, two = (augment(faces, wild, Chance(2)) for _ in range(2))
    assert one.shape == faces.shape
    assert torch.equal(one, two)
    assert not torch.equal(one, augment(faces, wild, Chance(3)))


@pytest.mark.parametrize("least_std", [0.0, 0.02])
def test_training_normalises_as_the_kit_does(least_std: float) -> None:
    spec = replace(SPEC, least_std=least_std)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (5, 48, 48)).astype(np.uint8)
    images[1] //= 10  # a dark room
    images[2] = 128  # nothing but grey
    images[3] = 100 + images[3] // 128  # hardly any contrast: to be left that way
    kit = face_tensor(list(images), spec)[..., 0]
    ours = normalise(torch.from_numpy(images[:, None] / np.float32(255)), spec)[:, 0].numpy()
    assert np.abs(ours - kit).max() < 1e-4
    if least_std:
        assert kit[0].std() == pytest.approx(1, abs=1e-3)
        assert kit[1].mean() == pytest.approx(0, abs=1e-3)
        assert kit[1].std() == pytest.approx(1, abs=1e-3)
        assert np.abs(kit[2:4]).max() < 0.2


def test_augmented_jpeg_loses_what_a_jpeg_file_loses() -> None:
    faces = (torch.rand(4, 1, 12, 12, generator=seeded(0))).repeat_interleave(4, 2).repeat_interleave(4, 3)
    how = Augment(**(STILL | {"jpeg": 1.0}), strength=[(0, 1)], mix=[(0, 0)])
    after = augment(faces, how, Chance(1))
    for before, lossy in zip(faces, after, strict=True):
        off = min(float((lossy - face).abs().mean()) for face in (before, before.flip(-1)))
        _, code = cv2.imencode(".jpg", np.uint8(255 * before[0].numpy()), [cv2.IMWRITE_JPEG_QUALITY, 20])
        real = np.abs(cv2.imdecode(code, cv2.IMREAD_GRAYSCALE) / 255 - before[0].numpy()).mean()
        assert 0.1 * real < off < 3 * real


def test_mixing_mixes_faces_and_targets_in_the_same_shares() -> None:
    """Faces that are all one number: the mean of a mixed face tells the share that its target must have."""
    faces = torch.arange(4.0)[:, None, None, None].expand(4, 1, 48, 48)
    seen = set()
    for seed in range(20):
        mixed, (targets,) = mix(faces, [torch.eye(4)], 1.0, Chance(seed))
        assert mixed.mean((1, 2, 3)).numpy() == pytest.approx((targets @ torch.arange(4.0)).numpy(), abs=1e-3)
        assert targets.sum(1).numpy() == pytest.approx(1)
        seen.add(bool(mixed[0].unique().numel() > 1))
    assert seen == {True, False}, "both ways of mixing come up"
    assert mix(faces, [torch.eye(4)], 0.0, Chance(0))[0] is faces


def test_a_killed_run_ends_with_the_weights_it_would_have_had(
    data: Path, recipe: recipes.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits = fer2013.load(data)
    training, _ = fer2013.clean(splits)
    whole = train.train(recipe, training, splits["public"], tmp_path / "whole", quiet=True)

    learn = train._learn

    def killed(config: recipes.Config, epoch: int, *rest: Any, **more: Any) -> dict[str, float]:
        if epoch == 2:
            raise KeyboardInterrupt
        return learn(config, epoch, *rest, **more)

    monkeypatch.setattr(train, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(train, "_learn", killed)
    with pytest.raises(KeyboardInterrupt):
        train.train(recipe, training, splits["public"], tmp_path / "cut", quiet=True)
    monkeypatch.setattr(train, "_learn", learn)
    resumed = train.train(recipe, training, splits["public"], tmp_path / "cut", quiet=True)

    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    lines = [json.loads(line) for line in (tmp_path / "cut" / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [0, 1, 2]
    cost = json.loads((tmp_path / "cut" / "cost.json").read_text())
    assert cost["device"] == "CPU"
    loaded, spec = train.load_net(tmp_path / "cut")
    assert spec == recipe.input
    assert torch.equal(loaded.head.weight, whole.head.weight)


def test_a_run_of_another_recipe_is_not_continued(data: Path, recipe: recipes.Config, tmp_path: Path) -> None:
    splits = fer2013.load(data)
    torch.save({"config": "{}"}, tmp_path / "last.pt")
    with pytest.raises(SettingsError, match="another recipe"):
        train.train(recipe, splits["training"], splits["public"], tmp_path, quiet=True)


def test_a_pupil_learns_what_its_teacher_answers(data: Path, recipe: recipes.Config, tmp_path: Path) -> None:
    """With nothing but the teacher to learn from, the answers come closer to the teacher's."""
    splits = fer2013.load(data)
    training, _ = fer2013.clean(splits)
    teacher = train.train(recipe, training, splits["public"], tmp_path / "teacher", quiet=True)
    distil = recipes.Distil(teachers=[str(tmp_path / "teacher")], mirrored=True, share=1.0, temperature=2.0)
    taught = replace(recipe, seed=2, epochs=1, distil=distil)
    x = train.tensor(training, recipe.input)
    aim = torch.from_numpy(train.predict(teacher, x)).div(2).softmax(1)
    gaps = []
    for epochs in (1, 12):
        pupil = train.train(
            replace(taught, epochs=epochs), training, splits["public"], tmp_path / f"{epochs}", quiet=True
        )
        answers = torch.from_numpy(train.predict(pupil, x)).div(2).log_softmax(1)
        gaps.append(float(torch.nn.functional.kl_div(answers, aim, reduction="batchmean")))
    assert gaps[1] < 0.5 * gaps[0]
    onwards = replace(recipe, start=str(tmp_path / "teacher"), epochs=0)
    same = train.train(onwards, training, splits["public"], tmp_path / "onwards", quiet=True)
    assert torch.equal(same.head.weight, teacher.head.weight), "a start is where it begins"
    absent = replace(recipe, distil=replace(distil, teachers=[str(tmp_path / "absent")]))
    with pytest.raises(SettingsError, match="absent"):
        train.train(absent, training, splits["public"], tmp_path / "none", quiet=True)


def teaching(folder: Path) -> recipes.Distil:
    return recipes.Distil(teachers=[str(folder)], mirrored=True, share=1.0, temperature=1.0)


def test_a_shipped_model_teaches_what_the_kit_reads() -> None:
    folder = ROOT / "models" / "face-expression"
    noise = np.random.default_rng(0).integers(0, 256, (3, 6, 6)).astype(np.uint8)
    images = np.stack([cv2.resize(one, (48, 48), interpolation=cv2.INTER_CUBIC) for one in noise])
    light = torch.from_numpy(images[:, None] / np.float32(255))
    probs = train.Teachers(teaching(folder), Device(torch.device("cpu")))(light)
    model = manifest.load(folder)
    assert isinstance(model.input, ImageInput)
    run = runtimes.load(model)
    seen, mirrored = (
        np.array([one.probs for one in model.calibrate(run(face_tensor(list(faces), model.input)))])
        for faces in (images, images[:, :, ::-1])
    )
    # An int8 input may fall to either side of a step, so the answers are not alike to the last digit.
    assert probs.numpy() == pytest.approx((seen + mirrored) / 2, abs=0.03)
    assert np.abs(seen - mirrored).max() > 0.1, "or the mirror image would not be seen to count"


def test_an_ensemble_is_judged_as_a_pupil_would_hear_it(
    data: Path, recipe: recipes.Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    splits = fer2013.load(data)
    training, _ = fer2013.clean(splits)
    runs = [tmp_path / "one", tmp_path / "two"]
    probs = []
    for seed, run in enumerate(runs):
        net = train.train(replace(recipe, seed=seed, epochs=6), training, splits["public"], run, quiet=True)
        for mirrored in (False, True):
            faces = splits["public"].images[:, :, :: -1 if mirrored else 1]
            x = train.tensor(replace(splits["public"], images=faces), recipe.input)
            probs.append(torch.from_numpy(train.predict(net, x)).softmax(1))
    truth = torch.from_numpy(splits["public"].labels)

    def right(*which: int) -> str:
        return f"{float((sum(probs[one] for one in which).argmax(1) == truth).float().mean()):.1%}"

    assert face_commands.main(["ensemble", *map(str, runs), "--data", str(data), "--threads", "1"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert lines == [
        [str(runs[0]), right(0), right(0, 1)],
        [str(runs[1]), right(2), right(2, 3)],
        ["together", right(0, 2), right(0, 1, 2, 3)],
    ]


def test_the_mean_of_runs_is_a_run(
    data: Path, recipe: recipes.Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    splits = fer2013.load(data)
    training, _ = fer2013.clean(splits)

    def run(name: str, **changes: Any) -> Any:
        config = replace(recipe, epochs=1, **changes)
        return train.train(config, training, splits["public"], tmp_path / name, quiet=True)

    nets = [run("one"), run("two", seed=2)]
    names = [str(tmp_path / name) for name in ("one", "two")]
    made = tmp_path / "mean"
    assert main(["face", "average", *names, "--run", str(made)]) == 0
    mean, spec = train.load_net(made)
    assert spec == recipe.input
    both = [net.state_dict() for net in nets]
    for name, value in mean.state_dict().items():
        aim = (both[0][name] + both[1][name]) / 2 if value.is_floating_point() else both[0][name]
        assert torch.allclose(value, aim), name

    run("wide", net=replace(recipe.net, features=32))
    for others, problem in (
        ([names[0], str(tmp_path / "wide")], "not a network like that of"),
        ([names[0], str(tmp_path / "absent")], "holds no finished network"),
        (names, "is there already"),
    ):
        target = made if problem == "is there already" else tmp_path / "never"
        assert main(["face", "average", *others, "--run", str(target)]) == 2
        assert problem in capsys.readouterr().err
    assert not (tmp_path / "never").exists()


def test_a_voice_model_teaches_no_expressions() -> None:
    with pytest.raises(SettingsError, match="voice-tone: is a model for tone"):
        train.Teachers(teaching(ROOT / "models" / "voice-tone"), Device(torch.device("cpu")))


def test_processes_share_every_batch_and_leave_nothing_out() -> None:
    examples = train.Examples(torch.arange(50.0), torch.arange(50.0), torch.arange(50.0))
    places = [Device(torch.device("cpu"), rank, 2) for rank in range(2)]
    parts = [list(examples.batches(16, place, seeded(0))) for place in places]
    whole = list(examples.batches(16, Device(torch.device("cpu")), seeded(0)))
    for one, two, both in zip(*parts, whole, strict=True):
        assert sorted(torch.cat([one[0], two[0]]).tolist()) == sorted(both[0].tolist())


def test_torchrun_trains_in_two_processes(data: Path, tmp_path: Path) -> None:
    """The gradients meet: both processes end with the same weights, and the first one saves them."""
    (tmp_path / "face.toml").write_text(TINY.replace("epochs = 3", "epochs = 1"), "utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "--", "training", "face", "train", "--config", str(tmp_path / "face.toml")]
    command += ["--data", str(data), "--run", str(tmp_path / "run"), "--threads", "1", "--device", "cpu"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "2 x CPU" in done.stdout
    assert len((tmp_path / "run" / "log.jsonl").read_text().splitlines()) == 1, "one process keeps the log"
    net, _ = train.load_net(tmp_path / "run")
    assert all(bool(value.isfinite().all()) for value in net.state_dict().values())


def test_an_absent_device_is_one_line(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "face.toml").write_text(TINY, "utf-8")
    command = ["face", "train", "--config", str(tmp_path / "face.toml"), "--data", str(data)]
    assert main([*command, "--run", str(tmp_path / "run"), "--device", "cuda:99"]) == 2
    assert "--device cuda:99" in capsys.readouterr().err


def test_figures_of_a_known_confusion() -> None:
    truth = np.array([0, 0, 0, 1, 1, 2])
    predicted = np.array([0, 0, 1, 1, 1, 0])
    matrix = metrics.confusion(truth, predicted, 3)
    assert matrix.tolist() == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert metrics.accuracy(matrix) == pytest.approx(4 / 6)
    assert metrics.average_recall(matrix) == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert metrics.macro_f1(matrix) == pytest.approx((4 / 6 + 4 / 5 + 0) / 3)
    low, high = metrics.interval(metrics.accuracy, truth, predicted, 3)
    assert 0 <= low < 4 / 6 < high <= 1
    by_speaker = metrics.interval(metrics.accuracy, truth, predicted, 3, groups=np.array([5, 5, 5, 5, 5, 5]))
    assert by_speaker == pytest.approx((4 / 6, 4 / 6)), "one group can only be drawn as it is"


def test_biases_raise_a_neglected_label_just_enough() -> None:
    random = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], [500, 500, 40])
    logits = random.normal(size=(1040, 3)).astype(np.float32)
    logits[np.arange(1040), truth] += 1.5
    logits[:, 2] -= 2
    before = metrics.recalls(metrics.confusion(truth, logits.argmax(1), 3))
    raised = balance.biases(logits, truth, least=0.5)
    after = metrics.recalls(metrics.confusion(truth, (logits + raised).argmax(1), 3))
    assert before[2] < 0.5 <= after.min()
    assert raised[:2].tolist() == [0, 0]
    assert after[2] < 0.6, "raised further than needed"
    assert not balance.biases(logits, truth, least=0.0).any()


def test_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    probs = np.tile([0.8, 0.2], (10, 1))
    assert metrics.calibration_error(probs, np.repeat([0, 1], [8, 2])) == pytest.approx(0.0)
    assert metrics.calibration_error(probs, np.repeat([0, 1], [5, 5])) == pytest.approx(0.3)


def test_the_card_gets_its_figures_between_the_marks(tmp_path: Path) -> None:
    card = tmp_path / "MODEL_CARD.md"
    begin, end = "<!-- measured: begin -->", "<!-- measured: end -->"
    card.write_text(f"before\n{begin}\nold\n{end}\nafter\n", "utf-8")
    for _ in range(2):
        model_card.refresh(tmp_path, "new")
    assert card.read_text("utf-8") == f"before\n{begin}\n\nnew\n\n{end}\nafter\n"


def test_the_shipped_files_are_evaluated(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["face", "evaluate", "--model", str(ROOT / "models" / "face-expression"), "--data", str(data)]
    assert main([*command, "--split", "private", "--json", "--report", str(tmp_path)]) == 0
    table = json.loads(capsys.readouterr().out)
    assert table["images"] == 21
    assert table["without_training_duplicates"]["images"] == 20
    assert 0 <= table["accuracy"] <= 1
    assert {"macro_f1", "ece", "parameters", "per_class", "accuracy_interval"} <= table.keys()
    assert set(table["formats"]) == {"tflite", "onnx"}
    assert cv2.imread(str(tmp_path / "confusion.png")) is not None


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["horse"],
        ["face", "explore", "--data", "absent"],
        ["face", "evaluate", "--model", "absent", "--data", "absent"],
        ["face", "margin", "--data", "absent", "--weights", "absent"],
    ],
)
def test_a_wrong_command_is_told_without_a_traceback(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_training_from_the_command_line_makes_a_run(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "face.toml").write_text(TINY.replace("epochs = 3", "epochs = 1"), "utf-8")
    run = str(tmp_path / "run")
    command = ["face", "train", "--config", str(tmp_path / "face.toml"), "--data", str(data), "--run", run]
    command += ["--threads", "1"]
    assert main(command) == 0
    assert "parameters" in capsys.readouterr().out
    (tmp_path / "other.toml").write_text(TINY, "utf-8")
    assert main([*command[:2], "--config", str(tmp_path / "other.toml"), *command[4:]]) == 2
    assert "another recipe" in capsys.readouterr().err


def test_recipes_are_trained_one_after_another(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = tmp_path / "one.toml", tmp_path / "one_2.toml"
    first.write_text(TINY.replace("epochs = 3", "epochs = 1"), "utf-8")
    onwards = TINY.replace("epochs = 3", "epochs = 1").replace('start = ""', 'start = "runs/one"')
    second.write_text(onwards.replace("teachers = []", 'teachers = ["runs/one"]'), "utf-8")
    command = ["face", "train", "--data", str(data), "--threads", "1", "--config", str(first), str(second)]
    assert main([*command, "--run", "here"]) == 2
    assert main(command) == 0
    assert "runs/one-2" in capsys.readouterr().out
    assert (tmp_path / "runs" / "one-2" / "final.pt").exists()


def test_the_shipped_recipe_says_where_its_teachers_come_from() -> None:
    """The command at its top trains every teacher that it names, before it."""
    command = re.search(r"train --config (.*)`", recipes.DEFAULT.read_text("utf-8"))
    assert command is not None
    before, _, after = command[1].partition("{")
    kinds, _, rest = after.partition("}")
    made = [Path(f"{before}{kind}.toml") for kind in kinds.split(",")]
    teachers = recipes.load(recipes.DEFAULT).distil.teachers
    assert teachers == [str(recipes.run_folder(path)) for path in made]
    assert rest.split()[1] == "training/face.toml"
    for path in made:
        assert not recipes.load(ROOT / path).distil.teachers


def test_the_second_recipe_goes_on_from_the_first_and_says_how_to_get_its_teachers() -> None:
    path = recipes.DEFAULT.with_name("face_2.toml")
    text, config = path.read_text("utf-8"), recipes.load(path)
    assert config.start == str(recipes.run_folder(recipes.DEFAULT))
    assert config.net == recipes.load(recipes.DEFAULT).net
    for teacher in config.distil.teachers:
        assert re.search(rf"(--model|-C) {teacher}\n", text), f"{teacher}: made by no command at the top"


def test_explore_counts_what_is_taken_out(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert face_commands.main(["explore", "--data", str(data)]) == 0
    assert "PublicTest (2)" in capsys.readouterr().out


@pytest.mark.skipif(not (SHARED / "face").is_dir(), reason="../shared/data/face is not here")
def test_the_real_data_is_read_in_its_original_order() -> None:
    splits = fer2013.load(SHARED / "face")
    assert [len(splits[name]) for name in ("training", "public", "private")] == [28709, 3589, 3589]
    assert splits["training"].labels[:3].tolist() == [0, 0, 2]
    assert splits["training"].images[0, 0, :4].tolist() == [70, 80, 82, 72]
