from __future__ import annotations

import pytest

from gateway.providers.oauth import basic_auth, read_token, token_form
from gateway.providers.settings import ClientCredentials
from gateway.transport_errors import CredentialUnavailable

CREDENTIALS = ClientCredentials(
    token_url="https://login.example.com/token", client_id="gate way", client_secret="a:b/c"
)


def test_what_is_asked_for() -> None:
    assert token_form(CREDENTIALS) == {"grant_type": "client_credentials"}
    scoped = ClientCredentials(token_url="https://h", client_id="i", client_secret="s", scope="a b")
    assert token_form(scoped) == {"grant_type": "client_credentials", "scope": "a b"}
    # RFC 6749 section 2.3.1: form-encoded before they are joined with a colon.
    assert basic_auth(CREDENTIALS) == ("gate%20way", "a%3Ab%2Fc")


@pytest.mark.parametrize(
    ("answer", "expires", "renew"),
    [
        (b'{"access_token":"t","expires_in":3600}', 4600.0, 3700.0),
        (b'{"access_token":"t","expires_in":"3600","token_type":"Bearer"}', 4600.0, 3700.0),
        (b'{"access_token":"t"}', 1300.0, 1225.0),
        # Short ones: thirty seconds before the end, but not before half of the time is over.
        (b'{"access_token":"t","expires_in":100}', 1100.0, 1070.0),
        (b'{"access_token":"t","expires_in":10}', 1010.0, 1005.0),
    ],
)
def test_a_token_is_renewed_ahead_of_its_end(answer: bytes, expires: float, renew: float) -> None:
    token = read_token(200, answer, 1000.0)
    assert (token.value, token.expires, token.renew) == (b"t", expires, renew)


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (401, b'{"error":"invalid_client","secret":"x"}', "answers 401: invalid_client"),
        (400, b'{"error":["odd"]}', "answers 400"),
        (503, b"<html>", "answers 503"),
        (302, b"", "answers 302"),
        (200, b"", "has no token"),
        (200, b'{"access_token":""}', "has no token"),
        (200, b'{"access_token":"two words"}', "has no token"),
        (200, b'{"access_token":"line\\nbreak"}', "has no token"),
        (200, b'{"access_token":"t","expires_in":"soon"}', "has no token"),
        (200, b'{"access_token":"t","expires_in":0}', "has expired already"),
        (200, b'{"access_token":"t","expires_in":-1}', "has expired already"),
        (200, b'{"access_token":"t","expires_in":"nan"}', "has expired already"),
    ],
)
def test_what_is_no_token(status: int, answer: bytes, said: str) -> None:
    with pytest.raises(CredentialUnavailable) as caught:
        read_token(status, answer, 0.0)
    assert str(caught.value).endswith(said)
