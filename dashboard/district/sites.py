"""Which site a kit belongs to, and what kits and pages may do at a district's RabbitMQ. Pure.

A kit's name begins with its site: ``sdn-3--kelas-1a`` is a kit of ``sdn-3``. The topics stay the same as in a
single room, and one pattern tells what a site's page may hear.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from edge.events import BASE, KIT_NAME

BETWEEN = "--"
SITE_NAME = re.compile(r"[a-z0-9](-?[a-z0-9])*")
"""No two hyphens in a row, none at an end: so the first two in a kit's name end its site's."""
LONGEST_SITE = 40
QUEUE = "suasana-events"
SPREAD = "suasana-spread"
"""An exchange that shares the events among several queues, all of one kit's into the same."""
MOST_QUEUES = 64
ASIDE = "suasana-aside"
"""Where the broker puts what was given out again and again and never acknowledged."""
EXCHANGE = "amq.topic"
"""Where RabbitMQ puts what is published over MQTT, with dots for slashes."""
HASHED = "rabbit_password_hashing_sha256"


class SiteError(ValueError):
    """No site or kit can have this name; the message says why in one line."""


def site_of(kit: str) -> str:
    """The site that a kit's name begins with; empty for a kit of no site."""
    site, between, _ = kit.partition(BETWEEN)
    return site if between else ""


def check_site(site: str) -> str:
    """A site's name, if it can be one.

    Raises:
        SiteError: it cannot.
    """
    if not SITE_NAME.fullmatch(site) or len(site) > LONGEST_SITE:
        raise SiteError(
            f"{site!r} is no site's name: lower-case letters and digits with single hyphens between,"
            f" at most {LONGEST_SITE}"
        )
    return site


def check_kit(kit: str) -> str:
    """A kit's name, if it can be one and names its site.

    Raises:
        SiteError: it cannot.
    """
    if not KIT_NAME.fullmatch(kit) or not site_of(kit):
        raise SiteError(f"{kit!r} is no kit of a site: <site>{BETWEEN}<name>")
    check_site(site_of(kit))
    return kit


def role_of(site: str) -> str:
    """The name of a site's role in the database, which is its schema's name too."""
    return f"site_{site}"


def page_of(site: str) -> str:
    """The broker's user for a site's page; no kit can have this name."""
    return f"page_{site}"


def queue_names(queues: int) -> list[str]:
    """The names of so many queues: a single one has no number."""
    return [QUEUE] if queues == 1 else [f"{QUEUE}-{number}" for number in range(queues)]


def hash_password(password: str, salt: bytes) -> str:
    """As RabbitMQ keeps it: salt (4 bytes) and SHA-256 of salt and password, in base 64."""
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode("ascii")


def definitions(kits: Mapping[str, str], pages: Mapping[str, str], vhost: str = "/") -> dict[str, Any]:
    """What ``rabbitmqctl import_definitions`` takes: users and what each of them may do.

    Args:
        kits: password hash by kit.
        pages: password hash by site, for its page.
        vhost: where kits and pages are at home.
    """
    users, permissions, topics = [], [], []
    for kit, hashed in kits.items():
        users.append(_user(check_kit(kit), hashed))
        permissions.append(_permission(kit, vhost, [rf"mqtt-subscription-suasana-{kit}(qos[01])?"]))
        topics.append(_topics(kit, vhost, read=_own(kit), write=_own(kit)))
    for site, hashed in pages.items():
        name = page_of(check_site(site))
        users.append(_user(name, hashed))
        permissions.append(_permission(name, vhost, [rf"mqtt-subscription-{name}-[a-z0-9-]+(qos[01])?"]))
        of_site = rf"^{BASE}\.{site}{BETWEEN}[a-z0-9-]+\."
        write = rf"{of_site}((set|request)\.[a-z-]+|event)$"
        topics.append(_topics(name, vhost, read=of_site, write=write))
    return {"users": users, "permissions": permissions, "topic_permissions": topics}


def _user(name: str, hashed: str) -> dict[str, Any]:
    return {"name": name, "password_hash": hashed, "hashing_algorithm": HASHED, "tags": []}


def _permission(user: str, vhost: str, queues: Iterable[str]) -> dict[str, str]:
    """A client over MQTT has a queue of its own, named after its client id, and nobody else's."""
    own = f"^({'|'.join(queues)})$"
    both = f"^(amq\\.topic|{'|'.join(queues)})$"
    return {"user": user, "vhost": vhost, "configure": own, "write": both, "read": both}


def _topics(user: str, vhost: str, *, read: str, write: str) -> dict[str, str]:
    return {"user": user, "vhost": vhost, "exchange": EXCHANGE, "read": read, "write": write}


def _own(kit: str) -> str:
    return rf"^{BASE}\.{kit}\."
