"""The way to the broker, step by step: name, TCP, TLS, credentials, publish, acknowledged and heard again."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

from edge.broker import certificates
from edge.broker.visit import Address, Visit, VisitError, broker_address, locate, reach, resolve, shake_hands
from edge.checks import Finding, Patient, finding
from edge.settings import Mqtt

ECHO = "response/doctor"
"""Below the kit's own name, where a test message disturbs nobody."""
KNOWN_CAUSES = {
    ("name", "unfound"): "broker.unfound",
    ("tcp", "refused"): "broker.refused",
    ("tls", "early"): "broker.tls_early",
    ("tls", "expired"): "broker.tls_expired",
    ("tls", "refused"): "broker.tls_refused",
    ("credentials", "password"): "broker.password",
    ("credentials", "certificate"): "broker.certificate",
    ("credentials", "login"): "broker.login",
    ("credentials", "listen"): "broker.unheard",
}

DAY_S = 86_400
BROKER_DAYS = 30
"""`suasana site renew` makes a new one from 60 days on: something did not call it."""
OWN_DAYS = 90
"""A kit's own needs somebody to come, and holidays are long."""
RENEWED_DAYS = 14
"""The shortest is renewed with 20 days left: at this the renewal failed for a week."""

USER = re.compile(r"//.*@")
"""Somebody may have written a password there, where it does not belong."""


def examine(patient: Patient) -> Iterator[Finding]:
    """One line per step, up to the first that fails."""
    settings = patient.settings
    assert settings is not None
    mqtt = settings.mqtt
    shown = USER.sub("//", mqtt.url)
    try:
        address = broker_address(mqtt.url, **mqtt.files)
        address = locate(address)
        shown = f"{address.host}:{address.port}"
        yield finding("broker.name_ok", host=address.host, ip=resolve(address))
        reach(address)
        yield finding("broker.tcp_ok", address=shown)
        if address.tls:
            agreed = shake_hands(address)
            yield finding("broker.tls_ok", version=agreed.version)
            yield from _ends(agreed.until, mqtt, time.time())
        yield from _visit(address, settings.kit_name)
    except VisitError as error:
        id = KNOWN_CAUSES.get((error.stage, error.cause), f"broker.{error.stage}")
        yield finding(id, address=shown, reason=error.reason, kit=settings.kit_name)


def _ends(broker_until: float, mqtt: Mqtt, now: float) -> Iterator[Finding]:
    """Certificates that run out before somebody may look here again."""
    left = int((broker_until - now) / DAY_S)
    if left < BROKER_DAYS:
        yield finding("broker.tls_soon", days=left)
    if not mqtt.cert_file:
        return
    left = int((certificates.read(Path(mqtt.cert_file).read_bytes()).until.timestamp() - now) / DAY_S)
    if mqtt.registrar_port and left < RENEWED_DAYS:
        yield finding("broker.certificate_late", days=left)
    elif not mqtt.registrar_port and left < OWN_DAYS:
        yield finding("broker.certificate_soon", days=left)


def _visit(address: Address, kit: str) -> Iterator[Finding]:
    with Visit(address, kit=kit) as visit:
        yield finding("broker.login_ok", user=address.user or "-")
        visit.listen(ECHO)
        began = time.monotonic()
        word = f'{{"ok":true,"transaction":"doctor-{began:.6f}"}}'
        visit.say(ECHO, word)
        took_ms = round((time.monotonic() - began) * 1000)
        yield finding("broker.publish_ok", took_ms=took_ms)
        if visit.hear(ECHO, word.__eq__) is None:
            raise VisitError("credentials", "a message was acknowledged but did not come back", "listen")
        yield finding("broker.heard_ok")
