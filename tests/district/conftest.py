"""A district's database of the test's own, and messages as its queue gives them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from urllib.parse import urlsplit

import pytest

from dashboard.district.sorting import Message
from tests.dashboard.databases import empty, running_postgres
from tests.dashboard.kits import event

collect_ignore_glob = [] if find_spec("psycopg") else ["test_*.py"]
"""Without the drivers of the extra `district` there is nothing to test."""
NOW = 1_780_000_000.0
DAY_S = 86_400.0


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_postgres(tmp_path_factory.mktemp("district")) as url:
        yield url


@pytest.fixture
def url(server: str) -> str:
    """An empty database, set up for a district; roles outlive a test, schemas do not."""
    import psycopg  # noqa: PLC0415

    from dashboard.district.store import Store  # noqa: PLC0415 -- needs psycopg

    empty(server)
    with psycopg.connect(server, autocommit=True) as db:
        for (schema,) in db.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname ~ '^(suasana|site_.*)$'"
        ).fetchall():
            db.execute(f'DROP SCHEMA "{schema}" CASCADE')
    with closing(Store(server, clock=lambda: NOW)) as store:
        store.connect()
        store.set_up()
        store.tend(30)
    return server


def as_role(url: str, role: str) -> str:
    """The same database as somebody else."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{role}@{parts.netloc.rpartition('@')[2]}").geturl()


def message(kit: str, seq: int, at: float, *, tag: int = 0, **changes):
    body = json.dumps(event(kit, seq, at, **changes)).encode()
    return Message(tag or seq + 1, f"suasana/{kit}/event", body)


def other(kit: str, seq: int, at: float, type: str, data: dict, **stamp):
    """An event that is no window."""
    table = event(kit, seq, at, **stamp)
    own = {
        name: table["data"][name] for name in ("schema", "kit", "boot_id", "seq", "time_quality", "replayed")
    }
    own |= {name: stamp[name] for name in ("mono_s", "mono_id") if name in stamp}
    table |= {"type": type, "data": own | data}
    return Message(seq + 1, f"suasana/{kit}/event", json.dumps(table).encode())


def rows(url: str, sql: str) -> list[tuple]:
    import psycopg  # noqa: PLC0415

    with psycopg.connect(url, autocommit=True) as db:
        return db.execute(sql).fetchall()
