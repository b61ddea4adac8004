"""The ingester between a queue that is as strict as RabbitMQ and a real PostgreSQL."""

import threading
from contextlib import closing
from dataclasses import replace

import pytest

from dashboard.database import DatabaseError
from dashboard.district import command
from dashboard.district.ingest import Ingester
from dashboard.district.queue import QueueError, parse_broker
from dashboard.district.sorting import Message
from dashboard.district.store import Store, Written
from tests.district.conftest import NOW, as_role, message, rows


class Queue:
    """Gives each message to one taker; what is not acknowledged when he goes is given out again."""

    def __init__(self, messages, stop=None):
        self.ready, self.held, self.stop = list(messages), {}, stop
        self.tag = 0
        self.connected = False
        self.fail_at = set()
        self.acknowledgements = 0

    def connect(self):
        self.close()
        self.connected = True

    def take(self, most, linger_s, patience_s):
        assert self.connected
        taken = []
        for one in self.ready[:most]:
            self.tag += 1
            self.held[self.tag] = one
            taken.append(replace(one, tag=self.tag))
        del self.ready[:most]
        if not taken and not self.held and self.stop:
            self.stop.set()
        return taken

    def acknowledge(self, messages):
        self.acknowledgements += 1
        if self.acknowledgements in self.fail_at:
            self.close()
            raise QueueError("the node is gone")
        newest = max(one.tag for one in messages)
        self.held = {tag: one for tag, one in self.held.items() if tag > newest}

    def close(self):
        self.connected = False
        self.ready = [replace(one, again=True) for one in self.held.values()] + self.ready
        self.held = {}


class Failing:
    """A store that fails before or after the commit, as told."""

    def __init__(self, store, *, before=(), after=()):
        self.store, self.before, self.after, self.writes = store, before, after, 0

    def connect(self):
        self.store.connect()

    def write(self, batch):
        self.writes += 1
        if self.writes in self.before:
            raise DatabaseError("gone before the commit")
        written = self.store.write(batch)
        if self.writes in self.after:
            raise DatabaseError("gone before it could say that it had committed")
        return written

    def tend(self, keep_days):
        return self.store.tend(keep_days)

    def close(self):
        self.store.close()


@pytest.mark.parametrize("fault", [{"before": {1, 3}}, {"after": {1, 2, 4}}, {}])
def test_nothing_is_lost_or_doubled_by_a_database_or_a_node_that_goes(url, fault, monkeypatch, tmp_path):
    monkeypatch.setattr("dashboard.district.ingest.BACK_OFF_S", (0.0, 0.0))
    monkeypatch.setattr("dashboard.district.ingest.MOST", 50)
    stop = threading.Event()
    told = [message(f"a--k{kit}", seq, NOW) for kit in range(3) for seq in range(90)]
    told.insert(70, Message(0, "suasana/a--k1/event", b"poison"))
    queue = Queue(told, stop)
    queue.fail_at = {2, 3}
    store = Failing(Store(as_role(url, "suasana_ingest"), clock=lambda: NOW), **fault)
    status = tmp_path / "status.json"
    ingester = Ingester(queue, store, keep_days=30, clock=lambda: NOW, status=status)
    ingester.run(stop)
    assert not queue.ready
    assert not queue.held
    assert rows(url, "SELECT count(*), count(DISTINCT (kit, seq)) FROM suasana.windows") == [(270, 270)]
    assert rows(url, "SELECT count(*) FROM suasana.refused") == [(1,)]
    assert ingester.again > 0
    assert ingester.troubles == 2 + sum(map(len, fault.values()))
    assert '"stored": ' in status.read_text()


def test_nothing_is_acknowledged_before_it_is_committed(url):
    queue = Queue([message("a--k1", seq, NOW) for seq in range(3)])
    store = Failing(Store(as_role(url, "suasana_ingest"), clock=lambda: NOW), before={1})
    with closing(store):
        ingester = Ingester(queue, store, keep_days=30, clock=lambda: NOW)
        store.connect()
        queue.connect()
        with pytest.raises(DatabaseError):
            ingester.step()
        assert len(queue.held) == 3
        queue.connect()
        assert ingester.step() == Written(stored=3)
        assert not queue.held


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("amqp://me@one", (("one", 5672),)),
        ("amqp://me@one:1,two", (("one", 1), ("two", 5672))),
    ],
)
def test_a_brokers_address(url, hosts):
    assert parse_broker(url, "x").hosts == hosts
    assert "x" not in repr(parse_broker(url, "x"))


@pytest.mark.parametrize("url", ["amqp://", "http://one", "amqp://me:secret@one", "amqp://one:port"])
def test_no_brokers_address(url):
    with pytest.raises(ValueError, match=r"address|host"):
        parse_broker(url, None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["setup", "--database", "postgresql://me:secret@nowhere/x"], "PGPASSWORD"),
        (["setup", "--database", "postgresql://me@127.0.0.1:1/x"], "PostgreSQL: "),
        (["kits", "kelas-1a"], "no kit of a site"),
        (["queue", "--amqp", "amqp://me@127.0.0.1:1"], "amqp://127.0.0.1:1: "),
    ],
)
def test_what_is_wrong_is_told_in_one_line(arguments, words, capsys):
    assert command.main(arguments) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1
    assert "secret" not in told


def test_kits_get_users_and_secret_files(tmp_path, capsys):
    definitions = tmp_path / "definitions.json"
    where = ["--secrets", str(tmp_path / "secrets"), "--definitions", str(definitions)]
    assert command.main(["kits", "a--k1", "a--k2", *where]) == 0
    secret = tmp_path / "secrets" / "a--k1.password"
    assert secret.stat().st_mode & 0o777 == definitions.stat().st_mode & 0o777 == 0o600
    assert secret.read_text().strip() not in definitions.read_text() + capsys.readouterr().out
