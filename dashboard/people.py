"""Who may use the dashboard: accounts, roles, sessions and the audit log.

Accounts and sessions are few and read at every request, so they are held in memory too; whoever changes one
writes it to the database first.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from dashboard.database import Database

Role = Literal["teacher", "admin", "researcher"]
Right = Literal[
    "live",
    "switch",
    "kits",
    "play",
    "upkeep",
    "past",
    "notes",
    "export",
    "alerts",
    "people",
    "settings",
    "audit",
    "wipe",
]

RIGHTS: dict[str, frozenset[Right]] = {
    "teacher": frozenset(
        {"live", "switch", "kits", "play", "past", "notes", "export", "alerts", "audit", "wipe"},
    ),
    "admin": frozenset({"switch", "kits", "play", "upkeep", "people", "settings", "audit", "wipe"}),
    "researcher": frozenset({"past", "export"}),
    "demo": frozenset(get_args(Right)),
}
"""``live`` and ``past`` are the class's data: an admin keeps kits running and sees none of it; a researcher
sees lessons that were marked as consented, and nothing live. ``demo`` cannot be given to an account."""

SESSION_S = 12 * 3600.0
"""One school day: a browser that was left open is a stranger tomorrow."""
SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 200
MOST_ACCOUNTS = 500
NAME = re.compile(r"[^\W_][\w .'-]{0,39}")
COMMON = frozenset(
    {"password12", "password123", "1234567890", "12345678910", "qwertyuiop", "katasandi1", "katasandi123"}
    | {"sandi12345", "suasana123", "indonesia1", "indonesia123", "bismillah1", "bismillah123", "sayangku123"}
    | {"adminadmin", "administrator", "gurugurugu"}
)
"""The first that anybody tries here; length does the rest (NIST SP 800-63B, 3.1.1)."""


class PeopleError(ValueError):
    """This account or password cannot be; the code is a key of the page's texts."""


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may log in."""

    name: str
    role: str
    """A Role, or ``demo``."""
    kits: tuple[str, ...]
    """The kits that this account may see; empty for all."""
    made_at: float = 0.0

    def may(self, right: Right) -> bool:
        """Whether the role has the right."""
        return right in RIGHTS[self.role]

    def sees(self, kit: str) -> bool:
        """Whether the kit is one of the account's."""
        return not self.kits or kit in self.kits


@dataclass(frozen=True, slots=True)
class Session:
    """One browser that is logged in."""

    account: Account
    digest: str
    """Of its cookie; the cookie itself is nowhere but in the browser."""
    csrf: str
    until: float
    """Seconds since 1970."""


class Passwords:
    """Argon2id with the library's own parameters, which are RFC 9106's for little memory."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        """Hash with *hasher*."""
        self._hasher = hasher or PasswordHasher()
        self._nobody = self._hasher.hash(secrets.token_hex(16))

    def hash(self, password: str) -> str:
        """The hash to keep. Slow on purpose: call it outside the event loop."""
        return self._hasher.hash(password)

    def fits(self, hash: str | None, password: str) -> bool:
        """Whether *password* made *hash*; as slow when there is no hash, so that time tells no names."""
        try:
            return self._hasher.verify(hash or self._nobody, password) and hash is not None
        except (Argon2Error, InvalidHashError):
            return False

    def is_old(self, hash: str) -> bool:
        """Whether a login should replace the hash by one with today's parameters."""
        return self._hasher.check_needs_rehash(hash)


def check_password(name: str, password: str) -> None:
    """Refuse what is guessed first.

    Raises:
        PeopleError: too short, too long or too common.
    """
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise PeopleError("password_length")
    plain = password.lower()
    if plain in COMMON or len(set(plain)) < 4 or (name and name.lower() in plain):
        raise PeopleError("password_common")


def check_account(name: str, role: str, kits: Iterable[str]) -> Account:
    """An account from what somebody typed.

    Raises:
        PeopleError: there is no such role, or nobody can be called so.
    """
    if not NAME.fullmatch(name):
        raise PeopleError("name")
    if role not in get_args(Role):
        raise PeopleError("role")
    return Account(name, role, tuple(sorted(set(kits))))


class People:
    """Accounts and sessions. Methods that change something are called on the database's thread."""

    def __init__(self, database: Database) -> None:
        """Read who there is.

        Raises:
            DatabaseError: the database cannot be read.
        """
        self._db = database
        self.accounts: dict[str, Account] = {}
        self._hashes: dict[str, str] = {}
        self._sessions: dict[str, Session] = {}
        for name, role, kits, hash, made_at in database.ask(
            "SELECT name, role, kits, hash, made_at FROM accounts"
        ):
            self.accounts[name] = Account(name, role, tuple(json.loads(kits)), made_at)
            self._hashes[name] = hash
        for digest, name, csrf, until in database.ask("SELECT digest, account, csrf, until FROM sessions"):
            if name in self.accounts:
                self._sessions[digest] = Session(self.accounts[name], digest, csrf, until)

    # ── Accounts ─────────────────────────────────────────────────────────────────────────────────────

    def find(self, name: str) -> Account | None:
        """The account of that name, however it is capitalised."""
        folded = name.casefold()
        return next((one for one in self.accounts.values() if one.name.casefold() == folded), None)

    def hash_of(self, name: str) -> str | None:
        """The password's hash."""
        return self._hashes.get(name)

    def add(self, people: Iterable[tuple[Account, str]], now: float, *, first: bool = False) -> None:
        """Make accounts with their passwords' hashes, all or none; *first*: only if there are none yet.

        Raises:
            PeopleError: a name is taken, there are too many, or they are not the first.
            DatabaseError: it could not be written.
        """
        made = [(replace(account, made_at=now), hash) for account, hash in people]
        names = [account.name.casefold() for account, _ in made]
        if first and self.accounts:
            raise PeopleError("set_up")
        if len(set(names)) < len(names) or any(self.find(name) for name in names):
            raise PeopleError("name_taken")
        if len(self.accounts) + len(made) > MOST_ACCOUNTS:
            raise PeopleError("too_many")
        rows = [(one.name, one.role, json.dumps(one.kits), hash, one.made_at) for one, hash in made]
        self._db.change("INSERT INTO accounts (name, role, kits, hash, made_at) VALUES (?, ?, ?, ?, ?)", rows)
        for account, hash in made:
            self.accounts[account.name], self._hashes[account.name] = account, hash

    def set_hash(self, name: str, hash: str) -> None:
        """Give an account a new password's hash."""
        self._db.change("UPDATE accounts SET hash = ? WHERE name = ?", [(hash, name)])
        self._hashes[name] = hash

    def remove(self, name: str) -> list[str]:
        """Take an account away, and its sessions, whose digests it returns.

        Raises:
            PeopleError: it is the last admin, and nobody could make another.
        """
        account = self.accounts[name]
        if account.role == "admin" and sum(one.role == "admin" for one in self.accounts.values()) == 1:
            raise PeopleError("last_admin")
        ended = self.end_sessions(name)
        self._db.change("DELETE FROM accounts WHERE name = ?", [(name,)])
        del self.accounts[name], self._hashes[name]
        return ended

    # ── Sessions ─────────────────────────────────────────────────────────────────────────────────────

    def begin(self, account: Account, now: float) -> tuple[str, Session]:
        """A new session: the cookie's value and what is remembered of it."""
        token = secrets.token_urlsafe(32)
        session = Session(account, _digest(token), secrets.token_urlsafe(24), now + SESSION_S)
        self._db.change("DELETE FROM sessions WHERE until < ?", [(now,)])
        row = (session.digest, account.name, session.csrf, session.until)
        self._db.change("INSERT INTO sessions (digest, account, csrf, until) VALUES (?, ?, ?, ?)", [row])
        self._sessions = {key: one for key, one in self._sessions.items() if one.until >= now}
        self._sessions[session.digest] = session
        return token, session

    def session(self, token: str | None, now: float) -> Session | None:
        """The session of a cookie, while it lasts. Reads memory only."""
        found = self._sessions.get(_digest(token)) if token else None
        return found if found is not None and found.until >= now else None

    def end(self, digest: str) -> None:
        """End one session."""
        self._sessions.pop(digest, None)
        self._db.change("DELETE FROM sessions WHERE digest = ?", [(digest,)])

    def end_sessions(self, name: str) -> list[str]:
        """End all sessions of an account. Returns their digests."""
        ended = [key for key, one in self._sessions.items() if one.account.name == name]
        for key in ended:
            del self._sessions[key]
        self._db.change("DELETE FROM sessions WHERE account = ?", [(name,)])
        return ended

    # ── Audit ────────────────────────────────────────────────────────────────────────────────────────

    def note(self, at: float, account: str, role: str, deed: str, kit: str = "", about: str = "") -> None:  # noqa: PLR0917
        """Add a line to the audit log, which only grows.

        Args:
            at: seconds since 1970.
            account: who; a name that nobody has, when a login was refused.
            role: as what.
            deed: what was done, a key of the page's texts.
            kit: in which room, or empty.
            about: more, in plain text.
        """
        self._db.change(
            "INSERT INTO audit (seq, at, account, role, deed, kit, about)"
            " SELECT COALESCE(MAX(seq), 0) + 1, CAST(? AS DOUBLE PRECISION), ?, ?, ?, ?, ? FROM audit",
            [(at, account[:60], role, deed, kit, about[:300])],
        )

    def log(self, before: int | None = None, most: int = 100) -> list[dict[str, Any]]:
        """The newest lines of the audit log, or those before the line *before*; newest first."""
        names = ("seq", "at", "account", "role", "deed", "kit", "about")
        found = self._db.ask(
            f"SELECT {', '.join(names)} FROM audit WHERE seq < ? ORDER BY seq DESC LIMIT ?",  # noqa: S608
            (before if before is not None else 2**62, most),
        )
        return [dict(zip(names, row, strict=True)) for row in found]


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
