from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.core.dialects.base import Dialect
from gateway.core.dialects.gemini.dialect import GEMINI
from gateway.core.dialects.gemini.request import PathCall, parse_content
from gateway.core.records.counting import UsageRule
from gateway.errors import InvalidRequest

ASKED = PathCall("m", stream=True)


@dataclass
class Recipient:
    model_json: bytes = b'"real"'
    stream_usage: bool = True
    usage_rule: UsageRule = "usual"
    dialect: Dialect = GEMINI


def test_the_body_goes_on_to_the_byte() -> None:
    body = b'{ "contents" : [{"parts":[{"text":"a\\u00e9"}]}],\n "brandNew": 1.50 }'
    request = parse_content(body, ASKED)
    assert request.body_for(Recipient()) == body
    assert (request.model, request.stream, request.body) == ("m", True, body)


def test_the_path_is_what_counts() -> None:
    body = b'{"model":"models/other","contents":[],"stream":false}'
    request = parse_content(body, ASKED)
    assert (request.model, request.stream) == ("m", True)
    assert request.body_for(Recipient()) == b'{"contents":[]}'


def test_a_request_made_of_another() -> None:
    request = GEMINI.read_request(b'{"model":"real","stream":true,"contents":[]}')
    assert (request.model, request.stream) == ("real", True)
    assert request.body_for(Recipient()) == b'{"contents":[]}'


@pytest.mark.parametrize(
    ("config", "tokens", "answers"),
    [
        ({}, 0, 1),
        ({"generationConfig": {"maxOutputTokens": 100}}, 100, 1),
        ({"generation_config": {"max_output_tokens": 100}}, 100, 1),
        ({"generationConfig": {"max_output_tokens": "100", "candidateCount": 3}}, 300, 3),
        # Whichever of two a server takes, it is one of them.
        (
            {
                "generationConfig": {"maxOutputTokens": 10},
                "generation_config": {"maxOutputTokens": 20},
            },
            20,
            1,
        ),
        ({"generationConfig": 5}, 0, 1),
        ({"generationConfig": {"maxOutputTokens": -1}}, 0, 1),
    ],
)
def test_limits(config: dict[str, Any], tokens: int, answers: int) -> None:
    request = parse_content(json.dumps({"contents": [], **config}).encode(), ASKED)
    assert (request.answer_tokens, request.answers) == (tokens, answers)


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        (b"", ASKED),
        (b"[]", ASKED),
        (b"{", ASKED),
        (b'{"contents":[],"contents":[]}', ASKED),
        (b'{"Contents":[]}', ASKED),
        (b'{"contents":[]}', PathCall("")),
        (b'{"contents":[]}', None),
        (b'{"model":5,"contents":[]}', None),
    ],
)
def test_what_is_no_request(body: bytes, asked: PathCall | None) -> None:
    with pytest.raises(InvalidRequest):
        parse_content(body, asked)
