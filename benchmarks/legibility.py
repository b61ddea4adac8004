"""How much of an expression is left when a face is small?

    python -m benchmarks.legibility --json benchmarks/results/legibility.json

FER-2013's PublicTest faces are shrunk to crops of a few pixels, with a camera's noise, as a far face gives
them, and read by the shipped model through the kit's own preprocessing. ``edge.faces.legibility`` follows
the curve.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import cv2
import numpy as np

from edge import manifest
from edge.manifest import ImageInput
from edge.preprocess import face_tensor
from edge.runtimes import load
from edge.types import EdgeError, ImageArray
from training.face import fer2013

NOISE = 3.0
"""Standard deviation of a camera's noise, grey levels of 255; as in benchmarks.detectors."""
SIDES = (8, 12, 16, 20, 24, 28, 32, 36, 40, 48)


def main() -> int:
    """Measure, print the table, write the results."""
    parser = argparse.ArgumentParser(prog="benchmarks.legibility", description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("models/face-expression"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data/face"))
    parser.add_argument("--json", type=Path, help="where to write the results")
    args = parser.parse_args()
    try:
        model = manifest.load(args.model)
        runtime = load(model)
        faces = fer2013.load(args.data)["public"]
    except EdgeError as error:
        print(error, file=sys.stderr)
        return 2
    assert isinstance(model.input, ImageInput), "a model for expressions reads images"
    noise = np.random.default_rng(0)
    rows = []
    for side in SIDES:
        crops = [_as_seen(image, side, noise) for image in faces.images]
        batch = face_tensor(crops, model.input)
        logits = np.concatenate([runtime(batch[start : start + 64]) for start in range(0, len(batch), 64)])
        scaled = np.exp((logits - logits.max(1, keepdims=True)) / model.temperature)
        sure = (scaled / scaled.sum(1, keepdims=True)).max(1)
        right = logits.argmax(1) == faces.labels
        claimed = sure >= model.uncertain_below
        rows.append(
            {
                "crop_px": side,
                "accuracy": round(float(right.mean()), 3),
                "claimed": round(float(claimed.mean()), 3),
                "claimed_accuracy": round(float(right[claimed].mean()), 3) if claimed.any() else None,
            }
        )
    print("| crop, px | accuracy | claimed | accuracy of the claims |\n|---|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(str(value) for value in row.values())} |")
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        report = {"model": model.id, "faces": len(faces), "by_size": rows}
        args.json.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    return 0


def _as_seen(image: ImageArray, side: int, noise: np.random.Generator) -> ImageArray:
    """What a camera makes of the face when it is *side* pixels wide."""
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) + noise.normal(
        0, NOISE, (side, side)
    )
    return np.clip(small, 0, 255).astype(np.uint8)


if __name__ == "__main__":
    sys.exit(main())
