"""Requests about alerts: the rules, and what happened."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from dashboard.access import Access, account_of, check_kit, read_json
from dashboard.alerts import CONDITIONS, RuleError, check_rule
from dashboard.feed import Feed
from dashboard.history import DAY_S
from dashboard.watch import Watch

TOLD_S = 7 * DAY_S
LONGEST_BODY = 60_000


@dataclass
class Rules:
    """The handlers."""

    access: Access
    feed: Feed
    watch: Watch

    def routes(self) -> list[BaseRoute]:
        """What is asked about alerts."""
        guarded = self.access.route
        return [
            guarded("/api/rules", self.rules, "alerts"),
            guarded("/api/rules", self.keep, "alerts", methods=("PUT",)),
            guarded("/api/alerts", self.alerts, "alerts"),
        ]

    async def rules(self, request: Request) -> Response:
        """The rules of the rooms that the asker sees, and what there can be rules about."""
        account = account_of(request)
        rules = [asdict(rule) for rule in self.watch.rules if account.sees(rule.kit)]
        return JSONResponse({"rules": rules, "conditions": CONDITIONS})

    async def keep(self, request: Request) -> Response:
        """Replace the rules of the rooms that the asker sees; others' stay."""
        wanted = (await read_json(request, LONGEST_BODY)).get("rules")
        if not isinstance(wanted, list):
            raise HTTPException(400, "rules is a list")
        try:
            rules = [check_rule(one if isinstance(one, dict) else {}) for one in wanted]
            for rule in rules:
                check_kit(request, rule.kit)
            others = [rule for rule in self.watch.rules if not account_of(request).sees(rule.kit)]
            await self.watch.keep([*others, *rules])
        except RuleError as error:
            raise HTTPException(400, str(error)) from error
        await self.access.note(request, "alerts")
        return JSONResponse({"done": True})

    async def alerts(self, request: Request) -> Response:
        """What happened in a room in the last week, newest first."""
        kit = check_kit(request, request.query_params.get("kit"))
        return JSONResponse({"alerts": await self.watch.told(kit, self.feed.clock() - TOLD_S)})
