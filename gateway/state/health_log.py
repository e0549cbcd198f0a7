"""What is logged of callers whose requests fail at a deployment, or that leave it unanswered.

Each line stands for the first of a series: a caller can bring about as many failures as it likes.
"""

from __future__ import annotations

import structlog

from ..core.routing.blame.suspects import Suspect
from ..core.routing.entered import Entered
from ..core.routing.health import Sample

_log = structlog.get_logger(__name__)


def log_suspect(entered: Entered, suspect: Suspect, sample: Sample, now: float) -> None:
    """Say that a deployment is closed to one caller: its requests fail, others' may not."""
    source = entered.source
    retry_at = suspect.breaker.retry_at(now)
    _log.warning(
        "a caller's requests fail at a provider; it is closed to them alone",
        deployment=entered.deployment.name,
        token=None if source is None else source.caller,
        one_body=suspect.body is not None,
        seconds=round((retry_at or now) - now, 3),
        cause=None if sample.cause is None else sample.cause.value,
        error=sample.error,
    )


def log_abandoned(entered: Entered, sample: Sample) -> None:
    """Say so for the first of the callers that leave without an answer, until there is one."""
    target = entered.target
    target.left_late += 1
    if target.left_late == 1:
        _log.warning(
            "a caller left a provider that takes longer than usual",
            deployment=entered.deployment.name,
            waited=round(sample.latency or 0.0, 3),
            usual=round(target.patience.seconds(whole=sample.whole), 3),
        )
