"""The outbox on disk, on the real SQLite and the real file system; time is a number that the test turns."""

import json
import os
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.events import Event, Session, format_time, mark_replayed, name_event
from edge.outbox import Outbox, disk
from edge.outbox.disk import UNSAFE, DiskOutbox, Limits
from edge.outbox.file import RecordFile, journal
from edge.outbox.memory import MemoryOutbox
from edge.outbox.record import DamagedRecord, Record, carve, decode
from tests.conftest import ROOT
from tests.test_sinks import event


def made(seq: int, boot_id: str = "b", mono_id: str = "m1") -> Event:
    return replace(
        event(seq), boot_id=boot_id, id=name_event("k1", boot_id, seq), mono_s=seq * 5.0, mono_id=mono_id
    )


class Hand:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def opened(path: Path, limits: Limits | None = None, **more: object) -> DiskOutbox:
    outbox = DiskOutbox(path, limits, **more)  # type: ignore[arg-type]
    outbox.open()
    return outbox


def all_waiting(outbox: Outbox) -> list[Event]:
    """Takes the outbox apart: what comes out is done."""
    taken = []
    while letters := outbox.oldest(20):
        for letter in letters:
            taken.append(Event.from_json(letter.body))
            outbox.done(letter.id)
    return taken


def kill(outbox: DiskOutbox) -> None:
    """Let go of the file as a killed process does: nothing is written, merged or deleted."""
    assert outbox._file is not None
    path = outbox._path
    for file in (path, journal(path)):
        shutil.copy(file, f"{file}.copy")
    outbox._file._db.close()
    for file in (path, journal(path)):
        Path(f"{file}.copy").replace(file)


@pytest.mark.parametrize("kind", ["disk", "memory"])
def test_every_outbox_keeps_order_until_done(kind: str, tmp_path: Path) -> None:
    outbox: Outbox = DiskOutbox(tmp_path / "o.db") if kind == "disk" else MemoryOutbox()
    outbox.open()
    assert (outbox.keeping, outbox.previous, outbox.damaged) == (kind, None, 0)
    for seq in range(300):
        outbox.put(made(seq))
    outbox.done(made(1).id)
    outbox.done("unknown")
    assert len(outbox) == 299
    assert [letter.id for letter in outbox.oldest(3)] == [made(seq).id for seq in (0, 2, 3)]
    outbox.tend()
    assert all_waiting(outbox) == [made(seq) for seq in range(300) if seq != 1]
    assert (len(outbox), outbox.dropped) == (0, 0)
    outbox.close()


def test_what_is_told_twice_is_the_same_but_for_the_flag() -> None:
    body = made(3).to_json()
    assert Event.from_json(mark_replayed(body)) == replace(made(3), replayed=True)
    assert mark_replayed(body).replace('"replayed":true', '"replayed":false') == body


def test_a_killed_process_loses_nothing_and_its_events_keep_their_bytes(tmp_path: Path) -> None:
    first = opened(tmp_path / "o.db")
    for seq in range(400):
        first.put(made(seq))
    for letter in first.oldest(100):
        first.done(letter.id)
    first.put(made(400))  # takes what is done along
    kill(first)
    second = opened(tmp_path / "o.db")
    bodies = []
    while letters := second.oldest(50):
        bodies += [letter.body for letter in letters]
        for letter in letters:
            second.done(letter.id)
    assert bodies == [made(seq).to_json() for seq in range(100, 401)]
    second.close()


def test_a_process_that_is_really_killed_while_it_writes(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tests.test_outbox import made, opened\n"
        f"outbox = opened(Path({str(tmp_path / 'o.db')!r}))\n"
        "for seq in range(10**6):\n"
        "    outbox.put(made(seq)); print(seq, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) == 200:
            break
    process.send_signal(signal.SIGKILL)
    with process:
        told = [int(line) for line in process.stdout.read().splitlines()[:-1]] or [200]
    outbox = opened(tmp_path / "o.db")
    kept = [item.seq for item in all_waiting(outbox)]
    assert kept == list(range(len(kept)))
    assert told[-1] <= kept[-1] <= told[-1] + 2, "killed between writing and saying so"
    assert outbox.previous is not None
    outbox.close()


def test_the_next_run_knows_how_many_events_the_last_one_made(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    first = opened(path, mono_id="m1")
    for seq in range(5):
        first.put(made(seq))
        first.done(made(seq).id)
    kill(first)
    killed = opened(path, mono_id="m1")
    assert (killed.previous.boot_id, killed.previous.events, killed.previous.unsure) == ("b", 5, 0)
    kill(killed)
    cut = opened(path, mono_id="m2")
    assert (cut.previous.events, cut.previous.unsure) == (5, UNSAFE), "the machine started anew: a power cut"
    cut.put(made(0, "c", "m2"))
    cut.close()
    ended = opened(path, mono_id="m3")
    assert (ended.previous.boot_id, ended.previous.events, ended.previous.unsure) == ("c", 1, 0)
    ended.close()


def test_a_run_without_events_does_not_end_the_one_before_in_its_place(tmp_path: Path) -> None:
    first = opened(tmp_path / "o.db", mono_id="m1")
    first.put(made(0))
    kill(first)
    opened(tmp_path / "o.db", mono_id="m2").close()
    assert opened(tmp_path / "o.db", mono_id="m2").previous.unsure == UNSAFE


def test_what_is_synchronised_and_when(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, synced = Hand(), []
    outbox = opened(tmp_path / "o.db", Limits(commit_s=10), clock=clock)
    real = RecordFile.sync
    monkeypatch.setattr(RecordFile, "sync", lambda file: (synced.append(clock.now), real(file)))
    outbox.tend()
    for seq in range(100):  # a broker that answers: nothing waits, nothing is synchronised
        outbox.put(made(seq))
        outbox.done(made(seq).id)
        clock.now += 5
        outbox.tend()
    assert synced == []
    outbox.put(made(100))
    clock.now += 9
    outbox.tend()
    assert len(synced) == 1, "the last time is long ago"
    outbox.put(made(101))
    clock.now += 5
    outbox.tend()
    assert len(synced) == 1
    clock.now += 5
    outbox.tend()
    assert len(synced) == 2
    for seq in range(102, 102 + UNSAFE):
        outbox.put(made(seq))
    assert len(synced) == 3, "no more than UNSAFE events hang in the air"
    outbox.close()


def test_too_many_or_too_much_or_too_old_goes_oldest_first_and_is_counted_for_good(tmp_path: Path) -> None:
    clock = Hand()
    path = tmp_path / "o.db"
    outbox = opened(path, Limits(events=200), clock=clock)
    for seq in range(350):
        outbox.put(made(seq))
    assert (len(outbox), outbox.dropped) == (200, 150)
    outbox.close()
    size = len(made(150).to_json())
    outbox = opened(path, Limits(bytes=100 * size + 200), clock=clock)
    assert outbox.dropped == 150
    outbox.put(made(350))
    assert len(outbox) == 100
    assert outbox.dropped == 251
    outbox.close()
    clock.now += 1e9  # it was off for thirty years: that makes nothing old
    outbox = opened(path, Limits(age_s=3600), clock=clock)
    outbox.tend()
    assert len(outbox) == 100
    clock.now += 1800
    outbox.put(made(351))
    clock.now += 1801
    outbox.tend()
    assert [item.seq for item in all_waiting(outbox)] == [351]
    assert outbox.dropped == 351
    kill(outbox)
    assert opened(path).dropped == 351


def test_what_says_1970_waits_as_long_as_anything_else(tmp_path: Path) -> None:
    """A kit without any saved time: age is how long the kit ran, whatever its events say."""
    clock = Hand()
    outbox = opened(tmp_path / "o.db", Limits(age_s=3600), clock=clock)
    undated = [replace(made(seq), at=format_time(seq), time_quality="unsynced") for seq in range(3)]
    for one in (*undated, replace(made(3), at=format_time(1_790_000_000))):
        outbox.put(one)
    clock.now += 3599
    outbox.tend()
    assert (len(outbox), outbox.dropped) == (4, 0)
    assert all_waiting(outbox)[:3] == undated
    outbox.close()


@contextmanager
def no_room(path: Path) -> Iterator[None]:
    """No file of this process may grow beyond what the journal holds: the disk is full, for everybody."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal(path).stat().st_size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_costs_nothing_and_is_used_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, path = Hand(), tmp_path / "o.db"
    outbox = opened(path, clock=clock)
    for seq in range(10):
        outbox.put(made(seq))
    with no_room(path):
        for seq in range(10, 200):
            outbox.put(made(seq))
        assert outbox.keeping == "memory"
        for letter in outbox.oldest(100):
            outbox.done(letter.id)
        clock.now += 60
        outbox.tend()
        assert len(outbox) == 100
    clock.now += 60
    outbox.tend()
    assert outbox.keeping == "disk"
    assert outbox.dropped == 0
    kill(outbox)
    outbox = opened(path)
    assert [item.seq for item in all_waiting(outbox)] == list(range(100, 200))
    outbox.close()
    assert len([record for record in caplog.records if "stay in memory" in record.message]) == 1, "said once"


def test_memory_is_bounded_while_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "MEMORY_EVENTS", 50)
    clock, path = Hand(), tmp_path / "o.db"
    outbox = opened(path, clock=clock)
    outbox.put(made(0))
    with no_room(path):
        for seq in range(1, 101):
            outbox.put(made(seq))
    assert (len(outbox), outbox.dropped) == (51, 50)
    clock.now += 60
    outbox.put(made(101))
    kill(outbox)
    outbox = opened(path)
    assert outbox.dropped == 50
    assert [item.seq for item in all_waiting(outbox)] == [0, *range(51, 102)]
    outbox.close()


def test_a_folder_that_cannot_be_used_until_later(tmp_path: Path) -> None:
    clock = Hand()
    folder = tmp_path / "state"
    folder.write_text("a file stands where the folder should be")
    outbox = opened(folder / "o.db", clock=clock)
    outbox.put(made(0))
    assert (outbox.keeping, len(outbox)) == ("memory", 1)
    assert [letter.id for letter in outbox.oldest(5)] == [made(0).id]
    folder.unlink()
    clock.now += 60
    outbox.tend()
    outbox.put(made(1))
    assert outbox.keeping == "disk"
    kill(outbox)
    outbox = opened(folder / "o.db")
    assert [item.seq for item in all_waiting(outbox)] == [0, 1]
    outbox.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a read-only file system takes root")
def test_a_read_only_file_system_keeps_what_is_there_for_later(tmp_path: Path) -> None:
    def mount(*options: str) -> bool:
        return subprocess.run(["mount", *options, str(tmp_path)], capture_output=True).returncode == 0  # noqa: PLW1510

    if not mount("-t", "tmpfs", "tmpfs"):
        pytest.skip("no mounting here")
    try:
        path, clock = tmp_path / "o.db", Hand()
        outbox = opened(path)
        outbox.put(made(0))
        outbox.close()
        assert mount("-o", "remount,ro")
        outbox = opened(path, clock=clock)
        outbox.put(made(1))
        assert outbox.keeping == "memory"
        assert mount("-o", "remount,rw")
        clock.now += 60
        outbox.tend()
        assert outbox.keeping == "disk"
        assert [item.seq for item in all_waiting(outbox)] == [0, 1]
        outbox.close()
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_one_daemon_at_a_time_has_the_file(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    first, second = opened(path), opened(path)
    first.put(made(0))
    second.put(made(0, "c"))
    assert (first.keeping, second.keeping) == ("disk", "memory")
    first.close()


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "o.db"
    outbox = opened(path)
    outbox.put(made(0))
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in (path, journal(path))} == {0o600}
    outbox.close()


def test_a_newer_version_s_file_is_set_aside_whole(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = path.read_bytes()
    outbox = opened(path)
    outbox.put(made(0))
    assert outbox.keeping == "disk"
    assert (tmp_path / "o.damaged-1.db").read_bytes() == before
    outbox.close()


# -- damage ------------------------------------------------------------------------------------------------


def written(path: Path, events: int, done: int, *, close: bool) -> list[Event]:
    """An outbox as some run left it; returns what waits in it."""
    outbox = opened(path, mono_id="m1")
    for seq in range(events):
        outbox.put(made(seq))
        if seq < done:
            outbox.done(made(seq).id)
    if close:
        outbox.close()
    else:
        kill(outbox)
    return [made(seq) for seq in range(done, events)]


def check_nothing_silent(path: Path, waiting: list[Event]) -> DiskOutbox:
    """Everything that waited is there, the same to the byte, or counted."""
    outbox = opened(path, mono_id="m1")
    found: list[str] = []
    while letters := outbox.oldest(50):
        found += [letter.body for letter in letters]
        for letter in letters:
            outbox.done(letter.id)
    right = {item.to_json() for item in waiting}
    # What was done may come again, the same; nothing that was never put may.
    known = right | {made(seq).to_json() for seq in range(waiting[0].seq)}
    assert set(found) <= known
    seqs = [Event.from_json(body).seq for body in found]
    assert seqs == sorted(set(seqs)), "in order, each once"
    missing = len(right - set(found))
    assert missing <= outbox.dropped + _tail(seqs, waiting), "what is missing is counted"
    outbox.put(made(0, "next"))
    assert outbox.keeping == "disk"
    return outbox


def _tail(seqs: list[int], waiting: list[Event]) -> int:
    """The newest events, of which nothing may be left: a reader who has them tells by their numbers."""
    return waiting[-1].seq - max(seqs, default=waiting[0].seq - 1)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(data=st.data())
def test_a_file_torn_anywhere_gives_back_what_is_readable_and_never_anything_else(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("torn") / "o.db"
    events = data.draw(st.integers(1, 40), "events")
    done = data.draw(st.integers(0, events - 1), "done")
    waiting = written(path, events, done, close=data.draw(st.booleans(), "close"))
    files = [file for file in (path, journal(path)) if file.exists() and file.stat().st_size]
    torn = data.draw(st.sampled_from(files), "torn")
    content = bytearray(torn.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1), "at")
    kind = data.draw(st.sampled_from(["bytes", "zeros", "cut", "noise", "bit"]), "kind")
    if kind == "cut":
        del content[at:]
    elif kind == "bit":
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    else:
        length = min(len(content) - at, data.draw(st.integers(1, 9000), "length"))
        noise = data.draw(st.randoms(use_true_random=False))
        fill = {"bytes": b"\xff" * length, "zeros": bytes(length), "noise": noise.randbytes(length)}[kind]
        content[at : at + length] = fill
    torn.write_bytes(bytes(content))
    check_nothing_silent(path, waiting).close()


def test_a_damaged_file_is_set_aside_and_said_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "o.db"
    waiting = written(path, 40, 10, close=True)
    content = path.read_bytes()
    place = content.index(waiting[5].id.encode())
    damaged = content[: place - 2000] + b"\0" * 4000 + content[place + 2000 :]
    path.write_bytes(damaged)
    outbox = opened(path)
    assert outbox.damaged == 1
    assert 0 < outbox.dropped < 10
    assert len(outbox) == 30 - outbox.dropped
    assert outbox.previous is not None
    assert outbox.previous.unsure is None, "nobody knows"
    assert (tmp_path / "o.damaged-1.db").read_bytes() == damaged
    assert "set aside as o.damaged-1.db" in caplog.text
    outbox.close()
    again = opened(path)
    assert (again.damaged, again.previous.unsure) == (1, 0)
    again.close()


def test_one_turned_over_bit_is_never_published(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    waiting = written(path, 5, 0, close=True)
    content = path.read_bytes()
    assert content.count(b'"people":8') == 5
    path.write_bytes(content.replace(b'"people":8', b'"people":9', 1))
    outbox = check_nothing_silent(path, waiting)
    assert (outbox.damaged, outbox.dropped) == (1, 1)
    outbox.close()


def test_damage_while_the_file_is_open(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    outbox = opened(path)
    for seq in range(500):
        outbox.put(made(seq))
    outbox._file._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 8192] = bytes(8192)
    path.write_bytes(bytes(content))
    outbox._file._db.execute("PRAGMA shrink_memory")
    told = [item.seq for item in all_waiting(outbox)]
    assert outbox.damaged == 1
    assert len(set(told)) + outbox.dropped == 500
    outbox.close()


def test_a_journal_torn_in_its_middle_does_not_take_the_rest_along(tmp_path: Path) -> None:
    """SQLite believes a journal up to the first damage and forgets what comes after without a word."""
    path = tmp_path / "o.db"
    waiting = written(path, 50, 0, close=False)
    content = bytearray(journal(path).read_bytes())
    content[len(content) // 3] ^= 1
    journal(path).write_bytes(bytes(content))
    outbox = opened(path)
    assert [item.seq for item in all_waiting(outbox)] == [item.seq for item in waiting]
    assert outbox.dropped == 0
    outbox.close()


@pytest.mark.parametrize("content", [b"", b"\0" * 5000, b"not a database at all" * 100])
def test_a_file_that_is_none(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    path.write_bytes(content)
    outbox = opened(path)
    outbox.put(made(0))
    assert outbox.keeping == "disk"
    assert outbox.damaged == (content != b"")
    outbox.close()


def test_no_more_than_three_damaged_files_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    for _ in range(5):
        path.write_bytes(b"rubbish" * 1000)
        opened(path).close()
    assert len(list(tmp_path.glob("*.damaged-*.db"))) <= 3


def test_a_power_cut_while_the_damaged_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    waiting = written(path, 5, 0, close=True)
    path.rename(path.with_name("o.db.new"))  # between the two renamings
    outbox = opened(path)
    assert all_waiting(outbox) == waiting
    outbox.close()


def test_a_record_proves_itself_and_is_found_anywhere() -> None:
    record = Record(7, 3, 1, 12.5, "id-7", made(0).to_json())
    blob = record.encode()
    assert decode(blob) == record
    assert list(carve(b"SUASANA1 rubbish" + blob + b"SUASANA1 " + blob[:-1])) == [record]
    for place in range(0, len(blob), 7):
        with pytest.raises(DamagedRecord):
            decode(blob[:place] + bytes([blob[place] ^ 4]) + blob[place + 1 :])
    for nothing in (b"", None, "text", 5):
        with pytest.raises(DamagedRecord):
            decode(nothing)


def test_sessions_wait_too(tmp_path: Path) -> None:
    session = Event("i", "k1", "b", 0, format_time(0), "unsynced", Session("start", "boot"))
    outbox = opened(tmp_path / "o.db")
    outbox.put(session)
    (letter,) = outbox.oldest(1)
    assert json.loads(letter.body)["data"]["phase"] == "start"
    outbox.close()
