"""What was used and what it cost, beside the period before."""

from __future__ import annotations

from functools import partial
from typing import Final

from starlette.responses import Response

from ...errors import InvalidRequest
from ...store.queries import filters
from ...store.queries.rollup_sums import TEAM
from ...store.queries.user_usage import USER
from .. import links
from ..page_request import PageRequest
from ..views import budgets, comparison, periods

_GROUPS: Final = {
    "model": "Model",
    "provider": "Provider",
    "token": "Key",
    "team": "Team",
    "user": "User",
    "status": "Status",
}
_CHOSEN: Final = ("model", "provider", "token", "team", "status")
_ALSO: Final = {"period", "group_by", "measure"}
_EXPORTED: Final = ("csv", "jsonl", "parquet")


async def usage(request: PageRequest) -> Response:
    wanted = filters.parse(request.admin.params, request.admin.now, _ALSO)
    if wanted.since is not None or wanted.until is not None:
        raise InvalidRequest("Choose a period; since and until are for the list of requests.")
    group_by = request.admin.text("group_by", "model", _GROUPS)
    # Users are added up from the requests themselves: a month of them takes long where there are
    # many, and is one click away.
    usual = "7d" if group_by == USER else "30d"
    chosen = request.admin.text("period", usual, periods.NAMES)
    measure = request.admin.text("measure", "cost", comparison.MEASURES)
    period = periods.period(chosen, request.admin.now)
    known = budgets.budgets_of(request.resources.snapshot().callers.values())

    now = request.admin.now
    found: comparison.Comparison = await request.read(
        partial(
            comparison.compare,
            wanted=wanted,
            period=period,
            group_by=group_by,
            measure=measure,
            now=now,
        )
    )
    used: list[budgets.BudgetUse] = await request.read(
        partial(budgets.budget_use, budgets=known, now=now), here=len(known) > budgets.SENT
    )
    request.admin.viewed("usage")
    return await request.page(
        "usage.html",
        active="usage",
        period=period,
        periods=periods.NAMES,
        groups=_GROUPS,
        group_by=group_by,
        measures=comparison.MEASURES,
        measure=measure,
        unit=comparison.MEASURES[measure][1],
        found=found,
        budgets=_budgets(used, group_by),
        chosen=[(name, each) for name in _CHOSEN for each in request.admin.several(name, ())],
        exports=[(each, _export(request, period, group_by, each)) for each in _EXPORTED],
    )


def _export(request: PageRequest, period: periods.UsagePeriod, group_by: str, format_: str) -> str:
    kept = {name: values for name, values in request.admin.params.items() if name in _CHOSEN}
    # Users are told apart in the requests alone.
    users = group_by == USER
    return links.with_params(
        links.to("export/requests" if users else "export/usage"),
        kept,
        since=period.since // periods.SECOND,
        until=period.until // periods.SECOND,
        period=None if users else period.bucket,
        by=TEAM if group_by == TEAM else None,
        format=format_,
    )


def _budgets(used: list[budgets.BudgetUse], group_by: str) -> list[budgets.BudgetUse]:
    """Return all of what is grouped by, else the fullest of all."""
    if group_by in ("token", "team"):
        return [each for each in used if each.by == group_by]
    return used[:5]
