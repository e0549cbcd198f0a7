"""What the gateway reads of a request's head."""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_to_bytes

from ..errors import InvalidRequest
from ..proxy.options import ClientOptions

# Long enough for a UUID with a prefix; narrow enough to stand in a log line or a header.
_SANE_ID: Final = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_FLAGS: Final = {b"true": True, b"1": True, b"false": False, b"0": False}
_KEYS: Final = (b"x-api-key", b"x-goog-api-key", b"api-key")
# cloud.google.com/apis/docs/system-parameters.
_PARAMETERS: Final = (b"key", b"$key")
_MILLISECONDS: Final = re.compile(rb"[0-9]{1,12}")


def headers_of(scope: Mapping[str, Any]) -> dict[bytes, bytes]:
    """Return the headers by lower-case name; of repeated ones, the first."""
    pairs: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return dict(reversed(list(pairs)))


def request_id(headers: Mapping[bytes, bytes], trusted: bytes) -> bytes:
    """Return the id that the client sent in the header `trusted`, if sane, else a new one."""
    if trusted:
        given = headers.get(trusted, b"")
        if _SANE_ID.fullmatch(given):
            return given
    return b"req_" + secrets.token_hex(16).encode("ascii")


def api_key(headers: Mapping[bytes, bytes], query: bytes = b"") -> bytes | None:
    """Return the key of a request.

    OpenAI's clients send a bearer token, Anthropic's `x-api-key`, Google's `x-goog-api-key` or a
    parameter of the `query`, Azure's `api-key`.
    """
    scheme, _, credentials = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer" and (credentials := credentials.strip()):
        return credentials
    for name in _KEYS:
        if key := headers.get(name, b"").strip():
            return key
    return key_in_query(query)


def key_in_query(query: bytes) -> bytes | None:
    """Return the key in a query; None if there is none."""
    if b"key=" not in query and b"%" not in query:
        # Nearly all requests end here.
        return None
    # As Latin-1 every byte is a letter, and comes back as it was.
    found = dict(parse_qsl(query.decode("latin-1"), encoding="latin-1"))
    given = (found[name].strip() for each in _PARAMETERS if (name := each.decode()) in found)
    return next((key.encode("latin-1") or None for key in given), None)


def without_key(query: bytes) -> bytes:
    """Return a query without the key, which is for the gateway alone."""
    if key_in_query(query) is None:
        return query
    pieces = query.split(b"&")
    return b"&".join([each for each in pieces if not _is_key(each)])


def _is_key(piece: bytes) -> bool:
    return unquote_to_bytes(piece.partition(b"=")[0].replace(b"+", b" ")) in _PARAMETERS


def content_length(headers: Mapping[bytes, bytes]) -> int | None:
    """Return the announced length; the server has checked that it is a number."""
    value = headers.get(b"content-length")
    return int(value) if value is not None and value.isdigit() else None


def has_body(headers: Mapping[bytes, bytes]) -> bool:
    """Say whether body events are still to come (RFC 9112 section 6.3)."""
    return b"transfer-encoding" in headers or bool(content_length(headers))


def asked(headers: Mapping[bytes, bytes]) -> ClientOptions:
    """Return what the head asks of the gateway itself. Raises InvalidRequest (400)."""
    timeout = request_timeout(headers)
    return ClientOptions(
        timeout=math.inf if timeout is None else timeout,
        single=_flag(headers, b"x-gateway-no-retry"),
        # openai-python counts its own retries in it.
        repeated=headers.get(b"x-stainless-retry-count", b"0") != b"0",
        cache=headers.get(b"x-gateway-cache"),
    )


def _flag(headers: Mapping[bytes, bytes], name: bytes) -> bool:
    value = headers.get(name, b"false").strip().lower()
    if value not in _FLAGS:
        raise InvalidRequest(f"{name.decode()} must be true or false")
    return _FLAGS[value]


def request_timeout(headers: Mapping[bytes, bytes]) -> float | None:
    """Return the seconds that the client gives the whole request; None if it does not say.

    Raises InvalidRequest (400) for what is no positive number of milliseconds. The SDK's
    `x-stainless-read-timeout` is something else: how long it waits for one read.
    """
    value = headers.get(b"x-request-timeout-ms")
    if value is None:
        return None
    if not _MILLISECONDS.fullmatch(value) or not int(value):
        raise InvalidRequest("x-request-timeout-ms must be a whole number of milliseconds above 0")
    return int(value) / 1000
