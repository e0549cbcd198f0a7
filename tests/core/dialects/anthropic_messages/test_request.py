from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.dialects.anthropic_messages.request import parse_messages
from gateway.core.dialects.base import ReasoningForm
from gateway.core.records.counting import UsageRule
from gateway.errors import InvalidRequest

BODY = b'{"model" : "m","max_tokens":64, "system":[{"type":"text","text":"x\\u00e9"}],"n":1.50}'


class To:
    model_json = b'"real"'
    stream_usage = True
    usage_rule: UsageRule = "usual"
    dialect: Any = None
    provider = "p"
    reasoning: ReasoningForm = "none"
    default_max_tokens = 8192
    max_output_tokens: int | None = None
    drops = False


def test_only_the_model_is_changed() -> None:
    request = parse_messages(BODY)
    assert request.body_for(To()) == BODY.replace(b'"m"', b'"real"')
    assert (request.model, request.stream, request.answer_tokens) == ("m", False, 64)
    assert (request.answers, request.user) == (1, None)


@pytest.mark.parametrize(
    ("metadata", "user"),
    [
        ({"user_id": "u-1"}, "u-1"),
        ({"user_id": None}, None),
        ({"user_id": 7}, None),
        ({}, None),
        (None, None),
        ([], None),
        ("x", None),
    ],
)
def test_the_user(metadata: object, user: str | None) -> None:
    body = json.dumps({"model": "m", "stream": True, "metadata": metadata}).encode()
    request = parse_messages(body)
    assert (request.user, request.stream) == (user, True)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"[]", None),
        (b"{}", "model"),
        (b'{"model":""}', "model"),
        (b'{"model":3}', "model"),
        (b'{"model":"m","stream":1}', "stream"),
        (b'{"model":"m","Model":"n"}', "Model"),
    ],
)
def test_what_is_no_request(body: bytes, param: str | None) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_messages(body)
    assert caught.value.param == param
