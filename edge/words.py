"""The labels: plain strings, so that even the modules that must not see an array can share them."""

from __future__ import annotations

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""Expression labels, in FER-2013's order; the order is the same everywhere."""

VOICE_LABELS = ("angry", "disgust", "fear", "happy", "sad", "neutral")
"""The subset of LABELS that tone of voice is read as, in the same order."""

NEGATIVE = ("angry", "disgust", "fear", "sad")
"""Readings that would worry a teacher; a model may ask for more confidence before one is claimed."""

UNCERTAIN = "uncertain"
"""Stands beside the labels in every reading: below a calibrated confidence nothing is claimed."""
