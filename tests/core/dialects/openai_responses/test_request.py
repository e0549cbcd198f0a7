from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.dialects.openai_responses.dialect import OPENAI_INPUT_TOKENS, OPENAI_RESPONSES
from gateway.core.dialects.openai_responses.request import parse_responses
from gateway.errors import InvalidRequest

from .streams import Recipient


def asked(**members: Any) -> bytes:
    return json.dumps({"model": "m", "input": "Hi", **members}).encode()


def test_only_the_model_is_changed() -> None:
    body = b'{ "input":[{"type":"new_in_2027","x":1.50}],\n"model":"m","stream":true,"store":false}'
    request = parse_responses(body)
    assert (request.model, request.stream, request.answers) == ("m", True, 1)
    assert request.body_for(Recipient()) == body.replace(b'"m"', b'"real"')


@pytest.mark.parametrize(
    ("members", "user", "tokens", "continues"),
    [
        ({}, None, 0, None),
        ({"max_output_tokens": 300}, None, 300, None),
        ({"max_output_tokens": None}, None, 0, None),
        ({"user": "u"}, "u", 0, None),
        ({"user": "u", "safety_identifier": "s"}, "s", 0, None),
        ({"user": None, "safety_identifier": 3}, None, 0, None),
        ({"previous_response_id": "resp_1"}, None, 0, "resp_1"),
        ({"previous_response_id": None}, None, 0, None),
        ({"conversation": "conv_1"}, None, 0, "conv_1"),
        ({"conversation": {"id": "conv_1"}}, None, 0, "conv_1"),
        ({"conversation": {"id": 7}}, None, 0, None),
        ({"conversation": []}, None, 0, None),
        ({"previous_response_id": "resp_1", "conversation": "c"}, None, 0, "resp_1"),
    ],
)
def test_what_is_read(
    members: dict[str, Any], user: str | None, tokens: int, continues: str | None
) -> None:
    request = parse_responses(asked(**members))
    assert (request.user, request.answer_tokens, request.continues) == (user, tokens, continues)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"input":"x"}', "model"),
        (asked(model=None), "model"),
        (asked(model=""), "model"),
        (asked(model=3), "model"),
        (asked(stream="yes"), "stream"),
    ],
)
def test_what_cannot_be_read_is_a_400(body: bytes, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_responses(body)
    assert caught.value.param == param


def test_tokens_are_counted_at_a_path_of_their_own() -> None:
    assert OPENAI_RESPONSES.target(b"/v1", "real", stream=True) == b"/v1/responses"
    path = OPENAI_INPUT_TOKENS.target(b"/v1", "real", stream=False)
    assert path == b"/v1/responses/input_tokens"
    body = b'{"object":"response.input_tokens","input_tokens":11}'
    request = OPENAI_INPUT_TOKENS.read_request(asked())
    answer = request.rewrite_answer(Recipient(), b'"mine"', body)
    assert (answer.body, answer.usage) == (body, None)
