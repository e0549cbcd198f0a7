"""Access tokens by OAuth's client credentials grant (RFC 6749 section 4.4): asked for and read.

Pure: what to send, and what an answer means. `process/credentials.py` does both in time.
"""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import quote

import msgspec
from msgspec import Meta

from ..transport_errors import CredentialUnavailable
from .settings import ClientCredentials

# RFC 6749 section 5.1 has `expires_in` only as recommended. Without it a token is taken to last
# as long as most do at least.
DEFAULT_SECONDS: Final = 300.0
# A token is asked for again once this part of its life is over, and so many seconds before its
# end at the latest: clocks differ, and a call takes its time to arrive.
RENEW_AT: Final = 0.75
MARGIN: Final = 30.0


class FetchedToken(msgspec.Struct, frozen=True):
    """`expires` and `renew` are Unix time in seconds."""

    value: bytes
    expires: float
    renew: float


class _Answer(msgspec.Struct):
    access_token: Annotated[str, Meta(min_length=1, pattern=r"^[!-~]+\Z")]
    expires_in: float | str | None = None


_ANSWER: Final = msgspec.json.Decoder(_Answer)


def token_form(credentials: ClientCredentials) -> dict[str, str]:
    """Return what is posted to the token URL, as a form."""
    form = {"grant_type": "client_credentials"}
    return form | {"scope": credentials.scope} if credentials.scope else form


def basic_auth(credentials: ClientCredentials) -> tuple[str, str]:
    """Return user and password; both are form-encoded first (RFC 6749 section 2.3.1)."""
    return quote(credentials.client_id, safe=""), quote(credentials.client_secret, safe="")


def read_token(status: int, body: bytes, epoch: float) -> FetchedToken:
    """Return the token of an answer that came at `epoch`. Raises CredentialUnavailable."""
    if status != 200:
        raise CredentialUnavailable(f"the token endpoint answers {status}{_error(body)}")
    try:
        answer = _ANSWER.decode(body)
        seconds = DEFAULT_SECONDS if answer.expires_in is None else float(answer.expires_in)
    except (msgspec.DecodeError, ValueError) as exc:
        raise CredentialUnavailable("the token endpoint's answer has no token") from exc
    if not seconds > 0:
        raise CredentialUnavailable("the token endpoint's token has expired already")
    return lasting(answer.access_token.encode("ascii"), seconds, epoch)


def lasting(value: bytes, seconds: float, epoch: float) -> FetchedToken:
    """Return a token that is good for `seconds` from `epoch` on."""
    renew = min(seconds * RENEW_AT, max(seconds - MARGIN, seconds / 2))
    return FetchedToken(value, epoch + seconds, epoch + renew)


def _error(body: bytes) -> str:
    """Return the code of an error answer (RFC 6749 section 5.2), which holds no secret."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    code = found.get("error") if isinstance(found, dict) else None
    plain = isinstance(code, str) and code.isascii() and code.isprintable()
    return f": {code[:100]}" if plain and isinstance(code, str) else ""
