"""The request that brings an access token, for each source of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

import msgspec

from ...transport_errors import CredentialUnavailable
from ..oauth import basic_auth, token_form
from ..settings import HttpTokenSource
from .sources import GoogleAccount, ManagedIdentity

# developers.google.com/identity/protocols/oauth2/scopes: all of Google Cloud that the account may.
_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_GOOGLE: Final = "https://oauth2.googleapis.com/token"
# developers.google.com/identity/protocols/oauth2/service-account: an hour at the most.
_LIFE: Final = 3600
_IMDS_VERSION: Final = "2018-02-01"


class TokenRequest(msgspec.Struct, frozen=True):
    """`form` is posted; without one it is a GET. `auth` are user and password."""

    url: str
    form: Mapping[str, str] | None = None
    auth: tuple[str, str] | None = None
    headers: Mapping[str, str] = {}


class _Account(msgspec.Struct, frozen=True):
    type: str = ""
    client_email: str = ""
    private_key: str = ""
    private_key_id: str = ""
    token_uri: str = _GOOGLE
    client_id: str = ""
    client_secret: str = ""
    refresh_token: str = ""


def token_request(
    source: HttpTokenSource, epoch: float, account: bytes | None = None
) -> TokenRequest:
    """Return what asks for a token at `epoch`, Unix time; `account` is a file of Google's.

    Raises CredentialUnavailable.
    """
    if isinstance(source, ManagedIdentity):
        return _managed_identity(source)
    if isinstance(source, GoogleAccount):
        return _google(source, epoch, account)
    return TokenRequest(source.token_url, token_form(source), basic_auth(source))


def _managed_identity(source: ManagedIdentity) -> TokenRequest:
    query = {"api-version": _IMDS_VERSION, "resource": source.resource}
    if source.client_id:
        query["client_id"] = source.client_id
    return TokenRequest(f"{source.endpoint}?{urlencode(query)}", headers={"metadata": "true"})


def _google(source: GoogleAccount, epoch: float, data: bytes | None) -> TokenRequest:
    if data is None:
        path = "/computeMetadata/v1/instance/service-accounts/default/token"
        return TokenRequest(source.metadata + path, headers={"metadata-flavor": "Google"})
    try:
        account = msgspec.json.decode(data, type=_Account)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # Not chained: the message could quote the key.
        raise CredentialUnavailable("the file of credentials is not Google's JSON") from None
    if account.type == "service_account":
        form = {"grant_type": _GRANT, "assertion": _assertion(account, epoch)}
        return TokenRequest(account.token_uri, form)
    if account.type == "authorized_user":
        form = {
            "grant_type": "refresh_token",
            "client_id": account.client_id,
            "client_secret": account.client_secret,
            "refresh_token": account.refresh_token,
        }
        return TokenRequest(account.token_uri, form)
    raise CredentialUnavailable(
        f"credentials of the type {account.type[:40]!r} are not known here; use a service account's"
    )


def _assertion(account: _Account, epoch: float) -> str:
    """Return the signed statement of who asks (RFC 7523), which counts for an hour."""
    try:
        # Imported late, and an extra: few gateways need it.
        from joserfc import jwt
        from joserfc.errors import JoseError
        from joserfc.jwk import RSAKey
    except ModuleNotFoundError as exc:
        raise CredentialUnavailable("joserfc is not installed, which signs: extra vertex") from exc
    claims = {
        "iss": account.client_email,
        "scope": _SCOPE,
        "aud": account.token_uri,
        "iat": int(epoch),
        "exp": int(epoch) + _LIFE,
    }
    header = {"alg": "RS256", "typ": "JWT"}
    if account.private_key_id:
        header["kid"] = account.private_key_id
    try:
        return jwt.encode(header, claims, RSAKey.import_key(account.private_key))
    except (JoseError, ValueError, TypeError):
        raise CredentialUnavailable("the service account's private_key cannot sign") from None
