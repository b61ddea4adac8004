"""When to say that a room may need somebody: a condition that holds for a while; never about a child.

Pure: ``step`` takes what was, what is and when, and returns what is now and what there is to tell.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from dashboard.lessons import TIME_OF_DAY
from edge.events import KIT_NAME
from edge.words import LABELS, UNCERTAIN

Phase = Literal["new", "update", "end"]
Trouble = Literal["unread", "away"]

UNREAD: Trouble = "unread"
"""Nothing could be said about the room: too few faces, nobody, capture off."""
AWAY: Trouble = "away"
"""The kit cannot be heard."""
CONDITIONS = (*(label for label in LABELS if label != "neutral"), UNCERTAIN, *get_args(Trouble))
UPDATE_EVERY_S = 300.0
SILENCE_S = 90.0
"""A condition about the mood no longer holds when no window came for so long."""
MOST_RULES = 100
LONGEST_URL = 300


class RuleError(ValueError):
    """No such rule can be; the message is a key of the page's texts."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One condition and when it is told."""

    id: str
    kit: str
    condition: str
    at_least: float
    """Part of the group, 0..1; not used for ``unread`` and ``away``."""
    for_s: float
    """How long it has to hold."""
    quiet_s: float
    """How long nothing new is told after it ended."""
    days: tuple[int, ...]
    """0 is Monday."""
    starts: str
    """``07:00``, by the clock of the server's own place."""
    ends: str
    on: bool = False
    webhook: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """What one rule knows. Times are seconds since 1970."""

    since: float | None = None
    """Since when the condition holds."""
    heard: float = 0.0
    """When it was last looked at."""
    alert: str = ""
    """The alert that is open, or empty."""
    told: float = 0.0
    quiet_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Happening:
    """Something to tell."""

    alert: str
    rule: Rule
    phase: Phase
    since: float
    at: float


def check_rule(table: Mapping[str, Any]) -> Rule:
    """A rule from what somebody typed.

    Raises:
        RuleError: something in it cannot be.
    """
    kit, condition = str(table.get("kit")), str(table.get("condition"))
    if not KIT_NAME.fullmatch(kit):
        raise RuleError("kit")
    if condition not in CONDITIONS:
        raise RuleError("condition")
    days = table.get("days")
    if (
        not isinstance(days, list)
        or not days
        or any(type(day) is not int or not 0 <= day <= 6 for day in days)
    ):
        raise RuleError("days")
    starts, ends = str(table.get("starts")), str(table.get("ends"))
    if not TIME_OF_DAY.fullmatch(starts) or not TIME_OF_DAY.fullmatch(ends) or starts >= ends:
        raise RuleError("times")
    webhook = str(table.get("webhook") or "")
    if webhook and (urlsplit(webhook).scheme not in {"http", "https"} or len(webhook) > LONGEST_URL):
        raise RuleError("webhook")
    return Rule(
        id=str(table.get("id") or secrets.token_hex(6))[:40],
        kit=kit,
        condition=condition,
        at_least=_number(table, "at_least", 0.2, 1.0),
        for_s=_number(table, "for_s", 60.0, 7200.0),
        quiet_s=_number(table, "quiet_s", 0.0, 86_400.0),
        days=tuple(sorted(set(days))),
        starts=starts,
        ends=ends,
        on=table.get("on") is True,
        webhook=webhook,
    )


def _number(table: Mapping[str, Any], name: str, least: float, most: float) -> float:
    value = table.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise RuleError("number")
    return float(value)


def holds(rule: Rule, window: Mapping[str, Any]) -> bool:
    """Whether the condition about the mood holds in a window, as History.windows tells it."""
    if rule.condition == UNREAD:
        return bool(window["suppressed"])
    return not window["suppressed"] and window["shares"].get(rule.condition, 0.0) >= rule.at_least


def watches(rule: Rule, now: float) -> bool:
    """Whether the rule is on at this time of the week."""
    local = datetime.fromtimestamp(now).astimezone()
    return rule.on and local.weekday() in rule.days and rule.starts <= f"{local:%H:%M}" < rule.ends


def step(rule: Rule, standing: Standing, now: float, condition: bool) -> tuple[Standing, Happening | None]:
    """What becomes of a rule when its condition is looked at.

    Args:
        rule: which one.
        standing: what it knew.
        now: seconds since 1970.
        condition: whether it holds.
    """
    standing = replace(standing, heard=now)
    if not condition or not watches(rule, now):
        ended = None
        if standing.alert:
            ended = Happening(standing.alert, rule, "end", standing.since or now, now)
            standing = replace(standing, alert="", quiet_until=now + rule.quiet_s)
        return replace(standing, since=None), ended
    since = now if standing.since is None else standing.since
    standing = replace(standing, since=since)
    if standing.alert:
        if now - standing.told < UPDATE_EVERY_S:
            return standing, None
        return replace(standing, told=now), Happening(standing.alert, rule, "update", since, now)
    if now - since < rule.for_s or now < standing.quiet_until:
        return standing, None
    alert = f"{rule.id}-{int(since)}"
    return replace(standing, alert=alert, told=now), Happening(alert, rule, "new", since, now)
