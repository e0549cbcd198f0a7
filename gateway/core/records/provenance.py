"""The headers by which an answer says how it came about, from the request's record."""

from __future__ import annotations

from ..cache.answers import FALLBACK_HEADER
from ..routing.causes import UNABLE
from .record import Record

# Of what was gone past a caller is told what its own request is the reason of. The rest is how the
# gateway stands with its providers, which is the operator's to know.
_TOLD = frozenset(each.value for each in UNABLE)


def provenance(record: Record, *, routed: bool) -> list[tuple[bytes, bytes]]:
    """Return the headers; `routed` says that providers were to be asked."""
    headers: list[tuple[bytes, bytes]] = []
    if record.provider is not None:
        # A wildcard lets callers choose it: nothing that could end a header.
        model = (record.provider_model or "").encode("ascii", "replace")
        headers.append((b"x-gateway-provider", record.provider.encode("ascii", "replace")))
        headers.append((b"x-gateway-model", model))
    if record.fallback_model is not None and not record.cached:
        name = record.fallback_model.encode("ascii", "replace")
        headers.append((FALLBACK_HEADER, name))
    if record.dropped:
        headers.append((b"x-gateway-dropped", ", ".join(record.dropped).encode("ascii")))
    if record.skipped:
        reasons = dict.fromkeys(each.reason for each in record.skipped if each.reason in _TOLD)
        if reasons:
            headers.append((b"x-gateway-skipped", ", ".join(reasons).encode("ascii")))
    if record.attempts or routed:
        headers.append((b"x-gateway-attempts", b"%d" % len(record.attempts)))
    return headers
