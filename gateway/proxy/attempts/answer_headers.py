"""What is passed on of the headers of a provider's answer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from ...core.routing.deployment import Deployment
from ..outcomes import Failed
from ..protocols import HeaderPairs

_NONE: Final = frozenset[bytes]()
# Of a rejection that is relayed as it came, inflated if it was compressed.
_ABOUT_BODY: Final = {b"content-type": b"content-type"}
_JSON: Final = b"application/json"
# Statuses that call for a retry (openai-python `_base_client.py`), though it is a refusal.
_RETRIED: Final = frozenset({429, *range(500, 600)})


@cache
def passed_on(headers: frozenset[bytes], limits: frozenset[bytes]) -> Mapping[bytes, bytes]:
    """Return which of a provider's headers a caller gets, and under which name.

    `headers` and `limits` are those of the provider's dialect. The headers get a prefix, so that
    they never mix with the gateway's own. The limits keep their names, which clients pace
    themselves by if they have no limits here.
    """
    names = {b"x-request-id", *headers}
    found = {name: b"x-provider-" + name.removeprefix(b"x-") for name in names}
    return found | {name: name for name in limits}


def provider_headers(
    deployment: Deployment, headers: HeaderPairs, *, limited: bool
) -> list[tuple[bytes, bytes]]:
    """Return what a caller gets of a provider's `headers`.

    `limited` says that the caller has limits of ours: those and the provider's in one answer
    would make no sense together.
    """
    dialect = deployment.dialect
    limits = _NONE if limited else dialect.limit_headers
    return _clean(headers, passed_on(dialect.provider_headers, limits))


def refusal_headers(
    deployment: Deployment, refusal: Failed, *, limited: bool
) -> list[tuple[bytes, bytes]]:
    """Return what a caller gets of the headers of a `refusal` that is relayed as it came."""
    given = () if refusal.answer is None else refusal.answer.headers
    shown = [*(_clean(given, _ABOUT_BODY) or deployment.dialect.answer_headers)]
    if not shown[0][1].lower().startswith(_JSON):
        # A browser must not take for a page what a provider says of a request.
        shown.append((b"x-content-type-options", b"nosniff"))
    if refusal.status in _RETRIED and refusal.retry_after is None:
        # OpenAI's SDKs repeat these by themselves, and this one would be refused again.
        shown.append((b"x-should-retry", b"false"))
    return shown + provider_headers(deployment, given, limited=limited)


def _clean(headers: HeaderPairs, names: Mapping[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """Return those `headers` that have a new name in `names`, under it."""
    # A control character would be legal for h11 and end up on a terminal.
    return [
        (names[name], value)
        for name, value in headers
        if name in names and value.isascii() and value.decode().isprintable()
    ]
