"""What each shipped model answers to people in good light, as edge.practice.adapt's guard wants to know it.

``reference.toml`` holds log-probabilities of people that the model was not trained on, some of each label: a
few numbers a person, from which nobody can be known. ``python -m training face adapt --write-reference`` made
it. It belongs to a kind of model, not to a version: it tells what a typical answer looks like. A model that
has none does not learn: that the tone model gains was not found (docs/practice-learning.md).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from edge.practice.adapt import Reference

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PATH = Path(__file__).with_name("reference.toml")


def load(model: str, labels: Sequence[str]) -> Reference | None:
    """The reference of the model of that name; None where there is none for these *labels*."""
    table = _tables().get(model)
    if table is None or tuple(table["labels"]) != tuple(labels):
        return None
    answers = [table["answers"][label] for label in labels]
    places = np.repeat(np.arange(len(labels)), [len(rows) for rows in answers])
    return Reference(np.concatenate(answers).astype(np.float64), places, np.array(table["shares"]))


@cache
def _tables() -> dict[str, Any]:
    return tomllib.loads(PATH.read_text("utf-8")) if PATH.is_file() else {}
