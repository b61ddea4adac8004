"""One thread's network for thousands of MQTT clients, so that the kit's own sink can be simulated in bulk.

paho gives each client a thread that waits with select(2): one process carries some 340 of them, for select
knows no descriptor above 1023. Here the same clients share one selector. Only the way they wait differs; what
they say, and when they come back, is the sink's and paho's as on a kit.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import selectors
import socket
import time
from collections import deque
from collections.abc import Container
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import Any

from paho.mqtt.client import Client

MISC_EVERY_S = 2.0
"""How often a client looks whether it owes the broker a ping."""
CONNECTING = 16
"""Connections that are opened at the same time; a broker that does not answer holds one of these threads."""


class Member(Client):
    """A paho client whose network the crowd runs; made by ``Crowd.make`` and used like any other."""

    def __init__(self, crowd: Crowd, owner: int, *arguments: Any, **named: Any) -> None:
        """As Client; *owner* is whom ``Crowd.turn`` names when there is news."""
        self._crowd, self.owner = crowd, owner
        self._waits: tuple[float, float] = (1.0, 120.0)
        self._attempts = 0
        self.ended = False
        super().__init__(*arguments, **named)
        self.on_socket_register_write = lambda *_: crowd.want(self)
        self.on_socket_close = lambda *_: crowd.forget(self)

    def loop_start(self) -> Any:
        """Connect, and go on trying."""
        self.ended = False
        self._crowd.connect(self)

    def loop_stop(self) -> Any:
        """What is on its way is still sent; no attempt follows."""
        self.ended = True

    def disconnect(self, *arguments: Any, **named: Any) -> Any:
        """As Client; ends the attempts too."""
        self.ended = True
        return super().disconnect(*arguments, **named)

    def reconnect_delay_set(self, min_delay: float = 1, max_delay: float = 120) -> None:
        """As Client: the first wait, from which it doubles up to *max_delay*."""
        if (min_delay, max_delay) != self._waits:
            self._waits, self._attempts = (min_delay, max_delay), 0

    def next_wait_s(self) -> float:
        """How long to wait after one more failure."""
        first, longest = self._waits
        self._attempts += 1
        return min(longest, first * 2.0 ** min(self._attempts - 1, 16))


class Crowd:
    """A selector and the clients that wait in it. Everything but connecting happens in ``turn``'s thread."""

    def __init__(self) -> None:
        """Start without anybody."""
        self._selector = selectors.DefaultSelector()
        self._registered: dict[Member, socket.socket] = {}
        self._writers: deque[Member] = deque()
        self._blocked: set[Member] = set()
        self._arrived: SimpleQueue[Member] = SimpleQueue()
        self._later: list[tuple[float, int, Member]] = []
        self._order = itertools.count()
        self._misc: deque[tuple[float, Member]] = deque()
        self._threads = ThreadPoolExecutor(CONNECTING, "connect")
        self._bell, self._ear = socket.socketpair()
        self._ear.setblocking(False)
        self._selector.register(self._ear, selectors.EVENT_READ, None)

    def make(self, owner: int, *arguments: Any, **named: Any) -> Member:
        """A client of this crowd, in place of paho's ``Client(…)``."""
        return Member(self, owner, *arguments, **named)

    @property
    def connections(self) -> int:
        """Sockets that are open."""
        return len(self._registered)

    def connect(self, member: Member, *, wait_s: float = 0.0) -> None:
        """Open *member*'s connection after *wait_s*."""
        heapq.heappush(self._later, (time.monotonic() + wait_s, next(self._order), member))

    def want(self, member: Member) -> None:
        """*member* has something to write; may be called from any thread."""
        self._writers.append(member)

    def forget(self, member: Member) -> None:
        """Its socket closes."""
        sock = self._registered.pop(member, None)
        self._blocked.discard(member)
        if sock is not None:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(sock)

    def cut(self, owners: Container[int]) -> int:
        """Break their connections without a word, as a cable that is pulled does. Returns how many."""
        cut = [sock for member, sock in self._registered.items() if member.owner in owners]
        for sock in cut:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        return len(cut)

    def turn(self, timeout_s: float) -> set[int]:
        """Read and write once, waiting for news up to *timeout_s*. Returns the owners of who had any."""
        self._write()
        timeout_s = 0.0 if self._writers else timeout_s
        if self._later:
            timeout_s = min(timeout_s, max(0.0, self._later[0][0] - time.monotonic()))
        stirred: set[int] = set()
        for key, ready in self._selector.select(timeout_s):
            member = key.data
            if member is None:
                with contextlib.suppress(BlockingIOError):
                    self._ear.recv(4096)
                continue
            stirred.add(member.owner)
            if ready & selectors.EVENT_READ:
                member.loop_read()
            if ready & selectors.EVENT_WRITE and member in self._registered:
                self._unblock(member)
        self._admit(stirred)
        self._begin_due()
        self._look_after()
        self._write()
        return stirred

    def close(self) -> None:
        """Let go of every socket."""
        for sock in self._registered.values():
            sock.close()
        self._registered.clear()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._selector.close()
        self._bell.close()
        self._ear.close()

    def _write(self) -> None:
        for _ in range(len(self._writers)):
            member = self._writers.popleft()
            if member in self._registered:
                member.loop_write()
                if member.want_write() and member in self._registered:
                    self._blocked.add(member)
                    both = selectors.EVENT_READ | selectors.EVENT_WRITE
                    self._selector.modify(self._registered[member], both, member)

    def _unblock(self, member: Member) -> None:
        member.loop_write()
        if not member.want_write() and member in self._registered:
            self._blocked.discard(member)
            self._selector.modify(self._registered[member], selectors.EVENT_READ, member)

    def _begin_due(self) -> None:
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            member = heapq.heappop(self._later)[2]
            if not member.ended:
                self._threads.submit(self._open, member)

    def _open(self, member: Member) -> None:
        """In a thread of the pool: the handshakes of TCP and TLS may take their time."""
        try:
            member.reconnect()
        except OSError:
            if member.on_connect_fail is not None:
                member.on_connect_fail(member, None)
        self._arrived.put(member)
        with contextlib.suppress(OSError):
            self._bell.send(b"!")

    def _admit(self, stirred: set[int]) -> None:
        with contextlib.suppress(Empty):
            while True:
                member = self._arrived.get_nowait()
                stirred.add(member.owner)
                sock: Any = member.socket()
                if sock is None:
                    if not member.ended:
                        self.connect(member, wait_s=member.next_wait_s())
                    continue
                self._registered[member] = sock
                self._selector.register(sock, selectors.EVENT_READ, member)
                self._writers.append(member)
                self._misc.append((time.monotonic() + MISC_EVERY_S, member))

    def _look_after(self) -> None:
        now = time.monotonic()
        while self._misc and self._misc[0][0] <= now:
            _, member = self._misc.popleft()
            if member in self._registered:
                member.loop_misc()
                self._misc.append((now + MISC_EVERY_S, member))
