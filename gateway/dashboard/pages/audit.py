"""What people did, and whether the record of it is whole."""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec
from starlette.responses import Response

from ...core.records.audit import AuditAction, AuditResult
from ...store.queries import audit_log, filters
from ...store.queries.filters import AuditFilter
from ...store.writing import chain
from .. import links
from ..page_request import PageRequest
from ..views import time_range
from ..views.time_range import RANGES

LIMIT: Final = 50
DEFAULT: Final = "30d"
_ALSO: Final = {"range", "cursor", "verify"}
# The whole chain is read: ten seconds for a million entries.
_VERIFY_SECONDS: Final = 60.0


async def audit(request: PageRequest) -> Response:
    wanted, ranged = _wanted(request)
    after = request.admin.text("cursor", "") or None
    page = await request.read(partial(audit_log.page, wanted=wanted, after=after, limit=LIMIT))
    verdict = None
    if request.admin.text("verify", "", ("", "1")) and not request.wants_part:
        verdict = await request.admin.database.read(chain.verify, _VERIFY_SECONDS)
    request.admin.viewed("audit")
    template = "audit.html"
    if request.wants_part:
        template = "parts/audit_rows.html" if after else "parts/audit_results.html"
    path = request.path
    kept = {name: each for name, each in request.admin.params.items() if name not in _ALSO}
    if not kept.keys() & {"since", "until"}:
        kept["since"] = [f"{RANGES[ranged].seconds}s"]
    return await request.page(
        template,
        active="audit",
        rows=page.rows,
        next=page.next
        and links.with_params(path, request.admin.params, cursor=page.next, verify=None),
        scanned_until=page.scanned_until,
        verdict=verdict,
        actions=[*AuditAction],
        results=[*AuditResult],
        ranges=RANGES,
        range=ranged,
        filtered=any(name not in _ALSO for name in request.admin.filters),
        export=links.with_params(links.to("export/audit"), kept),
    )


def _wanted(request: PageRequest) -> tuple[AuditFilter, str]:
    params = {name: values for name, values in request.admin.params.items() if name != "range"}
    wanted = filters.parse_audit(params, request.admin.now, _ALSO - {"range"})
    if wanted.since is not None or wanted.until is not None:
        return wanted, ""
    ranged = RANGES[request.admin.text("range", DEFAULT, RANGES)]
    since = time_range.since(ranged, request.admin.now)
    # As in the list of requests: a cursor of one page is good for the next.
    return msgspec.structs.replace(wanted, since=since, written=(ranged.name, "")), ranged.name
