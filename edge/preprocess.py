"""From a crop to a tensor, from samples to log-mel; training calls these same functions."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from edge.manifest import ImageInput, LogMelInput
from edge.types import Box, FloatArray, ImageArray

WRITES_INTO = int(np.__version__.split(".")[0]) >= 2
"""Whether numpy's Fourier transforms take ``out``."""


def crop_face(image: ImageArray, box: Box, *, margin: float) -> ImageArray:
    """Cut a square around *box*, grown by *margin* of its longer side on every side.

    Args:
        image: H x W x 3 uint8, or H x W.
        box: in fractions of the image.
        margin: ImageInput.margin.

    Returns:
        A square, a view into the image where it lies inside; where it reaches over the image's edge the edge
        pixels are repeated.
    """
    height, width = image.shape[:2]
    side = max(2, round(max(box.width * width, box.height * height) * (1 + 2 * margin)))
    left = round((box.x + box.width / 2) * width - side / 2)
    top = round((box.y + box.height / 2) * height - side / 2)
    return cut_square(image, left, top, side)


def cut_square(image: ImageArray, left: int, top: int, side: int) -> ImageArray:
    """A square of an image: a view where it lies inside, edge pixels repeated where it reaches over.

    Args:
        image: H x W x 3 uint8, or H x W.
        left: in pixels, as are the others; may lie outside.
        top: upper edge.
        side: at least 1.
    """
    inside = image[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)]
    if inside.shape[:2] == (side, side):
        return inside
    if inside.size == 0:
        return np.zeros((side, side, *image.shape[2:]), np.uint8)
    above, before = max(-top, 0), max(-left, 0)
    below, after = side - above - inside.shape[0], side - before - inside.shape[1]
    padded = cv2.copyMakeBorder(inside, above, below, before, after, cv2.BORDER_REPLICATE)
    return np.asarray(padded, np.uint8)


def face_tensor(crops: Sequence[ImageArray], spec: ImageInput) -> FloatArray:
    """Turn square crops of any size into one batch.

    Args:
        crops: each h x w x 3 BGR or h x w grey, uint8.
        spec: the model's input.

    Returns:
        N x height x width x channels float32, normalised as ImageInput says. Shrinking averages areas and
        growing is bilinear, so a near and a far face look alike to the model.
    """
    batch = np.empty((len(crops), spec.height, spec.width, spec.channels), np.float32)
    for row, crop in zip(batch, crops, strict=True):
        grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY) if crop.ndim == 3 else crop
        if grey.shape != (spec.height, spec.width):
            shrinks = grey.shape[0] > spec.height
            grey = cv2.resize(
                grey,
                (spec.width, spec.height),
                interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
            )
        row[...] = grey[..., None]
    if spec.least_std:
        batch -= batch.mean(axis=(1, 2), keepdims=True)
        batch /= np.maximum(batch.std(axis=(1, 2), keepdims=True), 255 * spec.least_std)
        return batch
    batch *= 1 / (255 * spec.std)
    batch -= spec.mean / spec.std
    return batch


class FrontEnd:
    """Samples -> log-mel pictures for a tone model; holds the window and the filters of one spec.

    What comes out does not depend on how loud the sound was: in acted corpora the loudness gives the emotion
    away, and on a kit it tells how far the microphone is.
    """

    def __init__(self, spec: LogMelInput) -> None:
        """Prepare for *spec*."""
        self.spec = spec
        self._window_size = round(spec.window_s * spec.rate_hz)
        self._hop = round(spec.hop_s * spec.rate_hz)
        self._window = np.hanning(self._window_size + 1)[:-1].astype(np.float32)
        self._bands = _Bands(spec)
        self._spectra = np.empty((0, spec.fft // 2 + 1), np.complex64)
        self.stretch = self._window_size + (spec.frames - 1) * self._hop
        """Samples that one picture looks at."""

    def batch(self, samples: FloatArray) -> FloatArray:
        """Pictures of a whole utterance.

        Args:
            samples: mono, at spec.rate_hz, of any length.

        Returns:
            N x frames x mels x 1, N at least 1: the stretches of ``cut``, each as ``scale`` makes it.
        """
        return np.stack([self.scale(self.energies(stretch)) for stretch in self.cut(samples)])[..., None]

    def cut(self, samples: FloatArray) -> list[FloatArray]:
        """Stretches of ``stretch`` samples, evenly spread; a shorter utterance gets silence around it."""
        missing = self.stretch - len(samples)
        if missing >= 0:
            return [np.pad(samples, (missing // 2, missing - missing // 2))]
        starts = np.linspace(0, -missing, -(-len(samples) // self.stretch)).round().astype(int)
        return [samples[start : start + self.stretch] for start in starts]

    def energies(self, samples: FloatArray) -> FloatArray:
        """Mel energies of consecutive windows, frames x mels, linear; frames as long as whole windows fit."""
        frames = np.lib.stride_tricks.sliding_window_view(samples, self._window_size)[:: self._hop]
        spectrum = self._transform(frames * self._window)
        return self._bands((spectrum.real**2 + spectrum.imag**2).astype(np.float32))

    def _transform(self, windows: FloatArray) -> npt.NDArray[np.complexfloating]:
        """Their spectra, in memory that is kept: taking it anew costs more than the transform itself."""
        if not WRITES_INTO:
            return np.fft.rfft(windows, self.spec.fft)
        if len(self._spectra) < len(windows):
            self._spectra = np.empty((len(windows), self.spec.fft // 2 + 1), np.complex64)
        # numpy's stubs know double precision only.
        return np.fft.rfft(windows, self.spec.fft, out=self._spectra[: len(windows)])  # type: ignore[arg-type]

    def scale(self, energies: FloatArray) -> FloatArray:
        """Decibels over the stretch's own level, the mean over its active frames; then (dB - mean) / std.

        Args:
            energies: ... x frames x mels, linear; one stretch or a batch of them.

        Returns:
            The same shape, float32. Digital silence gives one even value.
        """
        spec = self.spec
        loudest = energies.max(axis=(-2, -1), keepdims=True)
        floor = np.maximum(loudest * 10 ** (-spec.floor_db / 10), np.float32(1e-20))
        decibels = 10 * np.log10(np.maximum(energies, floor))
        # A frame is active where it rises above the lower half of the range: pauses and padding say
        # nothing about the level, and how much there is of them depends on how the sound was cut.
        peaks = decibels.max(axis=-1, keepdims=True)
        active = peaks >= peaks.max(axis=-2, keepdims=True) - spec.floor_db / 2
        total = (decibels * active).sum(axis=(-2, -1), keepdims=True)
        level = total / (active.sum(axis=(-2, -1), keepdims=True) * decibels.shape[-1])
        return np.asarray((decibels - level - spec.mean) / spec.std, np.float32)


class _Bands:
    """Triangles of height 1, evenly spaced on the mel scale (O'Shaughnessy 1987), over powers of a spectrum.

    As sums over stretches of the spectrum rather than a product of matrices: of those, a BLAS with a pool of
    threads makes two to forty times the work on a busy kit, whose cores are all taken.
    """

    def __init__(self, spec: LogMelInput) -> None:
        edges_mel = np.linspace(_to_mel(spec.low_hz), _to_mel(spec.high_hz), spec.mels + 2)
        edges_hz = 700 * (10 ** (edges_mel / 2595) - 1)
        bins_hz = np.fft.rfftfreq(spec.fft, 1 / spec.rate_hz)
        starts = np.searchsorted(bins_hz, edges_hz)
        self._end = int(starts[-1])
        self._starts = np.minimum(starts[:-1], self._end - 1)
        self._holds = (np.diff(starts) > 0).astype(np.float32)
        """0 for a stretch between two edges so close that no line of the spectrum lies there."""
        place = np.searchsorted(edges_hz, bins_hz[: self._end], side="right").clip(1, spec.mels + 1)
        left, right = edges_hz[place - 1], edges_hz[place]
        rising = np.clip((bins_hz[: self._end] - left) / (right - left), 0, 1)
        self._rising = rising.astype(np.float32)

    def __call__(self, power: FloatArray) -> FloatArray:
        """Energies, frames x mels, of powers, frames x lines."""
        power = power[:, : self._end]
        rising = power * self._rising
        up, down = (
            np.add.reduceat(side, self._starts, axis=1) * self._holds for side in (rising, power - rising)
        )
        return np.asarray(up[:, :-1] + down[:, 1:], np.float32)


def _to_mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))
