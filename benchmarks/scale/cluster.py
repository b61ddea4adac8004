"""RabbitMQ's three nodes on one machine, and PostgreSQL; set up as systemd/district says."""

from __future__ import annotations

import json
import os
import pwd
import re
import secrets
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.scale.stage import ROOT, NeverHappened, Program, answers, free_port, wait_for
from dashboard.district.sites import QUEUE, definitions, hash_password

SYSTEM = ROOT / "systemd" / "district"
RABBITMQ = Path("/usr/lib/rabbitmq/bin")
ADMIN = "district_admin"
START_S = 180.0
"""A node takes ten seconds where nothing else runs."""


WORK = """
{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"QUEUE">>)),
{Name, Node} = amqqueue:get_pid(Q),
Done = fun(One) -> Pid = rpc:call(Node, erlang, whereis, [One]),
  {reductions, R} = rpc:call(Node, erlang, process_info, [Pid, reductions]), R end,
{All, _} = rpc:call(Node, erlang, statistics, [exact_reductions]),
{Node, Done(Name), Done(ra_log_wal), All}.
"""
"""In Erlang: who leads the queue, and how many steps its process, its node's log and all have done."""


@dataclass(frozen=True, slots=True)
class Work:
    """Of a node so far. Erlang counts the steps of each process, not its time."""

    node: int
    queue: int
    log: int
    """Of the process that writes all queues' events to the disk, one per node."""
    every: int


class Missing(Exception):  # noqa: N818 -- read as: raise Missing
    """A program is not installed; the message says which."""


def find_rabbitmq() -> Path:
    """Debian's programs.

    Raises:
        Missing: there are none.
    """
    if not (RABBITMQ / "rabbitmq-server").exists():
        raise Missing("RabbitMQ is not installed (Debian: apt-get install rabbitmq-server)")
    return RABBITMQ


def find_postgres() -> Path:
    """Debian keeps PostgreSQL's programs out of the path.

    Raises:
        Missing: there are none.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    here = shutil.which("initdb")
    if not found and here is None:
        raise Missing("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    return found[0].parent if found else Path(str(here)).resolve().parent


class Database:
    """A PostgreSQL server that survives being killed: it synchronises what it commits."""

    def __init__(self, folder: Path) -> None:
        """Make the cluster of databases in *folder*."""
        programs = find_postgres()
        user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
        folder.mkdir(mode=0o700)
        if user:
            entry = pwd.getpwnam(user)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        self.port = free_port()
        self._data = folder / "data"
        make = [str(programs / "initdb"), "-D", str(self._data), "-A", "trust", "-U", "suasana", "-E", "UTF8"]
        subprocess.run(make, check=True, capture_output=True, user=user, cwd=folder)  # noqa: S603
        serve = [str(programs / "postgres"), "-D", str(self._data), "-p", str(self.port)]
        options = (f"unix_socket_directories={folder}", "listen_addresses=127.0.0.1", "max_connections=100")
        serve += [word for option in options for word in ("-c", option)]
        self.program = Program("postgres", serve, folder, user=user)
        self.url = f"postgresql://suasana@127.0.0.1:{self.port}/postgres"

    def url_as(self, role: str) -> str:
        """The address for somebody else."""
        return self.url.replace("suasana@", f"{role}@")

    def start(self) -> None:
        """Run, and return once it answers queries."""
        import psycopg  # noqa: PLC0415 -- an optional driver

        lock = self._data / "postmaster.pid"
        if self.program.pid == 0:
            lock.unlink(missing_ok=True)  # of one that was killed
        self.program.start()

        def accepts() -> bool:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
            except psycopg.OperationalError:
                return False
            return True

        wait_for(accepts, "PostgreSQL answers", patience_s=START_S)


@dataclass
class Cluster:
    """Nodes that share one cookie and find each other by a list."""

    folder: Path
    size: int = 3
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    nodes: list[Program] = field(default_factory=list)
    mqtt_ports: list[int] = field(default_factory=list)
    amqp_ports: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Write every node's configuration."""
        self._programs = find_rabbitmq()
        self.folder.mkdir()
        self._epmd = free_port()
        cookie = self.folder / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(16))
        cookie.chmod(0o400)
        for number in range(1, self.size + 1):
            self.mqtt_ports.append(free_port())
            self.amqp_ports.append(free_port())
            self.nodes.append(self._node(number))

    @property
    def amqp(self) -> str:
        """The address for ingesters, every node in it."""
        return f"amqp://{ADMIN}@" + ",".join(f"127.0.0.1:{port}" for port in self.amqp_ports)

    def start(self) -> None:
        """The first node, then the others, which join it."""
        for group in (range(1), range(1, self.size)):
            for index in group:
                self.nodes[index].start()
            for index in group:
                self.await_node(index)

    def await_node(self, index: int) -> None:
        """Until its MQTT port answers."""
        node, port = self.nodes[index], self.mqtt_ports[index]
        wait_for(lambda: answers(port) or not node.pid, f"node {index + 1} answers", patience_s=START_S)
        if not node.pid:
            raise NeverHappened(f"node {index + 1} ended: {node.log.read_text()[-800:]}")

    def control(self, *arguments: str, node: int = 1, tool: str = "rabbitmqctl") -> str:
        """What ``rabbitmqctl`` says."""
        command = [str(self._programs / tool), "-n", f"r{node}@localhost", "-q", *arguments]
        done = subprocess.run(  # noqa: S603
            command, env=self._environment(node), capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{tool} {arguments[0]}: {(done.stderr or done.stdout)[-400:]}")
        return done.stdout

    def admit(self, kits: Iterable[str], sites: Iterable[str], password: str) -> None:
        """Users for kits and pages, all with one password, which only a load test may do."""
        hashed = hash_password(password, secrets.token_bytes(4))
        table = definitions(dict.fromkeys(kits, hashed), dict.fromkeys(sites, hashed))
        path = self.folder / "definitions.json"
        path.write_text(json.dumps(table))
        self.control("import_definitions", str(path))

    def work(self, queue: str = QUEUE) -> Work:
        """What the process that leads *queue* has done so far, and what its node has."""
        told = self.control("eval", WORK.replace("QUEUE", queue))
        node, one, log, every = re.findall(r"r(\d+)@localhost|(\d+)", told)
        return Work(int(node[0]) - 1, int(one[1]), int(log[1]), int(every[1]))

    def leader(self) -> int:
        """The index of the node that leads the events' queue, or most of them."""
        told: list[dict[str, Any]] = json.loads(
            self.control("list_queues", "name", "leader", "--formatter", "json", node=1)
        )
        leads = Counter(str(queue["leader"]) for queue in told if str(queue["name"]).startswith(QUEUE))
        return int(leads.most_common(1)[0][0].removeprefix("r").partition("@")[0]) - 1

    def stop(self) -> None:
        """All of it, the name server too."""
        for node in self.nodes:
            node.kill()
        epmd = shutil.which("epmd")
        for _ in range(50):  # it refuses while it has not noticed that its nodes are gone
            if epmd is None or not answers(self._epmd):
                return
            ask = [epmd, "-port", str(self._epmd), "-kill"]
            subprocess.run(ask, capture_output=True, check=False)  # noqa: S603
            time.sleep(0.1)

    def _environment(self, number: int) -> dict[str, str]:
        own = self.folder / f"r{number}"
        return {
            **os.environ,
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": f"r{number}@localhost",
            "RABBITMQ_CONFIG_FILES": str(own / "conf.d" / "*.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(own / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(own / "data"),
            "RABBITMQ_LOG_BASE": str(own / "log"),
            "RABBITMQ_PID_FILE": str(own / "pid"),
            "RABBITMQ_CONF_ENV_FILE": str(own / "none"),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none",
        }

    def _node(self, number: int) -> Program:
        own = self.folder / f"r{number}"
        (own / "conf.d").mkdir(parents=True)
        shutil.copy(SYSTEM / "rabbitmq.conf", own / "conf.d" / "10-suasana.conf")
        shutil.copy(SYSTEM / "enabled_plugins", own / "enabled_plugins")
        lines = [
            f"listeners.tcp.1 = 127.0.0.1:{self.amqp_ports[number - 1]}",
            f"mqtt.listeners.tcp.1 = 127.0.0.1:{self.mqtt_ports[number - 1]}",
            f"default_user = {ADMIN}",
            f"default_pass = {self.password}",
            "cluster_formation.peer_discovery_backend = classic_config",
            *(
                f"cluster_formation.classic_config.nodes.{one} = r{one}@localhost"
                for one in range(1, self.size + 1)
            ),
            "disk_free_limit.absolute = 200MB",
        ]
        (own / "conf.d" / "20-cluster.conf").write_text("\n".join(lines) + "\n")
        environment = self._environment(number) | {
            "RABBITMQ_NODE_PORT": str(self.amqp_ports[number - 1]),
            "RABBITMQ_DIST_PORT": str(free_port()),
        }
        command = [str(self._programs / "rabbitmq-server")]
        return Program(f"node-{number}", command, own, environment, lanes=os.cpu_count() or 1)
