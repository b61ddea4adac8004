"""What are copies of test pictures in the training worth?

FER-2013's training split holds pictures that PublicTest and PrivateTest show too, pixel for pixel or cropped
anew; figures that others publish mostly come from networks that learned from them. Two networks begin with
the weights of the expression model's first cycle, which saw no copies, and learn once more by the recipe of
the second, without teachers: one from the cleaned training split, one from the same with the copies of
PublicTest put back. PublicTest judges both, its faces with copies and those without also by themselves. What
PrivateTest shows stays out of both.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.footprint import RESULTS
from edge.types import EdgeError, FloatArray
from training.allocator import keep_memory
from training.face import fer2013, recipes, train
from training.face.fer2013 import Faces

RECIPE = recipes.DEFAULT.with_name("face_2.toml")
EPOCHS = 14


def sets(splits: dict[str, Faces]) -> dict[str, Faces]:
    """What each of the two learns from."""
    cleaned, _ = fer2013.clean(splits)
    with_copies, _ = fer2013.clean(splits | {"public": splits["private"]})
    return {"without": cleaned, "with": with_copies}


def judge(logits: FloatArray, public: Faces, copied: npt.NDArray[np.bool_]) -> dict[str, float]:
    """Share of right answers on all of PublicTest, and on its faces that training shows and does not show."""
    right = logits.argmax(1) == public.labels
    return {
        "all": round(float(right.mean()), 4),
        "copied": round(float(right[copied].mean()), 4),
        "others": round(float(right[~copied].mean()), 4),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Train both, or go on; print, keep; 2 stands for data or a first cycle that is not there."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.face_copies", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/face"), help="as for training")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of each (default: %(default)s)")
    parser.add_argument("--run", type=Path, default=Path("runs/face-copies"), help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default: %(default)s)")
    arguments = parser.parse_args(argv)
    keep_memory()
    torch.set_num_threads(arguments.threads)
    table: dict[str, object] = {"recipe": RECIPE.name, "epochs": arguments.epochs}
    try:
        recipe = recipes.load(RECIPE)
        alone = replace(recipe.distil, teachers=[], share=0.0)
        config = replace(recipe, epochs=arguments.epochs, distil=alone)
        splits = fer2013.load(arguments.data)
        public, learned = splits["public"], sets(splits)
        copied = fer2013.copied(public, splits["training"])
        x = train.tensor(public, config.input)
        table["copied_faces"] = int(copied.sum())
        for name, faces in learned.items():
            net = train.train(config, faces, public, arguments.run / name)
            table[name] = {"learned_from": len(faces)} | judge(train.predict(net, x), public, copied)
    except EdgeError as error:
        print(f"benchmarks.face_copies: {error}", file=sys.stderr)
        return 2
    print(json.dumps(table, indent=2))
    if arguments.epochs == EPOCHS:
        (RESULTS / "face_copies.json").write_text(json.dumps(table, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
