from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from gateway.providers.settings import ClientCredentials
from gateway.providers.tokens.requests import token_request
from gateway.providers.tokens.sources import GoogleAccount, ManagedIdentity
from gateway.transport_errors import CredentialUnavailable

NOW = 1_790_000_000.5
ACCOUNT = {
    "type": "service_account",
    "client_email": "a@p.iam.gserviceaccount.com",
    "private_key_id": "k1",
    "token_uri": "https://oauth2.googleapis.com/token",
}


def test_a_service_account_signs_who_it_is() -> None:
    key = RSAKey.generate_key(2048)
    account = {**ACCOUNT, "private_key": key.as_pem(private=True).decode()}
    request = token_request(GoogleAccount(), NOW, json.dumps(account).encode())
    assert request.url == "https://oauth2.googleapis.com/token"
    assert request.form is not None
    assert request.form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    token = jwt.decode(request.form["assertion"], key, algorithms=["RS256"])
    assert token.header == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    assert token.claims == {
        "iss": "a@p.iam.gserviceaccount.com",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "aud": "https://oauth2.googleapis.com/token",
        "iat": 1_790_000_000,
        "exp": 1_790_003_600,
    }


def test_a_person_who_has_signed_in_with_gcloud() -> None:
    person = {
        "type": "authorized_user",
        "client_id": "c",
        "client_secret": "s",
        "refresh_token": "r",
    }
    request = token_request(GoogleAccount(), NOW, json.dumps(person).encode())
    assert request.form == {
        "grant_type": "refresh_token",
        "client_id": "c",
        "client_secret": "s",
        "refresh_token": "r",
    }


def test_machines_ask_their_own_servers() -> None:
    request = token_request(GoogleAccount(), NOW, None)
    assert (request.form, request.headers) == (None, {"metadata-flavor": "Google"})
    assert urlsplit(request.url).hostname == "metadata.google.internal"
    request = token_request(ManagedIdentity(client_id="c"), NOW)
    assert (request.form, request.headers) == (None, {"metadata": "true"})
    assert parse_qs(urlsplit(request.url).query) == {
        "api-version": ["2018-02-01"],
        "resource": ["https://cognitiveservices.azure.com"],
        "client_id": ["c"],
    }


def test_client_credentials() -> None:
    source = ClientCredentials(token_url="https://t", client_id="a b", client_secret="s", scope="x")
    request = token_request(source, NOW)
    assert request.auth == ("a%20b", "s")
    assert request.form == {"grant_type": "client_credentials", "scope": "x"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"type":"external_account"}',
        json.dumps({**ACCOUNT, "private_key": "secret-of-nobody"}).encode(),
        b'{"type":5,"private_key":"secret-of-nobody"}',
    ],
)
def test_what_no_token_can_be_asked_with(data: bytes) -> None:
    with pytest.raises(CredentialUnavailable) as caught:
        token_request(GoogleAccount(), NOW, data)
    assert "secret-of-nobody" not in str(caught.value)
    assert caught.value.__cause__ is None
