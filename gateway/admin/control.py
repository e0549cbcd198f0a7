"""What an administrator does to the gateway: a reload of its configuration."""

from __future__ import annotations

from typing import Final

import msgspec
import trio
from starlette.responses import Response

from ..config.reload_status import ReloadOutcome
from ..core.records.audit import AuditAction, AuditResult
from ..errors import ConfigurationRejected, InternalError
from .request import AdminRequest, encoded

# Seconds. It is a matter of milliseconds, unless we are being stopped.
_PATIENCE: Final = 10.0


class ReloadAnswer(msgspec.Struct, frozen=True):
    """Which generation of the configuration is in use now, and what a reload cannot change."""

    reloaded: bool
    generation: int
    needs_restart: tuple[str, ...]
    warnings: tuple[str, ...]


async def reload(request: AdminRequest) -> Response:
    """Reload the configuration; 422 with everything that is wrong with it."""
    outcome = await reloaded(request)
    if outcome.reloaded:
        return encoded(
            ReloadAnswer(True, outcome.generation, outcome.needs_restart, outcome.warnings)
        )
    raise ConfigurationRejected(outcome.problems)


async def reloaded(request: AdminRequest) -> ReloadOutcome:
    """Reload it in every process, and say what came of it. Raises InternalError if that hangs."""
    outcome: ReloadOutcome | None = None
    # A caller that leaves meanwhile must not keep the other processes from being told.
    with trio.move_on_after(_PATIENCE, shield=True):
        outcome = await request.resources.control.reload_everywhere(str(request.identity))
        _note(request, outcome)
    if outcome is None:
        request.audit(AuditAction.CONFIG_RELOADED, AuditResult.FAILED, still_under_way_s=_PATIENCE)
        raise InternalError(f"the reload takes longer than {_PATIENCE:g} s; the log has its end")
    return outcome


def _note(request: AdminRequest, outcome: ReloadOutcome) -> None:
    result = AuditResult.OK if outcome.reloaded else AuditResult.FAILED
    request.audit(AuditAction.CONFIG_RELOADED, result, **outcome.details())
