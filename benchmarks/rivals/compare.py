"""The rivals beside the kit: processor time of one face, memory, size, accuracy where weights are real."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge import runtimes
from edge.bench import nets
from edge.bench.clock import best_of
from edge.bench.crowd import Crowd
from edge.bench.stages import CAMERA_FPS
from edge.expression import ExpressionReader
from edge.models import weights
from edge.models.choice import find_model
from edge.preprocess import crop_face
from edge.runtimes import retinaface
from edge.runtimes.onnx import start_session
from edge.settings import Settings
from edge.types import Box, Face

NAMES = {"fer": "fer", "fer, on Keras": "fer", "deepface": "deepface"}
"""What is measured, and in which environment."""
VISITOR = Path(__file__).with_name("visitor.py")
FACES = 10
SAMPLE = 1000
"""Faces of FER-2013's PrivateTest, evenly spread, on which accuracy is compared."""
Told = Callable[[str, float], None]


def measure(scratch: Path, environments: Path, told: Told, *, yardsticks: bool = True) -> dict[str, Any]:
    """One row per rival; what cannot be measured says why in ``missing``.

    Args:
        scratch: for files in between.
        environments: folder with one virtual environment per rival.
        told: hears what is going on.
        yardsticks: also time MobileFaceNet and EfficientNet-B0, with random weights.
    """
    frame = Crowd(FACES).frames(weights.FOLDER, 0.1, 10)[0].image
    boxes = [box for box, _ in retinaface.open(weights.find("retinaface"))(frame)]
    faces, labels = sample()
    height, width = frame.shape[:2]
    corners = [(b.x * width, b.y * height, b.width * width, b.height * height) for b in boxes]
    np.savez(
        scratch / "faces.npz",
        frame=frame,
        boxes=np.array(corners).round().astype(int),
        faces=faces,
        labels=labels,
    )
    rows: dict[str, Any] = {"suasana": ours(frame, boxes, faces, labels)}
    for number, name in enumerate(NAMES):
        told(name, number / len(NAMES))
        rows[name] = visit(name, environments / NAMES[name], scratch / "faces.npz")
    if yardsticks:
        rows |= yardstick_rows(scratch)
    for row in rows.values():
        if "ms_a_face" in row:
            row["times_ours"] = round(row["ms_a_face"] / rows["suasana"]["ms_a_face"], 1)
    return rows


def ours(frame: Any, boxes: list[Box], faces: Any, labels: Any) -> dict[str, Any]:
    """The kit's reader on the same faces: crop, tensor, model, calibration."""
    model = find_model(Settings().expression)
    reader = ExpressionReader(model, runtimes.load(model))
    margin = getattr(model.input, "margin", 0.0)

    def look() -> object:
        return reader([Face(0.0, 0, box, 1.0, crop_face(frame, box, margin=margin)) for box in boxes])

    scores = reader([Face(0.0, 0, Box(0, 0, 1, 1), 1.0, face) for face in faces]) if len(faces) else []
    right = [score.best[0] == model.labels[label] for score, label in zip(scores, labels, strict=True)]
    return {
        "weights": "its own",
        "ms_a_face": round(1000 * best_of(look) / len(boxes), 4),
        "accuracy": round(float(np.mean(right)), 4) if right else None,
        "package": model.id,
    }


def count_as_used(rows: dict[str, Any], zoo: Mapping[str, Any]) -> None:
    """Add what a face costs with all around it: ours and the Zoo's from the video of ``opencv_zoo``."""
    pictures = CAMERA_FPS * zoo["faces"]
    rows["suasana"]["as_used_ms"] = round(1000 * zoo["ours"] / pictures, 3)
    rows["MobileFaceNet 112 (OpenCV Zoo)"]["as_used_ms"] = round(1000 * zoo["zoo"] / pictures, 3)
    for row in rows.values():
        if "as_used_ms" in row:
            row["as_used_times"] = round(row["as_used_ms"] / rows["suasana"]["as_used_ms"], 1)


def times_less(rows: Mapping[str, Any]) -> dict[str, Any]:
    """How many times less a face takes us than each package, as used."""
    return {name: rows[name]["as_used_times"] for name in NAMES if "as_used_times" in rows[name]}


def visit(name: str, environment: Path, data: Path) -> dict[str, Any]:
    """Have a rival measured in its own environment."""
    python = environment / "bin" / "python"
    if not python.exists():
        return {
            "missing": f"is not set up in {environment.parent.name}/{environment.name}: make bench-rivals"
        }
    done = subprocess.run(  # noqa: S603 -- our own words
        [python, VISITOR, name, data], capture_output=True, text=True, check=False, timeout=600
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        last = (done.stderr.strip() or "no answer").splitlines()[-1]
        return {"missing": f"does not run: {last[:200]}"}
    row: dict[str, Any] = json.loads(lines[-1])
    return row


def yardstick_rows(scratch: Path) -> Mapping[str, dict[str, Any]]:
    """Networks of others with random weights, one face, on the faster of OpenCV and onnxruntime."""
    rows = {}
    for name, graph in (
        ("MobileFaceNet 112 (OpenCV Zoo)", nets.mobilefacenet()),
        ("EfficientNet-B0 224 (EmotiEffLib)", nets.efficientnet_b0()),
    ):
        path = scratch / "yardstick.onnx"
        graph.write(path, nets.LABELS)
        picture = np.random.default_rng(0).normal(0, 1, (1, 3, graph.height, graph.width)).astype(np.float32)
        session = start_session(path, threads=1)
        net = cv2.dnn.readNetFromONNX(str(path))
        net.setInput(picture)
        ways = {
            "onnxruntime": best_of(lambda s=session, p=picture: s.run(None, {"picture": p})),  # type: ignore[misc]
            "OpenCV": best_of(net.forward),
        }
        best = min(ways, key=ways.__getitem__)
        rows[name] = {
            "weights": f"random; {graph.weights / 1e6:.2f} million, {graph.multiply_adds / 1e6:.0f} million "
            f"multiply-adds; {best}",
            "ms_a_face": round(1000 * ways[best], 3),
        }
    return rows


def sample() -> tuple[Any, Any]:
    """Faces and labels of FER-2013's PrivateTest; none where the data is not here."""
    folder = Path("../shared/data/face")
    nothing = np.empty((0, 48, 48), np.uint8), np.empty(0, int)
    if not (folder / "fer2013_labels.npz").exists():
        return nothing
    sheet = cv2.imread(str(folder / "fer2013_pixels.png"), cv2.IMREAD_GRAYSCALE)
    if sheet is None:
        return nothing
    with np.load(folder / "fer2013_labels.npz") as file:
        labels, private = file["label"], np.flatnonzero(file["usage"] == 2)
    columns = sheet.shape[1] // 48
    chosen = private[np.linspace(0, len(private) - 1, SAMPLE).astype(int)]
    cells = [(48 * (row // columns), 48 * (row % columns)) for row in chosen]
    return np.stack([sheet[y : y + 48, x : x + 48] for y, x in cells]), labels[chosen].astype(int)
