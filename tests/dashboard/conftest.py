"""A dashboard of the test's own at a broker of its own, and kits to talk to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboard.database import Database, open_database
from tests.conftest import eventually
from tests.dashboard.databases import empty, running_postgres
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


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a PostgreSQL server of the tests' own."""
    with running_postgres(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database of each kind."""
    if request.param == "sqlite":
        opened = open_database(tmp_path / "deep" / "history.sqlite3")
    else:
        url = request.getfixturevalue("postgres")
        empty(url)
        opened = open_database(url)
    yield opened
    opened.close()
