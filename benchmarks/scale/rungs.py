"""The rungs: their programs, each as its configuration in this repository has it.

In the *room* the embedded broker, or Mosquitto as the Debian package sets it up, and a page on SQLite; in the
*school* Mosquitto as `suasana site` sets it up, with TLS and a certificate for everybody, and SQLite; in the
*district* RabbitMQ's three nodes, PostgreSQL, ingesters, and the page of one of the sites.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.faults.stage import mosquitto
from benchmarks.scale.cluster import ADMIN, Cluster, Database
from benchmarks.scale.stage import ROOT, Program, answers, free_port, python, wait_for
from benchmarks.scale.witness import (
    FileWatcher,
    TableWatcher,
    Watcher,
    stored_in_district,
    stored_in_file,
)
from dashboard.district.command import PASSWORD

BROKER_PASSWORD = "SUASANA_MQTT_PASSWORD"  # noqa: S105 -- the variable's name
SITES = 4
WATCHED = 20
"""Kits whose storing is timed on the district's rung."""
TEACHER = "teacher_page"


@dataclass
class Rung:
    """The programs of one rung."""

    name: str
    folder: Path
    simulate: Sequence[str]
    """Options of `suasana simulate` for this rung's broker."""
    programs: list[Program]
    page: int
    """The port of the page."""
    page_kits: str
    """Kits whose names begin so are on the page."""
    stored: Callable[[], Mapping[Any, int]]
    windows_only: bool
    boots: Callable[[], set[tuple[str, str]]]
    """Kits of which a window is stored, with the boot that it is of."""
    watch_stored: Callable[[], Watcher]
    connections: Callable[[], Sequence[Program]]
    """Programs whose memory grows with connections."""
    waiting: Callable[[], int | None] = lambda: None
    """Events in the broker's queue."""
    disk: Callable[[], float] = lambda: 0.0
    """Bytes that the history takes."""
    district: Any = None


@contextlib.contextmanager
def room(folder: Path) -> Iterator[Rung]:
    """The embedded broker and a page on SQLite, as `suasana demo` starts them."""
    port = free_port()
    broker = Program("broker", python("edge.broker", "--port", str(port)), folder)
    with _standing(broker):
        wait_for(lambda: answers(port), "the embedded broker answers")
        page, http = _page(folder, f"mqtt://127.0.0.1:{port}")
        with _standing(page):
            yield _small("room", ["--mqtt", f"mqtt://127.0.0.1:{port}"], broker, page, http)


@contextlib.contextmanager
def room_on_mosquitto(folder: Path, kits: Sequence[str]) -> Iterator[Rung]:
    """Mosquitto as the package sets it up: systemd/mosquitto.conf, its access list, passwords."""
    program, port, own = mosquitto(), free_port(), folder / "mosquitto"
    assert program is not None
    own.mkdir()
    password = secrets.token_urlsafe(18)  # one for all, which only a load test may do
    names = shutil.which("mosquitto_passwd") or "/usr/bin/mosquitto_passwd"
    (own / "suasana.passwd").write_text("".join(f"{user}:{password}\n" for user in (*kits, TEACHER)))
    _run([names, "-U", str(own / "suasana.passwd")])
    shutil.copy(ROOT / "systemd" / "mosquitto.acl", own / "suasana.acl")
    config = (ROOT / "systemd" / "mosquitto.conf").read_text("utf-8")
    config = config.replace("/etc/mosquitto/", f"{own}/").replace("listener 1883 ", f"listener {port} ")
    (own / "suasana.conf").write_text(config)
    if os.geteuid() == 0:  # as the package's script leaves them: the broker gives up root
        entry = pwd.getpwnam("mosquitto")
        for file in (own, *own.iterdir()):
            os.chown(file, entry.pw_uid, entry.pw_gid)
            file.chmod(0o750 if file.is_dir() else 0o640)
    secret = folder / "password"
    secret.write_text(password)
    broker = Program("broker", [program, "-c", str(own / "suasana.conf")], folder)
    with _standing(broker):
        wait_for(lambda: answers(port), "Mosquitto answers", of=[broker.pid])
        address = f"mqtt://{TEACHER}@127.0.0.1:{port}"
        page, http = _page(folder, address, environment={BROKER_PASSWORD: password})
        with _standing(page):
            options = ["--mqtt", f"mqtt://127.0.0.1:{port}", "--login", "--password-file", str(secret)]
            yield _small("mosquitto", options, broker, page, http)


@contextlib.contextmanager
def school(folder: Path, kits: int) -> Iterator[Rung]:
    """Mosquitto as `suasana site create` configures it: TLS, an authority of its own, an access list."""
    program, port, site = mosquitto(), free_port(), folder / "site"
    assert program is not None
    _run(
        python(
            "edge",
            "site",
            "create",
            str(site),
            "--name",
            "school",
            "--host",
            "localhost",
            "--port",
            str(port),
        )
    )
    _run(python("edge", "site", "add-kit", str(site), *(f"sim-{number}" for number in range(kits))))
    _run(python("edge", "site", "add-program", str(site), "teacher_page", "--role", "dashboard"))
    own = site / "clients" / "teacher_page"
    files = ["--mqtt-ca", own / "ca.pem", "--mqtt-cert", own / "client.pem", "--mqtt-key", own / "client.key"]
    options = ["--mqtt", f"mqtts://localhost:{port}", "--certificates", str(site / "clients")]
    broker = Program("broker", [program, "-c", str(site / "mosquitto" / "mosquitto.conf")], folder)
    with _standing(broker):
        wait_for(lambda: answers(port), "Mosquitto answers")
        page, http = _page(folder, f"mqtts://localhost:{port}", *map(str, files))
        with _standing(page):
            yield _small("school", options, broker, page, http)


@contextlib.contextmanager
def district(folder: Path, kits: int, ingesters: int = 2, queues: int = 1) -> Iterator[Rung]:
    """RabbitMQ's three nodes, PostgreSQL, ingesters, and the page of the first site."""
    database, cluster = Database(folder / "postgres"), Cluster(folder / "rabbitmq")
    password = cluster.password
    secret = folder / "password"
    secret.write_text(password)
    programs: list[Program] = [database.program, *cluster.nodes]
    waiting = QueueLength(cluster.amqp, password)
    try:
        database.start()
        cluster.start()
        names = [f"s{number % SITES}--k{number}" for number in range(kits)]
        cluster.admit(names, [f"s{number}" for number in range(SITES)], password)
        environment = {**os.environ, PASSWORD: password}
        _run(python("dashboard.district", "setup", "--database", database.url))
        wanted = ["--amqp", cluster.amqp, "--queues", str(queues)]
        _run(python("dashboard.district", "queue", *wanted), environment)
        sites = [f"s{number}" for number in range(SITES)]
        files = ["--secrets", str(folder / "secrets"), "--definitions", str(folder / "unused.json")]
        _run(python("dashboard.district", "site", *sites, "--database", database.url, *files))
        programs += [ingester(folder, database, cluster, number).start() for number in range(ingesters)]
        address = f"mqtt://page_s0@127.0.0.1:{cluster.mqtt_ports[-1]}"
        page, http = _page(
            folder, address, "--database", database.url_as("site_s0"), environment={BROKER_PASSWORD: password}
        )
        programs.append(page)
        page.start()
        wait_for(lambda: answers(http), "the page answers")
        options = ["--mqtt", f"mqtt://127.0.0.1:{cluster.mqtt_ports[0]}"]
        options += ["--login", "--password-file", str(secret), "--names", "s{site}--k{n}"]
        options += ["--sites", str(SITES), "--protocol", "3.1.1"]
        yield Rung(
            "district",
            folder,
            options,
            programs,
            http,
            "s0--",
            stored=lambda: stored_in_district(database.url),
            windows_only=False,
            boots=lambda: _boots_in_tables(database.url),
            watch_stored=lambda: TableWatcher(database.url, names[:WATCHED], database.program.strangers.add),
            connections=lambda: cluster.nodes,
            waiting=waiting,
            disk=lambda: _table_bytes(database.url),
            district=(database, cluster),
        )
    finally:
        waiting.close()
        for one in reversed(programs):
            one.kill()
        cluster.stop()


def ingester(folder: Path, database: Database, cluster: Cluster, number: int) -> Program:
    """One ingester, not yet started."""
    command = python("dashboard.district", "ingest", "--amqp", cluster.amqp)
    command += ["--database", database.url_as("suasana_ingest")]
    command += ["--status", str(folder / f"ingest-{number}.json")]
    return Program(f"ingest-{number}", command, folder, {PASSWORD: cluster.password})


class QueueLength:
    """Asks the cluster over one connection how many events nobody has taken yet; each thread has its own."""

    def __init__(self, amqp: str, password: str) -> None:
        """Prepare to ask at *amqp*."""
        self._address, self._password = amqp, password
        self._own = threading.local()
        self._all: list[Any] = []

    def __call__(self) -> int | None:
        """Now; None if the broker does not tell."""
        from dashboard.district.queue import Intake, QueueError, parse_broker  # noqa: PLC0415

        try:
            if getattr(self._own, "intake", None) is None:
                self._own.intake = Intake(parse_broker(self._address, self._password))
                self._all.append(self._own.intake)
                self._own.intake.connect()
            return int(self._own.intake.waiting())
        except QueueError:
            self._own.intake = None
            return None

    def close(self) -> None:
        """Let go of every connection; no thread asks any more."""
        for intake in self._all:
            intake.close()


def _small(name: str, options: Sequence[str], broker: Program, page: Program, http: int) -> Rung:
    folder = broker.folder
    file = folder / "page" / "history.sqlite3"
    return Rung(
        name,
        folder,
        options,
        [broker, page],
        http,
        "",
        stored=lambda: stored_in_file(file),
        windows_only=True,
        boots=lambda: _boots_in_file(file),
        watch_stored=lambda: FileWatcher(file),
        connections=lambda: [broker],
        disk=lambda: float(sum(one.stat().st_size for one in file.parent.glob("history.sqlite3*"))),
    )


def _page(
    folder: Path, mqtt: str, *options: str, environment: Mapping[str, str] | None = None
) -> tuple[Program, int]:
    port = free_port()
    command = python("dashboard", "--mqtt", mqtt, "--port", str(port), "--data", str(folder / "page"))
    command.append("--demo")
    return Program("page", [*command, *options], folder, environment or {}), port


@contextlib.contextmanager
def _standing(program: Program) -> Iterator[None]:
    program.start()
    try:
        yield
    finally:
        program.stop()


def _run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(  # noqa: S603 -- our own words
        command, env=environment, capture_output=True, text=True, timeout=180, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[2:5])}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


def _table_bytes(url: str) -> float:
    """Tables, indexes and all of the district's history."""
    import psycopg  # noqa: PLC0415

    sql = (
        "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) FROM pg_class c JOIN pg_inherits i"
        " ON i.inhrelid = c.oid WHERE i.inhparent = 'suasana.windows'::regclass"
    )
    with contextlib.closing(psycopg.connect(url)) as db:
        found = db.execute(sql).fetchone()
    return float(found[0]) if found else 0.0


def _boots_in_tables(url: str) -> set[tuple[str, str]]:
    import psycopg  # noqa: PLC0415

    with contextlib.closing(psycopg.connect(url)) as db:
        return {(kit, boot) for kit, boot in db.execute("SELECT DISTINCT kit, boot_id FROM suasana.windows")}


def _boots_in_file(path: Path) -> set[tuple[str, str]]:
    if not path.exists():
        return set()
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        # The file is there a moment before its tables are.
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'windows'").fetchone():
            return set()
        return {(kit, boot) for kit, boot in db.execute("SELECT DISTINCT kit, boot_id FROM windows")}


__all__ = ["ADMIN", "Rung", "district", "ingester", "room", "room_on_mosquitto", "school"]
