"""What the scenes are played on: a broker that can be killed, a cable that can be cut, a kit, a witness."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.faults.patience import PATIENCE_S, NeverHappened, wait_for
from benchmarks.faults.tap import Tap, id_of

ROOT = Path(__file__).resolve().parents[2]
ASK_AGAIN_S = 2.0


def mosquitto() -> str | None:
    """The program, if it is installed; Debian keeps it where only root's path looks."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """Mosquitto, set so that no message waits in its memory."""

    def __init__(self, folder: Path) -> None:
        """Prepare to run in *folder*."""
        self.port, self.kills = free_port(), 0
        self._process: subprocess.Popen[bytes] | None = None
        self._config = folder / "mosquitto.conf"
        lines = [
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            "persistence true",
            f"persistence_location {folder}/",
            "autosave_interval 1",  # at every change it would synchronise for each message
            # What waits in the broker's memory dies with it, acknowledged or not: let nothing wait there.
            "max_inflight_messages 0",
            "max_queued_messages 0",
        ]
        lines += ["user root"] if os.geteuid() == 0 else []
        self._config.write_text("\n".join(lines) + "\n")

    @property
    def pid(self) -> int:
        """Of the process that runs, or ran."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Run, and return once it answers."""
        program = mosquitto()
        assert program is not None
        self._process = subprocess.Popen([program, "-c", str(self._config)], stderr=subprocess.DEVNULL)  # noqa: S603
        wait_for(lambda: answers(self.port), "the broker answers", of=[self.pid])

    def kill(self) -> None:
        """As a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self.kills += 1

    def stop(self) -> None:
        """For good."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()


def answers(port: int) -> bool:
    """Whether somebody listens."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Cable:
    """Between the kit and the broker; it can be pulled in the middle of a packet."""

    def __init__(self, to_port: int) -> None:
        """Lead to *to_port*; not plugged in yet."""
        self.port, self._to = free_port(), to_port
        self.acknowledged: set[bytes] = set()
        """The ids of all events that the broker acknowledged; not every acknowledgement reaches the kit."""
        self._listener: socket.socket | None = None
        self._ends: set[socket.socket] = set()
        self._one = threading.Lock()

    def plug(self) -> None:
        """Let connections through."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen()
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def pull(self) -> None:
        """Cut every connection at whatever byte it is."""
        with self._one:
            listener, self._listener = self._listener, None
            ends, self._ends = self._ends, set()
        if listener is not None:
            _shut(listener)
        for end in ends:
            _shut(end)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.socket()
                connected = far.connect_ex(("127.0.0.1", self._to)) == 0
                with self._one:
                    # Pulled meanwhile: what was let in late would meet a new broker before the witness does.
                    if plugged := connected and self._listener is listener:
                        self._ends |= {near, far}
                if not plugged:
                    _shut(near)
                    _shut(far)
                    continue
                for end in (near, far):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                tap = Tap(self.acknowledged)
                for source, sink, tell in ((near, far, tap.goes_up), (far, near, tap.comes_down)):
                    threading.Thread(target=self._pump, args=(source, sink, tell), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, tell: Callable[[bytes], None]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                tell(data)
                sink.sendall(data)
        for end in (source, sink):
            _shut(end)
            with self._one:
                self._ends.discard(end)


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


class Witness:
    """An independent subscriber, which writes down everything.

    It only listens: at QoS 0 it sends no acknowledgements, so a broker that is killed leaves none of them
    unread. The kernel would answer those with a reset, and what the witness had not read yet would be lost
    with the connection, though the broker had acknowledged it to the kit. What it says goes over a
    connection of its own.
    """

    def __init__(self, port: int) -> None:
        """Subscribe to all kits."""
        self.events: list[bytes] = []
        self.arrived: set[bytes] = set()
        """The ids of all events."""
        self.health: dict[str, bytes] = {}
        self.answers: list[bytes] = []
        self.info: dict[str, bytes] = {}
        self.camera: dict[str, bytes] = {}
        """The last status of each kit's camera."""
        self.connected = threading.Event()
        self._asked = float("-inf")
        self._client, self._mouth = (
            Client(CallbackAPIVersion.VERSION2, client_id=name) for name in ("witness", "mouth")
        )
        for client in (self._client, self._mouth):
            client.reconnect_delay_set(min_delay=0.05, max_delay=0.2)  # type: ignore[arg-type]
        self._client.on_message = self._hear
        self._client.on_connect = lambda client, *_: client.subscribe("suasana/#", qos=0)
        self._client.on_subscribe = lambda *_: self.connected.set()
        self._client.on_disconnect = lambda *_: self.connected.clear()
        self._client.connect("127.0.0.1", port, keepalive=3600)
        self._client.loop_start()
        self._mouth.connect("127.0.0.1", port)
        self._mouth.loop_start()
        wait_for(self.connected.is_set, "the witness subscribes")

    def say(self, topic: str, payload: bytes, *, qos: int = 1) -> None:
        """Publish, as anybody on the broker may."""
        self._mouth.publish(topic, payload, qos=qos)

    def ask(self, kit: str, word: str) -> bool:
        """Whether *kit* has answered a ping with *word*; asks again, since it may be away just now."""
        if any(word.encode() in answer for answer in list(self.answers)):
            return True
        if time.monotonic() - self._asked > ASK_AGAIN_S:
            self._asked = time.monotonic()
            self.say(f"suasana/{kit}/request/ping", b'{"transaction":"%s"}' % word.encode())
        return False

    def close(self) -> None:
        """Leave."""
        for client in (self._client, self._mouth):
            client.disconnect()
            client.loop_stop()

    def _hear(self, _client: object, _data: object, message: MQTTMessage) -> None:
        leaf, kit = message.topic.split("/", 2)[2], message.topic.split("/")[1]
        if leaf == "event":
            self.events.append(bytes(message.payload))
            self.arrived.add(id_of(bytes(message.payload)))
        elif leaf == "health":
            self.health[kit] = bytes(message.payload)
        elif leaf == "info":
            self.info[kit] = bytes(message.payload)
        elif leaf == "source/camera/status":
            self.camera[kit] = bytes(message.payload)
        elif leaf.startswith("response/"):
            self.answers.append(bytes(message.payload))


class Process:
    """A Python program whose standard output is the ledger of what it made; it can be killed."""

    def __init__(self, name: str, arguments: Sequence[str], folder: Path) -> None:
        """Prepare ``python *arguments*``; *folder* takes its ledger and its last words."""
        self.name, self.kills, self._arguments = name, 0, list(arguments)
        self.ledger, self.words = folder / f"{name}.jsonl", folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def size(self) -> int:
        """Bytes of its ledger: they grow with every event that it makes."""
        return self.ledger.stat().st_size if self.ledger.exists() else 0

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Run."""
        with self.ledger.open("ab") as ledger, self.words.open("ab") as words:
            self._process = subprocess.Popen(  # noqa: S603 -- our own words
                [sys.executable, *self._arguments],
                stdout=ledger,
                stderr=words,
                stdin=subprocess.DEVNULL,
                cwd=ROOT,
                env=os.environ | (environment or {}),
            )

    def kill(self) -> None:
        """``kill -9``."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self.kills += 1

    def stop(self) -> None:
        """Ask it to end.

        Raises:
            NeverHappened: it does not, or not as it should.
        """
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        wait_for(lambda: not self.alive, f"{self.name} ends", of=[self.pid], patience_s=30)
        if self._process.returncode:
            last = self.words.read_text("utf-8", "replace")[-400:]
            raise NeverHappened(f"{self.name} ended with {self._process.returncode}: {last}")

    def told(self) -> list[bytes]:
        """The events that it says it made; a line torn by a kill is none."""
        if not self.ledger.exists():
            return []
        lines = self.ledger.read_bytes().split(b"\n")
        return [line for line in lines[:-1] if line.startswith(b"{") and line.endswith(b"}")]


class Stage:
    """A broker, a witness on it, a plugged cable to it, and the programs of one scene."""

    def __init__(self, folder: Path, broker: Broker) -> None:
        """Around a *broker* that runs."""
        self.folder, self.broker = folder, broker
        self.cable = Cable(broker.port)
        self.cable.plug()
        self.witness = Witness(broker.port)
        self._processes: list[Process] = []

    def process(self, name: str, arguments: Sequence[str]) -> Process:
        """A program that ends with the scene."""
        process = Process(name, arguments, self.folder)
        self._processes.append(process)
        return process

    def wait_for(self, holds: Callable[[], object], what: str, *, patience_s: float = PATIENCE_S) -> None:
        """Until *holds*, which the programs of this scene and its broker are to bring about; see wait_for."""
        running = [process.pid for process in self._processes if process.alive]
        wait_for(holds, what, of=[*running, self.broker.pid], patience_s=patience_s)

    def close(self) -> None:
        """End everything."""
        for process in self._processes:
            if process.alive:
                process.kill()
        self.witness.close()
        self.cable.pull()
        self.broker.stop()

    def restart_broker(self, pause_s: float) -> None:
        """Kill the broker and bring it back; the kit may return once the witness has."""
        self.broker.kill()
        self.witness.connected.clear()  # it may take its time to notice
        self.cable.pull()
        time.sleep(pause_s)
        self.broker.start()
        self.wait_for(self.witness.connected.is_set, "the witness returns")
        self.cable.plug()


@contextlib.contextmanager
def set_stage(folder: Path) -> Iterator[Stage]:
    """A stage, and nothing of it afterwards."""
    broker = Broker(folder)
    broker.start()
    stage = Stage(folder, broker)
    try:
        yield stage
    finally:
        stage.close()


def resident_mb(pid: int) -> float:
    """Resident memory, MB (10^6 bytes)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def descriptors(pid: int) -> int:
    """Open files of a process."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def open_files(pid: int) -> list[str]:
    """What its descriptors lead to, sockets and pipes by their kind."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed while we look
            found.append(str(link.readlink()).partition(":[")[0])
    return sorted(found)


def config(folder: Path, kit: str, port: int, *, state: Path | None = None) -> Path:
    """Settings of a cheap kit with real models."""
    path = folder / f"{kit}.toml"
    path.write_text(
        f'kit = "{kit}"\nmode = "class"\nstate_dir = "{state or folder / kit}"\n'
        "[faces]\nmax_fps = 1.0\nsearch_px = 320\n[mood]\nwindow_s = 1.0\nmin_people = 2\n"
        f'[mqtt]\nurl = "mqtt://127.0.0.1:{port}"\nprotocol = "3.1.1"\n'
    )
    return path
