"""What is read of a request of Converse, and how it goes on."""

from __future__ import annotations

import pytest

from gateway.core.dialects.bedrock_converse.dialect import BEDROCK_CONVERSE, dialect_of_path
from gateway.core.dialects.bedrock_converse.foreign_state import read_blob, shown_blob
from gateway.core.dialects.bedrock_converse.request import AskedModel, parse_converse
from gateway.errors import InvalidRequest

from ..canonical.recipient import To

TO = To(BEDROCK_CONVERSE)
PROFILE = "arn:aws:bedrock:us-east-1:1:inference-profile/us.x"
MESSAGES = b'"messages": [{"role":"user","content":[{"text":"Hi"}]}]'


def test_the_path_says_the_model() -> None:
    body = b'{ %b, "inferenceConfig": {"maxTokens": 12}, "new": 1.50 }' % MESSAGES
    request = parse_converse(body, AskedModel("a/b:0", stream=True))
    assert (request.model, request.stream, request.answer_tokens) == ("a/b:0", True, 12)
    assert request.body_for(TO) == body


def test_a_body_that_says_what_is_of_the_path_is_sent_without() -> None:
    body = b'{"modelId": "x", "stream": true, %b}' % MESSAGES
    request = parse_converse(body)
    assert (request.model, request.stream) == ("x", True)
    assert request.body_for(TO) == b"{%b}" % MESSAGES


@pytest.mark.parametrize(
    ("path", "model", "stream"),
    [
        ("/model/m/converse", "m", False),
        ("/model/m/converse-stream", "m", True),
        (f"/model/{PROFILE}/converse", PROFILE, False),
        ("/model/a/converse/converse-stream", "a/converse", True),
    ],
)
def test_paths(path: str, model: str, stream: bool) -> None:
    dialect = dialect_of_path(path)
    assert dialect is not None
    request = dialect.read_request(b"{%b}" % MESSAGES)
    assert (request.model, request.stream) == (model, stream)


@pytest.mark.parametrize(
    "path", ["/model//converse", "/model/m/invoke", "/model/converse", "/models/m"]
)
def test_paths_of_others(path: str) -> None:
    assert dialect_of_path(path) is None


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"[]", "invalid_json"),
        (b'{"messages":[],"messages":[]}', "duplicate_key"),
        (b'{"ModelId":"x"}', "disguised_member"),
        (b'{"inferenceConfig":{"maxTokens":1,"maxTokens":2}}', "duplicate_key"),
    ],
)
def test_bad_bodies(body: bytes, code: str) -> None:
    with pytest.raises(InvalidRequest) as found:
        parse_converse(body, AskedModel("m"))
    assert found.value.code == code


def test_state_of_other_providers_is_taken_out() -> None:
    theirs = (
        '{"reasoningContent":{"reasoningText":{"text":"t","signature":"~GATEWAY~STATE~1~:x:S"}}}'
    )
    blob = shown_blob("x", "S")
    assert read_blob(blob) == ("x", "S")
    assert read_blob("QUJD") == ("", "QUJD")
    assert read_blob("no base64!") == ("", "no base64!")
    redacted = f'{{"reasoningContent":{{"redactedContent":"{blob}"}}}}'
    own = '{"reasoningContent":{"reasoningText":{"text":"t","signature":"S"}}}'
    plain = '{"role":"assistant","content":[{"text":"~GATEWAY~STATE~1~: is what I say"}]}'
    body = (
        f'{{"messages":[{{"role":"assistant","content":[{theirs},{own},{redacted}]}},'
        f'{{"role":"assistant","content":[{theirs}]}},{plain}]}}'
    ).encode()
    sent = parse_converse(body, AskedModel("m")).body_for(TO)
    assert sent == (f'{{"messages":[{{"role":"assistant","content":[{own}]}},{plain}]}}'.encode())


def test_needs() -> None:
    body = (
        b'{"messages":[{"role":"user","content":[{"text":"x"},{"image":{}},{"toolResult":'
        b'{"content":[{"document":{}}]}}]},{"role":"assistant","content":[{"toolUse":{}},'
        b'{"toolUse":{}}]}],"toolConfig":{"tools":[]},"outputConfig":{"textFormat":{}},'
        b'"additionalModelRequestFields":{"thinking":{"type":"enabled"}},'
        b'"inferenceConfig":{"maxTokens":7}}'
    )
    needs = parse_converse(body, AskedModel("m", stream=True)).needs()
    assert needs.images == "messages.0.content.1"
    assert needs.documents == "messages.0.content.2.toolResult.content.0"
    assert (needs.tools, needs.parallel_tools) == ("toolConfig", "messages.1.content")
    assert needs.structured_output == "outputConfig.textFormat"
    assert needs.thinking == "additionalModelRequestFields.thinking"
    assert (needs.streaming, needs.answer) == ("converse-stream", 7)
    assert needs.prompt > 10
    for odd in (b'{"messages":3}', b'{"messages":[{"content":"x"}]}', b'{"messages":[[]]}'):
        assert parse_converse(odd, AskedModel("m")).needs().images == ""
