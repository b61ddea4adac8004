"""What is in FER-2013: how many faces of each label, which are left out of training, what FER+ voters say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.types import LABELS
from training import figures, pages
from training.face import fer2013, layout, pictures
from training.face.fer2013 import Cleaning, Faces, IntArray
from training.pages import Section

PAGE = "data.html"
PHOTOGRAPHS = "photographs"
"""Folder for what shows faces; git is told to leave it alone."""
EXAMPLES = 12
NOTICE = f"The photographs are for research only: do not pass {PHOTOGRAPHS}/ on, and keep it out of git."
SPLITS = {"training": "Training", "public": "PublicTest", "private": "PrivateTest"}
REASONS = {
    "in_public": "exact copy of a PublicTest picture",
    "in_private": "exact copy of a PrivateTest picture",
    "near_public": "same photograph as in PublicTest, other pixels",
    "near_private": "same photograph as in PrivateTest, other pixels",
    "disputed": "copies of one picture under different labels",
    "not_a_face": "most FER+ voters saw no face",
}


@dataclass(frozen=True, slots=True)
class Copies:
    """Pictures that occur more than once in the training split, pixel for pixel."""

    groups: int
    pictures: int
    """In all groups together."""
    largest: int
    disputed_groups: int
    """Groups under more than one label."""
    disputed_pictures: int
    pairs: Counter[tuple[int, int]]
    """How many groups carry both of two labels."""

    @property
    def spare(self) -> int:
        """Pictures that would go if each group kept one."""
        return self.pictures - self.groups


@dataclass(frozen=True, slots=True)
class Exploration:
    """Everything that is told."""

    counts: Mapping[str, IntArray]
    """Per split, how many faces each label has."""
    cleaning: Cleaning
    kept: int
    copies: Copies
    shares: npt.NDArray[np.float64]
    """Labels x 8: of the votes for a column, the share on faces of the row's label; zeros without votes."""
    agreed: IntArray
    """Per label, kept faces for which no expression got more FER+ votes than the label."""
    asked: IntArray
    """Per label, kept faces on which somebody voted for an expression."""


def explore(splits: Mapping[str, Faces]) -> Exploration:
    """Count everything."""
    kept, cleaning = fer2013.clean(dict(splits))
    own = np.eye(len(LABELS))[kept.labels]
    words = fer2013.VOTES[: fer2013.EXPRESSIONS]
    codes = [layout.label_code(word) for word in words]
    columns = np.array([codes.index(label) for label in range(len(LABELS))])
    asked = kept.votes.sum(1) > 0
    agreed = asked & (kept.votes[np.arange(len(kept)), columns[kept.labels]] == kept.votes.max(1))
    return Exploration(
        counts={name: np.bincount(faces.labels, minlength=len(LABELS)) for name, faces in splits.items()},
        cleaning=cleaning,
        kept=len(kept),
        copies=find_copies(splits["training"]),
        shares=own.T @ kept.votes / np.maximum(kept.votes.sum(0), 1e-6),
        agreed=np.bincount(kept.labels[agreed], minlength=len(LABELS)),
        asked=np.bincount(kept.labels[asked], minlength=len(LABELS)),
    )


def find_copies(faces: Faces) -> Copies:
    """The groups of equal pictures among *faces*."""
    by_pixels: dict[bytes, list[int]] = {}
    for image, label in zip(faces.images, faces.labels.tolist(), strict=True):
        by_pixels.setdefault(image.tobytes(), []).append(label)
    groups = [labels for labels in by_pixels.values() if len(labels) > 1]
    disputed = [labels for labels in groups if len(set(labels)) > 1]
    return Copies(
        groups=len(groups),
        pictures=sum(map(len, groups)),
        largest=max(map(len, groups), default=0),
        disputed_groups=len(disputed),
        disputed_pictures=sum(map(len, disputed)),
        pairs=Counter(pair for labels in disputed for pair in combinations(sorted(set(labels)), 2)),
    )


def sections(found: Exploration) -> list[Section]:
    """The figures in order; pictures are named as draw writes them."""
    made = [_counts(found), _cleaning(found), _copies(found)]
    return [*made, *_votes(found)] if found.asked.any() else made


def _counts(found: Exploration) -> Section:
    rows = []
    for name, counts in found.counts.items():
        total = int(counts.sum())
        rows.append((SPLITS[name], *(f"{count:,}" for count in counts), f"{total:,}"))
        rows.append(("", *(f"{100 * count / total:.1f} %" for count in counts), ""))
    training = found.counts["training"]
    most, least = int(training.argmax()), int(training.argmin())
    text = (
        f"Always saying {LABELS[most]} would be right for {100 * training[most] / training.sum():.1f} % of "
        f"the training faces; for every face that is {LABELS[least]} there are "
        f"{training[most] / max(1, training[least]):.0f} that are {LABELS[most]}."
    )
    caption = "Faces of each label and their share of the split."
    return Section("Faces per label", text, ("split", *LABELS, "all"), rows, "counts.png", caption)


def _cleaning(found: Exploration) -> Section:
    cleaning, total = found.cleaning, int(found.counts["training"].sum())
    text = (
        f"Training learns from {found.kept:,} of {total:,} faces. Left out are those that also stand in "
        f"PublicTest ({cleaning.in_public}) or PrivateTest ({cleaning.in_private}), and what else is listed; "
        "a picture that is out for two reasons counts in both lines. The test splits stay whole."
    )
    rows = [
        (REASONS.get(name, name), f"{count:,}", f"{100 * count / total:.2f} %")
        for name, count in asdict(cleaning).items()
    ]
    rows.append(("all together", f"{total - found.kept:,}", f"{100 * (total - found.kept) / total:.2f} %"))
    head = ("left out of training", "pictures", "share")
    return Section("Cleaning", text, head, rows, "cleaning.png", "Training pictures left out, by reason.")


def _copies(found: Exploration) -> Section:
    copies = found.copies
    text = (
        f"{copies.groups:,} pictures occur more than once in the training split, pixel for pixel: "
        f"{copies.pictures:,} in all, {copies.spare:,} more than needed, up to {copies.largest} of one. "
        f"{copies.disputed_groups} of them ({copies.disputed_pictures} pictures) stand under different "
        "labels. A random split of the training faces puts copies on both sides."
    )
    rows = [
        (f"{LABELS[one]} and {LABELS[other]}", f"{count:,}")
        for (one, other), count in copies.pairs.most_common(6)
    ]
    return Section("Copies inside the training split", text, ("one picture labelled both", "pictures"), rows)


def _votes(found: Exploration) -> list[Section]:
    names = fer2013.VOTES[: fer2013.EXPRESSIONS]
    table = Section(
        "What FER-2013 calls the faces that FER+ voters called …",
        "Each column is the votes for one expression, shared out over the labels of the faces that got them.",
        ("label", *names),
        [
            (label, *(f"{share:.2f}" for share in row))
            for label, row in zip(LABELS, found.shares, strict=True)
        ],
        "agreement.png",
        "Shares of each column in per cent.",
    )
    every, right = int(found.asked.sum()), int(found.agreed.sum())
    agreed = Section(
        "Labels that FER+ voters share",
        f"For {100 * right / every:.1f} % of the {every:,} kept training faces that got votes, no expression "
        "got more votes than the label.",
        ("label", "faces", "share the label"),
        [
            (label, f"{asked:,}", f"{100 * right / max(1, asked):.1f} %")
            for label, asked, right in zip(LABELS, found.asked, found.agreed, strict=True)
        ],
    )
    return [table, agreed]


def write(folder: Path, found: Exploration, splits: Mapping[str, Faces], source: str) -> Path:
    """Draw the pictures and write the page, with examples of near copies in a folder that git ignores.

    Returns:
        The page.

    Raises:
        SettingsError: the folder cannot be written.
    """
    counts = {SPLITS[name]: values.tolist() for name, values in found.counts.items()}
    every = sections(found)
    examples = _examples(splits)
    if examples:
        every.insert(3, _near())
    # The page first: it says in one line when the folder cannot be written.
    notice = NOTICE if examples else ""
    pages.write(folder / PAGE, "FER-2013 explored", f"Read from {source}.", every, notice=notice)
    title = "Faces of each label, and their share of the split"
    figures.draw_counts(counts, LABELS, title, folder / "counts.png")
    reasons = {REASONS.get(name, name): count for name, count in asdict(found.cleaning).items()}
    pictures.draw_reasons(reasons, folder / "cleaning.png")
    if found.asked.any():
        names = fer2013.VOTES[: fer2013.EXPRESSIONS]
        pictures.draw_agreement(found.shares, LABELS, names, folder / "agreement.png")
    if examples:
        photographs = folder / PHOTOGRAPHS
        photographs.mkdir(exist_ok=True)
        (photographs / ".gitignore").write_text("*\n", "utf-8")
        pictures.draw_pairs(examples, photographs / "near.png")
    return folder / PAGE


def _near() -> Section:
    return Section(
        "Near copies, for example",
        "Pairs of a training picture (left) and one of PublicTest (right) whose thumbnails, mirrored or not, "
        f"correlate by more than {fer2013.ALIKE}, from the least alike to the most.",
        picture=f"{PHOTOGRAPHS}/near.png",
        caption="Above each pair: the correlation, and the labels where they differ.",
    )


def _examples(splits: Mapping[str, Faces]) -> list[pictures.Pair]:
    """Some pairs of training and PublicTest pictures that are one photograph, but not the same pixels."""
    training, public = splits["training"], splits["public"]
    rows = np.flatnonzero(fer2013.near(training, public) & ~fer2013.contained(training, public))
    if not len(rows):
        return []
    matches, alike = fer2013.nearest(training.take(rows), public)
    order = alike.argsort()[np.linspace(0, len(rows) - 1, min(EXAMPLES, len(rows))).round().astype(int)]
    pairs = []
    for place in order:
        left, right = training.take(rows[place : place + 1]), public.take(matches[place : place + 1])
        words = [LABELS[one.labels[0]] for one in (left, right)]
        differ = f"  {words[0]} / {words[1]}" if words[0] != words[1] else ""
        pairs.append(pictures.Pair(left.images[0], right.images[0], f"{alike[place]:.3f}{differ}"))
    return pairs
