"""Kill a process at every step that it takes on the disk, and see what is left: ``python -m tests.cut_off``.

Each child works on a copy of its own and is killed before its k-th step: before it opens, renames, makes,
removes or syncs anything in the folder. With --power the contents that were not synced are lost too, as a
power cut loses them. The parent then asks what a kit would start with. Prints one JSON object a line.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from edge.models import choice, install
from edge.models.shelf import Shelf
from edge.settings import Classifier
from edge.types import EdgeError
from tests.packages import install_on

EVENTS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "fcntl.flock"}
NAME = Classifier("voice-tone")


def main() -> None:
    """Run until a child was not killed any more."""
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=["install", "roll_back", "confirm", "begin"])
    parser.add_argument("start", type=Path, help="state folder that every child gets a copy of")
    parser.add_argument("work", type=Path)
    parser.add_argument("--package", type=Path)
    parser.add_argument("--power", action="store_true")
    arguments = parser.parse_args()
    # What is asked of the runtimes touches no disk; without it a child takes milliseconds.
    install._ask = lambda *_: None
    install._race = lambda *_: (0.0, None)
    data = arguments.package.read_bytes() if arguments.package else b""
    actions: dict[str, Callable[[Shelf], object]] = {
        "install": lambda shelf: install_on(shelf, data),
        "roll_back": lambda shelf: shelf.roll_back("voice-tone"),
        "confirm": lambda shelf: shelf.confirm("voice-tone", shelf.record("voice-tone").current),
        "begin": lambda shelf: shelf.begin("voice-tone", shelf.record("voice-tone").current, "boot"),
    }
    step, killed, state = 0, True, arguments.work / "state"
    action = partial(actions[arguments.action], Shelf(state / "models"))
    while killed:
        step += 1
        shutil.rmtree(state, ignore_errors=True)
        shutil.copytree(arguments.start, state)
        killed, synced = _run(action, state, step)
        if killed and arguments.power:
            _lose(state, {*synced, *_inodes(arguments.start, state)})
        found = {"step": step, "killed": killed, **_look(Shelf(state / "models"), data)}
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()  # or the next child would have it too


def _run(action: Callable[[], object], state: Path, step: int) -> tuple[bool, list[int]]:
    """Whether the child was killed before it was done, and the inodes that it had synced."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _count_down(state, step, writer)
        try:
            action()
        except EdgeError as error:
            sys.stderr.write(f"{error}\n")
            os._exit(1)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        synced = [int(line) for line in pipe]
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in (0, -signal.SIGKILL):
        raise SystemExit(f"step {step}: the child ended with {status}")
    return status != 0, synced


def _count_down(state: Path, step: int, writer: int) -> None:
    left = step

    def next_step() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def heard(event: str, args: tuple[object, ...]) -> None:
        if event in EVENTS and (event == "fcntl.flock" or str(args[0]).startswith(str(state))):
            next_step()

    right = os.fsync

    def fsync(handle: int) -> None:
        next_step()
        right(handle)
        os.write(writer, f"{os.fstat(handle).st_ino}\n".encode())

    os.fsync = fsync  # type: ignore[assignment]
    sys.addaudithook(heard)


def _inodes(start: Path, state: Path) -> list[int]:
    """Of files that are as they were before: they have been on the disk for long."""
    return [
        path.stat().st_ino
        for path in state.rglob("*")
        if path.is_file()
        and (start / path.relative_to(state)).is_file()
        and (start / path.relative_to(state)).read_bytes() == path.read_bytes()
    ]


def _lose(state: Path, kept: set[int]) -> None:
    for path in state.rglob("*"):
        if path.is_file() and path.stat().st_ino not in kept:
            os.truncate(path, path.stat().st_size // 2)


def _look(shelf: Shelf, data: bytes) -> dict[str, object]:
    """What a kit would start with, and whether everything works again afterwards."""
    record, used = shelf.record("voice-tone"), choice.find_model(NAME, shelf)
    found: dict[str, object] = {"used": used.version, "recorded": record.current, "trial": bool(record.trial)}
    if data:
        again = install_on(shelf, data)
        found["again"] = choice.find_model(NAME, shelf).version == again.version
        found["left"] = [path.name for path in shelf.folder.glob(".*")]
    return found


if __name__ == "__main__":
    main()
