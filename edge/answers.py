"""A site's programs asked over HTTPS, and answers as JSON objects, whoever gave them.

Asked by a kit that joins or renews (edge.pair), and by a page that invites kits.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

DOOR_PORT, REGISTRAR_PORT = 8884, 8886
"""Where a site lets invited kits in, and where its members are heard, unless it was founded otherwise."""
STEP_S = 10.0
"""Patience with each step."""
LONGEST_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    address: str
    """Who answered, numeric."""

    @property
    def table(self) -> dict[str, Any]:
        """The body as a JSON object; empty for anything else."""
        return read(self.body.decode("utf-8", "replace"))

    @property
    def refusal(self) -> str:
        """What an answer that is no success says, in one line."""
        return re.sub(r"[^\x20-\x7e]+", " ", str(self.table.get("error", f"status {self.status}")))[:200]


def ask(
    where: tuple[str, int],
    context: ssl.SSLContext,
    method: str,
    path: str,
    table: Mapping[str, object] | None = None,
) -> Answer:
    """Ask host and port *where*, with *table* as JSON. Waits for the network.

    Raises:
        OSError: nobody answers, or it cannot prove who it is (ssl.SSLError).
        http.client.HTTPException: what answers speaks no HTTP.
    """
    connection = http.client.HTTPSConnection(*where, timeout=STEP_S, context=context)
    try:
        connection.connect()
        address = str(connection.sock.getpeername()[0])
        body = None if table is None else json.dumps(table)
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        return Answer(answer.status, answer.read(LONGEST_BYTES), address)
    finally:
        connection.close()


def read(payload: str) -> dict[str, Any]:
    """A JSON object; empty for anything else."""
    with suppress(ValueError, RecursionError):
        value = json.loads(payload)
        if isinstance(value, dict):
            return value
    return {}
