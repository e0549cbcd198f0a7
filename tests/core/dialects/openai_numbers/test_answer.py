from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.dialects.base import NotAnAnswer
from gateway.core.dialects.openai_numbers.answer import read_usage_of_input, rewrite_numbers
from gateway.core.records.usage import Usage

VECTORS = b'[{"object":"embedding","index":0,"embedding":[0.10,-1e-05,2]}]'


def rewritten(body: bytes, holder: str = "data") -> bytes:
    return rewrite_numbers(body, b'"mine"', holder).body


@pytest.mark.parametrize("space", [b"", b"\n  "])
@pytest.mark.parametrize(
    "order", [(b"model", b"data", b"usage"), (b"data", b"usage", b"model"), (b"usage", b"data")]
)
def test_every_byte_but_the_model_stays(space: bytes, order: tuple[bytes, ...]) -> None:
    values = {b"model": b'"real"', b"data": VECTORS, b"usage": b'{"prompt_tokens":12,"x":1.50}'}
    members = [b'"object":%b"list"' % space]
    members += [b'"%b":%b%b' % (name, space, values[name]) for name in order]
    body = b"{%b%b}\n" % (space, (b"," + space).join(members))
    assert rewritten(body) == body.replace(b'"real"', b'"mine"')


def test_large_ones_are_not_looked_into() -> None:
    vectors = b"[%b]" % b",".join(
        b'{"embedding":[%b]}' % b",".join([b"0.125"] * 3000) for _ in range(99)
    )
    body = b'{"data":%b,"model":"real","usage":{"prompt_tokens":7,"total_tokens":7}}' % vectors
    answer = rewrite_numbers(body, b'"mine"', "data")
    assert answer.body == body.replace(b'"real"', b'"mine"')
    assert answer.usage == Usage(7)
    assert answer.text_tokens == 0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"prompt_tokens": 12, "total_tokens": 12}, Usage(12)),
        # vLLM and Mistral name an output of nothing.
        ({"prompt_tokens": 12, "total_tokens": 12, "completion_tokens": 0}, Usage(12)),
        # Voyage counts nothing else, and Jina's total is what it charges.
        ({"total_tokens": 12}, Usage(12)),
        ({"prompt_tokens": 9, "total_tokens": 12}, Usage(12)),
        ({"input_tokens": 12}, Usage(12)),
        ({"prompt_tokens": "12", "total_tokens": "12"}, Usage(12)),
        (
            {"prompt_tokens": 12, "total_tokens": 12, "cost": 0.000001},
            Usage(12, reported_cost=1000),
        ),
        ({"total_tokens": 12, "cost": 0}, Usage(12, reported_cost=0)),
        (
            {"prompt_tokens": 12, "prompt_tokens_details": {"image_tokens": 5}},
            Usage(12, input_image_tokens=5),
        ),
        # A server that does generate something says so itself.
        ({"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}, Usage(12, 3)),
        ({"prompt_tokens": 0, "total_tokens": 0}, None),
        ({}, None),
        (None, None),
        ([1], None),
        ("12", None),
    ],
)
def test_usage_is_of_the_input(given: Any, expected: Usage | None) -> None:
    assert read_usage_of_input(json.dumps(given).encode()) == expected


def test_usage_that_cannot_be_read_is_none() -> None:
    assert read_usage_of_input(None) is None
    assert read_usage_of_input(b'{"prompt_tokens":') is None
    assert read_usage_of_input(b"[" * 5000) is None


def test_moderations_have_results_and_no_usage() -> None:
    body = b'{"id":"modr-1","model":"omni","results":[{"flagged":false}]}'
    answer = rewrite_numbers(body, b'"mine"', "results")
    assert (answer.body, answer.usage) == (body.replace(b'"omni"', b'"mine"'), None)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"error":{"message":"no"}}', {"message": "no"}),
        (b'{"object":"error","message":"no","code":400}', None),
        (b'{"error":{"message":"no"},"data":null}', {"message": "no"}),
        (b'{"error":{"message":"no"},"data":[]}', {"message": "no"}),
        (b'{"base_resp":{"status_code":1008,"status_msg":"no"},"data":[]}', None),
        (b'{"errors":[{"message":"no"}]}', {"message": "no"}),
    ],
)
def test_an_error_with_status_200_is_none(body: bytes, error: dict[str, Any] | None) -> None:
    with pytest.raises(NotAnAnswer) as caught:
        rewritten(body)
    assert caught.value.error is not None
    found = json.loads(caught.value.error)["error"]
    assert found["message"] == "no"
    assert error is None or found == error


@pytest.mark.parametrize(
    "body",
    [b"{}", b'{"data":null}', b'{"data":""}', b'{"model":"x","choices":[]}', b"[]", b"", b"<html>"],
)
def test_what_has_no_numbers_is_no_answer(body: bytes) -> None:
    with pytest.raises(NotAnAnswer) as caught:
        rewritten(body)
    assert caught.value.error is None


def test_no_input_has_no_vectors() -> None:
    body = b'{"object":"list","data":[],"model":"mine"}'
    assert rewritten(body) == body
