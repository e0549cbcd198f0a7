"""The history of requests, live if wanted."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence, Set
from functools import partial
from typing import Any, Final, cast

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp

from ...core.records.record import EndReason
from ...store.queries import filters, request_log
from ...store.queries.filters import Filter
from .. import links
from ..live.stream import EventStream
from ..page_request import PageRequest
from ..views import time_range
from ..views.explanations import ENDS
from ..views.time_range import RANGES

LIMIT: Final = 50
DEFAULT: Final = "24h"
_ALSO: Final = {"range", "sort", "order", "cursor", "tail"}
# Seconds that records may come late and still be shown by the live tail.
_LATE: Final = 15.0
_TAIL_SECONDS: Final = 1.0
# And for which what was read is good: for those who look at the same moment, not for the next look.
_GOOD: Final = 0.5
_REMEMBERED: Final = 2000
# What a person chooses from most of the time.
STATUSES: Final = (
    ("", "Any outcome"),
    ("error", "Failed"),
    ("2xx", "2xx"),
    ("4xx", "4xx"),
    ("429", "429"),
    ("5xx", "5xx"),
    ("499", "Caller left"),
)


async def requests(request: PageRequest) -> Response:
    """Show a page of the history; of it only the rows if that is what a script asks for."""
    wanted, ranged = wanted_of(request)
    sort = cast(request_log.Sort, request.admin.text("sort", "time", request_log.SORTS))
    order = request.admin.text("order", "desc", ("desc", "asc"))
    after = request.admin.text("cursor", "") or None
    tail = request.admin.text("tail", "", ("", "1")) == "1"
    page = await request.read(
        partial(
            request_log.page,
            wanted=wanted,
            sort=sort,
            descending=order == "desc",
            after=after,
            limit=LIMIT,
            now=request.admin.now,
        )
    )
    request.admin.viewed("requests")
    template = "requests.html"
    if request.wants_part:
        template = "parts/request_rows.html" if after else "parts/request_results.html"
    return await request.page(
        template,
        active="requests",
        rows=page.rows,
        next=page.next and links.with_params(request.path, request.admin.params, cursor=page.next),
        scanned_until=page.scanned_until,
        ends=ENDS,
        sort=sort,
        order=order,
        tail=tail and not after and sort == "time" and order == "desc",
        ranges=RANGES,
        range=ranged,
        statuses=STATUSES,
        reasons=[*EndReason],
        names=names(request),
        tail_url=_tail_url(request),
        filtered=any(name not in _ALSO for name in request.admin.filters),
        export=links.with_params(links.to("export/requests"), _exported(request)),
        more=bool(after),
    )


async def live(request: PageRequest) -> ASGIApp:
    """Send what comes in and passes the same filters."""
    wanted, _ = wanted_of(request)
    # A second before: what the page itself was made of may have missed it.
    started = round((time.time() - 1.0) * 1_000_000)
    seen: dict[str, None] = {}

    async def next_event() -> tuple[str, Any] | None:
        rows = await _newest(request, wanted)
        fresh = [row for row in rows if row["id"] not in seen and _end(row) >= started]
        seen.update(dict.fromkeys(row["id"] for row in fresh))
        while len(seen) > _REMEMBERED:
            del seen[next(iter(seen))]
        return ("update", {"rows": await _rendered(request, fresh)}) if fresh else None

    # Each open page of it counts as one look.
    request.admin.viewed("requests")
    return EventStream(request.site.open_pages, next_event, _TAIL_SECONDS)


async def _newest(request: PageRequest, wanted: Filter) -> list[dict[str, Any]]:
    """Return what has just ended and passes: one query for all open pages of the same filter."""
    narrowed = msgspec.structs.replace(wanted, since=None, until=None, written=("", ""))

    async def read() -> list[dict[str, Any]]:
        since = round((time.time() - _LATE) * 1_000_000)
        return await request.read(
            partial(request_log.just_ended, wanted=narrowed, since=since, limit=LIMIT)
        )

    found: list[dict[str, Any]] = await request.site.shared.get(narrowed, _GOOD, read)
    return found


def _end(row: dict[str, Any]) -> int:
    found: int = row["time"] + row["latency_us"]
    return found


async def _rendered(request: PageRequest, rows: list[dict[str, Any]]) -> msgspec.Raw:
    """Return the rows as the table has them: made once for all pages that lack the same."""

    async def read() -> msgspec.Raw:
        shown = {"rows": rows, "ends": ENDS, "next": None, "scanned_until": None}
        return (await request.render_parts({"rows": "parts/request_rows.html"}, **shown))["rows"]

    key = ("rows", *(row["id"] for row in rows))
    found: msgspec.Raw = await request.site.shared.get(key, _GOOD, read)
    return found


def wanted_of(
    request: PageRequest, also: Set[str] = _ALSO, usual: str = DEFAULT
) -> tuple[Filter, str]:
    """Return the filter and the range by name, "" where the address has times of its own.

    `also` are the parameters of the page that filter nothing, `usual` is the range without one.
    """
    params = {name: values for name, values in request.admin.params.items() if name != "range"}
    wanted = filters.parse(params, request.admin.now, also - {"range"})
    if wanted.since is not None or wanted.until is not None:
        return wanted, ""
    ranged = RANGES[request.admin.text("range", usual, RANGES)]
    since = time_range.since(ranged, request.admin.now)
    # `written` makes a page's cursor good for the next page, whose "now" is another.
    written = (f"{ranged.seconds}s", "")
    return msgspec.structs.replace(wanted, since=since, written=written), ranged.name


def names(request: PageRequest) -> dict[str, list[str]]:
    """Return what the fields suggest: names of the configuration, as many as a list can show."""
    snapshot = request.resources.snapshot()
    most = 200
    models = [model.name for model in snapshot.models][:most]
    providers = {each.provider for model in snapshot.models for each in model.deployments}
    tokens = [caller.name for caller in list(snapshot.callers.values())[:most]]
    return {"model": models, "provider": sorted(providers)[:most], "token": tokens}


def _tail_url(request: PageRequest) -> str:
    kept = {name: values for name, values in request.admin.params.items() if name not in _ALSO}
    return links.with_params(links.to("live/requests"), kept)


def _exported(request: PageRequest) -> Mapping[str, Sequence[str]]:
    kept = {name: values for name, values in request.admin.params.items() if name not in _ALSO}
    if not kept.keys() & {"since", "until"}:
        ranged = RANGES[request.admin.text("range", DEFAULT, RANGES)]
        kept = {**kept, "since": [f"{ranged.seconds}s"]}
    return kept
