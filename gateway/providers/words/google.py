"""The bodies in which Google says no, taken apart: which quota is used up, their details say.

    {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [
        {"@type": ".../google.rpc.QuotaFailure", "violations": [
            {"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "quotaValue": "50"}]},
        {"@type": ".../google.rpc.RetryInfo", "retryDelay": "34.4s"}]}}

No wait that a request could have cures the quota of a day, though `RetryInfo` may speak of seconds,
and other models have quotas of their own. A quota of zero is one that an account has not: a free
account and a model that is not free, say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from ...core.routing.refusals import Refusal
from ..refusal_body import read_refusal

_OF_DAY: Final = re.compile(r"per ?day|daily", re.IGNORECASE)
# Seconds until such a quota is tried again: it may have been raised, or the day be over.
_LONG: Final = 3600.0
_MOST: Final = 16


def read_google_refusal(body: bytes) -> Refusal:
    """Take `body` apart. Whatever the bytes are, the answer is what can be read of them."""
    found = read_refusal(body)
    if b"violations" in body and any(_lasts(each) for each in _violations(body)):
        return msgspec.structs.replace(found, wait=max(found.wait or 0.0, _LONG))
    return found


def _violations(body: bytes) -> Iterator[dict[str, Any]]:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if isinstance(document, list):
        # Without `alt=sse` streams are arrays, and so are their errors.
        document = document[0] if document else None
    error = document.get("error") if isinstance(document, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    for detail in details[:_MOST] if isinstance(details, list) else ():
        violations = detail.get("violations") if isinstance(detail, dict) else None
        for violation in violations[:_MOST] if isinstance(violations, list) else ():
            if isinstance(violation, dict):
                yield violation


def _lasts(violation: dict[str, Any]) -> bool:
    """Say whether a quota is still used up after a minute."""
    named = f"{violation.get('quotaId')} {violation.get('quotaMetric')}"
    return bool(_OF_DAY.search(named)) or violation.get("quotaValue") in ("0", 0)
