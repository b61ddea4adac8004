"""The faces as a classroom shows them: small, blurred, dark, tilted, badly cut out, behind hands and glasses.

Every condition is a pure function of one grey face and a generator, and the generator depends only on the
condition and the face's row: whoever asks, and in whatever order, gets the same picture.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from edge.types import ImageArray
from training.face import occlusion

Change = Callable[[ImageArray, Generator], ImageArray]

PHOTONS = 2000
"""Light that makes a pixel white; sets how grainy dark pictures are."""
READ_NOISE = 2.0
"""Grey levels of 255 that a sensor adds whatever it sees."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One way in which a face may be hard to read."""

    key: str
    """In tables, and the seed."""
    text: str
    """For people."""
    family: str
    change: Change

    def apply(self, images: ImageArray) -> list[ImageArray]:
        """The changed copies of N x h x w grey faces."""
        seed = zlib.crc32(self.key.encode())
        return [self.change(image, np.random.default_rng((seed, row))) for row, image in enumerate(images)]


def shrink(side: int) -> Change:
    """A face that a camera sees *side* pixels wide; the kit grows it again."""

    def change(face: ImageArray, _: Generator) -> ImageArray:
        return np.asarray(cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA), np.uint8)

    return change


def blur(sigma: float) -> Change:
    """Out of focus; *sigma* in pixels of the face as it is stored."""

    def change(face: ImageArray, _: Generator) -> ImageArray:
        return np.asarray(cv2.GaussianBlur(face, (0, 0), sigma), np.uint8)

    return change


def jpeg(quality: int) -> Change:
    """Packed as a cheap camera packs its pictures."""

    def change(face: ImageArray, _: Generator) -> ImageArray:
        packed = cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE), np.uint8)

    return change


def expose(gain: float) -> Change:
    """Light times *gain*, with the grain of the light and of the sensor; what is too bright is white."""

    def change(face: ImageArray, random: Generator) -> ImageArray:
        light = gain * face.astype(np.float64)
        seen = random.poisson(light / 255 * PHOTONS) * (255 / PHOTONS)
        return _grey(seen + random.normal(0, READ_NOISE, face.shape))

    return change


def grain(sigma: float) -> Change:
    """Noise of a small sensor at high gain, grey levels of 255."""

    def change(face: ImageArray, random: Generator) -> ImageArray:
        return _grey(face + random.normal(0, sigma, face.shape))

    return change


def tilt(degrees: float) -> Change:
    """A head leaning to one side; above 0 is against the clock."""

    def change(face: ImageArray, _: Generator) -> ImageArray:
        return move(face, degrees=degrees)

    return change


def box(*, shift: float = 0.0, zoom: float = 1.0) -> Change:
    """A detector's box that is off: by *shift* of its side in some direction, or *zoom* times too large."""

    def change(face: ImageArray, random: Generator) -> ImageArray:
        angle = random.uniform(0, 2 * np.pi)
        return move(face, zoom=zoom, right=shift * np.cos(angle), down=shift * np.sin(angle))

    return change


def move(
    face: ImageArray, *, degrees: float = 0.0, zoom: float = 1.0, right: float = 0.0, down: float = 0.0
) -> ImageArray:
    """Resample; edge pixels are repeated as edge.preprocess.crop_face does."""
    side = len(face)
    matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), degrees, 1 / zoom)
    matrix[:, 2] -= np.array([right, down]) * side
    moved = cv2.warpAffine(face, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)


def _hand_over(*places: tuple[tuple[float, float], float]) -> Change:
    """A hand at one of *places*: what it covers, and where its fingers point in degrees."""

    def change(face: ImageArray, random: Generator) -> ImageArray:
        at, towards = places[int(random.integers(len(places)))]
        return occlusion.hand(face, at, towards, random)

    return change


def _grey(levels: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> ImageArray:
    return np.asarray(np.clip(np.round(levels), 0, 255), np.uint8)


def _conditions() -> Iterator[Condition]:
    for side in (12, 16, 20, 24, 32, 40):
        yield Condition(f"side_{side}_px", f"{side} px wide", "size", shrink(side))
    yield Condition("blur_1_px", "blur, 1 px", "sharpness", blur(1.0))
    yield Condition("blur_2_px", "blur, 2 px", "sharpness", blur(2.0))
    yield Condition("jpeg_30", "JPEG, quality 30", "sharpness", jpeg(30))
    yield Condition("jpeg_10", "JPEG, quality 10", "sharpness", jpeg(10))
    yield Condition("light_25", "a quarter of the light", "light", expose(0.25))
    yield Condition("light_10", "a tenth of the light", "light", expose(0.1))
    yield Condition("light_200", "twice the light", "light", expose(2.0))
    yield Condition("noise_10", "noise, 10 levels", "light", grain(10))
    yield Condition("noise_20", "noise, 20 levels", "light", grain(20))
    for degrees in (-20, -10, 10, 20):
        side_word = "left" if degrees > 0 else "right"
        key = f"tilt_{side_word}_{abs(degrees)}"
        yield Condition(key, f"tilted {abs(degrees)}° {side_word}", "pose and box", tilt(degrees))
    yield Condition("box_shifted", "box 10 % off", "pose and box", box(shift=0.1))
    yield Condition("box_small", "box 10 % too small", "pose and box", box(zoom=0.9))
    yield Condition("box_large", "box 10 % too large", "pose and box", box(zoom=1.1))
    mouth = ((0.5, 0.78), 20.0), ((0.5, 0.78), 160.0)
    yield Condition("hand_mouth", "hand over the mouth", "covered", _hand_over(*mouth))
    eye = (occlusion.EYES[0], 80.0), (occlusion.EYES[1], 100.0)
    yield Condition("hand_eye", "hand over one eye", "covered", _hand_over(*eye))
    cheek = ((0.10, 0.72), 75.0), ((0.90, 0.72), 105.0)
    yield Condition("hand_cheek", "hand on a cheek", "covered", _hand_over(*cheek))
    yield Condition("glasses", "glasses", "covered", lambda face, _: occlusion.glasses(face, dark=False))
    yield Condition(
        "sunglasses", "dark glasses", "covered", lambda face, _: occlusion.glasses(face, dark=True)
    )


CONDITIONS = tuple(_conditions())
