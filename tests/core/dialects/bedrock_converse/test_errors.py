"""Amazon's errors."""

from __future__ import annotations

import json

import pytest

from gateway.core.dialects.bedrock_converse.dialect import BEDROCK_CONVERSE
from gateway.errors import InvalidRequest, NotFound, RateLimited

from .frames import read_by_botocore


def test_an_error_has_its_type_in_a_header() -> None:
    headers, body = BEDROCK_CONVERSE.error_reply(InvalidRequest("no", param="messages"))
    assert dict(headers)[b"x-amzn-errortype"] == b"ValidationException"
    assert json.loads(body) == {"message": "no"}
    headers, _ = BEDROCK_CONVERSE.error_reply(NotFound("no such model"))
    assert dict(headers)[b"x-amzn-errortype"] == b"ResourceNotFoundException"


def test_a_limit_says_when_to_come_back() -> None:
    headers, _ = BEDROCK_CONVERSE.error_reply(
        RateLimited("too many", kind="requests", retry_after=3.2)
    )
    assert dict(headers)[b"x-amzn-errortype"] == b"ThrottlingException"
    assert dict(headers)[b"retry-after"] == b"4"


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("total_timeout", "modelStreamErrorException"),
        ("overloaded", "serviceUnavailableException"),
        ("rate_limit_exceeded", "throttlingException"),
        ("anything", "modelStreamErrorException"),
    ],
)
def test_clients_raise_at_an_error_event(code: str, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        read_by_botocore(BEDROCK_CONVERSE.error_event("it broke", code, "server_error"))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"__type":"com.amazon.coral.service#ThrottlingException","message":"x"}', 429),
        (b'{"__type":"ValidationException:http://internal.amazon.com/x"}', 400),
        (b'{"__type":"serviceUnavailableException"}', 503),
        (b'{"code":"AccessDeniedException"}', 403),
        (b'{"message":"x"}', None),
        (b"x", None),
        (b"[]", None),
    ],
)
def test_an_errors_type_stands_for_a_status(body: bytes, status: int | None) -> None:
    assert BEDROCK_CONVERSE.error_status(body) == status


def test_a_prompt_that_is_too_long_is_told_in_the_words_that_clients_know() -> None:
    said = json.loads(BEDROCK_CONVERSE.refusal_body(400, "8 of 7 tokens", too_long=True))
    assert said["message"].startswith("Input is too long for requested model.")
