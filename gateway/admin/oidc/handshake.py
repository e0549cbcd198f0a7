"""What ties the answer of the provider to the browser that began.

One random token in a short-lived cookie; state, nonce and PKCE verifier are made of it (HMAC), so
nothing is kept on the server and any worker can take the answer. Whoever sees one of the three, in
a log or in the history of a browser, cannot compute the others.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from typing import Final

import msgspec

from ...core.admin_path import outside
from ..accounts.redirects import HOME, back_from_sign_in
from ..accounts.tokens import is_token, new_token, same

COOKIE: Final = "gateway_oidc"
PATH: Final = "/admin/api/oidc"
# Seconds that a person may take at the provider.
PATIENCE: Final = 600


class Handshake(msgspec.Struct, frozen=True):
    """`token` is what the cookie holds."""

    token: str

    @classmethod
    def begin(cls) -> Handshake:
        return cls(new_token())

    @property
    def nonce(self) -> str:
        return self._made(b"nonce")

    @property
    def verifier(self) -> str:
        """Return the code verifier, 43 characters (RFC 7636, 4.1)."""
        return self._made(b"verifier")

    @property
    def challenge(self) -> str:
        """Return the code challenge of the method S256 (RFC 7636, 4.2)."""
        return _encoded(hashlib.sha256(self.verifier.encode("ascii")).digest())

    def state(self, back: str) -> str:
        """Return a state that also holds where to go after the sign-in."""
        where = _encoded(back.encode("ascii", "replace"))
        return f"{self._made(b'state' + where.encode('ascii'))}.{where}"

    def back(self, state: str) -> str | None:
        """Return where to go; None if the state is not of this handshake."""
        made, _, where = state.partition(".")
        if not same(made, self._made(b"state" + where.encode("ascii", "replace"))):
            return None
        try:
            return back_from_sign_in(base64.urlsafe_b64decode(where + "==").decode("ascii"))
        except ValueError:
            return outside(HOME)

    def cookie(self, *, secure: bool) -> str:
        """Return the Set-Cookie header of the start."""
        return _cookie(self.token, PATIENCE, secure=secure)

    def _made(self, what: bytes) -> str:
        return _encoded(hmac.digest(self.token.encode("ascii"), what, "sha256"))


def handshake_of(headers: Iterable[tuple[bytes, bytes]]) -> Handshake | None:
    """Return the handshake that the browser began; None if there is none, or more than one."""
    found = {
        token
        for name, value in headers
        if name == b"cookie"
        for key, _, token in (
            pair.strip().partition("=") for pair in value.decode("latin-1").split(";")
        )
        if key == COOKIE and is_token(token)
    }
    return Handshake(found.pop()) if len(found) == 1 else None


def clear_handshake(*, secure: bool) -> str:
    return _cookie("", 0, secure=secure)


def _cookie(token: str, seconds: int, *, secure: bool) -> str:
    # Lax: the provider sends the browser back by a link, which is a request from another site.
    attributes = f"Path={outside(PATH)}; Max-Age={seconds}; HttpOnly; SameSite=Lax"
    return f"{COOKIE}={token}; {attributes}{'; Secure' if secure else ''}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
