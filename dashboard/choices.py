"""What people chose for this dashboard: language, notice, names of rooms, how long anything is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from dashboard.database import Database
from edge.events import KIT_NAME

LANGUAGES = ("id", "en")
LONGEST_NOTICE = 4000
LONGEST_ROOM = 80
MOST_ROOMS = 500
LONGEST_RETENTION_DAYS = 3650.0


class ChoiceError(ValueError):
    """No such choice; the message is a key of the page's texts."""


@dataclass(frozen=True, slots=True)
class Choices:
    """One dashboard's settings."""

    language: str = "id"
    """Which the pages before the login speak."""
    notice: str = ""
    """What people in the room and their parents were told; shown on the page."""
    rooms: Mapping[str, str] = field(default_factory=dict)
    """What a kit's room is called, by kit."""
    retention_days: float = 30.0
    consent: bool = False
    """Somebody stated that those who are read, or their parents, were told and agreed."""


def check_choices(table: Mapping[str, Any], before: Choices) -> Choices:
    """*before* with what *table* changes.

    Raises:
        ChoiceError: a value is out of range or of the wrong type.
    """
    language = table.get("language", before.language)
    notice = table.get("notice", before.notice)
    rooms = table.get("rooms", before.rooms)
    days = table.get("retention_days", before.retention_days)
    consent = table.get("consent", before.consent)
    if language not in LANGUAGES:
        raise ChoiceError("language")
    if not isinstance(notice, str) or len(notice) > LONGEST_NOTICE:
        raise ChoiceError("notice")
    if isinstance(days, bool) or not isinstance(days, int | float) or not 0 < days <= LONGEST_RETENTION_DAYS:
        raise ChoiceError("retention")
    if not isinstance(consent, bool):
        raise ChoiceError("consent")
    return Choices(language, notice.strip(), _check_rooms(rooms), float(days), consent)


def _check_rooms(rooms: object) -> dict[str, str]:
    if not isinstance(rooms, Mapping) or len(rooms) > MOST_ROOMS:
        raise ChoiceError("rooms")
    named = {}
    for kit, room in rooms.items():
        if not isinstance(room, str) or not KIT_NAME.fullmatch(kit) or len(room) > LONGEST_ROOM:
            raise ChoiceError("rooms")
        if room.strip():
            named[kit] = room.strip()
    return named


class Desk:
    """Keeps the choices."""

    def __init__(self, database: Database, first: Choices) -> None:
        """Read them; what nobody chose yet is as in *first*."""
        self._db = database
        table = {name: json.loads(value) for name, value in database.ask("SELECT name, value FROM choices")}
        self.now = check_choices(table, first)

    def set(self, choices: Choices) -> None:
        """Keep *choices* from now on."""
        rows = [(name, json.dumps(value)) for name, value in asdict(choices).items()]
        self._db.change(
            "INSERT INTO choices (name, value) VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            rows,
        )
        self.now = replace(choices)
