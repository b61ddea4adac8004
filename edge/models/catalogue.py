"""What ``suasana models`` does: list, verify, install, roll back. Lines for people; nothing is published."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from edge import manifest
from edge.manifest import Manifest
from edge.models import choice, download, install, weights
from edge.models import package as packages
from edge.models.download import Progress
from edge.models.install import InUse
from edge.models.shelf import PACKAGE, Record, Shelf
from edge.runtimes import is_installed
from edge.runtimes import load as load_runtime
from edge.settings import Settings
from edge.types import ModelError

Told = Callable[[str], None]


def list_models(settings: Settings) -> Iterator[str]:
    """A line for every model and every file of somebody else's.

    Raises:
        ModelError: one is not in order.
    """
    shelf = choice.shelf_of(settings)
    for model, where in _all(shelf):
        yield f"{model.id}  {model.task}  {', '.join(model.files)}  {where}  {model.folder}"
    for name in shelf.names():
        record = shelf.record(name)
        if record.failed:
            yield f"{name}@{record.failed}  given up: {record.why}"
    for name, weight in weights.listed().items():
        yield f"{name}  {weight.package}  {weight.licence}  {weights.find(name)}"


def verify(settings: Settings) -> Iterator[str]:
    """The same lines, after loading every file and judging the signature of what was installed again.

    Raises:
        ModelError: one is not in order.
    """
    keys = _keys(settings)
    shelf = choice.shelf_of(settings)
    for model, _ in _all(shelf):
        for format in model.files:
            if is_installed(format):
                load_runtime(model, format)
        if model.folder.is_relative_to(shelf.folder):
            _judge_again(model.folder, keys)
    yield from list_models(settings)


def install_model(
    settings: Settings, source: str, *, force: bool, progress: Progress, told: Told
) -> Iterator[str]:
    """Fetch a package and put its model into use, on trial.

    Raises:
        ModelError: see edge.models.download.fetch and edge.models.install.install.
    """
    shelf = choice.shelf_of(settings)
    keys = _keys(settings)
    data = download.fetch(source, most=packages.MAX_BYTES, progress=progress)

    def in_use(task: str) -> InUse:
        classifier = settings.expression if task == "expression" else settings.tone
        return InUse(choice.find_model(classifier, shelf), classifier.runtime, classifier.threads)

    model = install.install(
        data,
        keys=keys,
        shelf=shelf,
        in_use=in_use,
        shipped=choice.shipped_model,
        force=force,
        told=told,
    )
    trial = shelf.record(model.name).trial is not None
    yield f"{model.id} is installed{', on trial until it has proved itself' if trial else ' already'}"
    if model.name not in (settings.expression.model, settings.tone.model):
        yield f'no setting names it yet: [{model.task}] model = "{model.name}"'
    yield "it is used from the next start of the kit on: sudo systemctl restart suasana"


def roll_back(settings: Settings, name: str) -> Iterator[str]:
    """Return to the version before, or to the shipped one.

    Raises:
        ModelError: nothing is installed under that name, or several names are and none was said.
    """
    shelf = choice.shelf_of(settings)
    names = [one for one in shelf.names() if shelf.record(one).current]
    if not name and len(names) != 1:
        raise ModelError(f"say which model: {' or '.join(names)}" if names else "no model is installed here")
    name = name or names[0]
    record = shelf.roll_back(name)
    yield f"{name}: {record.current or 'the shipped model'} is used from the next start of the kit on"


def main() -> None:
    """In a child of the daemon: install the package that standard input names; a refusal is one line."""
    settings, source = pickle.load(sys.stdin.buffer)  # noqa: S301 -- from our own parent
    try:
        for line in install_model(settings, source, force=False, progress=_unheard, told=_unheard):
            print(line)  # noqa: T201 -- for whoever looks
    except ModelError as error:
        sys.exit(str(error))


def _unheard(*_told: object) -> None:
    """Nobody watches."""


def _all(shelf: Shelf) -> Iterator[tuple[Manifest, str]]:
    """Every model here, and what it is to this kit."""
    names = set()
    for folder in choice.shipped_models():
        model = manifest.load(folder)
        names.add(folder.name)
        used = shelf.candidates(folder.name, model.version)[0] == ""
        yield model, "shipped" if used else "shipped, not in use"
        yield from _installed(shelf, folder.name, model.version)
    for name in shelf.names():
        if name not in names:
            yield from _installed(shelf, name, "")


def _installed(shelf: Shelf, name: str, shipped: str) -> Iterator[tuple[Manifest, str]]:
    record, candidates = shelf.record(name), shelf.candidates(name, shipped)
    for version in (record.current, record.previous):
        if version and shelf.place(name, version).is_dir():
            yield manifest.load(shelf.place(name, version)), _standing(record, version, candidates[0])


def _standing(record: Record, version: str, used: str) -> str:
    if version != used:
        return "previous" if version == record.previous else "installed, older than the shipped one"
    return "on trial" if record.trial else "installed"


def _judge_again(folder: Path, keys: list[packages.Key]) -> None:
    """Whether the installed files are those that were signed."""
    try:
        data = (folder / PACKAGE).read_bytes()
        kept = packages.open(data, keys).files
        altered = [name for name, content in kept.items() if (folder / name).read_bytes() != content]
    except OSError as error:
        raise ModelError(f"{error.filename or folder}: {error.strerror or error}") from error
    except ModelError as error:
        raise ModelError(f"{folder}: {error}") from error
    if altered:
        raise ModelError(f"{folder / altered[0]}: altered since it was installed")


def _keys(settings: Settings) -> list[packages.Key]:
    return packages.trusted_keys(settings.updates.trusted_keys, Path(settings.updates.keys_dir))
