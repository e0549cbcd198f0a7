"""The requests that the processes of this gateway are answering right now."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.responses import Response

from ..control.changes import AuditNote
from ..control.paging import PagePlace, place_of
from ..core.limits.operations import StoreFailed
from ..core.processes import SharedRoll
from ..core.records.audit import AuditAction, AuditResult
from ..errors import NotFound, Overloaded, StoreUnavailable
from ..group.known.under_way import GroupRow, told_requests
from ..store.control import cancellations
from ..store.control.generations import Transaction
from ..store.queries.cursor import check_limit
from .controls.audit import audit_change
from .controls.processes import KnownProcesses, told_processes
from .request import AdminRequest, encoded
from .resources import Resources

_LIMIT: Final = 100
_LONGEST_ID: Final = 200
# As for the pages of the logs. Rows are made on the event loop: a thousand take some 3 ms.
MAX_LIMIT: Final = 1000


class InFlightList(msgspec.Struct, frozen=True):
    """The oldest exchanges under way in all processes of this gateway, oldest first.

    `total` counts those left out as well, `next` is the cursor of the page that follows, None at
    the end. `silent` are the workers that did not say in time what they are doing. Those of other
    hosts, or of this one that cannot be asked, are as each process said it within two seconds, and
    of each process the oldest.
    """

    rows: list[GroupRow]
    total: int
    next: str | None = None
    silent: tuple[int, ...] = ()


class Cancelled(msgspec.Struct, frozen=True):
    """How many requests of this gateway were cancelled; else whether other gateways are asked.

    Those look within a second or two, and say nothing of what they have found. So do workers of
    this one that are too busy to answer.
    """

    cancelled: int
    others_asked: bool


async def cancel(request: AdminRequest) -> Response:
    """Cancel the requests of an id: in this gateway, or in another one on the database."""
    request.only()
    found = await cancelled(request)
    return encoded(found, 202 if found.others_asked else 200)


async def cancelled(request: AdminRequest) -> Cancelled:
    """Cancel them. Raises NotFound if none can be under way."""
    request_id, resources = request.argument, request.resources
    answers = await resources.group.cancel(request_id)
    if answers.found:
        first, many = answers.found[0], len(answers.found)
        details = {"token": first.token, "model": first.model, "requests": many}
        request.audit(AuditAction.REQUEST_CANCELLED, AuditResult.OK, request_id, **details)
        return Cancelled(many, others_asked=False)
    if resources.roll is not None and len(request_id) <= _LONGEST_ID:
        await _ask_all(resources.roll, request_id)
        if resources.database is None:
            request.audit(
                AuditAction.REQUEST_CANCELLED, AuditResult.OK, request_id, others_asked=True
            )
            return await _asked(resources)
    if resources.database is None or len(request_id) > _LONGEST_ID:
        if answers.silent:
            raise Overloaded("a worker does not answer; ask again", retry_after=1)
        raise NotFound(f"no request {request_id!r} is under way")
    note = AuditNote(AuditAction.REQUEST_CANCELLED, request_id, {"others_asked": True})

    def ask(connection: Transaction) -> None:
        cancellations.ask(connection, request_id, request.now)
        audit_change(connection, request, note)

    await request.write(ask)
    return await _asked(resources)


async def _ask_all(roll: SharedRoll, request_id: str) -> None:
    try:
        await roll.cancel(request_id)
    except StoreFailed as exc:
        raise StoreUnavailable(f"the server of [state] cannot be used: {exc}") from exc


async def _asked(resources: Resources) -> Cancelled:
    if resources.look is not None:
        # Also to tell the others.
        await resources.look()
    return Cancelled(0, others_asked=True)


async def in_flight(request: AdminRequest) -> Response:
    """Answer with the exchanges under way (see `InFlightList`)."""
    request.only("limit", "cursor")
    limit = request.number("limit", _LIMIT)
    check_limit(limit, MAX_LIMIT)
    after = place_of(request.text("cursor", ""), "in-flight")
    found = await exchanges(request.resources, limit + 1, after)
    request.viewed("in-flight")
    if len(found.rows) > limit:
        rows = found.rows[:limit]
        cursor = PagePlace("in-flight", rows[-1].started, rows[-1].request_id).text
        found = msgspec.structs.replace(found, rows=rows, next=cursor)
    return encoded(found)


async def exchanges(
    resources: Resources,
    limit: int,
    after: tuple[int, str] | None = None,
    told: KnownProcesses | None = None,
) -> InFlightList:
    """Return the oldest exchanges under way in all processes, on all hosts.

    `told` is what `told_processes` has returned just before.
    """
    answers = await resources.group.in_flight(limit, after)
    host = None if resources.presence is None else resources.presence.host
    rows = [
        GroupRow(**msgspec.structs.asdict(row), pid=own.pid, host=host)
        for own in answers.found
        for row in own.rows
    ]
    total = sum(own.total for own in answers.found)
    if host is not None:
        asked = {(host, own.pid) for own in answers.found}
        if told is None:
            told = await told_processes(resources)
        others, more = told_requests(told.rows, resources.clock(), asked)
        rows += [row for row in others if after is None or (row.started, row.request_id) > after]
        total += more
    rows.sort(key=lambda row: (row.started, row.request_id))
    return InFlightList(rows[:limit], total, silent=answers.silent)
