"""The outbox that survives: every event is on disk before it is sent, and leaves when the broker has it.

**What a fault costs.** Each event is written when it comes (a killed process loses nothing) and
synchronised at most ``commit_s`` later, or when UNSAFE events wait that are not; so a power cut costs at
most UNSAFE events, none of which the broker had, and ``previous`` says so to the next run. While the broker
acknowledges, nothing is synchronised: what it has needs no protection.

**Wear.** A row is deleted in the transaction that adds the next one. With a broker that answers, an event
costs one page in the journal: two blocks of 4 KB if each is written back by itself.

**A disk that refuses** (full, read-only, gone) leaves events in memory, within bounds, and is tried again;
a kit that is killed meanwhile loses those, and its next run cannot know how many. A **damaged file** is set
aside, see salvage.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from edge.events import Event, Previous
from edge.outbox import Keeping, Letter
from edge.outbox.file import DamagedFile, DiskTrouble, RecordFile, torn_off
from edge.outbox.record import MARK, Mark, Record, read_mark
from edge.outbox.salvage import finish, rebuild, salvage
from edge.outbox.stock import Stock, count, mark_record, settle

logger = logging.getLogger(__name__)

UNSAFE = 8
"""A power cut costs at most so many events; more that wait unsynchronised are synchronised at once."""
MEMORY_EVENTS = 2000
MEMORY_BYTES = 4_000_000
"""What may wait in memory while the disk refuses."""
AT_HAND = 128
"""Events at the head of the queue that are held in memory too, to be sent."""
RETRY_S = 5.0
"""A disk that refused is tried again this often."""
MOST_DONE = 500
"""Acknowledged rows that may wait for their deletion."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may wait, and how long a power cut may reach back."""

    events: int = 100_000
    bytes: int = 64_000_000
    age_s: float = 7 * 24 * 3600.0
    """Counted while the kit runs: its clock may jump, and a holiday must not empty the outbox."""
    commit_s: float = 10.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    """One event that is not done."""

    letter: Letter
    age_s: float
    n: int = 0
    """Its row; 0 while it is in memory only."""

    @property
    def size(self) -> int:
        return len(self.letter.body)


class DiskOutbox:
    """See Outbox. The queue is what is at hand, then rows that are not, then what is in memory only."""

    def __init__(
        self,
        path: Path,
        limits: Limits | None = None,
        *,
        mono_id: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; the disk is touched by ``open``.

        Args:
            path: of the file; its folder is made if need be.
            limits: how much may wait.
            mono_id: names the machine's start, see events.Event.mono_id.
            clock: seconds, never going back.
        """
        self._path, self._limits, self._mono_id, self._clock = path, limits or Limits(), mono_id, clock
        self._file: RecordFile | None = None
        self._mark = Mark()
        self._at_hand: dict[str, _Waiting] = {}
        self._reached = 0
        """The highest number that was ever at hand."""
        self._beyond = 0
        """Rows that are not at hand."""
        self._unwritten: dict[str, _Waiting] = {}
        self._done: list[int] = []
        self._unsafe: set[str] = set()
        """Written, not synchronised, not acknowledged."""
        self._bytes = 0
        self._ran_s, self._opened = 0.0, clock()
        self._tried = self._synced = self._wrote = float("-inf")
        self._complained = ""
        self._known, self._begun = False, False
        """Whether a file was ever ours; whether an event was put."""
        self.dropped = 0
        self.previous: Previous | None = None

    @property
    def damaged(self) -> int:
        """See Outbox."""
        return self._mark.damaged

    @property
    def keeping(self) -> Keeping:
        """See Outbox."""
        return "memory" if self._file is None or self._unwritten else "disk"

    def __len__(self) -> int:
        return len(self._at_hand) + self._beyond + len(self._unwritten)

    # ── What the sink asks for ───────────────────────────────────────────────────────────────────────

    def open(self) -> None:
        """See Outbox."""
        self._tried = self._clock()
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            finish(self._path)
            torn = torn_off(self._path)
            try:
                self._take_up(RecordFile(self._path), torn)
            except DamagedFile as error:
                self._repair(error, torn)
        except (DiskTrouble, OSError) as error:
            self._complain(error)

    def put(self, event: Event) -> None:
        """See Outbox."""
        waiting = _Waiting(Letter(event.id, event.to_json()), self._age())
        self._make_room(waiting.size)
        self._unwritten[event.id], self._begun = waiting, True
        self._bytes += waiting.size
        self._mark = replace(
            self._mark, boot_id=event.boot_id, events=event.seq + 1, mono_id=event.mono_id, ended=False
        )
        if self._complained and self._clock() - self._tried < RETRY_S:
            self._bound_memory()  # it has just refused: asking with every event would be work for nothing
        else:
            self._write()
        if len(self._unsafe) >= UNSAFE or not self._limits.commit_s:
            self._synchronise()

    def oldest(self, count: int) -> Sequence[Letter]:
        """See Outbox; at most AT_HAND."""
        count = min(count, AT_HAND)
        self._reach(count)
        found = [waiting.letter for waiting in islice(self._at_hand.values(), count)]
        if not self._beyond or self._file is None:
            more = islice(self._unwritten.values(), count - len(found))
            found += [waiting.letter for waiting in more]
        return found

    def done(self, id: str) -> None:
        """See Outbox."""
        self._unsafe.discard(id)
        waiting = self._at_hand.pop(id, None) or self._unwritten.pop(id, None)
        if waiting is not None:
            self._bytes -= waiting.size
            if waiting.n:
                self._done.append(waiting.n)

    def tend(self) -> None:
        """See Outbox."""
        now = self._clock()
        if self._file is None and now - self._tried >= RETRY_S:
            self.open()
        self._drop_aged()
        idle = now - self._wrote >= max(self._limits.commit_s, 1.0)
        retry = self._unwritten and now - self._tried >= RETRY_S
        if retry or (self._done and idle) or len(self._done) >= MOST_DONE:
            self._write()
        if self._unsafe and now - self._synced >= self._limits.commit_s:
            self._synchronise()

    def close(self) -> None:
        """See Outbox."""
        if self._begun:
            self._mark = replace(self._mark, ended=True)
        self._write()
        if self._unwritten:
            logger.warning("outbox: %d events were in memory only and are lost", len(self._unwritten))
        if self._file is not None:
            self._synchronise()
        if self._file is not None:
            try:
                self._file.close()
            except (DiskTrouble, DamagedFile) as error:
                self._complain(error)
        self._file = None

    # ── Between memory and disk ──────────────────────────────────────────────────────────────────────

    def _write(self) -> None:
        """Bring memory and disk together: add what is unwritten, delete what is done."""
        if self._file is None:
            self._bound_memory()
            return
        self._tried = self._clock()
        first, n = self._first(), self._mark.next
        new = {
            id: replace(waiting, n=n + place) for place, (id, waiting) in enumerate(self._unwritten.items())
        }
        mark = replace(self._mark, next=n + len(new))
        records = [self._record(waiting, first) for waiting in new.values()]
        try:
            self._file.write([*records, self._as_record(mark, first)], self._done)
        except DamagedFile as error:
            self._give_way(error)
            return
        except DiskTrouble as error:
            self._complain(error)
            self._bound_memory()
            return
        if self._complained:
            logger.info("outbox: %s takes events again", self._path)
        self._mark, self._complained, self._wrote = mark, "", self._tried
        self._done.clear()
        self._unwritten.clear()
        self._unsafe.update(new)
        for id, waiting in new.items():
            if self._beyond == 0 and len(self._at_hand) < AT_HAND:
                self._at_hand[id], self._reached = waiting, waiting.n
            else:
                self._beyond += 1

    def _reach(self, count: int) -> None:
        """Have *count* events at hand, if there are so many rows."""
        if self._file is None or not self._beyond or len(self._at_hand) >= count:
            return
        try:
            records = self._file.after(self._reached, AT_HAND - len(self._at_hand))
        except DamagedFile as error:
            self._give_way(error)
            return
        except DiskTrouble as error:
            self._complain(error)
            return
        for record in records:
            letter = Letter(record.id, record.body)
            self._at_hand[record.id] = _Waiting(letter, record.age_s, record.n)
            self._reached = record.n
        self._beyond = max(0, self._beyond - len(records)) if records else 0

    def _synchronise(self) -> None:
        self._synced = self._clock()
        if self._file is None:
            return
        try:
            self._file.sync()
            self._unsafe.clear()
        except (DiskTrouble, DamagedFile) as error:
            self._complain(error)

    def _first(self) -> int:
        """The oldest number that waits; everything below is done or dropped."""
        return next((waiting.n for waiting in self._at_hand.values()), self._reached + 1)

    def _record(self, waiting: _Waiting, first: int) -> Record:
        return Record(waiting.n, first, self.dropped, waiting.age_s, waiting.letter.id, waiting.letter.body)

    def _as_record(self, mark: Mark, first: int) -> Record:
        return Record(MARK, first, self.dropped, self._age(), "", mark.to_json())

    # ── Bounds ───────────────────────────────────────────────────────────────────────────────────────

    def _make_room(self, size: int) -> None:
        while len(self) and (len(self) >= self._limits.events or self._bytes + size > self._limits.bytes):
            if not self._drop_oldest():
                break

    def _drop_aged(self) -> None:
        horizon = self._age() - self._limits.age_s
        while (oldest := self._peek()) is not None and oldest.age_s < horizon:
            self._drop_oldest()

    def _drop_oldest(self) -> bool:
        oldest = self._peek()
        if oldest is None:
            return False
        self.done(oldest.letter.id)
        self.dropped += 1
        return True

    def _peek(self) -> _Waiting | None:
        self._reach(1)
        held = self._at_hand if self._at_hand or self._beyond else self._unwritten
        return next(iter(held.values()), None)

    def _bound_memory(self) -> None:
        size = sum(waiting.size for waiting in self._unwritten.values())
        while len(self._unwritten) > MEMORY_EVENTS or size > MEMORY_BYTES:
            id, waiting = next(iter(self._unwritten.items()))
            size -= waiting.size
            self.done(id)
            self.dropped += 1

    def _age(self) -> float:
        """Seconds that this outbox was open, all runs together."""
        return self._ran_s + self._clock() - self._opened

    # ── What an earlier run left, and what damage left of it ─────────────────────────────────────────

    def _take_up(self, file: RecordFile, torn: dict[int, Record]) -> None:
        """Go on with a file in order; what SQLite gave up with a torn journal is put back first."""
        try:
            file.write([], self._done)
            stock = count(file.all())
            behind = {n: record for n, record in torn.items() if n >= stock.mark.next}
            if behind:
                estate = settle(stock.mark, behind, from_number=stock.mark.next)
                # Not what this run has written and finished itself, before the file was lost to it.
                fresh = [record for record in estate.records if record.n not in self._done]
                file.write([*fresh, mark_record(estate.mark, stock, lost=estate.lost)])
                logger.warning(
                    "outbox: a torn journal: %d events recovered, %d missing", len(fresh), estate.lost
                )
                stock = count(file.all())
        except BaseException:
            file.close()
            raise
        self._adopt(file, stock, damaged=False)

    def _repair(self, reason: DamagedFile, torn: dict[int, Record]) -> None:
        """Set the file aside and go on with what is readable of it.

        Raises:
            DiskTrouble: not now; the damaged file stays where it is.
        """
        found = salvage(self._path) | torn
        for waiting in self._at_hand.values():
            found[waiting.n] = self._record(waiting, self._first())
        told = found.pop(MARK, None)
        mark = read_mark(told) if told is not None else Mark()
        mark = replace(
            mark, next=max(mark.next, self._mark.next), damaged=max(mark.damaged, self._mark.damaged)
        )
        estate = settle(
            mark,
            {n: record for n, record in found.items() if n not in self._done},
            from_number=max(1, told.first) if told is not None else 1,
        )
        lost = max(0, estate.lost - sum(n >= estate.alive_from for n in self._done))
        mark = replace(estate.mark, damaged=estate.mark.damaged + 1)
        stock = count([told, *estate.records] if told is not None else estate.records)
        records = [mark_record(mark, stock, lost=lost), *estate.records]
        aside = rebuild(self._path, records, mark.damaged)
        self._done.clear()
        logger.warning(
            "outbox: %s; set aside as %s, %d events recovered, %d lost",
            reason,
            aside.name,
            len(estate.records),
            lost,
        )
        file = RecordFile(self._path)
        self._adopt(file, count(file.all()), damaged=True)

    def _give_way(self, reason: DamagedFile) -> None:
        """The open file turned out to be damaged."""
        assert self._file is not None
        with suppress(DiskTrouble, DamagedFile):
            self._file.close()
        self._file = None
        try:
            self._repair(reason, {})
        except (DiskTrouble, DamagedFile) as error:
            self._complain(error)

    def _adopt(self, file: RecordFile, stock: Stock, *, damaged: bool) -> None:
        """Make *file* ours, with what came while there was none behind it."""
        self._done.clear()
        self._at_hand.clear()
        self._file, self._complained = file, ""
        self._ran_s, self._opened = max(stock.age_s, self._age() if self._known else 0.0), self._clock()
        self._beyond, self._bytes = stock.events, stock.bytes
        self._bytes += sum(waiting.size for waiting in self._unwritten.values())
        self._reached = (stock.oldest or stock.mark.next) - 1
        if self._known:
            self.dropped = max(self.dropped, stock.dropped)
        else:
            self._known = True
            self.dropped += stock.dropped
            self.previous = self._tell_previous(stock.mark, damaged=damaged)
        own = self._mark if self._mark.boot_id else stock.mark
        self._mark = replace(own, next=stock.mark.next, damaged=stock.mark.damaged)
        self._write()
        self._reach(AT_HAND)

    def _tell_previous(self, mark: Mark, *, damaged: bool) -> Previous | None:
        if not mark.boot_id:
            return None
        exact = mark.ended or (mark.mono_id and mark.mono_id == self._mono_id)
        return Previous(mark.boot_id, mark.events, None if damaged else 0 if exact else UNSAFE)

    def _complain(self, error: Exception) -> None:
        if not self._complained:
            logger.warning("outbox: %s; events stay in memory until it can be written", error)
        self._complained = str(error)
