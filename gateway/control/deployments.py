"""Deployments by hand: take one out for a while, let it in again, close its breaker.

Each operation is one transaction of its caller's, as in `keys.py`. A drain ends by itself: what is
forgotten at 3 am must not be missing at noon.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from ..config.schema import Config
from ..core.records.audit import AuditAction
from ..errors import InvalidRequest, NotFound
from ..store.control import deployments
from ..store.control.deployments import DeploymentOrder
from ..store.control.generations import DEPLOYMENTS, Transaction, advance
from .changes import Actor, AuditNote

# Seconds.
DEFAULT_DRAIN: Final = 3600.0
MOST_DRAIN: Final = 7 * 86_400
Seconds = Annotated[float, Meta(ge=1, le=MOST_DRAIN)]
Reason = Annotated[str, Meta(max_length=200)]


class DeploymentChange(NamedTuple):
    """What holds for a deployment after a change. Without a `note` it is as before."""

    order: DeploymentOrder
    note: AuditNote | None


def names_of(config: Config) -> frozenset[str]:
    """Return the deployments of a configuration, as breakers and drains go by them."""
    return frozenset(
        f"{route.provider}/{route.model}" for model in config.models for route in model.routes
    )


def drain(
    connection: Transaction,
    name: str,
    seconds: float,
    reason: str,
    known: Collection[str],
    actor: Actor,
) -> DeploymentChange:
    """Send nothing new to a deployment for so many seconds. Raises NotFound, InvalidRequest."""
    generation, old = _opened(connection, name, known)
    if not reason.isprintable():
        raise InvalidRequest("reason must be of printable characters.", param="reason")
    new = msgspec.structs.replace(
        old,
        drained_until=actor.now + seconds,
        drained_by=actor.name,
        reason=reason or None,
    )
    deployments.put(connection, new, generation, actor.now)
    details = {"for_s": seconds, "reason": reason, **_was(old, actor.now)}
    return DeploymentChange(new, AuditNote(AuditAction.DEPLOYMENT_DRAINED, name, details))


def enable(
    connection: Transaction, name: str, known: Collection[str], actor: Actor
) -> DeploymentChange:
    """Send requests to a deployment again. Raises NotFound."""
    generation, old = _opened(connection, name, known)
    if old.drained_until is None or old.drained_until <= actor.now:
        return DeploymentChange(old, None)
    new = DeploymentOrder(name=name, resets=old.resets)
    deployments.put(connection, new, generation, actor.now)
    details = _was(old, actor.now)
    return DeploymentChange(new, AuditNote(AuditAction.DEPLOYMENT_ENABLED, name, details))


def reset(
    connection: Transaction, name: str, known: Collection[str], actor: Actor
) -> DeploymentChange:
    """Close the breaker of a deployment in every process. Raises NotFound."""
    generation, old = _opened(connection, name, known)
    new = msgspec.structs.replace(old, resets=old.resets + 1)
    deployments.put(connection, new, generation, actor.now)
    return DeploymentChange(new, AuditNote(AuditAction.BREAKER_RESET, name, {}))


def _opened(
    connection: Transaction, name: str, known: Collection[str]
) -> tuple[int, DeploymentOrder]:
    generation = advance(connection, DEPLOYMENTS)
    found = deployments.find(connection, name)
    if name not in known and found is None:
        raise NotFound(f"there is no deployment {name!r}")
    return generation, found or DeploymentOrder(name=name)


def _was(old: DeploymentOrder, now: float) -> dict[str, object]:
    """Return what the audit log says of the drain before."""
    if old.drained_until is None or old.drained_until <= now:
        return {"old": {"drained": False}}
    left = round(old.drained_until - now)
    return {"old": {"drained": True, "left_s": left, "by": old.drained_by, "reason": old.reason}}
