"""sd_notify(3): readiness and the watchdog's ping, and nothing where systemd did not start us."""

from __future__ import annotations

import os
import socket


class Notifier:
    """Speaks to the service manager over its datagram socket."""

    def __init__(self, address: str | None = None) -> None:
        """Use *address*, or the one in $NOTIFY_SOCKET; without either every call does nothing."""
        address = address or os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def ready(self) -> None:
        """Models are loaded and the lanes run."""
        self._send(b"READY=1")

    def ping(self) -> None:
        """Every lane makes progress."""
        self._send(b"WATCHDOG=1")

    def reloading(self, now: float) -> None:
        """A process with new settings is about to take over and will say ready; *now* is monotonic."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now * 1e6:.0f}".encode())

    def stopping(self) -> None:
        """A graceful end has begun."""
        self._send(b"STOPPING=1")

    def _send(self, message: bytes) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.sendto(message, self._address)
        except OSError:
            return  # the manager went away; it will ask by signal
