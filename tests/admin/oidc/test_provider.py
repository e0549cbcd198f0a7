"""Codes are exchanged, ID tokens checked: what is not as it must be lets nobody in."""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gateway.admin.oidc.handshake import Handshake
from gateway.admin.oidc.provider import OidcProvider
from gateway.errors import Overloaded, ProvidersFailed

from .scripted import SETTINGS, ScriptedProvider, new_key

pytestmark = pytest.mark.slow

REDIRECT = "https://gateway.example.com/admin/api/oidc/callback"
Spoil = Callable[[dict[str, Any]], None]


class Visit:
    """One browser's way to the provider and back."""

    def __init__(self, provider: OidcProvider, scripted: ScriptedProvider) -> None:
        self.provider, self.scripted = provider, scripted
        self.handshake = Handshake.begin()

    async def claims(self, handshake: Handshake | None = None, redirect: str = REDIRECT) -> Any:
        url = await self.provider.authorization_url(self.handshake, REDIRECT, "/admin/")
        back = self.scripted.visit(url)
        assert self.handshake.back(back["state"]) == "/admin/"
        return await self.provider.claims(back["code"], handshake or self.handshake, redirect)


def visiting(**settings: Any) -> Visit:
    scripted = ScriptedProvider()
    changed = msgspec.structs.replace(SETTINGS, **settings)
    return Visit(OidcProvider(changed, scripted), scripted)


async def refused(visit: Visit, **more: Any) -> str:
    with pytest.raises(ProvidersFailed) as caught:
        await visit.claims(**more)
    assert caught.value.code == "oidc_failed"
    return caught.value.message


async def test_a_code_becomes_claims() -> None:
    visit = visiting()
    claims = await visit.claims()
    assert (claims["sub"], claims["groups"]) == ("s-1", ["ops"])
    assert visit.scripted.auth == ("gateway", SETTINGS.client_secret)
    assert visit.scripted.calls == [
        "GET /.well-known/openid-configuration", "POST /token", "GET /keys"
    ]  # fmt: skip
    # What is known is not asked for again.
    await visit.claims()
    assert visit.scripted.calls[3:] == ["POST /token"]


async def test_a_client_without_a_secret_has_pkce_alone() -> None:
    visit = visiting(client_secret="")
    assert (await visit.claims())["sub"] == "s-1"
    assert visit.scripted.auth is None


async def test_a_secret_in_the_form_where_the_provider_wants_that() -> None:
    visit = visiting()
    visit.scripted.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    assert (await visit.claims())["sub"] == "s-1"
    assert visit.scripted.auth is None


async def test_a_code_is_worth_nothing_in_another_browser() -> None:
    visit = visiting()
    assert await refused(visit, handshake=Handshake.begin()) == "the provider answers with 400"
    assert await refused(visit, redirect=REDIRECT + "/x") == "the provider answers with 400"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda claims: claims.update(iss="https://evil.example"),
        lambda claims: claims.pop("iss"),
        lambda claims: claims.update(aud="another"),
        lambda claims: claims.update(aud=["gateway", "another"]),
        lambda claims: claims.update(aud=["gateway"], azp="another"),
        lambda claims: claims.update(aud=[]),
        lambda claims: claims.pop("aud"),
        lambda claims: claims.update(nonce="another"),
        lambda claims: claims.pop("nonce"),
        lambda claims: claims.update(exp=int(time.time()) - 61),
        lambda claims: claims.pop("exp"),
        lambda claims: claims.update(exp="never"),
        lambda claims: claims.update(iat=int(time.time()) + 3600),
        lambda claims: claims.update(nbf=int(time.time()) + 3600),
        lambda claims: claims.pop("sub"),
        lambda claims: claims.update(sub=""),
        lambda claims: claims.update(sub=7),
    ],
)
async def test_a_token_that_is_not_for_us_now(spoil: Spoil) -> None:
    visit = visiting()
    visit.scripted.spoil = spoil
    assert (await refused(visit)).startswith("the provider's ID token is not valid")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda claims: claims.update(aud=["gateway"]),
        lambda claims: claims.update(aud=["gateway", "another"], azp="gateway"),
        lambda claims: claims.update(exp=int(time.time()) - 30),
    ],
)
async def test_a_token_that_is(spoil: Spoil) -> None:
    visit = visiting()
    visit.scripted.spoil = spoil
    assert (await visit.claims())["sub"] == "s-1"


@pytest.mark.parametrize("kind", ["RSA", "EC"])
async def test_a_signature_of_another_key(kind: str) -> None:
    visit = visiting()
    await visit.claims()
    visit.scripted.key = new_key(kind)
    visit.scripted.header = {"alg": "RS256" if kind == "RSA" else "ES256", "kid": "k1"}
    assert (await refused(visit)).startswith("the provider's ID token is not valid")


@pytest.mark.parametrize("kind", ["RSA", "EC"])
async def test_new_keys_are_found(autojump_clock: MockClock, kind: str) -> None:
    visit = visiting()
    await visit.claims()
    visit.scripted.key = new_key(kind)
    visit.scripted.published = [visit.scripted.key]
    visit.scripted.header = {"alg": "RS256" if kind == "RSA" else "ES256", "kid": "k2"}
    # Not at once, or anybody's tokens would have us ask all the time.
    await refused(visit)
    await trio.sleep(61)
    assert (await visit.claims())["sub"] == "s-1"


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(value)).decode().rstrip("=")


def by_secret(secret: bytes, claims: dict[str, Any]) -> str:
    """Return a token that is signed with a secret (HS256), made by hand."""
    signed = f"{part({'alg': 'HS256'})}.{part(claims)}"
    made = base64.urlsafe_b64encode(hmac.digest(secret, signed.encode(), "sha256"))
    return f"{signed}.{made.decode().rstrip('=')}"


async def test_no_token_without_a_key_pair() -> None:
    visit = visiting()
    claims = {"sub": "s-1", "iss": SETTINGS.issuer, "aud": "gateway", "iat": 1, "exp": 2**40,
              "nonce": visit.handshake.nonce}  # fmt: skip
    # Signed with our secret, with the public key as if it was a secret, or not at all.
    secrets = (SETTINGS.client_secret.encode(), visit.scripted.key.as_pem(private=False))
    forged = [by_secret(secret, claims) for secret in secrets]
    encoded = forged[0].split(".")[1]
    forged += [f"{part({'alg': 'none'})}.{encoded}.", f"{part([])}.{encoded}.a"]
    forged += [f"{part({'alg': 'RSA-OAEP', 'enc': 'A128GCM'})}.{encoded}.a.b.c"]
    forged += ["x", "", "a.b.c", "..", "ü.ü.ü", "a.b.c.d.e"]
    for token in forged:
        visit.scripted.answer = 200, msgspec.json.encode({"id_token": token})
        assert (await refused(visit)).startswith("the provider's ID token is not valid"), token


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"<html>", b'{"id_token": 7}', b"\xff"])
async def test_an_answer_that_cannot_be_read(body: bytes) -> None:
    visit = visiting()
    visit.scripted.answer = 200, body
    assert await refused(visit) == "the provider's answer cannot be read"


async def test_a_provider_that_calls_itself_another() -> None:
    visit = visiting()
    visit.scripted.metadata["issuer"] = "https://evil.example"
    assert "by another name" in await refused(visit)


async def test_keys_that_cannot_be_read() -> None:
    visit = visiting()
    visit.scripted.metadata["jwks_uri"] = f"{SETTINGS.issuer}/.well-known/openid-configuration"
    assert await refused(visit) == "the provider's keys cannot be read"


async def test_a_provider_that_is_down_and_comes_back(autojump_clock: MockClock) -> None:
    visit = visiting()
    visit.scripted.down = True
    assert await refused(visit) == "it cannot be reached"
    # It is not asked by everybody who tries.
    for _ in range(10):
        assert await refused(visit) == "the provider could not be reached"
    assert len(visit.scripted.calls) == 1
    visit.scripted.down = False
    await trio.sleep(5)
    assert (await visit.claims())["sub"] == "s-1"


async def test_of_many_at_once_one_asks_who_the_provider_is(autojump_clock: MockClock) -> None:
    visit = visiting()
    visit.scripted.delay = 1.0
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(visit.claims)
    assert visit.scripted.calls.count("GET /.well-known/openid-configuration") == 1
    # And no more than some are exchanged at the same time.
    assert visit.scripted.most == 8


async def test_too_many_at_once_are_turned_away(autojump_clock: MockClock) -> None:
    visit = visiting()
    await visit.claims()
    visit.scripted.delay = 1.0
    turned_away = 0

    async def come() -> None:
        nonlocal turned_away
        try:
            await visit.claims()
        except Overloaded:
            turned_away += 1

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(come)
    assert turned_away == 50 - 8 - 32
