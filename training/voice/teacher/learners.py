"""The learners of the comparison: scikit-learn's on a row per clip, and two small networks on its frames.

None is tuned on what it is judged on: the SVM chooses its two numbers on speakers within its training part,
the others have the ones written here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edge.types import FloatArray
from training.metrics import IntArray

SEED = 0
EPOCHS = 40
BATCH = 32
RATE = 2e-3
TREES = 500
ROUNDS = 200
"""Of the perceptron; fixed, because to stop early it would judge itself on speakers it learned from."""


@dataclass(frozen=True, slots=True)
class Part:
    """Clips as the learners see them."""

    rows: FloatArray
    """Clips x statistics."""
    pictures: FloatArray
    """Clips x frames x tracks."""
    truth: IntArray
    speakers: IntArray

    def take(self, chosen: Any) -> Part:
        """Some of the clips."""
        return Part(self.rows[chosen], self.pictures[chosen], self.truth[chosen], self.speakers[chosen])


Learner = Callable[[Part, Part, int], IntArray]
"""Learns the first part and says what it reads in the second; the number is of the threads."""


def _svm(training: Part, test: Part, threads: int) -> IntArray:
    from sklearn.model_selection import GridSearchCV, GroupKFold  # noqa: PLC0415
    from sklearn.svm import SVC  # noqa: PLC0415

    scale = 1 / training.rows.shape[1]
    choice = GridSearchCV(
        SVC(kernel="rbf", class_weight="balanced"),
        {"C": [1, 3, 10, 30], "gamma": [scale / 3, scale]},
        scoring="balanced_accuracy",
        cv=GroupKFold(min(4, len(np.unique(training.speakers)))),
        n_jobs=threads,
    )
    rows, asked = _standard(training.rows, test.rows)
    choice.fit(rows, training.truth, groups=training.speakers)
    return np.asarray(choice.predict(asked), np.int64)


def _forest(training: Part, test: Part, threads: int) -> IntArray:
    from sklearn.ensemble import RandomForestClassifier  # noqa: PLC0415

    trees = RandomForestClassifier(
        TREES, min_samples_leaf=2, class_weight="balanced", n_jobs=threads, random_state=SEED
    )
    return np.asarray(trees.fit(training.rows, training.truth).predict(test.rows), np.int64)


def _perceptron(training: Part, test: Part, threads: int) -> IntArray:
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415
    from sklearn.neural_network import MLPClassifier  # noqa: PLC0415
    from threadpoolctl import threadpool_limits  # noqa: PLC0415

    rows, asked = _standard(training.rows, test.rows)
    net = MLPClassifier((128,), alpha=1.0, max_iter=ROUNDS, random_state=SEED)
    with warnings.catch_warnings(), threadpool_limits(threads):
        warnings.simplefilter("ignore", ConvergenceWarning)
        net.fit(rows, training.truth, sample_weight=_balance(training.truth)[training.truth])
        return np.asarray(net.predict(asked), np.int64)


def _standard(training: FloatArray, test: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean 0 and deviation 1 of every column, over the training part."""
    axes = tuple(range(training.ndim - 1))
    mean, deviation = training.mean(axes), np.maximum(training.std(axes), 1e-6)
    return (training - mean) / deviation, (test - mean) / deviation


def _balance(truth: IntArray) -> FloatArray:
    """Weight of every class that makes all of them count alike."""
    counts = np.bincount(truth)
    return np.asarray(len(truth) / (np.count_nonzero(counts) * np.maximum(counts, 1)), np.float32)


class Convolutions(nn.Module):
    """Three convolutions over time, then the mean of it."""

    def __init__(self, tracks: int, classes: int, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs in (tracks, width, width):
            layers += [
                nn.Conv1d(inputs, width, 5, stride=2, padding=2, bias=False),
                nn.BatchNorm1d(width),
                nn.ReLU(),
                nn.Dropout(0.2),
            ]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """N x frames x tracks to N x classes."""
        logits: Tensor = self.head(self.body(x.transpose(1, 2)).mean(2))
        return logits


class Recurrence(nn.Module):
    """A bidirectional LSTM over pairs of frames, then the mean of its states."""

    def __init__(self, tracks: int, classes: int, width: int = 48) -> None:
        super().__init__()
        self.body = nn.LSTM(2 * tracks, width, batch_first=True, bidirectional=True)
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(2 * width, classes))

    def forward(self, x: Tensor) -> Tensor:
        """N x frames x tracks to N x classes; an odd last frame is left out."""
        count, frames, tracks = x.shape
        states, _ = self.body(x[:, : frames // 2 * 2].reshape(count, frames // 2, 2 * tracks))
        logits: Tensor = self.head(states.mean(1))
        return logits


def _network(kind: Callable[[int, int], nn.Module]) -> Learner:
    def learn(training: Part, test: Part, threads: int) -> IntArray:
        torch.set_num_threads(threads)
        torch.manual_seed(SEED)
        random = torch.Generator().manual_seed(SEED)
        weights = torch.from_numpy(_balance(training.truth))
        net = kind(training.pictures.shape[2], len(weights))
        seen, asked = map(torch.from_numpy, _standard(training.pictures, test.pictures))
        truth = torch.from_numpy(training.truth)
        optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=0.01)
        steps = EPOCHS * -(-len(truth) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
        loss = nn.CrossEntropyLoss(weights, label_smoothing=0.1)
        net.train()
        for _ in range(EPOCHS):
            for chosen in torch.split(torch.randperm(len(truth), generator=random), BATCH):
                optimiser.zero_grad(set_to_none=True)
                loss(net(_shifted(seen[chosen], random)), truth[chosen]).backward()
                optimiser.step()
                schedule.step()
        with torch.inference_mode():
            return np.asarray(net.eval()(asked).argmax(1).numpy(), np.int64)

    return learn


def _shifted(x: Tensor, random: torch.Generator) -> Tensor:
    """Moved in time by up to an eighth, wrapping around: where speech stands is not worth learning."""
    reach = x.shape[1] // 8
    return torch.roll(x, int(torch.randint(-reach, reach + 1, (1,), generator=random)), 1)


LEARNERS: dict[str, Learner] = {
    "SVM (RBF)": _svm,
    "random forest": _forest,
    "MLP": _perceptron,
    "CNN": _network(Convolutions),
    "LSTM": _network(Recurrence),
}
