"""The shelf through kills and power cuts at every step: the old model or the new one, never a part of one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edge.models.shelf import Shelf, order
from edge.types import ModelError
from tests.conftest import ROOT
from tests.packages import SHIPPED, install_on, package_of


def cut_off(*arguments: object) -> list[dict[str, object]]:
    command = [sys.executable, "-m", "tests.cut_off", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with a confirmed 71.1.0."""
    folder = tmp_path_factory.mktemp("start")
    shelf = Shelf(folder / "state" / "models")
    install_on(shelf, package_of(folder, version="71.1.0"))
    shelf.confirm("voice-tone", "71.1.0")
    return folder / "state"


@pytest.mark.parametrize("power", [[], ["--power"]], ids=["killed", "power cut"])
@pytest.mark.parametrize("before", ["shipped", "installed"])
def test_an_installation_cut_off_anywhere_leaves_the_old_model_or_the_new_one(
    tmp_path: Path, started: Path, before: str, power: list[str]
) -> None:
    package = tmp_path / "new.suasana"
    package.write_bytes(package_of(tmp_path, version="71.2.0"))
    start = started
    if before == "shipped":
        start = tmp_path / "empty"
        start.mkdir()
    steps = cut_off("install", start, tmp_path, "--package", package, *power)
    old = SHIPPED["voice-tone"] if before == "shipped" else "71.1.0"
    assert len(steps) > 25, "what are the steps if not these"
    assert [step["killed"] for step in steps] == [True] * (len(steps) - 1) + [False]
    used = [str(step["used"]) for step in steps]
    assert set(used) == {old, "71.2.0"}
    assert used == sorted(used, key=order), "the switch happens at one step"
    assert all(step["again"] for step in steps), "and then it can be installed again"
    assert not any(step["left"] for step in steps), "with nothing left of the one that was cut off"


@pytest.mark.parametrize("power", [[], ["--power"]], ids=["killed", "power cut"])
def test_a_rollback_cut_off_anywhere_leaves_one_or_the_other(
    tmp_path: Path, started: Path, power: list[str]
) -> None:
    used = [str(step["used"]) for step in cut_off("roll_back", started, tmp_path, *power)]
    assert set(used) == {"71.1.0", SHIPPED["voice-tone"]}
    assert used == sorted(used, key=order, reverse=True)


@pytest.mark.parametrize("action", ["confirm", "begin"])
def test_a_note_cut_off_anywhere_leaves_the_model_in_use(tmp_path: Path, action: str) -> None:
    shelf = Shelf(tmp_path / "start" / "models")
    install_on(shelf, package_of(tmp_path, version="71.1.0"))
    steps = cut_off(action, tmp_path / "start", tmp_path, "--power")
    assert {step["used"] for step in steps} == {"71.1.0"}
    trials = [step["trial"] for step in steps]
    assert trials == sorted(trials, reverse=True)
    assert trials[0]
    assert trials[-1] is (action == "begin")


def test_versions_sort_as_numbers() -> None:
    assert order("71.10.0") > order("1.9.9")
    assert order("0.0.1") < order("0.1.0") < order("1.0.0")


@pytest.mark.parametrize(
    "text", ["", "1", "1.2", "1.2.3.4", "v1.2.3", "1.2.03", "1.2.3 ", "1.2.-3", "1.2.9999999"]
)
def test_what_is_no_version_is_told(text: str) -> None:
    with pytest.raises(ModelError, match="three whole numbers"):
        order(text)
