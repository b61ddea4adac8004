"""Are the models whole, and do they answer on this board what they answered where they were made?"""

from __future__ import annotations

from collections.abc import Iterator

from edge.checks import Finding, Patient, finding
from edge.models import goldens
from edge.models.choice import find_model, shelf_of
from edge.models.shelf import Shelf
from edge.runtimes import is_installed, resolve
from edge.settings import Classifier
from edge.types import ModelError


def examine(patient: Patient) -> Iterator[Finding]:
    """One line per weights file of the models in use."""
    settings = patient.settings
    assert settings is not None
    shelf = shelf_of(settings)
    if settings.camera.uri != "none":
        yield from _try(settings.expression, shelf)
    if settings.microphone.uri != "none":
        yield from _try(settings.tone, shelf)


def _try(classifier: Classifier, shelf: Shelf) -> Iterator[Finding]:
    record = shelf.record(classifier.model) if "/" not in classifier.model else None
    if record is not None and record.failed:
        yield finding("models.gave_up", model=f"{classifier.model}@{record.failed}", reason=record.why)
    try:
        model = find_model(classifier, shelf)
        used = resolve(model, classifier.runtime)
    except ModelError as error:
        yield finding("models.refused", model=classifier.model, reason=str(error))
        return
    if not (model.folder / goldens.FILE).exists():
        yield finding("models.unproven", model=model.id)
        return
    for runtime in model.files:
        if runtime != used and not is_installed(runtime):
            yield finding("models.other_runtime", model=model.id, runtime=runtime)
            continue
        try:
            verdict = goldens.check(model, runtime, threads=classifier.threads)
        except ModelError as error:
            yield finding("models.refused", model=model.id, reason=str(error))
            continue
        off = round(verdict.worst, 3)
        yield finding(
            "models.ok" if verdict.good else "models.differs", model=model.id, runtime=runtime, off=off
        )
