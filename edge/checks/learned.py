"""What did the kit learn in the practice game, and does it belong to the models in use?"""

from __future__ import annotations

from collections.abc import Iterator

from edge.checks import Finding, Patient, finding
from edge.events import Sense
from edge.models.choice import find_model, shelf_of
from edge.practice.learned import FILE, read
from edge.settings import Classifier
from edge.types import ModelError


def examine(patient: Patient) -> Iterator[Finding]:
    """One line per sense for which something was learned."""
    settings = patient.settings
    assert settings is not None
    path = settings.state_folder / FILE
    try:
        heads = read(path)
    except FileNotFoundError:
        yield finding("learned.nothing")
        return
    except ValueError as error:
        yield finding("learned.damaged", path=str(path), reason=str(error))
        return
    used: dict[Sense, Classifier] = {"face": settings.expression, "voice": settings.tone}
    for sense, head in heads.items():
        try:
            mine = head.belongs(find_model(used[sense], shelf_of(settings)))
        except ModelError:  # the check of the models tells it
            mine = False
        yield finding(
            "learned.used" if mine else "learned.other", model=head.model, rounds=head.rounds, made=head.made
        )
