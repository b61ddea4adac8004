"""The dashboard reads every message that the contract shows."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from dashboard.board import Board, apply, read_event, view
from edge.events import Availability, SourceStatus, parse_time
from tests.conftest import ROOT

EXAMPLES = [
    *sorted((ROOT / "docs" / "contract" / "examples").glob("*.json")),
    *sorted((ROOT / "tests" / "golden" / "schema-1").glob("*.json")),
]
LEAVES = {"source-detail": "source/camera/detail"}
NOT_READ = ("request", "response", "practice")
"""Between a program and a kit, or passed on to whoever plays (test_play.py): nothing that the board shows."""


@pytest.mark.parametrize(
    "path", [path for path in EXAMPLES if not path.stem.startswith(NOT_READ)], ids=lambda p: p.stem
)
def test_the_dashboard_shows_every_example_as_it_is(path: Path) -> None:
    told = json.loads(path.read_text("utf-8"))
    now = parse_time("2026-03-02T01:05:01.000Z")
    leaf = path.stem.split(".")[0]
    topic = LEAVES.get(leaf, leaf)
    board = apply(Board(), f"suasana/kit-1/{topic}", path.read_bytes(), now)
    (shown,) = view(board, now)
    if leaf == "source-detail":
        assert shown["problems"] == {"camera": told["problem"]}
        return
    if leaf == "event":
        event = read_event("kit-1", path.read_bytes())
        assert (event.id, event.seq) == (told["id"], told["data"]["seq"])
        return
    assert tells(json.loads(json.dumps(shown[leaf])), told)


def tells(shown: Any, told: Any) -> bool:
    """Whether everything told is shown; what came later than the message may stand beside it."""
    if isinstance(told, dict):
        return all(key in shown and tells(shown[key], value) for key, value in told.items())
    if isinstance(told, list):
        return len(shown) == len(told) and all(map(tells, shown, told))
    return bool(shown == told)


@pytest.mark.parametrize("word", get_args(Availability))
def test_every_availability_is_shown(word: str) -> None:
    board = apply(Board(), "suasana/kit-1/availability", word.encode(), 0.0)
    assert view(board, 0.0)[0]["phase"] == word


@pytest.mark.parametrize("word", get_args(SourceStatus))
def test_every_status_is_shown(word: str) -> None:
    board = apply(Board(), "suasana/kit-1/source/camera/status", word.encode(), 0.0)
    assert view(board, 0.0)[0]["sources"] == {"camera": word}
