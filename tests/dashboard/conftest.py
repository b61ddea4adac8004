"""A dashboard of the test's own at a broker of its own, and kits to talk to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import eventually
from tests.dashboard.kits import FakeKit, Server, running_server


@pytest.fixture
def server(broker: int, tmp_path: Path) -> Iterator[Server]:
    """A dashboard that is connected to the test's broker."""
    with running_server(broker, tmp_path) as served:
        eventually(lambda: served.get("/healthz")["broker"])
        yield served


@pytest.fixture
def make_kit(server: Server) -> Iterator[Callable[..., FakeKit]]:
    """Starts kits at the server's broker and stops them."""
    started: list[FakeKit] = []

    def start(name: str = "k1", **settings: Any) -> FakeKit:
        kit = FakeKit(name, server.mqtt_port, settings=settings).start()
        started.append(kit)
        return kit

    yield start
    for kit in started:
        kit.stop()
