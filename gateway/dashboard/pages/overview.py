"""What is wrong now, then how everything has been going, live."""

from __future__ import annotations

import time
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec
import trio
from starlette.responses import Response
from starlette.types import ASGIApp

from ...errors import StoreUnavailable
from ...store.queries import stats
from ...store.queries.filters import Filter
from ..live.processes import GOOD, OLDEST
from ..live.stream import EventStream
from ..page_request import PageRequest, Parts
from ..views import series, time_range
from ..views.budgets import SENT, BudgetUse, budget_use, budgets_of
from ..views.time_range import RANGES, TimeRange
from ..views.troubles import troubles

DEFAULT: Final = "1h"
# Seconds between two looks at what this process knows by itself.
_LOOK: Final = 2.0
_TOP: Final = 8
# Seconds that the page waits for its figures. Those of a month take longer where there are many.
_PATIENCE: Final = 0.15
_BUDGET_SECONDS: Final = 15.0
# Places of the page that show what is, and their templates.
_PRESENT: Final = {"present": "parts/present.html", "in-flight": "parts/in_flight.html"}
_DIMENSIONS: Final = ("model", "provider", "token")


class ShownFigures(NamedTuple):
    """Figures, the places of the page that show them, and its charts by column.

    `sent` are the columns as JSON, which is made once for all pages.
    """

    summary: stats.Summary
    parts: Parts
    columns: dict[str, list[float | None]]
    sent: msgspec.Raw


async def overview(request: PageRequest) -> Response:
    request.admin.only("range", *_DIMENSIONS)
    wanted = _range(request)
    figures, problem = await _figures_or_problem(request, wanted)
    return await request.page(
        "overview.html",
        active="overview",
        ranges=RANGES,
        range=wanted,
        default=DEFAULT,
        figures=None if figures is None else figures.summary,
        problem=problem,
        series=series.NONE if figures is None else figures.columns,
        chosen=[(name, each) for name in _DIMENSIONS for each in request.admin.several(name, ())],
        **await _present(request),
    )


async def live(request: PageRequest) -> ASGIApp:
    """Send the same again: what is wrong every two seconds, the figures when they may be new."""
    request.admin.only("range", *_DIMENSIONS)
    wanted = _range(request)
    shown: object = None
    sent: dict[str, msgspec.Raw] = {}

    async def next_event() -> tuple[str, Any] | None:
        nonlocal shown
        parts: dict[str, msgspec.Raw] = {}
        value: dict[str, Any] = {}
        for place, text in (await _present_parts(request)).items():
            if text != sent.get(place):
                sent[place] = parts[place] = text
        if request.database is not None:
            figures = await _figures(request, wanted)
            if figures is not shown:
                shown = figures
                parts |= figures.parts
                value["series"] = figures.sent
        return ("update", {"parts": parts, **value}) if parts else None

    return EventStream(request.site.open_pages, next_event, _LOOK)


def _range(request: PageRequest) -> TimeRange:
    return RANGES[request.admin.text("range", DEFAULT, RANGES)]


async def _figures_or_problem(
    request: PageRequest, wanted: TimeRange
) -> tuple[ShownFigures | None, str | None]:
    """Return the figures, or why there are none: what is wrong now is shown in any case.

    The page does not wait for figures that take long: they are sent to it when they are there.
    """
    if request.database is None:
        return None, "off"
    try:
        with trio.move_on_after(_PATIENCE):
            return await _figures(request, wanted), None
    except StoreUnavailable as exc:
        return None, exc.message
    return None, None


async def _figures(request: PageRequest, wanted: TimeRange) -> ShownFigures:
    chosen = {name: request.admin.several(name, ()) for name in _DIMENSIONS}
    key = (wanted.name, *chosen.values())

    async def read() -> ShownFigures:
        now = time.time()
        filter_ = Filter(
            since=time_range.since(wanted, now),
            model=chosen["model"],
            provider=chosen["provider"],
            token=chosen["token"],
        )

        found, columns, sent = await request.read(partial(_summary, filter_=filter_, now=now))
        parts = await request.render_parts(
            {"figures": "parts/figures.html"}, figures=found, range=wanted
        )
        return ShownFigures(found, parts, columns, msgspec.Raw(sent))

    found: ShownFigures = await request.site.shared.get(key, wanted.refresh, read)
    return found


def _summary(
    connection: Any, filter_: Filter, now: float
) -> tuple[stats.Summary, dict[str, list[float | None]], bytes]:
    summary = stats.summary(connection, filter_, top=_TOP, now=now)
    columns = series.columns(summary)
    return summary, columns, msgspec.json.encode(columns)


async def _present_parts(request: PageRequest) -> Parts:
    """Return the places of the page that show what is: one rendering for all who may the same."""

    async def read() -> Parts:
        return await request.render_parts(_PRESENT, **await _present(request))

    key = ("overview", request.may_operate)
    found: Parts = await request.site.processes.parts.get(key, GOOD, read)
    return found


async def _present(request: PageRequest) -> dict[str, Any]:
    processes = request.site.processes
    known, under_way = await processes.state(), await processes.under_way(OLDEST)
    models = {
        model.name: list(dict.fromkeys(each.state_key for each in model.deployments))
        for model in request.resources.snapshot().models
    }
    closed = sum(each["state"] == "closed" for each in known["deployments"])
    return {
        "troubles": troubles(known, models, await _budgets(request), under_way.rows),
        "state": known,
        "oldest": under_way.rows,
        "in_flight": under_way.total,
        "closed": closed,
    }


async def _budgets(request: PageRequest) -> list[BudgetUse]:
    budgets = budgets_of(request.resources.snapshot().callers.values())
    if not budgets or request.database is None:
        return []

    async def read() -> list[BudgetUse]:
        now = time.time()
        work = partial(budget_use, budgets=budgets, now=now)
        return await request.read(work, here=len(budgets) > SENT)

    try:
        found: list[BudgetUse] = await request.site.shared.get("budgets", _BUDGET_SECONDS, read)
    except StoreUnavailable:
        # That is a trouble of its own, and the rest is known without the database.
        return []
    return found
