"""Who trains and who tests: no speaker and no recording on two sides, labels as even as that allows.

Recordings that share a speaker, and speakers who share a recording, are placed as one group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.types import SettingsError
from edge.words import VOICE_LABELS
from training.metrics import IntArray
from training.voice.corpora import SPLITS
from training.voice.prepare import collection
from training.voice.prepare.tables import Row

Costs = npt.NDArray[np.float64]

STARTS = 16
"""Times that the search begins anew."""
UNLABELLED = 0.1
"""How much the balance of clips without a label counts beside that of a label."""


def groups(rows: Sequence[Row]) -> list[list[int]]:
    """Indices of rows that must stay together: connected over speaker and recording.

    A row without a speaker is held by its recording alone. Groups come in an order that does not depend on
    the rows' order.
    """
    above: dict[str, str] = {}

    def top(one: str) -> str:
        while above.setdefault(one, one) != one:
            above[one] = one = above[above[one]]
        return one

    for row in rows:
        home = top(f"recording {row['recording']}")
        for name in collection.speakers(row):
            above[top(f"speaker {name}")] = home
    found: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        found.setdefault(top(f"recording {row['recording']}"), []).append(index)
    return sorted(found.values(), key=lambda members: min(rows[index]["path"] for index in members))


def crossings(rows: Sequence[Row]) -> list[str]:
    """A line for every speaker and recording that stands in two splits; none proves that nothing crosses."""
    places: dict[str, set[str]] = {}
    for row in rows:
        for one in (
            f"recording {row['recording']}",
            *(f"speaker {name}" for name in collection.speakers(row)),
        ):
            places.setdefault(one, set()).add(row["split"] or "no split")
    return [f"{one} is in {' and '.join(sorted(where))}" for one, where in places.items() if len(where) > 1]


def assign(rows: Sequence[Row], *, test: float, validation: float, seed: int = 0, keep: bool = False) -> None:
    """Write the split column.

    Args:
        rows: of the manifest; changed.
        test: share of the clips.
        validation: share of the clips.
        seed: of the search.
        keep: leave what was placed before, with whatever came to hang together with it.

    Raises:
        SettingsError: shares that leave nothing to train on, too few groups, or, with *keep*, a newcomer that
            ties two splits together.
    """
    if min(test, validation) < 0 or test + validation >= 1:
        raise SettingsError(
            f"test {test:g} and validation {validation:g}: want shares that leave some to train on"
        )
    shares = {"train": 1 - test - validation, "validation": validation, "test": test}
    names = [name for name in SPLITS if shares[name] > 0]
    together = groups(rows)
    kinds = _kinds(rows, together)
    fixed = _fixed(rows, together, names) if keep else np.full(len(together), -1)
    useful = int((kinds[:, :-1].sum(1) > 0).sum()) if kinds[:, :-1].any() else len(together)
    if useful < len(names):
        raise SettingsError(
            f"{useful} groups without a common speaker or recording, {len(names)} splits "
            f"({', '.join(names)}): more speakers are needed"
        )
    placed = _search(kinds, np.array([shares[name] for name in names]), fixed, np.random.default_rng(seed))
    for members, place in zip(together, placed, strict=True):
        for index in members:
            rows[index]["split"] = names[place]
    if wrong := crossings(rows):
        raise AssertionError(wrong)


def _kinds(rows: Sequence[Row], together: Sequence[Sequence[int]]) -> IntArray:
    """Clips by group and label; those without one stand last."""
    table = np.zeros((len(together), len(VOICE_LABELS) + 1), np.int64)
    for members, counts in zip(together, table, strict=True):
        for index in members:
            label = rows[index]["emotion"]
            counts[VOICE_LABELS.index(label) if label in VOICE_LABELS else -1] += 1
    return table


def _fixed(rows: Sequence[Row], together: Sequence[Sequence[int]], names: Sequence[str]) -> IntArray:
    """Per group the split it is in already, or -1."""
    places = np.full(len(together), -1)
    for group, members in enumerate(together):
        before = sorted({rows[index]["split"] for index in members} - {""})
        if len(before) > 1:
            who = next(
                name for index in members for name in [*collection.speakers(rows[index]), "a recording"]
            )
            raise SettingsError(f"{who} ties {' and '.join(before)} together; split without --keep")
        if before:
            if before[0] not in names:
                raise SettingsError(
                    f"clips are in {before[0]} already, which is to hold none; split without --keep"
                )
            places[group] = names.index(before[0])
    return places


def _search(kinds: IntArray, shares: Costs, fixed: IntArray, random: np.random.Generator) -> IntArray:
    """The best of several descents: per group, its split."""
    best, least = fixed, np.inf
    cost = _cost(kinds, shares)
    for _ in range(STARTS):
        placed = _begin(kinds, cost, fixed, len(shares), random)
        found = _descend(kinds, cost, placed, np.flatnonzero(fixed < 0), len(shares))
        if found < least:
            best, least = placed, found
    return best


def _cost(kinds: IntArray, shares: Costs) -> Callable[[IntArray], Costs]:
    """How far splits are from their shares of labels and clips; splits x … x kinds in, splits x … out."""
    weights = np.append(np.ones(len(VOICE_LABELS)), UNLABELLED)
    totals, labelled = kinds.sum(0), kinds[:, :-1].any()
    present = totals > 0

    def cost(held: IntArray) -> Costs:
        share = shares.reshape(-1, *[1] * (held.ndim - 1))
        off = (held[..., present] / totals[present] - share) ** 2 @ weights[present]
        off = (off + (held.sum(-1) / totals.sum() - share[..., 0]) ** 2) / share[..., 0]
        empty = ~(held[..., :-1] if labelled else held).any(-1)
        return np.asarray(off + 1000.0 * empty, np.float64)

    return cost


def _held(kinds: IntArray, placed: IntArray, splits: int) -> IntArray:
    return np.stack([kinds[placed == place].sum(0) for place in range(splits)])


def _begin(
    kinds: IntArray,
    cost: Callable[[IntArray], Costs],
    fixed: IntArray,
    splits: int,
    random: np.random.Generator,
) -> IntArray:
    """Large groups first, each to where it helps most; chance decides between alike ones."""
    placed = fixed.copy()
    size = kinds.sum(1) * random.uniform(0.7, 1.0, len(kinds))
    held = _held(kinds, placed, splits)
    for group in np.argsort(-size):
        if placed[group] < 0:
            gains = cost(held + kinds[group]) - cost(held)
            placed[group] = int(gains.argmin())
            held[placed[group]] += kinds[group]
    return placed


def _descend(
    kinds: IntArray, cost: Callable[[IntArray], Costs], placed: IntArray, free: IntArray, splits: int
) -> float:
    """Move single groups and swap pairs, in place, as long as that helps; the cost at the end."""
    while True:
        held = _held(kinds, placed, splits)
        now = cost(held)
        best, change = -1e-9, {}
        for group in free:
            home, mine = placed[group], kinds[group]
            left = cost(held - mine)[home] - now[home]
            for place, gain in enumerate(cost(held + mine) - now):
                if place != home and left + gain < best:
                    best, change = left + gain, {group: place}
            others = free[placed[free] != home]
            swapped = np.repeat(held[:, None], len(others), 1)
            swapped[home] += kinds[others] - mine
            swapped[placed[others], np.arange(len(others))] += mine - kinds[others]
            totals = cost(swapped).sum(0) - now.sum()
            if len(others) and totals.min() < best:
                other = others[int(totals.argmin())]
                best, change = float(totals.min()), {group: placed[other], other: home}
        if not change:
            return float(now.sum())
        for group, place in change.items():
            placed[group] = place


@dataclass(frozen=True, slots=True)
class Share:
    """One line of the report."""

    split: str
    clips: int
    part: float
    speakers: int
    recordings: int
    labels: dict[str, int]


def shares(rows: Sequence[Row]) -> list[Share]:
    """What each split holds; clips without one come last."""
    found = []
    for split in (*SPLITS, ""):
        mine = [row for row in rows if row["split"] == split]
        if mine:
            people = {name for row in mine for name in collection.speakers(row)}
            recordings = {row["recording"] for row in mine}
            labels = Counter(row["emotion"] for row in mine)
            found.append(Share(split, len(mine), len(mine) / len(rows), len(people), len(recordings), labels))
    return found


def describe(rows: Sequence[Row]) -> str:
    """The shares as a table; beside the counts, the part of each label that lies in the split."""
    totals = Counter(row["emotion"] for row in rows)
    head = f"{'split':<12}{'clips':>14}{'speakers':>10}{'recordings':>12}"
    lines = [head + "".join(f"{label:>14}" for label in (*VOICE_LABELS, "none"))]
    for one in shares(rows):
        bare = one.clips - sum(one.labels[label] for label in VOICE_LABELS)
        bare_total = len(rows) - sum(totals[label] for label in VOICE_LABELS)
        cells = [(one.labels[label], totals[label]) for label in VOICE_LABELS] + [(bare, bare_total)]
        row = f"{one.split or 'no split':<12}{_part(one.clips, len(rows)):>14}"
        row += f"{one.speakers:>10}{one.recordings:>12}"
        lines.append(row + "".join(f"{_part(*cell):>14}" for cell in cells))
    return "\n".join(lines)


def _part(count: int, total: int) -> str:
    return f"{count} ({100 * count / total:.0f} %)" if total else "0"
