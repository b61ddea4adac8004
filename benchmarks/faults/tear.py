"""Outboxes torn at random: whatever comes back is what was put, in order, and what is missing is counted."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from random import Random

from benchmarks.faults.hammer import window
from edge.events import Event
from edge.outbox.disk import DiskOutbox
from edge.outbox.file import journal
from edge.stamp import Stamp

KINDS = ("bit", "noise", "zeros", "ones", "cut", "stale")


@dataclass(frozen=True, slots=True)
class Torn:
    """What became of torn outboxes; the last two ought to be 0."""

    files: int = 0
    waited: int = 0
    recovered: int = 0
    counted: int = 0
    """Missing, and the outbox says so."""
    tails: int = 0
    """Missing at the newest end, where only numbers that a reader has can tell: what a power cut takes."""
    altered: int = 0
    silent: int = 0
    """Missing, and nobody can know."""

    def __add__(self, other: Torn) -> Torn:
        return Torn(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


def tear_and_open(folder: Path, seed: int, *, most: int = 120) -> Torn:
    """Write an outbox, tear it in one way that *seed* decides, and look at what comes back."""
    random = Random(seed)
    shutil.rmtree(folder, ignore_errors=True)
    path = folder / "outbox.db"
    put, done = write(path, random, most)
    damage(path, random)
    outbox = DiskOutbox(path, mono_id="machine")
    outbox.open()
    bodies = take_all(outbox)
    dropped = outbox.dropped
    again = put[-1]
    outbox.put(again)  # it goes on working
    usable = outbox.keeping == "disk" and [letter.id for letter in outbox.oldest(1)] == [again.id]
    outbox.close()
    known = {event.to_json(): event.seq for event in put}
    altered = sum(body not in known for body in bodies) + (not usable)
    found = [known[body] for body in bodies if body in known]
    altered += found != sorted(set(found))
    waited = [event.seq for event in put[done:]]
    missing = set(waited) - set(found)
    tail = sum(seq > max(found, default=done - 1) for seq in missing)
    counted = min(dropped, len(missing) - tail)
    silent = len(missing) - tail - counted
    return Torn(1, len(waited), len(waited) - len(missing), counted, tail, altered, silent)


def write(path: Path, random: Random, most: int) -> tuple[list[Event], int]:
    """An outbox as a killed or a stopped process left it; all its events, and how many of them are done."""
    stamp = Stamp("torn", boot_id=f"{random.getrandbits(128):032x}", mono_id="machine")
    outbox = DiskOutbox(path, mono_id="machine")
    outbox.open()
    put: list[Event] = []
    done = 0
    for _ in range(random.randint(1, most)):
        event = stamp.window(window(random, 1000.0 + len(put)))
        put.append(event)
        outbox.put(event)
        if len(put) - done > 1 and random.random() < 0.4:
            outbox.done(put[done].id)
            done += 1
    if random.random() < 0.3:
        outbox.close()
    else:  # a copy of the open files is what a killed process leaves
        copy = path.parent.with_name(path.parent.name + ".copy")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(path.parent, copy)
        outbox.close()
        shutil.rmtree(path.parent)
        copy.rename(path.parent)
    return put, done


def damage(path: Path, random: Random) -> None:
    """One fault of a card."""
    torn = random.choice([file for file in (path, journal(path)) if file.exists() and file.stat().st_size])
    content = bytearray(torn.read_bytes())
    at, kind = random.randrange(len(content)), random.choice(KINDS)
    length = min(len(content) - at, random.choice([1, 16, 512, 4096, 20_000]))
    if kind == "cut":
        del content[at:]
    elif kind == "bit":
        content[at] ^= 1 << random.randrange(8)
    elif kind == "stale":  # a block that holds what another one should
        other = random.randrange(max(1, len(content) - length))
        content[at : at + length] = content[other : other + length]
    else:
        fill = {"noise": random.randbytes(length), "zeros": bytes(length), "ones": b"\xff" * length}
        content[at : at + length] = fill[kind]
    torn.write_bytes(bytes(content))


def take_all(outbox: DiskOutbox) -> list[str]:
    """Everything that waits, in order."""
    bodies: list[str] = []
    while letters := outbox.oldest(100):
        bodies += [letter.body for letter in letters]
        for letter in letters:
            outbox.done(letter.id)
    return bodies
