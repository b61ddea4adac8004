"""How large is the kit's Debian package, and how large is it on a kit?

    python -m benchmarks.package --json benchmarks/results/package.json

Takes the packages in dist/ apart (``make deb``), and what ``make test-deb`` measured in a booted Debian after
the installation, which makes the bytecode; docs/install.md gets the table. A package that was not installed
there is told without that.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "package.json"
DOCUMENT = ROOT / "docs" / "install.md"
MB = 1e6
MOST_PARTS = 8
LIMIT_MB = 350
"""Of the environment on a kit."""
MARKED = re.compile(r"(<!-- package: [^>]*-->\n).*?(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Package:
    """Sizes of one, MB (10^6 bytes)."""

    name: str
    packed_mb: float
    unpacked_mb: float
    parts_mb: Mapping[str, float] = field(default_factory=dict)
    """The largest, by folder of site-packages."""
    installed_mb: float | None = None
    """Of /usr/lib/suasana after the installation, bytecode included; None: not measured."""
    bytecode_mb: float | None = None


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, write; 1 when a kit would get more than LIMIT_MB."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.package", description=__doc__.splitlines()[0])
    parser.add_argument("packages", nargs="*", type=Path, metavar="DEB", help="default: those in dist/")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there, and the document")
    wishes = parser.parse_args(argv)
    packages = wishes.packages or sorted((ROOT / "dist").glob("suasana_*.deb"))
    if not packages:
        print("no package in dist/; `make deb` builds one", file=sys.stderr)
        return 2
    try:
        found = [measure(path, installations(ROOT / "build" / "install")) for path in packages]
    except (OSError, subprocess.CalledProcessError, tarfile.TarError) as error:
        print(f"benchmarks.package: {error}", file=sys.stderr)
        return 2
    print(table(found))
    if wishes.json:
        wishes.json.write_text(json.dumps([asdict(one) for one in found], indent=2) + "\n", "utf-8")
        DOCUMENT.write_text(refreshed(DOCUMENT.read_text("utf-8"), wishes.json), "utf-8")
    return int(any((one.installed_mb or one.unpacked_mb) > LIMIT_MB for one in found))


def installations(folder: Path) -> dict[str, tuple[int, int]]:
    """Bytes of the environment and of the bytecode in it, by package, as ``make test-deb`` found them."""
    told = (json.loads(path.read_text("utf-8")) for path in folder.glob("size-*.json"))
    return {one["package"]: (one["installed_bytes"], one["bytecode_bytes"]) for one in told}


def measure(path: Path, installed: Mapping[str, tuple[int, int]]) -> Package:
    """Take a package apart, without installing or running anything of it."""
    command = ["dpkg-deb", "--fsys-tarfile", str(path)]
    parts: Counter[str] = Counter()
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as process,  # noqa: S603 -- only reads
        tarfile.open(fileobj=process.stdout, mode="r|") as archive,
    ):
        for member in archive:
            parts[_part(member.name)] += member.size
    largest = {name: round(size / MB, 1) for name, size in parts.most_common(MOST_PARTS)}
    whole, bytecode = installed.get(path.name, (None, None))
    return Package(
        path.name,
        round(path.stat().st_size / MB, 1),
        round(sum(parts.values()) / MB, 1),
        largest,
        None if whole is None else round(whole / MB, 1),
        None if bytecode is None else round(bytecode / MB, 1),
    )


def _part(name: str) -> str:
    """``onnxruntime`` of ``./usr/lib/suasana/lib/python3.11/site-packages/onnxruntime/…``."""
    inside = name.partition("/site-packages/")[2]
    return inside.split("/")[0].removesuffix(".libs") if inside else "everything else"


def table(packages: Sequence[Package]) -> str:
    """For people."""
    rows = [
        "| package | packed | unpacked | on a kit, of it bytecode | largest parts, MB |",
        "|---|---|---|---|---|",
    ]
    for one in packages:
        there = "-" if one.installed_mb is None else f"**{one.installed_mb:.0f} MB**, {one.bytecode_mb:.0f}"
        parts = ", ".join(f"{name} {size:.0f}" for name, size in list(one.parts_mb.items())[:5])
        rows.append(
            f"| `{one.name}` | {one.packed_mb:.0f} MB | {one.unpacked_mb:.0f} MB | {there} | {parts} |"
        )
    return "\n".join(rows)


def refreshed(text: str, results: Path = RESULTS) -> str:
    """The document with the marked part as *results* say.

    Raises:
        KeyError: it has no such part.
    """
    if not MARKED.search(text):
        raise KeyError(f"{DOCUMENT.name} has no part marked package")
    found = [Package(**one) for one in json.loads(results.read_text("utf-8"))]
    return MARKED.sub(lambda match: f"{match[1]}\n{table(found)}\n\n{match[2]}", text)


if __name__ == "__main__":
    sys.exit(main())
