"""An OpenID Connect provider: its addresses and keys, the exchange of a code, the ID token."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final, Protocol
from urllib.parse import urlencode

import msgspec
import trio

from ...core.sign_in import OidcSettings
from ...errors import ProvidersFailed
from .handshake import Handshake

# Signatures with a key pair: with a secret ("HS256") or none at all everybody who knows our
# client_id, or nothing, could make a token.
_ALGORITHMS: Final = [
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
]
# Seconds for which the provider's addresses and keys are kept.
_KEPT: Final = 3600.0
# Seconds between looks for a key that is not known; anybody could send tokens with such keys.
_LOOK: Final = 60.0
# Seconds by which the clocks of both may differ.
_LEEWAY: Final = 60
_WRONG: Final = "the provider's ID token is not valid"


class OidcHttp(Protocol):
    """Calls the provider."""

    async def __call__(
        self,
        method: str,
        url: str,
        form: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Return status and body. Raises ProvidersFailed if there is no answer in time."""
        ...


class _Metadata(msgspec.Struct):
    """What of the discovery document is needed (OpenID Connect Discovery, 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class _Tokens(msgspec.Struct):
    id_token: str


class OidcProvider:
    """The provider of one configuration. Not to be used by two tasks that change `settings`."""

    def __init__(self, settings: OidcSettings, http: OidcHttp) -> None:
        self.settings: Final = settings
        self._http = http
        self._metadata: _Metadata | None = None
        self._keys: Any = None
        self._looked = -_KEPT

    async def authorization_url(self, handshake: Handshake, redirect_uri: str, back: str) -> str:
        """Return where the browser is sent."""
        metadata = await self._discovered()
        query = urlencode(
            {
                "response_type": "code",
                "client_id": self.settings.client_id,
                "redirect_uri": redirect_uri,
                "scope": " ".join(self.settings.scopes),
                "state": handshake.state(back),
                "nonce": handshake.nonce,
                "code_challenge": handshake.challenge,
                "code_challenge_method": "S256",
            }
        )
        mark = "&" if "?" in metadata.authorization_endpoint else "?"
        return f"{metadata.authorization_endpoint}{mark}{query}"

    async def claims(self, code: str, handshake: Handshake, redirect_uri: str) -> dict[str, Any]:
        """Exchange the code, and return the claims of the ID token once it has been checked.

        Raises ProvidersFailed (502).
        """
        metadata, settings = await self._discovered(), self.settings
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "client_id": settings.client_id,
            "code_verifier": handshake.verifier,
        }
        auth = None
        if settings.client_secret:
            if "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
                auth = (settings.client_id, settings.client_secret)
            else:
                form["client_secret"] = settings.client_secret
        tokens = await self._json("POST", metadata.token_endpoint, _Tokens, form, auth)
        return await self._checked(tokens.id_token, handshake.nonce)

    async def _checked(self, id_token: str, nonce: str) -> dict[str, Any]:
        from joserfc import jwt
        from joserfc.errors import JoseError

        for last in (False, True):
            keys = await self._key_set(anew=last)
            try:
                token = jwt.decode(id_token, keys, algorithms=_ALGORITHMS)
                break
            except (JoseError, ValueError) as exc:
                # The provider may have new keys.
                if last:
                    raise ProvidersFailed(_WRONG, code="oidc_failed") from exc
        # OpenID Connect Core, 3.1.3.7.
        settings = self.settings
        registry = jwt.JWTClaimsRegistry(
            now=lambda: int(time.time()),
            leeway=_LEEWAY,
            iss={"essential": True, "value": settings.issuer},
            aud={"essential": True, "value": settings.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        claims = dict(token.claims)
        try:
            registry.validate(claims)
        except JoseError as exc:
            raise ProvidersFailed(f"{_WRONG}: {exc.error}", code="oidc_failed") from exc
        party = claims.get("azp", settings.client_id)
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if party != settings.client_id or (several and "azp" not in claims):
            raise ProvidersFailed(f"{_WRONG}: it is for others too", code="oidc_failed")
        if not isinstance(claims["sub"], str) or not claims["sub"]:
            raise ProvidersFailed(f"{_WRONG}: it has no subject", code="oidc_failed")
        return claims

    async def _discovered(self) -> _Metadata:
        """Return the provider's addresses, asked for again when they are old."""
        if self._metadata is None or trio.current_time() - self._looked > _KEPT:
            url = f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration"
            found = await self._json("GET", url, _Metadata)
            if found.issuer != self.settings.issuer:
                # Or one provider could speak for another (OpenID Connect Discovery, 4.3).
                raise ProvidersFailed(
                    "the provider calls itself by another name than [admin.oidc] issuer",
                    code="oidc_failed",
                )
            self._metadata, self._keys, self._looked = found, None, trio.current_time()
        return self._metadata

    async def _key_set(self, *, anew: bool) -> Any:
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        old = trio.current_time() - self._looked
        if self._keys is None or (anew and old > _LOOK):
            metadata = await self._discovered()
            found = await self._json("GET", metadata.jwks_uri, dict[str, Any])
            try:
                self._keys = KeySet.import_key_set(found)
            except (JoseError, ValueError, KeyError, TypeError) as exc:
                raise ProvidersFailed(
                    "the provider's keys cannot be read", code="oidc_failed"
                ) from exc
            self._looked = trio.current_time()
        return self._keys

    async def _json(
        self,
        method: str,
        url: str,
        type: Any,
        form: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> Any:
        status, body = await self._http(method, url, form, auth)
        try:
            if status == 200:
                return msgspec.json.decode(body, type=type)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise ProvidersFailed(
                "the provider's answer cannot be read", code="oidc_failed"
            ) from exc
        raise ProvidersFailed(f"the provider answers with {status}", code="oidc_failed")
