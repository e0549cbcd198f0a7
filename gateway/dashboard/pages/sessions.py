"""Sessions of agents, newest first, and one of them as a thread in time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

from starlette.responses import Response

from ...core.records.client_metadata import agent_of
from ...errors import InvalidRequest, NotFound
from ...store.queries import agent_sessions, filters, request_log, session_thread
from ...store.queries.agent_sessions import SessionKind
from ...store.queries.request_log import RequestPage
from ...store.queries.session_thread import SessionSummary
from .. import links
from ..page_request import PageRequest
from ..views.explanations import ENDS
from ..views.time_range import RANGES
from .requests import names, wanted_of

LIMIT: Final = 50
DEFAULT: Final = "7d"
_ALSO: Final = {"range", "by", "cursor"}
_KINDS: Final = {"session": "Sessions", "user": "Users"}
_FIELDS: Final = (("model", "Model"), ("token", "Key"), ("team", "Team"))


async def sessions(request: PageRequest) -> Response:
    """Show a page of sessions; of it only the rows if that is what a script asks for."""
    by = _kind(request)
    wanted, ranged = wanted_of(request, _ALSO, DEFAULT)
    after = request.admin.text("cursor", "") or None
    page = await request.read(
        partial(agent_sessions.page, wanted=wanted, by=by, after=after, limit=LIMIT)
    )
    request.admin.viewed("sessions")
    template = "sessions.html"
    if request.wants_part:
        template = "parts/session_rows.html" if after else "parts/session_results.html"
    known = names(request)
    return await request.page(
        template,
        active="sessions",
        rows=page.rows,
        next=page.next and links.with_params(request.path, request.admin.params, cursor=page.next),
        scanned_until=page.scanned_until,
        by=by,
        kinds=_KINDS,
        ranges=RANGES,
        range=ranged,
        fields=_FIELDS,
        names={**known, "team": []},
        filtered=any(name not in _ALSO for name in request.admin.filters),
    )


async def one(request: PageRequest) -> Response:
    """Show one session: its totals, its agents, its requests from the first to the last."""
    request.admin.only("id", "by", "agent", "order", "cursor")
    by = _kind(request)
    name, agent = _id(request), request.admin.text("agent", "")
    order = request.admin.text("order", "asc", ("asc", "desc"))
    after = request.admin.text("cursor", "") or None
    params = {by: [name], "agent": [agent] if agent else []}
    wanted = filters.parse(params, request.admin.now)

    wanted_page = partial(
        request_log.page, wanted=wanted, descending=order == "desc", after=after, limit=LIMIT
    )
    # Further pages of the thread need its requests alone.
    wanted_summary = None if after else partial(session_thread.summary, name=name, by=by)
    found, page = await request.read(partial(_thread, summary=wanted_summary, page=wanted_page))
    if found is None and after is None:
        raise NotFound(f"there is no request of the {by} {name!r} on record")
    request.admin.viewed("sessions")
    return await request.page(
        "parts/thread_rows.html" if after else "session.html",
        active="sessions",
        found=found,
        rows=page.rows,
        agents=[_agent(row) for row in page.rows],
        next=page.next and links.with_params(request.path, request.admin.params, cursor=page.next),
        by=by,
        id=name,
        agent=agent,
        order=order,
        ends=ENDS,
        most=session_thread.MOST_AGENTS,
    )


def _thread(
    connection: Any,
    summary: Callable[[Any], SessionSummary | None] | None,
    page: Callable[[Any], RequestPage],
) -> tuple[SessionSummary | None, RequestPage]:
    return None if summary is None else summary(connection), page(connection)


def _kind(request: PageRequest) -> SessionKind:
    return cast(SessionKind, request.admin.text("by", "session", agent_sessions.KINDS))


def _id(request: PageRequest) -> str:
    # In the query and not in the path: callers choose it, and it may end in a slash.
    found = request.admin.text("id", "")
    if not found:
        raise InvalidRequest("id must be the id of a session.", param="id")
    return found


def _agent(row: dict[str, Any]) -> str | None:
    found = agent_of(row["metadata"] or {})
    return None if found is None else found.id
