"""What was made against what arrived."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Verdict:
    """Counts; all that name a fault ought to be 0."""

    made: int = 0
    """Events that a kit put into its outbox and said so."""
    arrived: int = 0
    """Different events."""
    lost: int = 0
    """Made, never arrived, and never acknowledged by the broker either."""
    lost_behind_broker: int = 0
    """Made, acknowledged by the broker, and never arrived: the broker's or the witness's fault."""
    duplicates: int = 0
    """Arrivals beyond the first of an event."""
    altered_duplicates: int = 0
    """Arrivals whose content is not what was made, or not what arrived before, the replayed flag apart."""
    out_of_order: int = 0
    """First arrivals behind a later event of the same boot."""
    gaps: int = 0
    """Numbers missing within a boot."""
    gaps_uncounted: int = 0
    """Lost events that a reader cannot count from the numbers and from what the next boot says."""
    boots: int = 0
    boots_miscounted: int = 0
    """Boots of which the next one told another number of events than arrived."""

    def __add__(self, other: Verdict) -> Verdict:
        return Verdict(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


def judge(made: Iterable[bytes], arrived: Iterable[bytes], acknowledged: Collection[bytes] = ()) -> Verdict:
    """Compare two lists of events of any number of kits, each in its order.

    *acknowledged* are the ids of events that the broker said it had.
    """
    content = {_id(body): _plain(body) for body in made}
    first: dict[str, bytes] = {}
    duplicates = altered = out_of_order = 0
    newest: dict[tuple[str, str], int] = {}
    seqs: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    known: dict[tuple[str, str], int] = {}
    """What a boot is said to have made, with what may be missing besides."""
    miscounted: dict[tuple[str, str], int] = {}
    for body in arrived:
        event = json.loads(body)
        id, data = event["id"], event["data"]
        boot, seq = (data["kit"], data["boot_id"]), data["seq"]
        plain = _plain(body)
        altered += plain != first.get(id, plain) or plain != content.get(id, plain)
        duplicates += id in first
        if id not in first:
            first[id] = plain
            out_of_order += seq < newest.get(boot, -1)
            newest[boot] = max(seq, newest.get(boot, -1))
            seqs[boot].add(seq)
            _note_previous(data, known, miscounted)
    gaps = sum(max(found) + 1 - len(found) for found in seqs.values())
    missing = set(content) - set(first)
    behind = {id for id in missing if id.encode() in acknowledged}
    lost = missing - behind
    for body in (json.loads(content[id])["data"] for id in behind):
        seqs[body["kit"], body["boot_id"]].add(body["seq"])  # the kit did its part, and counts it
    uncounted = 0
    for body in (json.loads(content[id])["data"] for id in lost):
        boot = (body["kit"], body["boot_id"])
        uncounted += body["seq"] > max(newest.get(boot, -1), known.get(boot, 0) - 1)
    wrong = sum(told != len(seqs.get(boot, ())) for boot, told in miscounted.items())
    return Verdict(
        len(content),
        len(first),
        len(lost),
        len(behind),
        duplicates,
        altered,
        out_of_order,
        gaps,
        uncounted,
        len(seqs),
        wrong,
    )


def _note_previous(data: dict[str, Any], known: dict[Any, int], exact: dict[Any, int]) -> None:
    previous = data.get("previous")
    if previous is not None:
        boot = (data["kit"], previous["boot_id"])
        known[boot] = max(known.get(boot, 0), previous["events"] + (previous["unsure"] or 0))
        if previous["unsure"] == 0:
            exact[boot] = previous["events"]


def _id(body: bytes) -> str:
    return str(json.loads(body)["id"])


def _plain(body: bytes) -> bytes:
    return body.replace(b'"replayed":true', b'"replayed":false', 1)
