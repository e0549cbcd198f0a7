"""An OpenID Connect provider in memory, whose answers a test can spoil."""

from __future__ import annotations

import base64
import functools
import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec
import trio
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from gateway.core.sign_in import OidcSettings
from gateway.errors import ProvidersFailed

ISSUER: Final = "https://login.example.com"
SETTINGS: Final = OidcSettings(
    issuer=ISSUER,
    client_id="gateway",
    client_secret="a-secret-that-is-long-enough",
    roles={"ops": "operator"},
)


class ScriptedProvider:
    """Checks PKCE, secret and redirect_uri as a provider does; `spoil` changes the claims."""

    def __init__(self) -> None:
        self.key = _rsa_key("k1")
        self.published: list[Any] = [self.key]
        self.claims: dict[str, Any] = {"sub": "s-1", "preferred_username": "ann", "groups": ["ops"]}
        self.spoil: Callable[[dict[str, Any]], None] = lambda claims: None
        self.header: dict[str, Any] = {"alg": "RS256", "kid": "k1"}
        self.metadata: dict[str, Any] = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/authorize?tenant=1",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/keys",
        }
        self.calls: list[str] = []
        self.codes: dict[str, dict[str, str]] = {}
        self.down = False
        self.delay = 0.0
        self.under_way = self.most = 0
        self.answer: tuple[int, bytes] | None = None
        self.auth: tuple[str, str] | None = None

    def visit(self, url: str) -> dict[str, str]:
        """Be a browser at the provider, which signs in; return the parameters of the callback."""
        parts = urlsplit(url)
        asked = {name: value for name, (value,) in parse_qs(parts.query).items()}
        assert asked["tenant"] == "1"
        assert (asked["response_type"], asked["client_id"]) == ("code", "gateway")
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        return {"code": code, "state": asked["state"]}

    async def __call__(
        self,
        method: str,
        url: str,
        form: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> tuple[int, bytes]:
        self.calls.append(f"{method} {urlsplit(url).path}")
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await trio.sleep(self.delay)
            return self._answered(url, form, auth)
        finally:
            self.under_way -= 1

    def _answered(
        self, url: str, form: Mapping[str, str] | None, auth: tuple[str, str] | None
    ) -> tuple[int, bytes]:
        if self.down:
            raise ProvidersFailed("it cannot be reached", code="oidc_failed")
        if url.endswith("/.well-known/openid-configuration"):
            return 200, msgspec.json.encode(self.metadata)
        if url == self.metadata["jwks_uri"]:
            keys = [key.as_dict(private=False) for key in self.published]
            return 200, msgspec.json.encode({"keys": keys})
        assert url == self.metadata["token_endpoint"]
        assert form is not None
        return self.answer or self._token(form, auth)

    def _token(self, form: Mapping[str, str], auth: tuple[str, str] | None) -> tuple[int, bytes]:
        self.auth = auth
        asked = self.codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if asked is None or (challenge, form["redirect_uri"], form["client_id"]) != (
            asked["code_challenge"],
            asked["redirect_uri"],
            asked["client_id"],
        ):
            return 400, b'{"error":"invalid_grant"}'
        now = int(time.time())
        claims = {
            **self.claims,
            "iss": ISSUER,
            "aud": "gateway",
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
        }
        self.spoil(claims)
        token = jwt.encode(self.header, claims, self.key)
        return 200, msgspec.json.encode({"id_token": token, "access_token": "x"})


# To find the primes of one takes a tenth of a second, more than most of what is tested with it.
@functools.cache
def _rsa_key(name: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": name}, auto_kid=False)


def new_key(kind: str = "RSA") -> Any:
    if kind == "RSA":
        return _rsa_key("k2")
    return ECKey.generate_key("P-256", {"kid": "k2"}, auto_kid=False)
