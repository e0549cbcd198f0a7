"""Which headers are passed on: from a caller to a provider, and from its answer to the caller.

Both are lists of what is allowed, since what is not known may say something of the gateway, be the
credential of one side, or steer the framing of the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ...core.routing.call import Headers
from ...core.routing.deployment import Deployment
from ..attempts.answer_headers import provider_headers
from ..protocols import HeaderPairs

# What says how a body or an answer is to be taken (RFC 9110 sections 8, 12, 13 and 14), and that a
# request is the same as an earlier one.
_TO_PROVIDERS: Final = frozenset(
    {
        *(b"accept", b"accept-language", b"content-disposition", b"content-encoding"),
        *(b"content-language", b"content-type", b"idempotency-key", b"if-match"),
        *(b"if-modified-since", b"if-none-match", b"if-range", b"if-unmodified-since"),
        *(b"prefer", b"range"),
    }
)
_TO_CALLERS: Final = frozenset(
    {
        *(b"accept-ranges", b"cache-control", b"content-disposition", b"content-language"),
        *(b"content-range", b"content-type", b"etag", b"last-modified", b"location"),
        *(b"retry-after", b"retry-after-ms", b"x-should-retry"),
    }
)
# Whatever it is, a browser must not take it for a page of the gateway's own, where an operator may
# be signed in.
_HARMLESS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"sandbox; default-src 'none'"),
)
# In a text a key of ours can be found and masked, whereby its length changes.
_TEXTS: Final = (b"text/", b"application/json", b"application/x-ndjson", b"application/jsonl")


def to_provider(
    headers: Mapping[bytes, bytes], own: Headers, allowed: frozenset[bytes] = frozenset()
) -> Headers:
    """Return the headers of a call: what is passed on of the caller's, and `own`.

    `allowed` are more names that the provider takes. The caller's word about the body and about
    the answer counts; about anything else that of the configuration does.
    """
    passed = {
        name: value for name, value in headers.items() if name in _TO_PROVIDERS or name in allowed
    }
    if b"content-type" not in passed:
        own = tuple(pair for pair in own if pair[0] != b"content-type")
    yielding = (b"accept", b"content-type")
    kept = tuple(pair for pair in own if pair[0] not in passed or pair[0] not in yielding)
    decided = {name for name, _ in kept}
    return (*kept, *((name, value) for name, value in passed.items() if name not in decided))


def to_caller(
    deployment: Deployment, headers: HeaderPairs, *, limited: bool
) -> list[tuple[bytes, bytes]]:
    """Return what a caller gets of the headers of an answer that is passed on as it comes."""
    shown = [
        (name, value)
        for name, value in headers
        if name in _TO_CALLERS and value.isascii() and value.decode().isprintable()
    ]
    return [*shown, *provider_headers(deployment, headers, limited=limited), *_HARMLESS]


def is_text(headers: HeaderPairs) -> bool:
    """Say whether an answer with those headers is a text, in which keys are looked for."""
    kind = dict(headers).get(b"content-type", b"").lower()
    return not kind or kind.startswith(_TEXTS) or kind.partition(b";")[0].endswith(b"+json")


def is_stream(headers: HeaderPairs) -> bool:
    """Say whether an answer with those headers is a stream of events."""
    return dict(headers).get(b"content-type", b"").lower().startswith(b"text/event-stream")


def length_of(headers: HeaderPairs) -> int | None:
    """Return how long an answer says that it is."""
    value = dict(headers).get(b"content-length", b"")
    return int(value) if value.isdigit() and len(value) < 19 else None
