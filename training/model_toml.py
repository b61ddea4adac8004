"""Writing models/<name>/model.toml, which edge.manifest reads, in an order that makes diffs readable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from edge import manifest
from edge.manifest import ImageInput, Manifest


def write(model: Manifest) -> None:
    """Write *model* to its folder's model.toml, with the sha256 that its files have now."""
    kind = "image" if isinstance(model.input, ImageInput) else "log-mel"
    lines = [
        "# Written by `python -m convert package`; [metrics] by `python -m training`'s evaluate command.",
        *_rows(
            {"name": model.name, "version": model.version, "task": model.task, "labels": list(model.labels)}
        ),
        f"temperature = {model.temperature:.4f}",
        f"uncertain_below = {model.uncertain_below:.3f}",
        *([f"negative_below = {model.negative_below:.3f}"] if model.negative_below else []),
        "",
        "[input]",
        *_rows({"kind": kind, **asdict(model.input)}),
    ]
    if model.features:
        lines += ["", "[outputs]", *_rows({"features": model.features})]
    for runtime, file in model.files.items():
        digest = hashlib.sha256(file.path.read_bytes()).hexdigest()
        path = file.path.relative_to(model.folder).as_posix()
        lines += ["", f"[files.{runtime}]", *_rows({"path": path, "sha256": digest})]
    lines += _table("metrics", model.metrics)
    target = model.folder / "model.toml"
    target.with_suffix(".new").write_text("\n".join(lines) + "\n", "utf-8")
    target.with_suffix(".new").replace(target)


def write_metrics(folder: Path, metrics: Mapping[str, Any]) -> None:
    """Replace the [metrics] of the model in *folder*.

    Args:
        folder: a model folder.
        metrics: numbers, texts, lists of them, or mappings (which become sub-tables).

    Raises:
        ModelError: the folder is no intact model.
    """
    write(replace(manifest.load(folder), metrics=metrics))


def _rows(values: Mapping[str, Any]) -> list[str]:
    """``key = value`` lines. JSON's texts, numbers, booleans and flat lists are TOML's as well."""
    return [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]


def _table(name: str, values: Mapping[str, Any]) -> list[str]:
    flat = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
    lines = ["", f"[{name}]", *_rows(flat)] if flat else []
    for key, value in values.items():
        if isinstance(value, Mapping):
            lines += _table(f"{name}.{key}", value)
    return lines
