"""What was heard in a recording, as HTML: verdict, bars, the waveform with its speech, a row per part."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator

from convert.space_page import look
from convert.space_page.trouble import UnreadableError
from convert.space_page.voice import BARS, Heard, Spoken
from convert.space_page.words import both, percent
from edge.manifest import Manifest
from edge.words import UNCERTAIN

WIDTH, HEIGHT = 5 * BARS, 160
"""Of the drawing's own units; the page stretches it."""
TICKS_S = (0.5, 1, 2, 5, 10, 20, 30)
MOST_TICKS = 8
MARK_ROWS, MARK_SHARE = 2, 0.06
"""A mark takes so much of the waveform's width on a phone."""


def show(heard: Heard, model: Manifest) -> str:
    """The whole result; a recording without speech shows its waveform and says so."""
    limit = model.uncertain_below
    torn = f'<p class="line mild">{both("voice.torn", whole=heard.duration_s)}</p>' if heard.torn else ""
    wave = f'<section class="card">{_wave(heard, limit)}</section>'
    if heard.overall is None:
        key = "trouble.voice.silent" if heard.silent else "trouble.voice.no_speech"
        return look.wrap(look.line(UnreadableError(key, whole=heard.duration_s)), torn, wave)
    speech_s = sum(part.end_s - part.start_s for part in heard.spoken)
    under = both("voice.summary", speech=speech_s, parts=len(heard.spoken), whole=heard.duration_s)
    overall = (
        f'<section class="card overall">'
        f"{look.hero(heard.overall, limit, title=both('voice.overall'), under=under)}"
        f"{look.bars(heard.overall, limit)}"
        f'<p class="soft small">{both("limit", limit=percent(limit))}</p></section>'
    )
    rows = "".join(_row(number, part, limit) for number, part in enumerate(heard.spoken, 1))
    parts = f'<section class="card"><h3>{both("voice.parts")}</h3><ol class="parts">{rows}</ol></section>'
    return look.wrap(torn, overall, wave, parts)


def _wave(heard: Heard, limit: float) -> str:
    """A bar per moment; grey where nobody spoke, the verdict's colour and a number where somebody did."""
    step = WIDTH / BARS
    moods = [look.verdict(part.scores, limit) for part in heard.spoken]
    grounds = "".join(
        f'<rect class="ground m-{mood}" x="{_place(part.start_s, heard):.2f}" y="0" rx="4" height="{HEIGHT}" '
        f'width="{_place(part.end_s, heard) - _place(part.start_s, heard):.2f}"/>'
        for part, mood in zip(heard.spoken, moods, strict=True)
    )
    lines = []
    for number, peak in enumerate(heard.peaks):
        at_s = (number + 0.5) / BARS * heard.duration_s
        inside = [m for p, m in zip(heard.spoken, moods, strict=True) if p.start_s <= at_s < p.end_s]
        tall = max(3.0, 0.8 * HEIGHT * peak)
        lines.append(
            f'<rect class="{f"m-{inside[0]}" if inside else "quiet"}" x="{number * step + 1:.1f}" rx="1.5" '
            f'width="{step - 2:.1f}" y="{(HEIGHT - tall) / 2:.1f}" height="{tall:.1f}"/>'
        )
    marks = "".join(
        f'<button type="button" class="mark m-{moods[number]} row-{row}" {_plays(heard.spoken[number])} '
        f'style="left:{100 * middle:.2f}%">{number + 1}</button>'
        for number, middle, row in _marks(heard)
    )
    ticks = "".join(
        f'<span style="left:{_share(at, heard)}">{_clock(at)}</span>' for at in _ticks(heard.duration_s)
    )
    hint = f'<p class="soft small">{both("voice.wave.hint")}</p>' if heard.spoken else ""
    sound = f"data:audio/mpeg;base64,{b64encode(heard.mp3).decode()}"
    player = f'<audio controls preload="auto" src="{sound}"></audio>' if heard.mp3 else ""
    return (
        f'<h3>{both("voice.wave")}</h3>{hint}<figure class="wave"><div class="marks">{marks}</div>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f"{grounds}{''.join(lines)}</svg>"
        f'<div class="ticks" aria-hidden="true">{ticks}</div>'
        f'<figcaption class="hidden">{both("voice.wave.image")}</figcaption></figure>{player}'
    )


def _marks(heard: Heard) -> Iterator[tuple[int, float, int]]:
    """Number, place and row of the marks that fit above the waveform; every part has one in the list too."""
    free = [0.0] * MARK_ROWS
    for number, part in enumerate(heard.spoken):
        middle = min((part.start_s + part.end_s) / 2 / heard.duration_s, 1 - MARK_SHARE / 2)
        row = next((row for row in range(MARK_ROWS) if middle >= free[row]), None)
        if row is not None:
            free[row] = middle + MARK_SHARE
            yield number, middle, row


def _row(number: int, part: Spoken, limit: float) -> str:
    label, probability = part.scores.best
    mood = look.verdict(part.scores, limit)
    told = (
        f'<span class="soft">({both(label)} {percent(probability)})</span>'
        if mood == UNCERTAIN
        else f"<span>{percent(probability)}</span>"
    )
    when = both("voice.when", start=part.start_s, end=part.end_s)
    return (
        f'<li><button type="button" class="mark m-{mood}" {_plays(part)}>{number}</button>'
        f'<span class="when">{when}</span>{look.stack(part.scores)}'
        f'<span class="what"><b>{both(mood)}</b> {told}</span></li>'
    )


def _plays(part: Spoken) -> str:
    """Attributes of a button that plays one part of the recording on the page."""
    script = (
        "const a=this.closest('.suasana').querySelector('audio');clearTimeout(a.end);"
        f"a.currentTime={part.start_s:.2f};a.play();"
        f"a.end=setTimeout(()=>a.pause(),{1000 * (part.end_s - part.start_s):.0f})"
    )
    return f'onclick="{script}"'


def _place(at_s: float, heard: Heard) -> float:
    return WIDTH * min(1.0, at_s / heard.duration_s)


def _share(at_s: float, heard: Heard) -> str:
    return f"{100 * min(1.0, at_s / heard.duration_s):.2f}%"


def _ticks(duration_s: float) -> list[float]:
    step = next((step for step in TICKS_S if duration_s / step <= MOST_TICKS), TICKS_S[-1])
    return [number * step for number in range(int(duration_s / step) + 1)]


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:.0f}:{rest:04.1f}" if rest % 1 else f"{minutes:.0f}:{rest:02.0f}"
