"""The whole way from a candidate to a model folder, which is written only if nothing was lost on the way."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from convert import confidence, export, quantise, verify
from convert.verify import Parity
from edge.manifest import Manifest, ModelFile
from edge.models import goldens
from edge.types import ModelError
from edge.words import NEGATIVE
from training import model_toml
from training.candidate import Candidate

FILES = {"tflite": "model.int8.tflite", "onnx": "model.int8.onnx"}
FLOAT_FILES = {"tflite": "model.float.tflite", "onnx": "model.float.onnx"}
"""Four times as large, and no better than a point: a model folder does not hold them."""


def package(
    candidate: Candidate,
    folder: Path,
    *,
    version: str,
    name: str | None = None,
    floats: Path | None = None,
    to_ship: bool = True,
    quiet: bool = True,
) -> tuple[Manifest, list[Parity]]:
    """Export, quantise, verify and calibrate *candidate*; write model.toml, files and golden.toml.

    What else lies in the folder (the model card) stays.

    Args:
        candidate: what training hands over.
        folder: ``models/<name>``; made if need be.
        version: for model.toml, ``1.0.0``.
        name: for model.toml; the task's own by default, another for a second network of the task.
        floats: folder that keeps the float files too; made if need be.
        to_ship: else it is made to be judged only, whatever int8 cost, and the judgement tells.
        quiet: no progress bars.

    Returns:
        The manifest as written, and the parity of each file on the candidate's validation inputs.

    Raises:
        ModelError: a file to ship lost more than verify.refuse_loss allows; the folders stay as they were.
    """
    with tempfile.TemporaryDirectory() as path:
        draft = Path(path)
        convert(candidate, draft)
        model = Manifest(
            name=name or candidate.name,
            version=version,
            task=candidate.task,
            labels=candidate.labels,
            temperature=1.0,
            uncertain_below=0.0,
            input=candidate.input,
            files={runtime: ModelFile(draft / file, "") for runtime, file in FILES.items()},
            metrics={},
            folder=draft,
            features=export.features_width(candidate.net),
        )
        expected = verify.ask_network(candidate.net, candidate.inputs)
        answers = {file: verify.ask_file(model, file, candidate.inputs, quiet=quiet) for file in FILES}
        # One temperature serves both files: their logits differ by rounding only.
        pooled = np.concatenate([one.logits for one in answers.values()])
        truth = np.tile(candidate.truth, len(answers))
        temperature = confidence.fit_temperature(pooled, truth)
        probs = confidence.probabilities(pooled, temperature)
        found = [
            verify.compare(f"int8 {file}", one, expected, candidate.truth, temperature)
            for file, one in answers.items()
        ]
        if to_ship:
            verify.refuse_loss(found)
        folder.mkdir(parents=True, exist_ok=True)
        for file in FILES.values():
            shutil.copyfile(draft / file, folder / file)
        if floats:
            floats.mkdir(parents=True, exist_ok=True)
            for file in FLOAT_FILES.values():
                shutil.copyfile(draft / file, floats / file)
        negative_below = 0.0
        if candidate.unmoved is not None:
            unmoved = verify.ask_file(model, next(iter(FILES)), candidate.unmoved, quiet=quiet).logits
            negative_below = confidence.negative_threshold(
                confidence.probabilities(unmoved, temperature),
                np.isin(model.labels, NEGATIVE),
                share=candidate.negative_share,
            )
        model = replace(
            model,
            temperature=temperature,
            negative_below=negative_below,
            uncertain_below=confidence.threshold(probs, truth, right=candidate.readings_right),
            files={runtime: ModelFile(folder / file, "") for runtime, file in FILES.items()},
            folder=folder,
        )
    model_toml.write(model)
    goldens.write(folder)
    return model, found


def convert(candidate: Candidate, folder: Path) -> None:
    """Write the float files and then, from them, the int8 files into *folder*."""
    export_floats(candidate, folder)
    quantise_floats(candidate, folder)


def export_floats(candidate: Candidate, folder: Path) -> None:
    """Write both float files into *folder*."""
    item_shape = candidate.calibration.shape[1:]
    export.export_tflite(candidate.net, item_shape, folder / FLOAT_FILES["tflite"])
    export.export_onnx(candidate.net, item_shape, folder / FLOAT_FILES["onnx"])


def quantise_floats(candidate: Candidate, folder: Path) -> None:
    """Make the float files in *folder* int8, beside them.

    Raises:
        ModelError: the float files are not there.
    """
    for file in FLOAT_FILES.values():
        if not (folder / file).is_file():
            raise ModelError(f"{folder / file}: not found; the export command writes it")
    for runtime, make in (("tflite", quantise.quantise_tflite), ("onnx", quantise.quantise_onnx)):
        make(folder / FLOAT_FILES[runtime], candidate.calibration, folder / FILES[runtime])
