"""Pieces of HTML that both results share: a verdict with its picture, bars, a line of trouble, the style."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from convert.space_page.trouble import UnreadableError
from convert.space_page.words import LANGUAGES, Language, both, percent, say
from edge.types import Scores
from edge.words import UNCERTAIN

ORDER = ("happy", "sad", "angry", "fear", "disgust", "surprise", "neutral")
"""The speech study's five first."""
HERE = Path(__file__).resolve().parent


def verdict(scores: Scores, limit: float) -> str:
    """The label that may be claimed: the best one, or uncertain below *limit*."""
    label, probability = scores.best
    return label if probability >= limit else UNCERTAIN


def hero(scores: Scores, limit: float, *, title: str, under: str) -> str:
    """The verdict in large letters, with how sure it is; *title* and *under* are HTML."""
    label, probability = scores.best
    shown = verdict(scores, limit)
    told = (
        both("sure", percent=percent(probability))
        if shown == label
        else both("unsure", label=label, percent=percent(probability), limit=percent(limit))
    )
    return (
        f'<div class="hero m-{shown}">{art(shown)}<div><p class="over">{title}</p>'
        f'<p class="word">{both(shown)}</p><p>{told}</p><p class="soft">{under}</p></div></div>'
    )


def bars(scores: Scores, limit: float) -> str:
    """A bar per label in ORDER, with the limit as a dashed line."""
    probs = dict(zip(scores.labels, scores.probs, strict=True))
    best, probability = scores.best
    rows = "".join(
        f'<li class="m-{label}{" best" if label == best and probability >= limit else ""}">'
        f'<span class="name">{both(label)}</span>'
        f'<span class="track" style="--limit:{100 * limit:.1f}%">'
        f'<i style="width:{100 * probs[label]:.1f}%"></i></span>'
        f'<span class="share">{percent(probs[label])}</span></li>'
        for label in ORDER
        if label in probs
    )
    return f'<ul class="bars">{rows}</ul>'


def stack(scores: Scores) -> str:
    """All labels in one thin bar."""
    probs = dict(zip(scores.labels, scores.probs, strict=True))
    parts = "".join(
        f'<i class="m-{label}" style="width:{100 * probs[label]:.1f}%"></i>'
        for label in ORDER
        if label in probs
    )
    return f'<span class="stack" aria-hidden="true">{parts}</span>'


def art(name: str) -> str:
    """The drawing of a label; the symbols come with ``sprite``."""
    return f'<svg class="art" aria-hidden="true"><use href="#mood-{name}"></use></svg>'


def waiting(key: str) -> str:
    """What stands where the result will be."""
    return (
        f'<div class="suasana"><div class="card empty m-off">{art("waiting")}<p>{both(key)}</p></div></div>'
    )


def line(problem: UnreadableError) -> str:
    """The one line that says what was wrong with a file."""
    return f'<p class="line" role="alert">{both(problem.key, **problem.values)}</p>'


def wrap(*pieces: str) -> str:
    """A finished result."""
    return f'<div class="suasana answer">{"".join(pieces)}</div>'


def sprite() -> str:
    """The drawings, once per page, not shown themselves."""
    wanted = {*ORDER, UNCERTAIN, "waiting", "nobody"}
    symbols = re.finditer(r'<symbol id="([\w-]+)".*?</symbol>', _read("moods.svg"), re.DOTALL)
    # Their names are changed, because Gradio's page has ids of its own.
    found = [one[0].replace('id="', 'id="mood-', 1) for one in symbols if one[1] in wanted]
    return f'<svg class="sprite" aria-hidden="true">{"".join(found)}</svg>'


def style(language: Language) -> str:
    """A style sheet that shows one language: both's other half, and the words of Gradio's own parts."""
    others = ", ".join(f".suasana .{other}" for other in LANGUAGES if other != language)
    places: Sequence[tuple[str, str]] = (
        ("#voice-file [data-testid=upload-text]", "voice.drop"),
        ("#face-file [data-testid=upload-text]", "face.drop"),
        ("#voice-microphone .record-button", "voice.record"),
        ("#voice-microphone .stop-button, #voice-microphone .stop-button-paused", "voice.stop"),
        ('#face-camera [title="grant webcam access"] .wrap', "face.access"),
    )
    told = "".join(f'{selector}{{--words:"{say(key, language)}"}}' for selector, key in places)
    return f"<style>{others}{{display:none}}{told}</style>"


def css() -> str:
    """The style sheet that does not change."""
    return _read("style.css")


def _read(name: str) -> str:
    return (HERE / name).read_text("utf-8")
