"""Random tokens, and what is made of them.

A token is 256 random bits that a browser keeps in a cookie, or a person in a link. Only its digest
is stored, so whoever reads the database cannot use it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from typing import Final

_BYTES: Final = 32
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")


def new_token() -> str:
    return secrets.token_urlsafe(_BYTES)


def new_user_id() -> str:
    """Return an id that no user has had: a removed user's sessions are not those of the next."""
    return f"usr_{secrets.token_hex(8)}"


def is_token(text: str) -> bool:
    """Say whether `text` could be a token; what could not needs no look into the database."""
    return _TOKEN.fullmatch(text) is not None


def digest_of(token: str) -> str:
    """Return the SHA-256 in hexadecimal. With 256 random bits no slower hash is needed."""
    return hashlib.sha256(token.encode("ascii")).hexdigest()


def csrf_token(session_token: str) -> str:
    """Return the CSRF token of a session: a page may show it without showing the session's token.

    Bound to the session (OWASP CSRF Prevention Cheat Sheet, "Signed Double-Submit Cookie", with
    the session's own token as the secret), so that one from another session is worth nothing.
    """
    made = hmac.digest(session_token.encode("ascii"), b"csrf", "sha256")
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode("ascii")


def same(given: str, expected: str) -> bool:
    """Compare two tokens in a time that does not depend on where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode("ascii"))
