"""Signed packages of the shipped models, whole and spoilt, and a kit that may install them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from convert.sign import pack, seal
from edge import manifest
from edge.manifest import Manifest
from edge.models import choice
from edge.models.install import InUse, install
from edge.models.package import ALWAYS, Key
from edge.models.shelf import Shelf
from edge.settings import Classifier
from tests.conftest import ROOT

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = Key("sekolah", PRIVATE.public_key().public_bytes_raw())
WEIGHTS = ("model.int8.onnx", "model.int8.tflite")
NAMES = [*ALWAYS, *WEIGHTS]
SHIPPED = {name: manifest.load(ROOT / "models" / name).version for name in ("face-expression", "voice-tone")}
"""Versions of the shipped models; those of the tests are far above."""

Change = Callable[[str], str]


def folder_of(path: Path, *, name: str = "voice-tone", version: str = "71.2.0", change: Change = str) -> Path:
    """A copy of a shipped model with another version, its model.toml changed."""
    folder = path / name
    shutil.copytree(ROOT / "models" / name, folder)
    toml = (folder / "model.toml").read_text("utf-8")
    lines = [f'version = "{version}"' if line.startswith("version =") else line for line in toml.splitlines()]
    (folder / "model.toml").write_text(change("\n".join(lines) + "\n"), "utf-8")
    return folder


def line(key: str, value: str) -> Change:
    """A change that gives *key* another value in model.toml, where it stands first."""

    def change(toml: str) -> str:
        changed, count = re.subn(
            rf"^{key} = .*$", lambda _: f"{key} = {value}", toml, count=1, flags=re.MULTILINE
        )
        assert count == 1
        return changed

    return change


def package_of(
    path: Path, *, name: str = "voice-tone", version: str = "71.2.0", change: Change = str
) -> bytes:
    """The same as a package; no check of the workshop is in the way of a spoilt one."""
    folder = folder_of(path / f"{name}-{version}", name=name, version=version, change=change)
    try:
        return seal(pack(folder, NAMES), PRIVATE)
    finally:
        shutil.rmtree(folder.parent)


def in_use(shelf: Shelf, *, runtime: str = "auto") -> Callable[[str], InUse]:
    """What the kit of default settings uses for a task."""
    names = {"expression": "face-expression", "tone": "voice-tone"}
    return lambda task: InUse(choice.find_model(Classifier(names[task]), shelf), runtime)


def install_on(shelf: Shelf, data: bytes, *, force: bool = False, runtime: str = "auto") -> Manifest:
    """As ``suasana models install`` does it; the speed is judged by a clock that stands still."""
    return install(
        data,
        keys=[KEY],
        shelf=shelf,
        in_use=in_use(shelf, runtime=runtime),
        shipped=choice.shipped_model,
        force=force,
        clock=lambda: 0.0,
    )
