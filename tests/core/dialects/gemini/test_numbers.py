from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.dialects.base import NotAnAnswer
from gateway.core.dialects.gemini.dialect import asked_by
from gateway.core.records.usage import Usage
from gateway.errors import InvalidRequest

from .test_request import Recipient


def asked(method: str, body: bytes) -> Any:
    dialect = asked_by(f"/v1beta/models/m:{method}")
    assert dialect is not None
    return dialect.read_request(body)


@pytest.mark.parametrize(
    ("method", "body", "expected"),
    [
        ("embedContent", b'{"content":{"parts":[]}}', b'{"content":{"parts":[]}}'),
        (
            "embedContent",
            b'{"model":"models/m", "content":{}}',
            b'{"model":"models/real", "content":{}}',
        ),
        (
            "batchEmbedContents",
            b'{"requests":[{"model":"models/m","content":{}},{"content":{"n":1.50}}]}',
            b'{"requests":[{"model":"models/real","content":{}},{"content":{"n":1.50}}]}',
        ),
        ("countTokens", b'{"contents":[{"parts":[]}]}', b'{"contents":[{"parts":[]}]}'),
        (
            "countTokens",
            b'{"generateContentRequest":{"model":"models/m","contents":[]}}',
            b'{"generateContentRequest":{"model":"models/real","contents":[]}}',
        ),
    ],
)
def test_the_model_is_the_providers(method: str, body: bytes, expected: bytes) -> None:
    request = asked(method, body)
    assert (request.model, request.stream, request.answers) == ("m", False, 0)
    assert request.body_for(Recipient()) == expected


@pytest.mark.parametrize(
    ("method", "body", "usage"),
    [
        ("embedContent", b'{"embedding":{"values":[0.10]}}', None),
        (
            "embedContent",
            b'{"embedding":{"values":[]},"usageMetadata":{"promptTokenCount":4}}',
            Usage(4),
        ),
        ("batchEmbedContents", b'{"embeddings":[]}', None),
        ("countTokens", b'{"totalTokens":7,"promptTokensDetails":[]}', None),
    ],
)
def test_answers_are_what_they_were(method: str, body: bytes, usage: Usage | None) -> None:
    answer = asked(method, b"{}").rewrite_answer(Recipient(), b'"mine"', body)
    assert (answer.body, answer.usage) == (body, usage)


def test_long_answers_are_not_read() -> None:
    body = json.dumps({"embeddings": [{"values": [0.25] * 20_000}]}).encode()
    answer = asked("batchEmbedContents", b"{}").rewrite_answer(Recipient(), b'"mine"', body)
    assert answer.body is body


@pytest.mark.parametrize(
    ("body", "is_error"),
    [(b"{}", False), (b"x", False), (b'{"error":{"code":500}}', True)],
)
def test_what_is_no_answer(body: bytes, is_error: bool) -> None:
    with pytest.raises(NotAnAnswer) as caught:
        asked("countTokens", b"{}").rewrite_answer(Recipient(), b'"mine"', body)
    assert (caught.value.error is not None) == is_error


def test_they_are_never_streamed() -> None:
    with pytest.raises(TypeError):
        asked("countTokens", b"{}").start_stream(Recipient(), b'"mine"', 5)


@pytest.mark.parametrize(
    "requests",
    [
        b"1",
        b'["x"]',
        b'[{"model":"models/other","model":"models/m"}]',
        b'[{"Model":"models/other"}]',
        b'[{"model\\u0000":"models/other"}]',
        b'[{"model":"models/other","content":"\\ud800"},["x"]]',
        # Too many members to be read, one of which names a model.
        b'[{"model":"models/other",%b}]' % b",".join(b'"m%d":1' % each for each in range(600)),
        b"[%b]" % b",".join([b"{}"] * 1001),
    ],
)
def test_a_batch_in_which_somebody_could_find_another_model(requests: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        asked("batchEmbedContents", b'{"requests":%b}' % requests)
    assert caught.value.status == 400


def test_no_request_of_a_batch_keeps_a_model_of_its_own() -> None:
    body = b'{"requests":[{"model":"models/other","content":"x"},{"content":"\\ud83d\\ude00"}]}'
    sent = asked("batchEmbedContents", body).body_for(Recipient())
    assert b"other" not in sent
    for inner in (b'{"model":"models/other","Model":"x"}', b'{"model":"a","model":"b"}'):
        with pytest.raises(InvalidRequest):
            asked("countTokens", b'{"generateContentRequest":%b}' % inner)
