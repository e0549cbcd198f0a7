"""The processes of all hosts: how they are, and which are to be out of service.

What is known of them is where they tell it: in the server of [state], else in the database, else
among the workers of one supervisor.
"""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from ...control.changes import Actor
from ...control.deployments import DEFAULT_DRAIN, Reason, Seconds
from ...control.paging import LIMIT, MAX_LIMIT, page_of, read_cursor
from ...control.processes import drains as drain_operations
from ...control.processes.drains import ProcessChange
from ...core.limits.operations import StoreFailed
from ...core.processes import ProcessDrain, ProcessRow, host_target, process_target
from ...core.records.audit import AuditResult
from ...errors import NotFound, StoreUnavailable
from ...group.known.hosts import HostView, ProcessView, hosts_of, live_rows, views
from ...group.merging import GroupState, merged
from ...store.control.generations import Transaction
from ...store.control.process_drains import drains
from ...store.control.processes import all_processes
from ...store.queries.cursor import check_limit
from ..request import AdminRequest, encoded
from ..resources import Resources
from .audit import changed

# Seconds for a look into the database: who asks how the gateway is wants to know it in any case.
_PATIENCE = 0.5


class ProcessDrainRequest(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"seconds": "for"}
):
    """For how many seconds, and why."""

    seconds: Seconds = DEFAULT_DRAIN
    reason: Reason = ""


class ProcessAnswer(msgspec.Struct, frozen=True):
    process: ProcessView


class HostAnswer(msgspec.Struct, frozen=True):
    host: HostView


class KnownProcesses(msgspec.Struct, frozen=True):
    """All processes that are known, the drains, and where that is from."""

    rows: list[ProcessRow]
    drains: tuple[ProcessDrain, ...]
    source: str
    error: str | None = None


async def whole_state(resources: Resources, told: KnownProcesses | None = None) -> GroupState:
    """Return how the gateway is: the workers of this supervisor, and all hosts.

    `told` is what `told_processes` has returned just before.
    """
    answers = await resources.group.states()
    state, now = merged(answers.found, answers.silent), resources.clock()
    if told is None:
        told = await told_processes(resources)
    found = _joined(live_rows(answers.found, now), told)
    return msgspec.structs.replace(
        state,
        hosts=hosts_of(found.rows, now, found.drains),
        hosts_from=found.source,
        hosts_error=found.error,
    )


async def known(resources: Resources) -> KnownProcesses:
    """Return all processes by host and age; of those that were asked, what they said just now."""
    live = live_rows((await resources.group.states()).found, resources.clock())
    return _joined(live, await told_processes(resources))


async def told_processes(resources: Resources) -> KnownProcesses:
    """Return the processes that have told of themselves where all of them do."""
    error: str | None = None
    if resources.roll is not None:
        try:
            rows, wanted = await resources.roll.processes()
            return KnownProcesses(rows, tuple(wanted), "state")
        except StoreFailed as exc:
            error = f"the server of [state]: {exc}"
    database = resources.database
    if database is not None:
        now = resources.clock()

        def read(connection: Transaction) -> tuple[list[ProcessRow], list[ProcessDrain]]:
            return all_processes(connection), drains(connection, now)

        try:
            rows, wanted = await database.read(read, _PATIENCE)
            return KnownProcesses(rows, tuple(wanted), "database", error)
        except StoreUnavailable as exc:
            error = error or exc.message
    presence = resources.presence
    own = () if presence is None else presence.drains
    return KnownProcesses([], own, "supervisor", error)


async def listed(request: AdminRequest) -> Response:
    """Answer with a page of processes by host, as `rows` and `next`."""
    request.only("cursor", "limit")
    limit = request.number("limit", LIMIT)
    check_limit(limit, MAX_LIMIT)
    after = read_cursor(request.text("cursor", ""), "processes")
    found = await known(request.resources)
    rows = {
        f"{row.host} {row.started:.6f} {row.id}": view
        for row, view in zip(found.rows, views(found.rows, request.now, found.drains), strict=True)
    }
    shown = sorted(name for name in rows if name > after)[: limit + 1]
    return encoded(page_of([rows[name] for name in shown], shown, limit, "processes"))


async def drain_process(request: AdminRequest) -> Response:
    """Have a process not ready for a while; what is under way in it is finished."""
    await drained(request, process_target(request.argument), await _wanted(request))
    return await _process(request)


async def enable_process(request: AdminRequest) -> Response:
    """Have a process ready for new requests again."""
    request.only()
    await enabled(request, process_target(request.argument))
    return await _process(request)


async def drain_host(request: AdminRequest) -> Response:
    """Have all processes of a host not ready for a while; what is under way there is finished."""
    await drained(request, host_target(request.argument), await _wanted(request))
    return await _host(request)


async def enable_host(request: AdminRequest) -> Response:
    """Have the processes of a host ready for new requests again."""
    request.only()
    await enabled(request, host_target(request.argument))
    return await _host(request)


async def drained(request: AdminRequest, target: str, wanted: ProcessDrainRequest) -> ProcessChange:
    """Drain `target`. Raises NotFound, InvalidRequest, StoreUnavailable."""
    resources, actor = request.resources, Actor(request.who, request.now)
    await _check(resources, target)
    if resources.roll is None and resources.database is not None:
        return await changed(
            request,
            lambda connection, who: drain_operations.drain(
                connection, target, wanted.seconds, wanted.reason, who
            ),
        )
    change = drain_operations.drain_wanted(target, wanted.seconds, wanted.reason, actor)
    assert change.drain is not None
    if resources.roll is None:
        await resources.group.drain(target, change.drain)
    else:
        try:
            await resources.roll.drain(change.drain, wanted.seconds)
        except StoreFailed as exc:
            raise _away(exc) from exc
    return await _told(request, change)


async def enabled(request: AdminRequest, target: str) -> ProcessChange:
    """Have `target` in service again. Raises StoreUnavailable."""
    resources = request.resources
    if resources.roll is None and resources.database is not None:
        return await changed(
            request, lambda connection, who: drain_operations.enable(connection, target, who)
        )
    if resources.roll is None:
        found = await known(resources)
        was = any(each.target == target for each in found.drains)
        await resources.group.drain(target, None)
    else:
        try:
            was = await resources.roll.enable(target)
        except StoreFailed as exc:
            raise _away(exc) from exc
    return await _told(request, drain_operations.enabled_note(target, was))


async def _told(request: AdminRequest, change: ProcessChange) -> ProcessChange:
    """Put a change into the audit log that no transaction has made, and tell of it."""
    if change.note is not None:
        note = change.note
        request.audit(note.action, AuditResult.OK, note.target, **note.details)
    if request.resources.look is not None:
        await request.resources.look()
    return change


async def _check(resources: Resources, target: str) -> None:
    rows = (await known(resources)).rows
    if not any(target in (host_target(row.host), process_target(row.id)) for row in rows):
        what, _, name = target.partition(":")
        raise NotFound(f"there is no {what} {name!r}")


async def _wanted(request: AdminRequest) -> ProcessDrainRequest:
    request.only()
    if await request.http.body():
        return await request.json(ProcessDrainRequest)
    return ProcessDrainRequest()


async def _process(request: AdminRequest) -> Response:
    found = await known(request.resources)
    for view in views(found.rows, request.now, found.drains):
        if view.id == request.argument:
            return encoded(ProcessAnswer(view))
    raise NotFound(f"there is no process {request.argument!r}")


async def _host(request: AdminRequest) -> Response:
    found = await known(request.resources)
    for host in hosts_of(found.rows, request.now, found.drains):
        if host.name == request.argument:
            return encoded(HostAnswer(host))
    raise NotFound(f"there is no host {request.argument!r}")


def _joined(live: list[ProcessRow], told: KnownProcesses) -> KnownProcesses:
    by_id = {row.id: row for row in told.rows}
    for row in live:
        known_row = by_id.get(row.id, row)
        by_id[row.id] = msgspec.structs.replace(
            known_row, seen=row.seen, state={**known_row.state, **row.state}
        )
    rows = sorted(by_id.values(), key=lambda row: (row.host, row.started, row.id))
    return msgspec.structs.replace(told, rows=rows)


def _away(exc: StoreFailed) -> StoreUnavailable:
    return StoreUnavailable(f"the server of [state] cannot be used: {exc}")
