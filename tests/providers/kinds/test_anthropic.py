from __future__ import annotations

import pytest

from gateway.core.routing.causes import Cause
from gateway.providers.kinds.anthropic import KIND
from gateway.providers.settings import Provider

from .described import TERMS, place_of


def provider(**more: object) -> Provider:
    return Provider(kind="anthropic", **({"api_key": "sk-1"} | more))  # type: ignore[arg-type]


def test_where_it_is_called_and_how_a_key_is_shown() -> None:
    found = KIND.describe("a", provider(), place_of(provider()), TERMS)
    assert (found.origin.host, found.target) == ("api.anthropic.com", b"/v1/messages")
    assert found.count_target == b"/v1/messages/count_tokens"
    headers = dict(found.credentials[0].stream_headers)
    assert headers[b"x-api-key"] == b"sk-1"
    assert b"authorization" not in headers
    assert found.forwarded({}) == ((b"anthropic-version", b"2023-06-01"),)
    given = {b"anthropic-version": b"v", b"anthropic-beta": b"b", b"x-app": b"cli"}
    assert found.forwarded(given) == ((b"anthropic-version", b"v"), (b"anthropic-beta", b"b"))


def test_a_token_of_a_login_is_a_bearer_token() -> None:
    table = provider(api_key="sk-ant-oat01-x")
    headers = dict(KIND.describe("a", table, place_of(table), TERMS).credentials[0].plain_headers)
    assert headers[b"authorization"] == b"Bearer sk-ant-oat01-x"
    assert b"x-api-key" not in headers


def test_what_the_table_sets_goes_before_what_callers_send() -> None:
    table = provider(
        base_url="https://h.example/anthropic/",
        headers={"Anthropic-Version": "mine", "anthropic-beta": "ours"},
    )
    found = KIND.describe("a", table, place_of(table), TERMS)
    assert found.target == b"/anthropic/v1/messages"
    assert dict(found.credentials[0].plain_headers)[b"anthropic-version"] == b"mine"
    # Betas of both are sent: a list may come in several lines (RFC 9110 section 5.3).
    given = {b"anthropic-version": b"v", b"anthropic-beta": b"theirs"}
    assert found.forwarded(given) == ((b"anthropic-beta", b"theirs"),)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://api.anthropic.com/v1", "/v1"),
        ("https://api.anthropic.com/v1/", "/v1"),
        ("https://api.anthropic.com/v1/messages", "/messages"),
        ("https://api.anthropic.com", None),
        (None, None),
    ],
)
def test_the_base_url_ends_before_the_version(url: str | None, says: str | None) -> None:
    found = [message for _, message in KIND.problems(provider(base_url=url))]
    assert [says in each for each in found if says] == ([True] if says else [])
    assert bool(found) is bool(says)


@pytest.mark.parametrize(
    ("status", "kind", "message", "cause"),
    [
        (529, "overloaded_error", "Overloaded", Cause.SERVER_ERROR),
        (429, "rate_limit_error", "This request would exceed your rate limit", Cause.RATE_LIMITED),
        (400, "invalid_request_error", "prompt is too long: 2 tokens > 1 maximum", Cause.CONTEXT_LENGTH),  # noqa: E501
        (400, "invalid_request_error", "Your credit balance is too low to access the API", Cause.ACCOUNT_REFUSED),  # noqa: E501
        (400, "invalid_request_error", "Output blocked by content filtering policy", Cause.CONTENT_POLICY),  # noqa: E501
        (400, "invalid_request_error", "max_tokens: Field required", Cause.REJECTED),
        (402, "billing_error", "no", Cause.ACCOUNT_REFUSED),
        (404, "not_found_error", "model: nope", Cause.REJECTED),
    ],
)  # fmt: skip
def test_what_its_refusals_mean(status: int, kind: str, message: str, cause: Cause) -> None:
    body = f'{{"type":"error","error":{{"type":"{kind}","message":"{message}"}}}}'.encode()
    by_status = KIND.refusals.of_status(status)
    assert by_status is not None
    assert KIND.refusals.of_body(by_status, status, body) is cause
