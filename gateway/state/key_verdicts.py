"""What the end of an attempt says of the key that it was made with."""

from __future__ import annotations

from typing import Final

import structlog

from ..core.routing.blame.doubts import DOUBTFUL
from ..core.routing.causes import RULES, Cause
from ..core.routing.entered import Entered
from ..core.routing.health import Sample

# How often in a row a key must be refused before it is set aside for what may be the requests'
# fault, and to how many callers.
DOUBTS: Final = 3
DOUBTERS: Final = 2

_log = structlog.get_logger(__name__)


def judge_key(entered: Entered, sample: Sample, now: float) -> None:
    """Rest, set aside or clear the key of an attempt that has left, and say so in the log."""
    keyring, key, cause = entered.target.keyring, entered.key, sample.cause
    if cause is Cause.RATE_LIMITED:
        seconds = keyring.limit(key, now, sample.retry_after)
        _log.info(
            "provider limits a key",
            deployment=entered.deployment.name,
            key=key.label,
            seconds=round(seconds, 3),
        )
    elif cause is Cause.AUTH_FAILED and sample.status is None:
        # There was no token to call with, so none was refused. It may be there again at any
        # moment, and the task that fetches it has logged why it is not.
        return
    elif cause in (Cause.AUTH_FAILED, Cause.ACCOUNT_REFUSED):
        known = keyring.why_refused(key) is not None
        rests = _set_aside(entered, sample, now)
        if rests is None:
            return
        log = _log.info if known else _log.error
        log(
            "provider refuses a key; it is set aside" if rests else "provider refuses a key",
            deployment=entered.deployment.name,
            key=key.label,
            seconds=round(rests, 3),
            error=sample.error,
        )
    elif cause is None or RULES[cause].failure is False:
        keyring.accepted(key, now)


def _set_aside(entered: Entered, sample: Sample, now: float) -> float | None:
    """Leave a refused key alone; return for how many seconds, None if that is no news.

    401 is about the key and nothing else, and so is what the provider says of our account in
    words that are known. Any other 402 or 403 may be about this one request: a filter that
    dislikes the prompt, more tokens than what is left pays for, a model of a family that is
    not ours. It sets a key aside when several callers are refused in a row, and nobody is
    served in between.
    """
    keyring, key = entered.target.keyring, entered.key
    certain = sample.cause is Cause.ACCOUNT_REFUSED or sample.status not in DOUBTFUL
    if certain:
        return keyring.refuse(key, now, sample.error, everywhere=True)
    if entered.deployment.pattern is not None:
        return 0.0
    doubts = keyring.doubt(key, entered.source)
    if doubts.count < DOUBTS or doubts.callers < DOUBTERS:
        return 0.0 if doubts.count == 1 else None
    return keyring.refuse(key, now, sample.error, everywhere=False)
