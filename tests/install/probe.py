"""Tries from inside the daemon's sandbox what it may not do, and the few things it must be able to do."""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

STATE = Path(os.environ["STATE_DIRECTORY"])
failures: list[str] = []


def allowed(what: str, attempt: Callable[[], object]) -> None:
    """Note it if *attempt* fails."""
    try:
        attempt()
    except OSError as error:
        failures.append(f"cannot {what}: {error}")


def refused(what: str, attempt: Callable[[], object]) -> None:
    """Note it if *attempt* succeeds."""
    try:
        attempt()
    except (OSError, subprocess.SubprocessError):
        return
    failures.append(f"can {what}")


def ask_the_clock() -> None:
    """adjtimex with nothing to change."""
    if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(512)) < 0:
        raise OSError(ctypes.get_errno(), "adjtimex")


def run_own_program() -> None:
    """Write a program and execute it."""
    program = STATE / "program"
    program.write_text("#!/bin/sh\n", "utf-8")
    program.chmod(0o700)
    try:
        subprocess.run([str(program)], check=True)
    finally:
        program.unlink()


def send_out() -> None:
    """A datagram to an address outside; the filter answers before the routing does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", ("127.0.0.1", 9))
        sock.sendto(b"x", ("192.0.2.1", 9))


def writable_mounts(place: str) -> None:
    """Fails unless *place* lies on a mount that can be written."""
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text("utf-8").splitlines()]
    over = [mount for mount in mounts if place == mount[4] or place.startswith(mount[4].rstrip("/") + "/")]
    if "ro" in max(over, key=lambda mount: len(mount[4]))[5].split(","):
        raise OSError(place)


allowed("write its state", lambda: (STATE / "probe").write_text("x"))
allowed("forget it again", (STATE / "probe").unlink)
allowed("read its password", lambda: Path("/etc/suasana/mqtt.password").read_text("utf-8"))
allowed("ask the clock", ask_the_clock)
allowed("choose a core", lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)))
allowed("see the processor", lambda: Path("/proc/cpuinfo").read_text("utf-8"))
refused("set the clock", lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()))
refused("write the system", lambda: Path("/usr/probe").write_text("x"))
refused("write settings", lambda: Path("/etc/suasana/kit.toml").write_text("x"))
refused("read the page's password", lambda: Path("/etc/suasana/dashboard.env").read_text("utf-8"))
refused("read shadow", lambda: Path("/etc/shadow").read_text("utf-8"))
refused("execute what it wrote", run_own_program)
refused(
    "have memory both writable and executable",
    lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC),
)
refused("send to another machine", send_out)
refused("write anywhere in /usr, whoever it was", lambda: writable_mounts("/usr"))
refused("become root", lambda: os.setuid(0))
refused("open a raw socket", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
refused("make a device", lambda: os.mknod(STATE / "device", 0o020600, os.makedev(1, 1)))
refused("mount", lambda: subprocess.run(["mount", "-t", "tmpfs", "none", str(STATE)], check=True))
refused("see others' processes", lambda: Path("/proc/1/status").read_text("utf-8"))
print(*failures, sep="\n")  # noqa: T201
sys.exit(bool(failures))
