"""Which model folder counts: an installed one before the shipped one, and the one before it if it fails."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from edge import manifest
from edge.manifest import Manifest
from edge.models.shelf import Shelf
from edge.models.trial import Trials
from edge.runtimes import Runtime
from edge.runtimes import load as load_runtime
from edge.settings import Classifier, Settings
from edge.types import ModelError

logger = logging.getLogger(__name__)


def shelf_of(settings: Settings) -> Shelf:
    """Where this kit keeps installed models; it survives updates of the software."""
    return Shelf(settings.state_folder / "models")


def open_model(classifier: Classifier, trials: Trials) -> tuple[Manifest, Runtime]:
    """The model to use, loaded. An installed one that does not load gives way to the one before it.

    Raises:
        ModelError: it is nowhere, or the last one left is not in order.
    """
    for version, folder in _folders(classifier.model, trials.shelf):
        if not trials.begin(classifier.model, version):
            continue
        try:
            model = manifest.load(folder)
            return model, load_runtime(model, classifier.runtime, threads=classifier.threads)
        except ModelError as error:
            if not version:
                raise
            trials.reject(classifier.model, version, str(error))
    raise _nowhere(classifier.model)


def find_model(classifier: Classifier, shelf: Shelf | None = None) -> Manifest:
    """The model that a start would use, as far as the disk tells; notes nothing and loads no weights.

    Args:
        classifier: names it, or gives a path.
        shelf: of installed models; without one only the shipped models are looked at.

    Raises:
        ModelError: it is nowhere, or the last one left is not in order.
    """
    for version, folder in _folders(classifier.model, shelf):
        try:
            return manifest.load(folder)
        except ModelError as error:  # noqa: PERF203 -- at most three rounds
            if not version:
                raise
            logger.warning("models: %s", error)
    raise _nowhere(classifier.model)


def find_shipped(name: str) -> Path | None:
    """Folder of a model that came with the software, beside this package or where ``pip install`` put it."""
    return next(
        (folder / name for folder in model_folders() if (folder / name / "model.toml").is_file()), None
    )


def shipped_model(name: str) -> Manifest | None:
    """What is in it; None where there is no such model, or none that is in order."""
    folder = find_shipped(name)
    try:
        return manifest.load(folder) if folder else None
    except ModelError:
        return None


def shipped_models() -> Iterator[Path]:
    """The folder of every model that came with the software."""
    names = {path.parent.name for folder in model_folders() for path in folder.glob("*/model.toml")}
    for name in sorted(names):
        if folder := find_shipped(name):
            yield folder


def model_folders() -> Sequence[Path]:
    """Where shipped models are looked for, in order."""
    return Path(__file__).resolve().parents[2] / "models", Path(sys.prefix) / "share" / "suasana" / "models"


def _folders(name: str, shelf: Shelf | None) -> Iterator[tuple[str, Path]]:
    """Versions and folders to try, best first; the shipped model's version is left empty."""
    if "/" in name:
        yield "", Path(name)
        return
    if shelf is not None and shelf.record(name).current:
        shipped = shipped_model(name)
        for version in shelf.candidates(name, shipped.version if shipped else ""):
            if version:
                yield version, shelf.place(name, version)
    if folder := find_shipped(name):
        yield "", folder


def _nowhere(name: str) -> ModelError:
    return ModelError(f"no model called {name!r} in {' or '.join(str(folder) for folder in model_folders())}")
