"""A load on each rung: simulated kits, the page with an open stream, and what every program spends.

In the *room* the embedded broker and the page on SQLite; in the *school* Mosquitto as `suasana site` sets it
up, with TLS and a certificate for everybody, and SQLite; in the *district* RabbitMQ's three nodes,
PostgreSQL, ingesters, and the page of one of the sites.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from benchmarks.faults.stage import mosquitto
from benchmarks.scale.cluster import ADMIN, Cluster, Database
from benchmarks.scale.stage import (
    Meter,
    NeverHappened,
    NotMeasured,
    Program,
    answers,
    free_port,
    python,
    wait_for,
)
from benchmarks.scale.witness import (
    Count,
    FileWatcher,
    Made,
    Stopwatch,
    StreamWatcher,
    TableWatcher,
    Watcher,
    compare,
    read_ledger,
    stored_in_district,
    stored_in_file,
    waits_ms,
)
from dashboard.district.command import PASSWORD

BROKER_PASSWORD = "SUASANA_MQTT_PASSWORD"  # noqa: S105 -- the variable's name
SITES = 4
WATCHED = 20
"""Kits whose storing is timed on the district's rung."""
DRAIN_S = 180.0
SETTLE_S = 5.0
QUIET_S = 20.0
LOOK_S = 2.0
"""How often memory is looked at."""
Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Load:
    """How much is simulated."""

    kits: int
    rate: float = 0.2
    seconds: float = 60.0
    storm_s: float = 0.0
    connects: float = 50.0

    @property
    def windows_per_s(self) -> float:
        """Of all kits together."""
        return self.kits * self.rate


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
    watch_stored: Callable[[], Watcher]
    connections: Callable[[], Sequence[Program]]
    """Programs whose memory grows with connections."""
    quiet: dict[str, float] = field(default_factory=dict)
    """Processor seconds per second while no kit is there, by program."""
    disk: Callable[[], float] = lambda: 0.0
    """Bytes that the history takes."""
    district: Any = None


def simulator(rung: Rung, load: Load, name: str = "simulate") -> Program:
    """The kits, not yet started; the ledger lies beside the log."""
    command = python("edge", "simulate", "--quiet", *rung.simulate, "--kits", str(load.kits))
    command += ["--rate", str(load.rate), "--seconds", str(load.seconds), "--patience", str(DRAIN_S)]
    command += ["--connects", str(load.connects), "--ledger", str(rung.folder / f"{name}.ledger")]
    if load.storm_s:
        command += ["--storm", str(load.storm_s)]
    return Program(name, command, rung.folder)


def summary_of(program: Program) -> dict[str, Any]:
    """What the simulator printed."""
    text = program.log.read_text("utf-8", "replace")
    begin, end = text.rfind('{\n  "kits"'), text.rfind("}")  # the latest, of several runs
    found: dict[str, Any] = json.loads(text[begin : end + 1]) if begin >= 0 else {}
    return found


def measure_quiet(rung: Rung, seconds: float) -> None:
    """What the programs spend while nobody is there: clusters talk to themselves."""
    wait_for(lambda: _hears_broker(rung.page), "the page hears the broker")
    time.sleep(SETTLE_S)  # what a start costs is no part of what a window costs
    before = Meter.read(rung.programs)
    time.sleep(seconds)
    after = Meter.read(rung.programs)
    rung.quiet = {name: spent / (after.at - before.at) for name, spent in after.since(before).items()}


def _hears_broker(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
            return bool(json.load(answer)["broker"])
    except OSError:
        return False


def _begun(ledger: Path) -> int:
    """Kits that told their first event."""
    if not ledger.exists():
        return 0
    return sum('"seq": 0,' in line for line in ledger.read_text("utf-8").splitlines())


def drained(rung: Rung, made: Sequence[Made]) -> None:
    """Until everything that was made is stored, or patience is over: then the count tells what is missing."""
    with contextlib.suppress(NeverHappened, NotMeasured):
        wait_for(
            lambda: compare(made, rung.stored(), windows_only=rung.windows_only).lost == 0,
            "everything is stored",
            patience_s=DRAIN_S,
        )


def perform(rung: Rung, load: Load, told: Told) -> dict[str, Any]:
    """One load: who spent what, how long windows took, and whether all of them are there."""
    told(f"{rung.name}: {load.kits} kits")
    measure_quiet(rung, QUIET_S)
    memory = {one.name: one.private_mb() for one in rung.connections()}
    disk_before, earlier = rung.disk(), set(rung.stored())
    kits = simulator(rung, load)
    stream, stored = StreamWatcher(rung.page), rung.watch_stored()
    ledger = rung.folder / "simulate.ledger"
    ledger.unlink(missing_ok=True)
    with stream, stored:
        kits.start()
        wait_for(lambda: _begun(ledger) >= load.kits or not kits.pid, "all kits have begun")
        time.sleep(SETTLE_S)
        began, before = time.time(), Meter.read(rung.programs)  # connecting is a cost of its own
        grown = dict.fromkeys(memory, 0.0)
        while kits.pid:
            time.sleep(LOOK_S)
            for one in rung.connections():
                grown[one.name] = max(grown[one.name], one.private_mb() - memory[one.name])
        made = read_ledger(ledger)
        drained(rung, made)
        after = Meter.read(rung.programs)
    stored_now = rung.stored()
    keys = {one.key for one in made} | {key for key in stored_now if key not in earlier}
    own = {key: times for key, times in stored_now.items() if key in keys}
    count = compare(made, own, windows_only=rung.windows_only)
    spent, elapsed_s = after.since(before), after.at - before.at
    watch = Stopwatch().read(made, _epoch)
    on_page = {key: at for key, at in watch.by_end.items() if key[0].startswith(rung.page_kits)}
    counted = [one for one in made if one.window and one.closed >= began]
    windows = len(counted)
    summary = summary_of(kits)
    return {
        **asdict(load),
        "windows": windows,
        "page_windows": sum(one.key[0].startswith(rung.page_kits) for one in counted),
        "connections_cut": summary.get("connections_cut", 0),
        "elapsed_s": round(elapsed_s, 1),
        "count": asdict(count),
        "acknowledged_after_ms": summary.get("acknowledged_after_ms"),
        "stored_after_ms": waits_ms(watch.by_key, stored.seen),
        "shown_after_ms": waits_ms(on_page, stream.seen),
        "cpu_ms_per_window": {
            name: round(max(0.0, value - rung.quiet.get(name, 0.0) * elapsed_s) * 1000 / max(1, windows), 4)
            for name, value in spent.items()
        },
        "quiet_cores": {name: round(value, 4) for name, value in rung.quiet.items()},
        "simulator_cpu_ms_per_window": summary.get("cpu_ms_per_window"),
        "memory_grown_mb": {name: round(value, 1) for name, value in grown.items()},
        "rss_mb": {one.name: round(one.rss_mb(), 1) for one in rung.programs},
        "bytes_per_event": round((rung.disk() - disk_before) / max(1, count.stored), 1),
    }


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
def district(folder: Path, kits: int, ingesters: int = 2) -> Iterator[Rung]:
    """RabbitMQ's three nodes, PostgreSQL, ingesters, and the page of the first site."""
    database, cluster = Database(folder / "postgres"), Cluster(folder / "rabbitmq")
    password = cluster.password
    secret = folder / "password"
    secret.write_text(password)
    programs: list[Program] = [database.program, *cluster.nodes]
    try:
        database.start()
        cluster.start()
        names = [f"s{number % SITES}--k{number}" for number in range(kits)]
        cluster.admit(names, [f"s{number}" for number in range(SITES)], password)
        environment = {**os.environ, PASSWORD: password}
        _run(python("dashboard.district", "setup", "--database", database.url))
        _run(python("dashboard.district", "queue", "--amqp", cluster.amqp), environment)
        sites = [f"s{number}" for number in range(SITES)]
        secrets = ["--secrets", str(folder / "secrets"), "--definitions", str(folder / "unused.json")]
        _run(python("dashboard.district", "site", *sites, "--database", database.url, *secrets))
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
            watch_stored=lambda: TableWatcher(database.url, names[:WATCHED]),
            connections=lambda: cluster.nodes,
            disk=lambda: _table_bytes(database.url),
            district=(database, cluster),
        )
    finally:
        for one in reversed(programs):
            one.kill()
        cluster.stop()


def ingester(folder: Path, database: Database, cluster: Cluster, number: int) -> Program:
    """One ingester, not yet started."""
    command = python("dashboard.district", "ingest", "--amqp", cluster.amqp)
    command += ["--database", database.url_as("suasana_ingest")]
    command += ["--status", str(folder / f"ingest-{number}.json")]
    return Program(f"ingest-{number}", command, folder, {PASSWORD: cluster.password})


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


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


__all__ = ["ADMIN", "Count", "Load", "Rung", "district", "ingester", "perform", "room", "school", "simulator"]
