"""Calls from web pages: the CORS protocol of the Fetch standard (fetch.spec.whatwg.org).

A browser sends `Origin` with every such call and shows the answer to the page only if the
answer allows it. Before anything that a plain form could not send, it asks with OPTIONS.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..config.cors import Cors
from ..core.dialects.base import HeaderList
from ..errors import PermissionDenied

_VARY = (b"vary", b"Origin")


def answer_headers(cors: Cors, origin: bytes | None) -> HeaderList:
    """Return what an answer to a page of `origin` carries; nothing if CORS is off."""
    if origin is None or not cors.allow_origins:
        return []
    if not allows(cors, origin):
        # Caches must not show this answer to a page that would be allowed one.
        return [_VARY]
    headers: HeaderList = [(b"access-control-allow-origin", b"*")]
    if "*" not in cors.allow_origins:
        headers = [(b"access-control-allow-origin", origin), _VARY]
    if cors.allow_credentials:
        headers.append((b"access-control-allow-credentials", b"true"))
    if cors.expose_headers:
        headers.append((b"access-control-expose-headers", _joined(cors.expose_headers)))
    return headers


def preflight(cors: Cors, headers: Mapping[bytes, bytes]) -> HeaderList | None:
    """Return what the answer to a preflight carries besides; None if the request is none.

    Raises PermissionDenied (403) for an origin that is not allowed.
    """
    origin = headers.get(b"origin")
    if origin is None or b"access-control-request-method" not in headers or not cors.allow_origins:
        return None
    if not allows(cors, origin):
        raise PermissionDenied(
            "pages of this origin may not call; [cors] allow_origins lists those that may",
            code="origin_not_allowed",
        )
    allowed = _joined(cors.allow_headers)
    if "*" in cors.allow_headers:
        allowed = headers.get(b"access-control-request-headers", b"")
    return [
        (b"access-control-allow-methods", _joined(cors.allow_methods)),
        *([(b"access-control-allow-headers", allowed)] if allowed else []),
        (b"access-control-max-age", b"%d" % cors.max_age),
    ]


def allows(cors: Cors, origin: bytes) -> bool:
    """Say whether pages of `origin` may call."""
    return "*" in cors.allow_origins or origin.decode("latin-1") in cors.allow_origins


def _joined(names: tuple[str, ...]) -> bytes:
    return ", ".join(names).encode("ascii")
