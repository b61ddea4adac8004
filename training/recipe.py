"""Recipes: TOML files whose tables become dataclasses, in which every key has to be known."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from edge.types import SettingsError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Recipe = TypeVar("Recipe")


def read(path: Path) -> dict[str, Any]:
    """The tables of a recipe.

    Raises:
        SettingsError: the file is missing or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path}: not found") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error


def build(kind: type[Recipe], tables: Mapping[str, type[Any]], raw: Mapping[str, Any], origin: str) -> Recipe:
    """A recipe from plain tables, as TOML or a checkpoint holds them.

    Args:
        kind: the recipe's dataclass.
        tables: the dataclass of each field that is a table.
        raw: the plain tables.
        origin: what an error names.

    Raises:
        SettingsError: a key is unknown or missing.
    """
    values = {key: value for key, value in raw.items() if key not in tables}
    for name, table_kind in tables.items():
        table = raw.get(name, {})
        if wrong := sorted({field.name for field in fields(table_kind)} ^ table.keys()):
            raise SettingsError(f"{origin}: [{name}] has an unknown or lacks a key: {', '.join(wrong)}")
        values[name] = table_kind(**table)
    whole: Any = kind
    if wrong := sorted({field.name for field in fields(whole)} ^ values.keys()):
        raise SettingsError(f"{origin}: unknown or missing: {', '.join(wrong)}")
    return kind(**values)
