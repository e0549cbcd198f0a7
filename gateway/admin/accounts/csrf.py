"""What a request that changes something must bring along, if it comes with a session.

Two things, since each has holes of its own (OWASP CSRF Prevention Cheat Sheet): the origin of a
page of ours, if the browser names one, and the session's CSRF token.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs

from ...errors import PermissionDenied
from .arrival import Arrival, check_origin
from .identity import Identity
from .tokens import same

HEADER: Final = "x-csrf-token"
FIELD: Final = "csrf_token"
_FORM: Final = "application/x-www-form-urlencoded"
# RFC 9110, 9.2.1.
_SAFE: Final = {"GET", "HEAD", "OPTIONS", "TRACE"}


def check_forgery(
    method: str,
    headers: Mapping[str, str],
    body: bytes,
    identity: Identity | None,
    arrival: Arrival,
) -> None:
    """Raise PermissionDenied (403) if a page of another site may have made the request.

    Keys need no such proof: a browser sends none by itself. Without an identity it is a sign-in,
    which another site must not make either: people would work in an account of its choice.
    """
    if method in _SAFE or (identity is not None and identity.session is None):
        return
    check_origin(arrival, headers.get("origin"))
    if identity is None or identity.csrf_token is None:
        return
    given = headers.get(HEADER) or _field(headers, body)
    if not same(given, identity.csrf_token):
        raise PermissionDenied(
            f"a request that changes something needs the session's CSRF token, in the header"
            f" {HEADER} or in the field {FIELD} of a form; load the page again",
            code="csrf_token_missing" if not given else "csrf_token_wrong",
        )


def _field(headers: Mapping[str, str], body: bytes) -> str:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _FORM:
        return ""
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=1000)
    except ValueError:
        return ""
    return fields.get(FIELD, [""])[0]
