"""What is on record: requests, the audit log, usage and costs, health, figures."""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec
from starlette.responses import Response

from ..errors import NotFound
from ..store.queries import audit_log, filters, request_log, stats, usage
from .request import AdminRequest, encoded, json_answer

_ORDERS: Final = ("desc", "asc")
_LIMIT: Final = 100
_TOP: Final = 10
_MINUTES: Final = 60


async def requests(visit: AdminRequest) -> Response:
    """Answer with a page of requests: `rows`, `next` and `scanned_until` (see request_log.Page)."""
    also = {"sort", "order", "cursor", "limit"}
    wanted = filters.parse(visit.params, visit.now, also)
    sort = cast(request_log.Sort, visit.text("sort", "time", request_log.SORTS))
    descending = visit.text("order", "desc", _ORDERS) == "desc"
    after, limit = visit.text("cursor", "") or None, visit.number("limit", _LIMIT)
    body = await visit.read(
        lambda connection: request_log.page(
            connection,
            wanted,
            sort=sort,
            descending=descending,
            after=after,
            limit=limit,
            now=visit.now,
        )
    )
    visit.viewed("requests")
    return json_answer(body)


async def request(visit: AdminRequest) -> Response:
    """Answer with the requests of an id as `rows`, newest first, each with what was `tried`."""
    request_id = visit.argument

    def work(connection: Any) -> list[dict[str, Any]]:
        return request_log.one(connection, request_id)

    found = await visit.database.read(work)
    if not found:
        raise NotFound(f"there is no request {request_id!r} on record")
    visit.viewed_request(request_id)
    return encoded({"rows": found})


async def audit(visit: AdminRequest) -> Response:
    """Answer with a page of the audit log, newest first."""
    wanted = filters.parse_audit(visit.params, visit.now, {"cursor", "limit"})
    after, limit = visit.text("cursor", "") or None, visit.number("limit", _LIMIT)
    body = await visit.read(
        lambda connection: audit_log.page(connection, wanted, after=after, limit=limit)
    )
    visit.viewed("audit")
    return json_answer(body)


async def used(visit: AdminRequest) -> Response:
    """Answer with sums of usage by group and time (see usage.Usage)."""
    wanted = filters.parse(visit.params, visit.now, {"group_by", "bucket"})
    group_by = visit.several("group_by", ())
    bucket = cast(usage.Bucket, visit.text("bucket", "none", usage.BUCKETS))
    return json_answer(
        await visit.read(
            lambda connection: usage.usage(
                connection, wanted, group_by=group_by, bucket=bucket, now=visit.now
            )
        )
    )


async def costs(visit: AdminRequest) -> Response:
    """Answer with what each group cost (see usage.Costs)."""
    wanted = filters.parse(visit.params, visit.now, {"group_by"})
    group_by = visit.several("group_by", ("model",))
    return json_answer(
        await visit.read(
            lambda connection: usage.costs(connection, wanted, group_by=group_by, now=visit.now)
        )
    )


async def figures(visit: AdminRequest) -> Response:
    """Answer with the figures of a dashboard (see stats.Summary)."""
    wanted = filters.parse(visit.params, visit.now, {"top"})
    top = min(visit.number("top", _TOP), 100)
    return json_answer(
        await visit.read(
            lambda connection: stats.summary(connection, wanted, top=top, now=visit.now)
        )
    )


async def health(visit: AdminRequest) -> Response:
    """Answer with how each deployment did lately, as `rows` (see stats.Health)."""
    visit.only("minutes")
    minutes = visit.number("minutes", _MINUTES)
    return json_answer(
        await visit.read(
            lambda connection: _Rows(stats.health(connection, minutes=minutes, now=visit.now))
        )
    )


class _Rows(msgspec.Struct):
    rows: list[stats.DeploymentHealth]
