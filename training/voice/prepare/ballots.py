"""What annotators said, kept for good in votes.csv, and what the majority makes of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from edge.types import SettingsError
from edge.words import UNCERTAIN, VOICE_LABELS
from training.metrics import IntArray
from training.voice.prepare import agreement, collection, tables
from training.voice.prepare.agreement import MISSING
from training.voice.prepare.sheets import INDONESIAN, LABELS, Vote, label_of
from training.voice.prepare.tables import Row

Votes = dict[tuple[str, str], str]
"""Label by clip and annotator."""


def read(folder: Path) -> Votes:
    """All votes so far.

    Raises:
        SettingsError: votes.csv is damaged.
    """
    path = folder / "votes.csv"
    if not path.exists():
        return {}
    votes = {}
    for number, row in tables.read(path, ("clip", "annotator", "label"))[1]:
        label = label_of(row["label"])
        if label is None:
            raise SettingsError(f"{path}, row {number}: {row['label']!r} is no label")
        votes[row["clip"], row["annotator"]] = label
    return votes


def add(votes: Votes, new: Iterable[Vote]) -> tuple[int, int]:
    """Put votes in, a newer one of the same annotator in place of the older; how many are new and changed."""
    before, size, changed = dict(votes), len(votes), 0
    for vote in new:
        key = vote.clip, vote.annotator
        changed += before.get(key, vote.label) != vote.label
        votes[key] = vote.label
    return len(votes) - size, changed


def write(folder: Path, votes: Votes) -> None:
    """Keep all votes; SettingsError where the disk refuses."""
    rows = [
        {"clip": clip, "annotator": annotator, "label": label}
        for (clip, annotator), label in sorted(votes.items())
    ]
    tables.write(folder / "votes.csv", ["clip", "annotator", "label"], rows)


def by_clip(votes: Votes) -> dict[str, dict[str, str]]:
    """Label by annotator, by clip."""
    found: dict[str, dict[str, str]] = {}
    for (clip, annotator), label in sorted(votes.items()):
        found.setdefault(clip, {})[annotator] = label
    return found


def majority(labels: Iterable[str]) -> str | None:
    """The label that more than half of the votes are for."""
    counts = Counter(labels)
    label, votes = counts.most_common(1)[0]
    return label if 2 * votes > counts.total() else None


def undecided(votes: Votes) -> list[str]:
    """The clips with votes but without a majority."""
    return [clip for clip, ballot in by_clip(votes).items() if majority(ballot.values()) is None]


def apply(rows: Sequence[Row], votes: Votes) -> None:
    """Write majorities into the rows of a manifest; clips nobody voted on stay as they are."""
    found = by_clip(votes)
    for row in rows:
        if ballot := found.get(collection.clip_name(row)):
            label = majority(ballot.values())
            row["emotion"] = label or ""
            row["emotion5"] = label if label in VOICE_LABELS else "other" if label else ""


def codes(votes: Votes) -> tuple[list[str], IntArray]:
    """Annotators, and clips x annotators codes of LABELS or MISSING."""
    annotators = sorted({annotator for _, annotator in votes})
    clips = {clip: row for row, clip in enumerate(sorted({clip for clip, _ in votes}))}
    table = np.full((len(clips), len(annotators)), MISSING, np.int64)
    for (clip, annotator), label in votes.items():
        table[clips[clip], annotators.index(annotator)] = LABELS.index(label)
    return annotators, table


def describe(votes: Votes) -> str:
    """Agreement as a page of text."""
    annotators, table = codes(votes)
    counts = agreement.count(table, len(LABELS))
    sure = counts[:, : len(VOICE_LABELS)]
    lines = [
        f"{len(table)} clips with votes, {int((counts.sum(1) > 1).sum())} with two or more",
        f"Krippendorff's alpha {_alpha(counts)}",
        f"  without {UNCERTAIN}     {_alpha(sure)}",
        "",
        f"{'annotator':<20}{'clips':>8}{UNCERTAIN:>12}",
    ]
    for column, name in enumerate(annotators):
        mine = table[:, column]
        unsure = (mine == LABELS.index(UNCERTAIN)).sum()
        lines.append(f"{name:<20}{(mine != MISSING).sum():>8}{unsure:>12}")
    lines += ["", f"{'label':<24}{'votes':>8}{'another says so too':>22}"]
    agreements = agreement.agreement_by_label(counts)
    for label, local, given, share in zip(LABELS, INDONESIAN, counts.sum(0), agreements, strict=True):
        lines.append(f"{f'{label} ({local})':<24}{given:>8}{_number(100 * share, '.0f', ' %'):>22}")
    if len(annotators) > 1:
        lines += ["", f"{'pair':<32}{'clips':>8}{'Cohen kappa':>14}"]
    for first, second in combinations(range(len(annotators)), 2):
        kappa, shared = agreement.kappa(table[:, first], table[:, second])
        pair = f"{annotators[first]}, {annotators[second]}"
        lines.append(f"{pair:<32}{shared:>8}{_number(kappa, '.3f'):>14}")
    return "\n".join(lines)


def _alpha(counts: IntArray) -> str:
    value = agreement.alpha(counts)
    if math.isnan(value):
        return "is not defined: nothing was labelled twice, or all with one label"
    low, high = agreement.alpha_interval(counts)
    return f"{value:.3f} (95 % bootstrap interval over clips {low:.3f} to {high:.3f})"


def _number(value: float, form: str, unit: str = "") -> str:
    return "-" if math.isnan(value) else f"{value:{form}}{unit}"
