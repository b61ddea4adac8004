"""What was found about learning in the practice game: tables and a picture, in a page that people read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.practice import reference
from edge.practice.adapt import Reference
from edge.types import SettingsError
from training import figures, pages
from training.pages import Section
from training.practice.classes import HARM

Found = Mapping[str, Any]

REFUSALS = {
    "too_few_rounds": "too few rounds",
    "too_few_labels": "too few labels",
    "not_shown": "not shown",
    "no_gain": "no gain",
    "would_harm": "would harm",
}
AS_A_KIT = "kit"
"""Key of the rounds that go on until the kit has learned or given up."""


def sections(found: Found) -> list[Section]:
    """All tables, in reading order."""
    made = [_rooms(found)]
    if found.get("heads"):
        made.append(_heads(found))
    if found.get("plays"):
        made.append(_plays(found))
    return made


def _rooms(found: Found) -> Section:
    rows = []
    for key, room in found["rooms"].items():
        for count, one in room["rounds"].items():
            rows.append(
                (
                    found["names"][key] if count == next(iter(room["rounds"])) else "",
                    "until learned" if count == AS_A_KIT else count,
                    percent(one["before"]["even"]),
                    _change(one["unguarded"], "even"),
                    percent(one["learned"]),
                    _change(one["guarded"], "even"),
                    _change(one["guarded"], "mixed"),
                    percent(one["harmed"]),
                    _back(one),
                )
            )
    head = (
        found["what"],
        "rounds a label",
        "right before",
        "all believed",
        "learned",
        "with the guard",
        "as mixed in the data",
        "harmed",
        "light back",
    )
    return Section("Before and after", found["text"], head, rows, found["picture"], "Change in points.")


def _back(one: Found) -> str:
    if "light_back" not in one:
        return ""
    return f"{points(one['light_back']['mean'])}, worst {points(one['light_back']['worst'])}"


def _heads(found: Found) -> Section:
    rows = [
        (
            name if room == next(iter(rooms)) else "",
            found["names"][room],
            *(points(rounds[key]) for key in rounds),
        )
        for name, rooms in found["heads"].items()
        for room, rounds in rooms.items()
    ]
    counts = next(iter(next(iter(found["heads"].values())).values()))
    head = ("head", "room", *(f"{key} rounds a label" if key.isdigit() else key for key in counts))
    text = (
        "Change of the accuracy of an even mix, in points, everything believed. The last column is the "
        "ceiling: the head fitted to half of all people in the room and judged on the others."
    )
    return Section("Heads compared", text, head, rows)


def _plays(found: Found) -> Section:
    rows = []
    for room, plays in found["plays"].items():
        for name, one in plays.items():
            refused = ", ".join(
                f"{REFUSALS[key]} {percent(share, 0)}" for key, share in one["refused"].items()
            )
            rows.append(
                (
                    name,
                    found["names"][room],
                    refused,
                    percent(one["learned"], 0),
                    _change(one["unguarded"], "mixed"),
                    _change(one["guarded"], "mixed"),
                    percent(one["harmed_unguarded"], 0),
                    percent(one["harmed"], 0),
                )
            )
    head = (
        "what was shown",
        found["what"],
        "refused",
        "learned",
        "all believed",
        "with the guard",
        "harmed, all believed",
        "harmed, guarded",
    )
    text = (
        f"{found['plays_rounds']} rounds of each label. Changes are of the accuracy as mixed in the data; a "
        f"class is harmed when people it did not show are read worse by more than {100 * HARM:g} point."
    )
    return Section("When something else is shown", text, head, rows)


def percent(value: float, digits: int = 1) -> str:
    """A fraction in per cent."""
    return f"{100 * value:.{digits}f} %"


def points(value: float) -> str:
    """A difference of fractions, in points."""
    return f"{100 * value:+.1f}"


def _change(one: Found, key: str) -> str:
    low, high = one[f"{key}_interval"]
    return f"{points(one[key])} ({points(low)} to {points(high)})"


def refresh(page: Path, part: str, command: str, found: Found) -> None:
    """Replace what stands between the marks of *part* in *page*, and draw its picture beside it.

    Raises:
        SettingsError: the page is not there, or lacks the marks.
    """
    begin, end = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
    try:
        text = page.read_text("utf-8")
        before, rest = text.split(begin, 1)
        after = rest.split(end, 1)[1]
    except OSError as error:
        raise SettingsError(f"{page}: {error.strerror or error}") from error
    except (ValueError, IndexError):
        raise SettingsError(f"{page}: lacks the marks {begin} and {end}") from None
    draw(page.parent / found["picture"], found)
    made = sections(found)
    picture = f"![{found['caption']}]({found['picture']})"
    measured = f"`{command}`\n\n{picture}\n\n{pages.markdown(made, level=3)}"
    page.write_text(f"{before}{begin}\n\n{measured}\n\n{end}{after}", "utf-8")


def draw(path: Path, found: Found) -> None:
    """Per room, the change of an even mix's accuracy: everything believed, and as the kit learns."""
    drawing = figures.figure(8.6, 1.5 + 0.46 * len(found["rooms"]))
    axes = drawing.subplots()
    figures.clean(axes, "x")
    names = []
    for at, (key, room) in enumerate(found["rooms"].items()):
        one = room["rounds"][AS_A_KIT]
        for kind, shift, colour, label in (
            ("unguarded", -0.17, figures.ORANGE, "everything believed"),
            ("guarded", 0.17, figures.BLUE, "with the guard"),
        ):
            value, (low, high) = one[kind]["even"], one[kind]["even_interval"]
            reach = 100 * np.maximum(np.array([[value - low], [high - value]]), 0)
            axes.errorbar(
                100 * value,
                at + shift,
                xerr=reach,
                fmt="o",
                color=colour,
                elinewidth=1.5,
                capsize=2,
                label=label if not at else None,
            )
        names.append(
            f"{found['names'][key]}\n{percent(one['before']['even'], 0)} right, "
            f"{percent(one['learned'], 0)} learn"
        )
    axes.axvline(0, color=figures.INK, linewidth=1)
    axes.set_yticks(range(len(names)), names, fontsize="small")
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel("points of accuracy, an even mix of labels; 95 % intervals")
    axes.legend(frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    figures.save(drawing, path)


def write_reference(model: str, labels: Sequence[str], made_with: str, known: Reference) -> None:
    """Put a model's reference into edge/practice/reference.toml, and leave the others as they are."""
    lines = [
        f"[{model}]",
        f'made_with = "{made_with}"',
        f"labels = {json.dumps(list(labels))}",
        f"shares = [{', '.join(f'{share:.4f}' for share in known.shares)}]",
        "",
        f"[{model}.answers]",
    ]
    for place, label in enumerate(labels):
        lines.append(f"{label} = [")
        lines += [
            f"  [{', '.join(f'{value:.2f}' for value in row)}],"
            for row in known.logs[known.labels == place].tolist()
        ]
        lines.append("]")
    text = reference.PATH.read_text("utf-8") if reference.PATH.is_file() else ""
    begin, end = f"# {model}: begin\n", f"# {model}: end\n"
    if begin in text:
        before, rest = text.split(begin, 1)
        text = before + rest.split(end, 1)[1]
    reference.PATH.write_text(f"{text}{begin}" + "\n".join(lines) + f"\n{end}", "utf-8")
