"""Models, where each is served, and how that goes."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import Final

from starlette.responses import Response

from ...errors import StoreUnavailable
from ...store.control.deployments import DeploymentOrder, all_orders
from ...store.queries import stats
from ...store.queries.stats import DeploymentHealth
from ..page_request import PageRequest
from ..views.deployments import model_views

_MINUTES: Final = 60
_MOST: Final = 200
_SECONDS: Final = 15.0


async def models(request: PageRequest) -> Response:
    request.admin.only("text")
    text = request.admin.text("text", "").lower()
    health, problem = await _health(request)
    orders = await _orders(request)
    known = await request.site.processes.state()
    every = list(request.resources.snapshot().models.everything())
    chosen = [
        model
        for model in every
        if text in model.name.lower()
        or any(text in each.name.lower() for each in model.deployments)
    ]
    template = "parts/model_results.html" if request.wants_part else "models.html"
    return await request.page(
        template,
        active="models",
        models=list(
            islice(model_views(chosen[:_MOST], known["deployments"], health, orders), _MOST)
        ),
        found=len(chosen),
        every=len(every),
        text=text,
        problem=problem,
        minutes=_MINUTES,
        workers=max(1, len(known.get("processes", ()))),
        slots=[each for each in known["slots"] if each["limit"] is not None or each["waiting"]],
    )


async def _health(request: PageRequest) -> tuple[list[DeploymentHealth], str | None]:
    """Return the last hour's attempts, or why there are none: states are shown in any case."""
    if request.database is None:
        return [], None

    async def read() -> list[DeploymentHealth]:
        now = request.admin.now
        return await request.read(partial(stats.health, minutes=_MINUTES, now=now))

    try:
        found: list[DeploymentHealth] = await request.site.shared.get("health", _SECONDS, read)
    except StoreUnavailable as exc:
        return [], exc.message
    return found, None


async def _orders(request: PageRequest) -> dict[str, DeploymentOrder]:
    """Return the drains that hold, by deployment; none where the database cannot say."""
    if request.database is None:
        return {}
    try:
        found = await request.read(all_orders)
    except StoreUnavailable:
        return {}
    now = request.admin.now
    return {
        each.name: each
        for each in found
        if each.drained_until is not None and each.drained_until > now
    }
