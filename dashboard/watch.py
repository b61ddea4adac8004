"""Alerts at work: looks at every window, keeps what happened, tells the pages, the broker and webhooks."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import urllib.request
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dashboard.alerts import AWAY, MOST_RULES, SILENCE_S, Happening, Rule, RuleError, Standing, holds, step
from dashboard.board import phase
from dashboard.database import DatabaseError
from dashboard.feed import Feed
from dashboard.history import Row
from edge.events import Alert, Event, format_time, name_event, topic

logger = logging.getLogger(__name__)

WEBHOOK_S = 5.0
MOST_TOLD = 100


class _Straight(urllib.request.HTTPRedirectHandler):
    """A webhook that answers with another address is not followed: nobody chose that one."""

    def redirect_request(self, *_arguments: Any) -> None:
        return None


def post(url: str, body: str) -> None:
    """Send *body* to a webhook.

    Raises:
        OSError: it did not answer, or not well.
    """
    headers = {"Content-Type": "application/cloudevents+json", "User-Agent": "suasana"}
    request = urllib.request.Request(url, body.encode(), headers, method="POST")  # noqa: S310 -- see check_rule
    with urllib.request.build_opener(_Straight).open(request, timeout=WEBHOOK_S):
        pass


@dataclass
class Watch:
    """The rules, and what each of them knows. Everything but posting runs on the event loop."""

    feed: Feed
    publish: Callable[[str, str], Awaitable[bool]]
    post: Callable[[str, str], None] = post

    def __post_init__(self) -> None:
        """Read the rules."""
        found = self.feed.disk.database.ask("SELECT value FROM choices WHERE name = 'rules'")
        tables = json.loads(found[0][0]) if found else []
        self.rules: tuple[Rule, ...] = tuple(Rule(**{**one, "days": tuple(one["days"])}) for one in tables)
        self._standings: dict[str, Standing] = {}
        self._boot_id, self._seq = secrets.token_hex(16), 0
        self._happenings: asyncio.Queue[Happening] = asyncio.Queue(1000)
        self.feed.listeners.append(self.hear)
        self.feed.lookers.append(self.look)

    def hear(self, kit: str, row: Row) -> None:
        """A window closed; what waited in a kit's outbox is no news."""
        if row.event.replayed:
            return
        window = row.view()
        for rule in self.rules:
            if rule.kit == kit and rule.condition != AWAY:
                self._step(rule, holds(rule, window))

    def look(self) -> None:
        """What no window tells: kits that are away, and windows that stay away."""
        now = self.feed.clock()
        for rule in self.rules:
            if rule.condition == AWAY:
                board = self.feed.board.kits.get(rule.kit)
                there = board is not None and phase(board, now, self.feed.board.limits) == "online"
                self._step(rule, not there and board is not None and self.feed.broker)
            else:
                standing = self._standings.get(rule.id)
                if standing is not None and standing.since is not None and now - standing.heard > SILENCE_S:
                    self._step(rule, condition=False)

    def _step(self, rule: Rule, condition: bool) -> None:
        now = self.feed.clock()
        standing, happening = step(rule, self._standings.get(rule.id, Standing()), now, condition)
        self._standings[rule.id] = standing
        if happening is not None and not self._happenings.full():
            self._happenings.put_nowait(happening)

    async def keep(self, rules: Sequence[Rule]) -> None:
        """Replace all rules; alerts of rules that are gone or off end.

        Raises:
            RuleError: there are too many.
            DatabaseError: they could not be written.
        """
        if len(rules) > MOST_RULES:
            raise RuleError("too_many")
        text = json.dumps([asdict(rule) for rule in rules])
        sql = (
            "INSERT INTO choices (name, value) VALUES ('rules', ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        )
        await self.feed.disk.run(self.feed.disk.database.change, sql, [(text,)])
        kept = {rule.id: rule for rule in rules}
        for rule in self.rules:
            if kept.get(rule.id) != rule:
                self._step(rule, condition=False)
                self._standings.pop(rule.id, None)
        self.rules = tuple(rules)

    async def told(self, kit: str, since: float) -> list[dict[str, Any]]:
        """Alerts of a room since a time, newest first; an alert without an end is open."""
        names = ("id", "kit", "rule", "label", "starts", "ends")
        found = await self.feed.disk.run(
            self.feed.disk.database.ask,
            f"SELECT {', '.join(names)} FROM alerts WHERE kit = ? AND starts >= ?"  # noqa: S608 -- our own
            " ORDER BY starts DESC LIMIT ?",
            (kit, since, MOST_TOLD),
        )
        return [dict(zip(names, row, strict=True)) for row in found]

    async def tend(self) -> None:
        """Tell what happens until cancelled."""
        while True:
            await self.tell(await self._happenings.get())

    async def settle(self) -> None:
        """Tell what waits to be told."""
        while not self._happenings.empty():
            await self.tell(self._happenings.get_nowait())

    async def tell(self, happening: Happening) -> None:
        """Keep it, show it, publish it, and call the webhook."""
        rule = happening.rule
        try:
            await self._write(happening)
        except DatabaseError as error:
            logger.warning("alerts: %s", error)
        self.feed.tell("alerts", {"kit": rule.kit}, rule.kit, mood=True)
        body = self._event(happening).to_json()
        if not await self.publish(topic(rule.kit, "event"), body):
            logger.warning("alerts: the broker did not take %s", happening.alert)
        if rule.webhook:
            try:
                await asyncio.to_thread(self.post, rule.webhook, body)
            except (OSError, ValueError) as error:
                logger.warning("alerts: the webhook of %s failed: %s", rule.id, error)

    async def _write(self, happening: Happening) -> None:
        rule, change = happening.rule, self.feed.disk.database.change
        if happening.phase == "new":
            row = (happening.alert, rule.kit, rule.id, rule.condition, happening.since)
            sql = (
                "INSERT INTO alerts (id, kit, rule, label, starts) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING"
            )
            await self.feed.disk.run(change, sql, [row])
        elif happening.phase == "end":
            sql = "UPDATE alerts SET ends = ? WHERE id = ? AND ends IS NULL"
            await self.feed.disk.run(change, sql, [(happening.at, happening.alert)])

    def _event(self, happening: Happening) -> Event:
        """The event, in a sequence of the dashboard's own."""
        rule, seq = happening.rule, self._seq
        self._seq += 1
        data = Alert(
            phase=happening.phase,
            alert=happening.alert,
            condition=rule.condition,
            at_least=rule.at_least,
            for_s=rule.for_s,
            since=format_time(happening.since),
        )
        return Event(
            id=name_event(rule.kit, self._boot_id, seq),
            kit=rule.kit,
            boot_id=self._boot_id,
            seq=seq,
            at=format_time(happening.at),
            time_quality="synced",
            data=data,
        )
