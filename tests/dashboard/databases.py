"""Both kinds of database: a file of the test's own, and a PostgreSQL server of the test's own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.conftest import eventually, free_port
from tests.dashboard.kits import answers


def find_programs() -> Path | None:
    """Debian keeps PostgreSQL's programs out of the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    if found:
        return found[0].parent
    here = shutil.which("initdb")
    return Path(here).resolve().parent if here else None


@contextmanager
def running_postgres(folder: Path) -> Iterator[str]:
    """A server that only this test knows; yields the address of an empty database."""
    programs = find_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    pytest.importorskip("psycopg")
    user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    if user:
        try:
            entry = pwd.getpwnam(user)
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        folder = Path(mkdtemp(prefix="suasana-postgres-"))  # of this server alone
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    data, port = folder / "data", free_port()
    make = [programs / "initdb", "-D", data, "-A", "trust", "-U", "suasana", "--no-sync", "-E", "UTF8"]
    subprocess.run(make, check=True, capture_output=True, user=user, cwd=folder)
    serve = [programs / "postgres", "-D", data, "-p", str(port), "-c", f"unix_socket_directories={folder}"]
    serve += ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
    process = subprocess.Popen(
        serve, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=user, cwd=folder
    )
    try:
        url = f"postgresql://suasana@127.0.0.1:{port}/postgres"
        eventually(lambda: answers(port) and _accepts(url))
        yield url
    finally:
        process.terminate()
        process.wait(20)
        if user:
            shutil.rmtree(folder, ignore_errors=True)


def _accepts(url: str) -> bool:
    import psycopg  # noqa: PLC0415 -- where it is not installed, these tests are skipped

    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def empty(url: str) -> None:
    """Forget everything in the database."""
    import psycopg  # noqa: PLC0415 -- where it is not installed, these tests are skipped

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
