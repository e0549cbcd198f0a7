from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_numbers.request import parse_numbers
from gateway.core.records.counting import UsageRule
from gateway.errors import InvalidRequest


class Recipient:
    model_json = b'"real"'
    stream_usage = True
    usage_rule: UsageRule = "usual"
    dialect = OPENAI_CHAT


def test_only_the_model_is_changed() -> None:
    body = b'{ "input":["a",\t"\\u00e9"], "model" : "m", "encoding_format":"base64","x":1e400 }'
    request = parse_numbers(body, "data")
    assert (request.model, request.stream, request.user) == ("m", False, None)
    assert (request.answer_tokens, request.answers) == (0, 0)
    assert request.body_for(Recipient()) == body.replace(b'"m"', b'"real"')


def test_what_has_no_model_asks_the_default() -> None:
    body = b'{"input":"x"}'
    request = parse_numbers(body, "results", "latest")
    assert request.model == "latest"
    assert json.loads(request.body_for(Recipient())) == {"input": "x", "model": "real"}


@pytest.mark.parametrize("user", ["me", None, 3, {"a": 1}])
def test_a_user_is_a_string(user: Any) -> None:
    body = json.dumps({"model": "m", "input": [1, 2], "user": user}).encode()
    assert parse_numbers(body, "data").user == (user if isinstance(user, str) else None)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b'{"input":"x"}', "invalid_request", "model"),
        (b'{"input":"x","model":""}', "invalid_request", "model"),
        (b'{"input":"x","model":7}', "invalid_request", "model"),
        (b'{"input":"x","model":null}', "invalid_request", "model"),
        (b'{"model":"a","Model":"b"}', "duplicate_key", "Model"),
        (b"[1]", "invalid_json", None),
        (b"", "invalid_json", None),
        (b'{"model":"m","input":', "invalid_json", None),
    ],
)
def test_what_cannot_be_read_is_a_400(body: bytes, code: str, param: str | None) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_numbers(body, "data")
    assert (caught.value.code, caught.value.param) == (code, param)


def test_numbers_are_never_streamed() -> None:
    request = parse_numbers(b'{"model":"m","input":"x","stream":true}', "data")
    assert request.stream is False
    with pytest.raises(TypeError):
        request.start_stream(Recipient(), b'"m"', 1000)
