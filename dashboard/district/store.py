"""A district's history in PostgreSQL: a batch in one transaction, days made ahead and dropped behind.

What is written is known by (kit, boot_id, seq): the same events again change nothing, whoever tells them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from dashboard.database import DatabaseError
from dashboard.district.sites import role_of
from dashboard.district.sorting import UNDATED, Batch, Refused, columns
from dashboard.history import OUTDATED

logger = logging.getLogger(__name__)

SCHEMA = Path(__file__).with_name("schema.sql")
AHEAD = 3
"""Days that are made before they begin."""
MOST_REFUSED = 10_000
"""Different refused messages that are kept; the oldest go first."""
MEMBERSHIP = 0x5375_6173
"""An advisory lock: who makes and drops days does so alone."""

WINDOWS = (
    "INSERT INTO suasana.windows (day, site, kit, boot_id, seq, ends, window_s, mood, suppressed, confidence,"
    " people, shares, came, mono_s, mono_id, dated) SELECT * FROM unnest(%s::date[], %s::text[], %s::text[],"
    " %s::text[], %s::int8[], %s::float8[], %s::float8[], %s::text[], %s::text[], %s::float8[], %s::int8[],"
    " %s::text[], %s::float8[], %s::float8[], %s::text[], %s::int8[]) ON CONFLICT DO NOTHING"
)
HAPPENINGS = (
    "INSERT INTO suasana.happenings (day, site, kit, boot_id, seq, at, type, body) SELECT * FROM"
    " unnest(%s::date[], %s::text[], %s::text[], %s::text[], %s::int8[], %s::float8[], %s::text[],"
    " %s::text[]) ON CONFLICT DO NOTHING"
)
KITS = (
    "INSERT INTO suasana.kits (kit, site) SELECT * FROM unnest(%s::text[], %s::text[])"
    " ORDER BY 1 ON CONFLICT DO NOTHING"
)
REFUSED = (
    "INSERT INTO suasana.refused (digest, topic, reason, body, bytes) VALUES (%s, %s, %s, %s, %s)"
    " ON CONFLICT (digest) DO UPDATE SET times = suasana.refused.times + 1, last_at = now()"
)
CLOCKS = (
    "INSERT INTO suasana.clocks (kit, mono_id, ahead_s, at) VALUES (%s, %s, %s, %s)"
    " ON CONFLICT (kit, mono_id) DO UPDATE SET ahead_s = excluded.ahead_s, at = excluded.at"
)
PLACE = (
    "UPDATE suasana.windows w SET ends = w.mono_s + c.ahead_s, dated = 1 FROM suasana.clocks c"
    " WHERE c.kit = ANY(%s) AND w.kit = c.kit AND w.mono_id = c.mono_id AND w.dated = 0"
    " AND w.mono_s IS NOT NULL"
)
LOCK_KITS = (
    "SELECT pg_advisory_xact_lock(%s, hashtext(kit)) FROM (SELECT unnest(%s::text[]) AS kit ORDER BY 1) AS k"
)
VIEW = (
    "CREATE OR REPLACE VIEW {site}.windows WITH (security_invoker = true) AS"
    " SELECT kit || '/' || boot_id || '/' || seq AS id, kit, boot_id, seq, ends, window_s, mood, suppressed,"
    " confidence, people, shares, mono_s, mono_id, dated, day, came FROM suasana.windows"
)
PAGES = (
    "SELECT schemaname FROM pg_views JOIN pg_roles ON rolname = schemaname"
    " WHERE starts_with(schemaname, 'site_') AND viewname = 'windows'"
)

UNFIT = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded)
"""What PostgreSQL raises about a row, and not about itself."""


@dataclass(frozen=True, slots=True)
class Written:
    """What came of a batch."""

    stored: int = 0
    """Events that were new."""
    known: int = 0
    """Events that were there already."""
    expired: int = 0
    refused: int = 0

    def __add__(self, other: Written) -> Written:
        return Written(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


class Store:
    """One connection. Every method may raise DatabaseError, and can be called again after that."""

    def __init__(self, url: str, *, clock: Callable[[], float]) -> None:
        """Prepare to use *url*; *clock* tells seconds since 1970."""
        self._url, self._clock = url, clock
        self._db: psycopg.Connection[Any] | None = None
        self._days: set[date] = set()
        self._kits: set[str] = set()

    def connect(self) -> None:
        """Connect anew."""
        self.close()
        with self._told():
            self._db = psycopg.connect(self._url, connect_timeout=10, autocommit=True)
            self._days.clear()

    def close(self) -> None:
        """Let go."""
        if self._db is not None:
            with self._told():
                self._db.close()
        self._db = None

    def set_up(self) -> None:
        """Make or complete schema, roles and policies; as a role that may."""
        with self._told(), self._open().transaction():
            self._open().execute("SELECT pg_advisory_xact_lock(%s)", (MEMBERSHIP,))
            self._open().execute(SCHEMA.read_text("utf-8").encode())
            pages = self._open().execute(PAGES).fetchall()
            for (role,) in pages:  # what an older version showed them
                self._open().execute(sql.SQL(VIEW).format(site=sql.Identifier(role)))

    def add_site(self, site: str, password: str | None) -> None:
        """A role and a schema for a site's page; a known site's password is replaced."""
        role = sql.Identifier(role_of(site))
        with self._told(), self._open().transaction():
            db = self._open()
            known = db.execute("SELECT FROM pg_roles WHERE rolname = %s", (role_of(site),)).fetchone()
            if known is None:
                db.execute(sql.SQL("CREATE ROLE {} LOGIN IN ROLE suasana_site").format(role))
            if password is not None:
                words = sql.SQL("ALTER ROLE {} PASSWORD {}")
                db.execute(words.format(role, sql.Literal(password)))
            db.execute(sql.SQL("ALTER ROLE {} SET search_path = {}").format(role, role))
            db.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(role))
            db.execute(sql.SQL("GRANT USAGE, CREATE ON SCHEMA {} TO {}").format(role, role))
            db.execute(sql.SQL(VIEW).format(site=role))
            words = sql.SQL("GRANT SELECT, DELETE, UPDATE (ends, dated) ON {}.windows TO {}")
            db.execute(words.format(role, role))

    def tend(self, keep_days: float) -> int:
        """Make the next days, drop what is older than *keep_days*. Returns how many tables were dropped."""
        today = datetime.fromtimestamp(self._clock(), timezone.utc).date()
        before = self._clock() - keep_days * 86_400
        with self._told(), self._open().transaction():
            db = self._open()
            db.execute("SET LOCAL lock_timeout = '10s'")
            db.execute("SELECT pg_advisory_xact_lock(%s)", (MEMBERSHIP,))
            for number in range(-1, AHEAD + 1):
                db.execute("SELECT suasana.make_day(%s)", (today + timedelta(number),))
            first = datetime.fromtimestamp(before, timezone.utc).date()
            found = db.execute("SELECT suasana.drop_days(%s)", (first,)).fetchone()
            db.execute(
                f"DELETE FROM suasana.windows WHERE day = %s AND {OUTDATED.replace('?', '%s')}",  # noqa: S608
                (UNDATED, before, before),
            )
            db.execute("DELETE FROM suasana.happenings WHERE day = %s AND at < %s", (UNDATED, before))
            db.execute("DELETE FROM suasana.clocks WHERE at < %s", (before,))
            db.execute(
                "DELETE FROM suasana.refused WHERE digest IN"
                " (SELECT digest FROM suasana.refused ORDER BY last_at DESC OFFSET %s)",
                (MOST_REFUSED,),
            )
        self._days.clear()
        return int(found[0]) if found else 0

    def write(self, batch: Batch) -> Written:
        """Write all of it, in one transaction; a row that the database refuses goes aside by itself."""
        with self._told():
            self._make_days(batch.days)
            try:
                return self._write(batch)
            except UNFIT:
                self._days.clear()  # somebody who keeps less may have dropped one that we made
                self._make_days(batch.days)
                return self._write_singly(batch)

    def _write(self, batch: Batch) -> Written:
        written = Written(expired=batch.expired, refused=len(batch.refused))
        fresh = {kit: site for kit, site in batch.kits.items() if kit not in self._kits}
        unsure = sorted({row[2] for row in batch.windows if not row[-1]} | {one.kit for one in batch.anchors})
        with self._open().transaction(), self._open().cursor() as cursor:
            if unsure:  # or a window and the clock that places it could miss each other in two transactions
                cursor.execute(LOCK_KITS, (MEMBERSHIP, unsure))
            if fresh:
                cursor.execute(KITS, (list(fresh), list(fresh.values())))
            for words, rows, width in ((WINDOWS, batch.windows, 16), (HAPPENINGS, batch.happenings, 8)):
                if rows:
                    cursor.execute(words, columns(rows, width))
                    new = max(0, cursor.rowcount)
                    written += Written(stored=new, known=len(rows) - new)
            for anchor in batch.anchors:
                cursor.execute(CLOCKS, (anchor.kit, anchor.mono_id, anchor.ahead_s, anchor.at))
            if unsure:
                cursor.execute(PLACE, (unsure,))
            if batch.refused:
                cursor.executemany(REFUSED, [one.values() for one in batch.refused])
        self._kits.update(fresh)
        return written

    def _write_singly(self, batch: Batch) -> Written:
        """Each row by itself: the one that cannot be stored must not keep the others waiting."""
        rest = Batch(refused=batch.refused, anchors=batch.anchors, kits=batch.kits, expired=batch.expired)
        written = self._write(rest)
        singles = [Batch(windows=[row]) for row in batch.windows]
        singles += [Batch(happenings=[row]) for row in batch.happenings]
        for one in singles:
            try:
                written += self._write(one)
            except UNFIT as error:  # noqa: PERF203 -- each by itself is the point
                row = (one.windows or one.happenings)[0]
                reason = f"the database: {str(error).splitlines()[0]}"
                aside = Refused(f"suasana/{row[2]}/event", reason, repr(row).encode("utf-8", "replace"))
                written += self._write(Batch(refused=[aside]))
        return written

    def _make_days(self, days: set[date]) -> None:
        missing = days - self._days
        if not missing:
            return
        with self._open().transaction():
            self._open().execute("SELECT pg_advisory_xact_lock(%s)", (MEMBERSHIP,))
            for day in sorted(missing):
                self._open().execute("SELECT suasana.make_day(%s)", (day,))
        self._days |= missing

    def _open(self) -> psycopg.Connection[Any]:
        if self._db is None or self._db.closed:
            raise DatabaseError("not connected")
        return self._db

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Whatever goes wrong, in one line without the address's secrets."""
        try:
            yield
        except psycopg.Error as error:
            words = str(error).strip().splitlines() or [type(error).__name__]
            raise DatabaseError(f"PostgreSQL: {words[0]}") from error
