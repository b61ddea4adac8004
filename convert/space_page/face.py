"""A photo -> the faces in it and a reading of each, by the kit's own stages."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from convert.space_page.trouble import UnreadableError, look
from edge import manifest
from edge.expression import ExpressionReader
from edge.faces import FaceFinder, legibility
from edge.manifest import ImageInput
from edge.models import weights
from edge.runtimes import load, retinaface
from edge.types import Box, Frame, ImageArray, ModelError, Scores

LARGEST_PIXELS = 64_000_000
LONGEST_SIDE = 1920
"""Larger photos are shrunk, as a kit does with its camera's."""
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")


@dataclass(frozen=True, slots=True)
class ReadFace:
    """One face."""

    box: Box
    crop: ImageArray
    """Square, BGR."""
    scores: Scores | None
    """None when the face is too small for its expression to be read."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A whole photo."""

    image: ImageArray
    """H x W x 3 BGR, upright."""
    faces: tuple[ReadFace, ...]
    """From left to right."""


class FaceReader:
    """The face detector and the expression model. Not thread-safe: the page asks one question at a time."""

    def __init__(self, root: Path) -> None:
        """Load from the folder that holds models/ and weights/.

        Raises:
            ModelError: a file is missing, altered, or no model for expressions.
        """
        self.model = manifest.load(root / "models" / "face-expression")
        if not isinstance(self.model.input, ImageInput):
            raise ModelError(f"{self.model.folder}: is no model for expressions")
        detector = retinaface.open(weights.find("retinaface", folder=root / "weights"))
        self._finder = FaceFinder(detector, margin=self.model.input.margin, random=Random(0))
        self._reader = ExpressionReader(self.model, load(self.model, "onnx"))

    def __call__(self, path: Path) -> Seen:
        """Read a photo; of a moving picture the first frame.

        Raises:
            UnreadableError: it is torn, too large, or no photo.
        """
        image = _decode(path)
        self._finder.reset()
        found = sorted(self._finder(Frame("photo", 0, 0.0, image)), key=lambda face: face.box.x)
        readable = [face for face in found if legibility(face.crop) > 0]
        scores = dict(zip((face.track for face in readable), self._reader(readable), strict=True))
        return Seen(image, tuple(ReadFace(face.box, face.crop, scores.get(face.track)) for face in found))


def _decode(path: Path) -> ImageArray:
    kind = look(path)
    if kind == "empty":
        raise UnreadableError("trouble.empty")
    try:
        with _bombs_refused(), Image.open(path, formats=FORMATS) as picture:
            if picture.width * picture.height > LARGEST_PIXELS:
                raise UnreadableError("trouble.face.too_large", limit=LARGEST_PIXELS / 1e6)
            picture.load()
            upright = ImageOps.exif_transpose(picture)
            if upright.mode.startswith("I;16"):  # Pillow would cut off what is brighter than 255
                upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
            upright = upright.convert("RGB")
    except UnidentifiedImageError:
        raise UnreadableError(f"trouble.face.{'torn' if kind == 'picture' else kind}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UnreadableError("trouble.face.too_large", limit=LARGEST_PIXELS / 1e6) from None
    except (OSError, SyntaxError, ValueError, EOFError):  # Pillow's words for torn, by format
        raise UnreadableError("trouble.face.torn") from None
    upright.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.BOX)
    return np.ascontiguousarray(np.asarray(upright, np.uint8)[..., ::-1])


@contextmanager
def _bombs_refused() -> Iterator[None]:
    """Pillow only warns of a picture that is a few times too large."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
