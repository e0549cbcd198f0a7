"""Deployments over HTTP: their health in this gateway, and what operators have ordered."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from ...control import deployments
from ...control.deployments import DEFAULT_DRAIN, DeploymentChange, Reason, Seconds, names_of
from ...control.paging import LIMIT, MAX_LIMIT, page_of, read_cursor
from ...group.process_state import DeploymentState
from ...store.control.deployments import DeploymentOrder, all_orders
from ...store.queries.cursor import check_limit
from ..request import AdminRequest, encoded
from .audit import changed

_MICRO = 1_000_000


class DrainRequest(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"seconds": "for"}
):
    """For how many seconds, and why."""

    seconds: Seconds = DEFAULT_DRAIN
    reason: Reason = ""


class DeploymentView(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment. Times are microseconds; `health` is as the processes of this gateway know it.

    It is None where no request has needed the deployment yet.
    """

    name: str
    drained_until: int | None
    drained_by: str | None
    reason: str | None
    health: DeploymentState | None


class DeploymentAnswer(msgspec.Struct, frozen=True):
    deployment: DeploymentView


async def listed(request: AdminRequest) -> Response:
    """Answer with a page of deployments by name, as `rows` and `next`."""
    request.only("cursor", "limit")
    limit = request.number("limit", LIMIT)
    check_limit(limit, MAX_LIMIT)
    after = read_cursor(request.text("cursor", ""), "deployments")
    database = request.resources.database
    orders = {} if database is None else {
        each.name: each for each in await database.read(all_orders)
    }  # fmt: skip
    names = sorted(names_of(request.resources.control.config))
    shown = [name for name in names if name > after][: limit + 1]
    health = await _health(request)
    rows = [_view(request, orders.get(name, DeploymentOrder(name=name)), health) for name in shown]
    return encoded(page_of(rows, shown, limit, "deployments"))


async def drain(request: AdminRequest) -> Response:
    """Send nothing new to a deployment for a while."""
    request.only()
    wanted = await request.json(DrainRequest) if await request.http.body() else DrainRequest()
    return await _answer(request, await drained(request, wanted))


async def enable(request: AdminRequest) -> Response:
    """Send requests to a deployment again."""
    request.only()
    return await _answer(request, await enabled(request))


async def reset(request: AdminRequest) -> Response:
    """Close a deployment's breaker in every process."""
    request.only()
    return await _answer(request, await was_reset(request))


async def drained(request: AdminRequest, wanted: DrainRequest) -> DeploymentChange:
    """Drain the deployment that the path ends with."""
    name, known = request.argument, names_of(request.resources.control.config)
    return await changed(
        request,
        lambda connection, actor: deployments.drain(
            connection, name, wanted.seconds, wanted.reason, known, actor
        ),
    )


async def enabled(request: AdminRequest) -> DeploymentChange:
    name, known = request.argument, names_of(request.resources.control.config)
    return await changed(
        request, lambda connection, actor: deployments.enable(connection, name, known, actor)
    )


async def was_reset(request: AdminRequest) -> DeploymentChange:
    name, known = request.argument, names_of(request.resources.control.config)
    return await changed(
        request, lambda connection, actor: deployments.reset(connection, name, known, actor)
    )


async def _answer(request: AdminRequest, change: DeploymentChange) -> Response:
    return encoded(DeploymentAnswer(_view(request, change.order, await _health(request))))


async def _health(request: AdminRequest) -> dict[str, DeploymentState]:
    state = await request.resources.group.state()
    return {each.name: each for each in state.deployments}


def _view(
    request: AdminRequest, order: DeploymentOrder, health: dict[str, DeploymentState]
) -> DeploymentView:
    until = order.drained_until
    drained = until is not None and until > request.now
    return DeploymentView(
        name=order.name,
        drained_until=round(until * _MICRO) if until is not None and drained else None,
        drained_by=order.drained_by if drained else None,
        reason=order.reason if drained else None,
        health=health.get(order.name),
    )
