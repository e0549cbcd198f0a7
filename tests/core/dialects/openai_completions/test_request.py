from __future__ import annotations

import json
import time
from typing import Any

import pytest

from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_completions.request import MOST_PROMPTS, parse_text
from gateway.core.limits.estimate import MOST_TOKENS
from gateway.core.records.counting import UsageRule
from gateway.errors import InvalidRequest


class Recipient:
    model_json = b'"real"'
    stream_usage = True
    usage_rule: UsageRule = "usual"
    dialect = OPENAI_CHAT


def asked(**members: Any) -> bytes:
    return json.dumps({"model": "m", "prompt": "Say hi", **members}, separators=(",", ":")).encode()


def test_the_model_is_changed_and_usage_asked_for() -> None:
    body = asked(stream=True, logit_bias={"50256": -100})
    request = parse_text(body)
    assert (request.model, request.stream, request.wants_usage) == ("m", True, False)
    assert request.body_for(Recipient()) == (
        body.replace(b'"m"', b'"real"')[:-1] + b',"stream_options":{"include_usage":true}}'
    )
    assert parse_text(asked()).body_for(Recipient()) == asked().replace(b'"m"', b'"real"')


@pytest.mark.parametrize(
    ("members", "tokens", "answers", "choices"),
    [
        ({}, 16, 1, 1),
        ({"max_tokens": None}, 16, 1, 1),
        ({"max_tokens": 100}, 100, 1, 1),
        ({"max_tokens": "100"}, 100, 1, 1),
        ({"n": 3}, 48, 3, 3),
        ({"n": 2, "best_of": 5, "max_tokens": 10}, 50, 5, 2),
        ({"best_of": 5}, 80, 5, 1),
        ({"prompt": ["a", 'b\\"', "c,"]}, 48, 3, 3),
        ({"prompt": ["a", "b"], "n": 2, "best_of": 3, "max_tokens": 10}, 60, 6, 4),
        ({"prompt": [1, 2, 3]}, 16, 1, 1),
        ({"prompt": [[1, 2], [3]]}, 32, 2, 2),
        ({"prompt": []}, 16, 1, 1),
        ({"prompt": None}, 16, 1, 1),
        # Nobody can tell what a server makes of these: an answer of unknown length.
        ({"max_tokens": 0}, 0, 1, 1),
        ({"max_tokens": -1}, 0, 1, 1),
    ],
)
def test_how_long_it_may_become(
    members: dict[str, Any], tokens: int, answers: int, choices: int
) -> None:
    request = parse_text(asked(**members))
    found = (request.answer_tokens, request.answers, request.choices)
    assert found == (tokens, answers, choices)


@pytest.mark.parametrize(
    ("members", "echoed"),
    [
        ({}, 0),
        ({"echo": False}, 0),
        ({"echo": None}, 0),
        ({"echo": True, "prompt": "x" * 400}, 100),
        ({"echo": True, "prompt": "x" * 400, "n": 3, "best_of": 4}, 300),
        ({"echo": True, "prompt": [1, 2, 3]}, 3),
        ({"echo": True, "max_tokens": 0}, MOST_TOKENS),
    ],
)
def test_what_is_echoed(members: dict[str, Any], echoed: int) -> None:
    assert parse_text(asked(**members)).echoed == echoed


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"prompt":"x"}', "model"),
        (asked(stream=1), "stream"),
        (asked(echo="yes"), "echo"),
        (asked(stream_options=1), "stream_options"),
    ],
)
def test_what_cannot_be_read_is_a_400(body: bytes, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_text(body)
    assert caught.value.param == param


@pytest.mark.parametrize("piece", [b'""', b"[]", b'"\\\\"', b"1"])
@pytest.mark.measured
def test_a_million_prompts_take_no_time(piece: bytes) -> None:
    body = b'{"model":"m","echo":true,"prompt":[%b]}' % b",".join([piece] * 1_000_000)
    began = time.process_time()
    request = parse_text(body)
    # To find the members of four megabytes is most of it.
    assert time.process_time() - began < 1
    assert request.choices == (1 if piece == b"1" else MOST_PROMPTS)


def test_one_prompt_of_escapes_alone_is_one() -> None:
    body = b'{"model":"m","prompt":["%b"]}' % (b"\\n" * 1_000_000)
    assert parse_text(body).choices == 1
