"""What is on record: requests, sessions, the audit log, usage and costs, health, figures."""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec
from starlette.responses import Response

from ..errors import InvalidRequest, NotFound
from ..store.queries import (
    agent_sessions,
    audit_log,
    filters,
    request_log,
    session_thread,
    stats,
    usage,
    user_usage,
)
from ..store.queries.filters import Filter
from .request import AdminRequest, encoded, json_answer

_ORDERS: Final = ("desc", "asc")
_LIMIT: Final = 100
_SESSIONS: Final = 50
_TOP: Final = 10
MOST_TOP: Final = 100
_MINUTES: Final = 60


async def requests(request: AdminRequest) -> Response:
    """Answer with a page of requests: `rows`, `next` and `scanned_until` (see request_log.Page)."""
    also = {"sort", "order", "cursor", "limit"}
    wanted = filters.parse(request.params, request.now, also)
    sort = cast(request_log.Sort, request.text("sort", "time", request_log.SORTS))
    descending = request.text("order", "desc", _ORDERS) == "desc"
    after, limit = request.text("cursor", "") or None, request.number("limit", _LIMIT)
    body = await request.read(
        lambda connection: request_log.page(
            connection,
            wanted,
            sort=sort,
            descending=descending,
            after=after,
            limit=limit,
            now=request.now,
        )
    )
    request.viewed("requests")
    return json_answer(body)


async def one_request(request: AdminRequest) -> Response:
    """Answer with the requests of an id as `rows`, newest first, each with what was `tried`."""
    request.only()
    request_id = request.argument

    def work(connection: Any) -> list[dict[str, Any]]:
        return request_log.one(connection, request_id)

    found = await request.database.read(work)
    if not found:
        raise NotFound(f"there is no request {request_id!r} on record")
    request.viewed_request(request_id)
    return encoded(RequestsOfId(found))


async def sessions(request: AdminRequest) -> Response:
    """Answer with a page of agents' sessions, newest first (see agent_sessions.SessionPage)."""
    wanted = filters.parse(request.params, request.now, {"by", "cursor", "limit"})
    by = cast(agent_sessions.SessionKind, request.text("by", "session", agent_sessions.KINDS))
    after, limit = request.text("cursor", "") or None, request.number("limit", _SESSIONS)
    body = await request.read(
        lambda connection: agent_sessions.page(connection, wanted, by=by, after=after, limit=limit)
    )
    request.viewed("sessions")
    return json_answer(body)


async def one_session(request: AdminRequest) -> Response:
    """Answer with the totals of a session and of its agents (see session_thread.SessionSummary)."""
    request.only("by")
    by = cast(agent_sessions.SessionKind, request.text("by", "session", agent_sessions.KINDS))
    name = request.argument
    found = await request.database.read(
        lambda connection: session_thread.summary(connection, name, by)
    )
    if found is None:
        raise NotFound(f"there is no request of the {by} {name!r} on record")
    request.viewed("sessions")
    return encoded(found)


async def audit(request: AdminRequest) -> Response:
    """Answer with a page of the audit log, newest first."""
    wanted = filters.parse_audit(request.params, request.now, {"cursor", "limit"})
    after, limit = request.text("cursor", "") or None, request.number("limit", _LIMIT)
    body = await request.read(
        lambda connection: audit_log.page(connection, wanted, after=after, limit=limit)
    )
    request.viewed("audit")
    return json_answer(body)


async def used(request: AdminRequest) -> Response:
    """Answer with sums of usage by group and time (see usage.Usage)."""
    wanted = filters.parse(request.params, request.now, {"group_by", "bucket"})
    group_by = request.several("group_by", ())
    if group_by == (user_usage.USER,):
        return await _used_by_users(request, wanted)
    bucket = cast(usage.Bucket, request.text("bucket", "none", usage.BUCKETS))
    return json_answer(
        await request.read(
            lambda connection: usage.usage(
                connection, wanted, group_by=group_by, bucket=bucket, now=request.now
            )
        )
    )


async def _used_by_users(request: AdminRequest, wanted: Filter) -> Response:
    """Answer with the users who used most, from the requests: roll-ups do not tell them apart."""
    request.text("bucket", "none", ("none",))
    return json_answer(
        await request.read(
            lambda connection: user_usage.report(connection, wanted, now=request.now)
        )
    )


async def costs(request: AdminRequest) -> Response:
    """Answer with what each group cost (see usage.Costs)."""
    wanted = filters.parse(request.params, request.now, {"group_by"})
    group_by = request.several("group_by", ("model",))
    return json_answer(
        await request.read(
            lambda connection: usage.costs(connection, wanted, group_by=group_by, now=request.now)
        )
    )


async def figures(request: AdminRequest) -> Response:
    """Answer with the figures of a dashboard (see stats.Summary)."""
    wanted = filters.parse(request.params, request.now, {"top"})
    top = request.number("top", _TOP)
    if not 1 <= top <= MOST_TOP:
        raise InvalidRequest(f"top must be from 1 to {MOST_TOP}; it is {top}.", param="top")
    return json_answer(
        await request.read(
            lambda connection: stats.summary(connection, wanted, top=top, now=request.now)
        )
    )


async def health(request: AdminRequest) -> Response:
    """Answer with how each deployment did lately, as `rows` (see stats.Health)."""
    request.only("minutes")
    minutes = request.number("minutes", _MINUTES)
    return json_answer(
        await request.read(
            lambda connection: HealthReport(
                stats.health(connection, minutes=minutes, now=request.now)
            )
        )
    )


class HealthReport(msgspec.Struct):
    rows: list[stats.DeploymentHealth]


class RequestsOfId(msgspec.Struct):
    rows: list[dict[str, Any]]
