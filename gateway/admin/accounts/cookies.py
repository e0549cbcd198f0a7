"""The cookie that holds the token of a session."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ...core.admin_path import HERE, outside
from .tokens import is_token

NAME: Final = "gateway_session"


def session_tokens(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, ...]:
    """Return what could be tokens in the cookies of a request, each once.

    A browser may send several of one name: another host of the same domain, or an attacker on a
    plain connection, can have set one beside ours (RFC 6265, 8.6).
    """
    found: dict[str, None] = {}
    for name, value in headers:
        if name != b"cookie":
            continue
        for pair in value.decode("latin-1").split(";"):
            key, _, token = pair.strip().partition("=")
            if key == NAME and is_token(token):
                found[token] = None
    return tuple(found)


def set_cookie(token: str, *, secure: bool, seconds: int) -> str:
    """Return a Set-Cookie header. `secure` says that the browser came by TLS."""
    # Lax: a link from elsewhere leads to a page and not to the sign-in; forms from elsewhere are
    # refused all the same.
    # Of that path only: what is served beside it never sees the cookie.
    attributes = f"Path={outside(HERE)}; Max-Age={seconds}; HttpOnly; SameSite=Lax"
    return f"{NAME}={token}; {attributes}{'; Secure' if secure else ''}"


def clear_cookie(*, secure: bool) -> str:
    return set_cookie("", secure=secure, seconds=0)
