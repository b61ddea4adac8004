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
from training import model_toml
from training.candidate import Candidate

FILES = {"tflite": "model.int8.tflite", "onnx": "model.int8.onnx"}


def package(candidate: Candidate, folder: Path, *, version: str) -> tuple[Manifest, list[Parity]]:
    """Export, quantise, verify and calibrate *candidate*, then put model.toml and the files into *folder*.

    What else lies in the folder (the model card) stays.

    Args:
        candidate: what training hands over.
        folder: ``models/<name>``; made if need be.
        version: for model.toml, ``1.0.0``.

    Returns:
        The manifest as written, and the parity of each file on the candidate's validation inputs.

    Raises:
        ModelError: a file lost more than verify.MOST_LOST accuracy; the folder is left as it was.
    """
    with tempfile.TemporaryDirectory() as name:
        draft = Path(name)
        convert(candidate, draft)
        model = Manifest(
            name=candidate.name,
            version=version,
            task=candidate.task,
            labels=candidate.labels,
            temperature=1.0,
            uncertain_below=0.0,
            input=candidate.input,
            files={runtime: ModelFile(draft / file, "") for runtime, file in FILES.items()},
            metrics={},
            folder=draft,
        )
        found, logits = verify.compare(model, candidate.net, candidate.inputs, candidate.truth)
        verify.refuse_loss(found)
        # One temperature serves both files: their logits differ by rounding only.
        pooled, truth = np.concatenate(list(logits.values())), np.tile(candidate.truth, len(logits))
        temperature = confidence.fit_temperature(pooled, truth)
        probs = confidence.probabilities(pooled, temperature)
        folder.mkdir(parents=True, exist_ok=True)
        for file in FILES.values():
            shutil.copyfile(draft / file, folder / file)
        model = replace(
            model,
            temperature=temperature,
            uncertain_below=confidence.threshold(probs, truth, right=candidate.readings_right),
            files={runtime: ModelFile(folder / file, "") for runtime, file in FILES.items()},
            folder=folder,
        )
    model_toml.write(model)
    return model, found


def convert(candidate: Candidate, folder: Path) -> None:
    """Write both int8 files into *folder*, over float ones that are not kept."""
    item_shape = candidate.calibration.shape[1:]
    with tempfile.TemporaryDirectory() as name:
        tflite, onnx = Path(name) / "float.tflite", Path(name) / "float.onnx"
        export.export_tflite(candidate.net, item_shape, tflite)
        quantise.quantise_tflite(tflite, candidate.calibration, folder / FILES["tflite"])
        export.export_onnx(candidate.net, item_shape, onnx)
        quantise.quantise_onnx(onnx, candidate.calibration, folder / FILES["onnx"])
