"""A wheel holds every module and every file that modules read beside themselves."""

from __future__ import annotations

import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
KINDS = {".pyc", ".swp"}
"""What tools leave beside the modules."""


def folders() -> list[Path]:
    return [path.parent for top in ("edge", "dashboard") for path in (ROOT / top).rglob("__init__.py")]


def test_every_folder_of_modules_is_a_package_of_the_wheel() -> None:
    found = {".".join(folder.relative_to(ROOT).parts) for folder in folders()}
    assert found == set(SETUPTOOLS["packages"])


def test_every_file_beside_the_modules_is_in_the_wheel() -> None:
    named = {
        path
        for package, patterns in SETUPTOOLS["package-data"].items()
        for pattern in patterns
        for path in (ROOT / package).glob(pattern)
    }
    files = {path for top in ("edge", "dashboard") for path in (ROOT / top).rglob("*") if path.is_file()}
    assert {path for path in files if path.suffix not in {".py", *KINDS}} - named == set()
