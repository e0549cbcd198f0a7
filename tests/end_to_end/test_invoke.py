"""Callers of Bedrock's InvokeModel: boto3, AnthropicBedrock, and what they ask of any provider."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import boto3
import botocore
import pytest
import trio
from botocore.config import Config
from botocore.eventstream import EventStreamBuffer
from botocore.exceptions import ClientError

from gateway.core.records.record import EndReason

from ..late import anthropic
from .caller import calling
from .harness import InProcess, in_process
from .provider import Asked, serving
from .test_bedrock import ANSWER, KEY
from .test_invoked_numbers import bedrock
from .wire import Script, framed, stream_head, whole

VERSION: Final = "bedrock-2023-05-31"
ASKED: Final = {
    "anthropic_version": VERSION,
    "max_tokens": 50,
    "messages": [{"role": "user", "content": "Hi"}],
}
MESSAGE: Final[dict[str, Any]] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 10, "output_tokens": 5},
}
STREAM: Final[list[dict[str, Any]]] = [
    {
        "type": "message_start",
        "message": {**MESSAGE, "content": [], "stop_reason": None, "usage": {"input_tokens": 10}},
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": "Hel\u2028lo"},
    },
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 5},
    },
    {"type": "message_stop"},
]


def config(port: int, secret: str = "") -> str:
    def model(name: str, provider: str, real: str) -> str:
        return (
            f'[[models]]\nname = "{name}"\nroutes = [{{ provider = "{provider}", '
            f'model = "{real}", input_price = 1, output_price = 2, search_price = 2 }}]\n'
        )

    return (
        '[server]\nbind = "127.0.0.1:0"\n[store]\nurl = ""\n[overload]\nlag = 0\n'
        "[retry]\nbase = 0.01\ncap = 0.02\nmax_attempts = 1\n"
        f'[providers.aws]\nkind = "bedrock"\nregion = "eu-west-1"\n'
        f'base_url = "http://127.0.0.1:{port}"\n{KEY}'
        f'[providers.claude]\nkind = "anthropic"\nbase_url = "http://127.0.0.1:{port}"\n'
        'api_key = "sk-ant-1"\n'
        f'[providers.oai]\nkind = "openai"\nbase_url = "http://127.0.0.1:{port}/v1"\n'
        'api_key = "sk-1"\n'
        f'[providers.co]\nkind = "cohere"\nbase_url = "http://127.0.0.1:{port}"\napi_key = "c"\n'
        + model("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude", "claude-sonnet-4-5")
        + model("on-bedrock", "aws", "us.anthropic.claude-sonnet-4-5-20250929-v1:0")
        + model("titan", "aws", "amazon.titan-embed-text-v2:0")
        + model("cohere", "aws", "cohere.embed-english-v3")
        + model("ranks", "aws", "cohere.rerank-v3-5:0")
        + model("oai", "oai", "text-embedding-3-small")
        + model("co", "co", "embed-v4.0")
        + model("co-ranks", "co", "rerank-v3.5")
        + '[[tokens]]\nname = "t"\nkey = "sk-gw-0123456789"\n'
    )


MODEL: Final = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"


def answer(asked: Asked) -> Script:
    """Answer as the vendor does whose path it is."""
    if asked.target.startswith("/v1/messages"):
        assert asked.json["model"] == "claude-sonnet-4-5"
        assert "anthropic_version" not in asked.json
        said = str(asked.json["messages"][0]["content"])
        if said == "limited":
            error = {"type": "rate_limit_error", "message": "too many"}
            return [(0.0, whole(429, {"type": "error", "error": error}, "retry-after: 1"))]
        if said == "long":
            error = {"type": "invalid_request_error", "message": "prompt is too long: 9 > 8"}
            return [(0.0, whole(400, {"type": "error", "error": error}))]
        if not asked.json["stream"]:
            return [(0.0, whole(200, MESSAGE))]
        events = STREAM
        if said == "breaks":
            error = {"type": "overloaded_error", "message": "Overloaded"}
            events = [*STREAM[:4], {"type": "error", "error": error}]
        return [
            (0.0, stream_head()),
            *(
                (0.0, framed(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode()))
                for each in events
            ),
            (0.0, b"0\r\n\r\n"),
        ]
    if asked.target == "/v1/embeddings":
        data = [
            {"object": "embedding", "index": n, "embedding": [float(n), 0.5]}
            for n, _ in enumerate(asked.json["input"])
        ]
        usage = {"prompt_tokens": 3, "total_tokens": 3}
        return [(0.0, whole(200, {"object": "list", "data": data, "model": "x", "usage": usage}))]
    if asked.target == "/v2/embed":
        found = {"id": "e", "embeddings": {"float": [[1.5]]}, "texts": ["a"]}
        return [(0.0, whole(200, {**found, "meta": {"billed_units": {"input_tokens": 4}}}))]
    if asked.target == "/v2/rerank":
        ranks = [{"index": 1, "relevance_score": 0.75}]
        return [
            (0.0, whole(200, {"results": ranks, "meta": {"billed_units": {"search_units": 1}}}))
        ]
    if asked.target.endswith("/converse"):
        return [(0.0, whole(200, ANSWER))]
    return bedrock(asked)


# Its pool of connections is not closed with the client, and what waits in it is waited for.
HEADERS: Final = {"Authorization": "Bearer sk-gw-0123456789", "Connection": "close"}


@contextmanager
def amazon(port: int) -> Iterator[Any]:
    client: Any = boto3.client(
        "bedrock-runtime",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        config=Config(signature_version=botocore.UNSIGNED, retries={"total_max_attempts": 1}),
    )
    client.meta.events.register(
        "before-send.bedrock-runtime.*",
        lambda request, **_: request.headers.update(HEADERS),
    )
    try:
        yield client
    finally:
        client.close()


async def by_boto3(gateway: InProcess, model: str, body: dict[str, Any]) -> tuple[Any, Any]:
    """Return what InvokeModel returns, its body read, and the headers."""

    def ask() -> tuple[Any, Any]:
        with amazon(gateway.port) as client:
            found = client.invoke_model(modelId=model, body=json.dumps(body))
            return json.loads(found["body"].read()), found["ResponseMetadata"]["HTTPHeaders"]

    return await trio.to_thread.run_sync(ask)


async def test_vectors_and_ranks_by_boto3() -> None:
    cases: list[tuple[str, dict[str, Any], Callable[[Any], Any], Any, int | None]] = [
        # The same model behind it: to the byte.
        ("titan", {"inputText": "abc"}, lambda f: f["embedding"], [3.0, 0.5], 3),
        (
            "cohere",
            {"texts": ["abc", "a"], "input_type": "search_query"},
            lambda f: f["embeddings"],
            [[3.0, 0.5], [1.0, 0.5]],
            7,
        ),
        (
            "cohere",
            {"texts": ["a"], "input_type": "search_query", "embedding_types": ["int8"]},
            lambda f: f["embeddings"],
            {"int8": [[1.0, 0.5]]},
            7,
        ),
        (
            "ranks",
            {"query": "q", "documents": ["a", "bb"], "api_version": 2, "top_n": 1},
            lambda f: f["results"],
            [{"index": 1, "relevance_score": 0.25}],
            None,
        ),
        # Another provider's.
        ("oai", {"inputText": "abc", "dimensions": 256}, lambda f: f["embedding"], [0.0, 0.5], 3),
        (
            "oai",
            {"texts": ["a", "b"], "input_type": "clustering"},
            lambda f: (f["embeddings"], f["response_type"]),
            ([[0.0, 0.5], [1.0, 0.5]], "embeddings_floats"),
            3,
        ),
        (
            "co",
            {"texts": ["a"], "input_type": "search_query", "embedding_types": ["float"]},
            lambda f: (f["embeddings"], f["response_type"]),
            ({"float": [[1.5]]}, "embeddings_by_type"),
            4,
        ),
        (
            "co-ranks",
            {"query": "q", "documents": ["a", "bb"], "top_n": 1},
            lambda f: f,
            {"results": [{"index": 1, "relevance_score": 0.75}]},
            None,
        ),
    ]
    async with serving(answer) as provider, in_process(config(provider.port)) as gateway:
        for number, (model, body, read, expected, tokens) in enumerate(cases, 1):
            found, headers = await by_boto3(gateway, model, body)
            assert read(found) == expected, (model, found)
            assert headers.get("x-amzn-bedrock-input-token-count") == (
                None if tokens is None else str(tokens)
            )
            record = await gateway.record(number)
            assert record.operation == ("rerank" if "ranks" in model else "embeddings")
            assert record.end_reason is EndReason.COMPLETE
            assert record.model == model
            if tokens is None:
                assert record.cost_nano_usd == 2_000_000
            else:
                assert (record.input_tokens, record.cost_nano_usd) == (tokens, tokens * 1000)
        assert provider.asked[0].body == b'{"inputText": "abc"}'


async def test_messages_by_anthropic_s_client_of_bedrock() -> None:
    async with serving(answer) as provider, in_process(config(provider.port)) as gateway:

        def ask(client: Any) -> None:
            told: dict[str, Any] = {"max_tokens": 50}
            hi: Any = [{"role": "user", "content": "Hi"}]
            message = client.messages.create(model=MODEL, messages=hi, **told)
            assert message.content[0].text == "Hello"
            assert (message.model, message.usage.input_tokens) == (MODEL, 10)
            with client.messages.stream(model=MODEL, messages=hi, **told) as stream:
                final = stream.get_final_message()
            assert final.content[0].text == "Hel\u2028lo"
            assert (final.usage.input_tokens, final.usage.output_tokens) == (10, 5)
            betas = client.beta.messages.create(
                model=MODEL, messages=hi, betas=["a-1", "b-2"], **told
            )
            assert betas.content[0].text == "Hello"
            # By another API: Converse, which is Bedrock's own.
            message = client.messages.create(model="on-bedrock", messages=hi, **told)
            assert message.content[0].text == "Hello"
            long: Any = [{"role": "user", "content": "long"}]
            with pytest.raises(anthropic.BadRequestError, match="too long"):
                client.messages.create(model=MODEL, messages=long, **told)
            limited: Any = [{"role": "user", "content": "limited"}]
            with pytest.raises(anthropic.RateLimitError):
                client.messages.create(model=MODEL, messages=limited, **told)

        client = anthropic.AnthropicBedrock(
            base_url=f"http://127.0.0.1:{gateway.port}",
            aws_region="us-east-1",
            api_key="sk-gw-0123456789",
            max_retries=0,
        )
        with client:
            await trio.to_thread.run_sync(ask, client)
        streamed = await gateway.record(2)
        assert (streamed.operation, streamed.stream, streamed.model) == ("messages", True, MODEL)
        assert (streamed.input_tokens, streamed.output_tokens) == (10, 5)
        assert streamed.cost_nano_usd == 20_000
        assert provider.asked[0].headers["anthropic-version"] == "2023-06-01"
        assert provider.asked[2].headers["anthropic-beta"] == "a-1,b-2"
        assert "anthropic_beta" not in provider.asked[2].json


def frames_of(body: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the events and exceptions of a stream, as botocore reads them."""
    buffer = EventStreamBuffer()
    buffer.add_data(body)
    for each in buffer:
        found = json.loads(each.payload)
        name = each.headers.get(":event-type") or each.headers[":exception-type"]
        if name == "chunk":
            found = json.loads(base64.b64decode(found["bytes"]))
        yield name, found


async def test_a_stream_is_frames_to_its_end() -> None:
    path = f"/model/{MODEL.replace(':', '%3A')}/invoke-with-response-stream"
    async with (
        serving(answer) as provider,
        in_process(config(provider.port)) as gateway,
        calling(gateway.port) as caller,
    ):
        await caller.post(json.dumps(ASKED).encode(), target=path, key="sk-gw-0123456789")
        reply = await caller.reply()
        assert reply.headers["content-type"] == "application/vnd.amazon.eventstream"
        assert reply.headers["x-amzn-bedrock-content-type"] == "application/json"
        found = [each for name, each in frames_of(reply.body) if name == "chunk"]
        assert [each["type"] for each in found] == [
            each["type"] for each in STREAM if each["type"] != "ping"
        ]
        counts = {"inputTokenCount": 10, "outputTokenCount": 5}
        assert found[-1]["amazon-bedrock-invocationMetrics"] == counts
        assert reply.complete
        # One that breaks ends in an exception that clients know, and in order.
        broken = {**ASKED, "messages": [{"role": "user", "content": "breaks"}]}
        await caller.post(json.dumps(broken).encode(), target=path, key="sk-gw-0123456789")
        reply = await caller.reply()
        name, error = [*frames_of(reply.body)][-1]
        assert name == "serviceUnavailableException"
        assert "Overloaded" in error["message"]
        assert reply.complete
        await gateway.settled()


async def test_streams_by_boto3() -> None:
    async with serving(answer) as provider, in_process(config(provider.port)) as gateway:

        def ask() -> None:
            with amazon(gateway.port) as client:
                found = client.invoke_model_with_response_stream(
                    modelId=MODEL, body=json.dumps(ASKED)
                )
                events = [json.loads(each["chunk"]["bytes"]) for each in found["body"] if each]
                text = "".join(each["delta"].get("text", "") for each in events if "delta" in each)
                assert text == "Hel\u2028lo"
                broken = {**ASKED, "messages": [{"role": "user", "content": "breaks"}]}
                found = client.invoke_model_with_response_stream(
                    modelId=MODEL, body=json.dumps(broken)
                )
                with pytest.raises(ClientError, match="Overloaded"):
                    [*found["body"]]
                found["body"].close()

        await trio.to_thread.run_sync(ask)


async def test_what_is_not_served_says_what_is() -> None:
    """By Amazon's errors, as boto3 raises them."""
    titan_text = {"inputText": "Hi", "textGenerationConfig": {"temperature": 0}}
    cases: list[tuple[str, dict[str, Any], str, str]] = [
        (MODEL, {"prompt": "Hi"}, "ValidationException", "/model/MODEL/converse"),
        (MODEL, titan_text, "ValidationException", "Converse"),
        (MODEL, {**ASKED, "model": "other"}, "ValidationException", "the model stands in the path"),
        (MODEL, {**ASKED, "anthropic_beta": "x"}, "ValidationException", "anthropic_beta"),
        (MODEL, {**ASKED, "anthropic_beta": ["x\r\ny"]}, "ValidationException", "anthropic_beta"),
        (MODEL, {"inputText": "Hi"}, "ValidationException", "no provider of the model"),
        ("ranks", {"query": "q", "documents": ["a"], "api_version": 3}, "Valid", "api_version"),
        ("oai", {"inputImage": "iVBOR"}, "ValidationException", "inputImage"),
        ("oai", {"inputText": "a", "embeddingTypes": ["binary"]}, "Validation", "embeddingTypes"),
        ("nobody", ASKED, "ResourceNotFoundException", "nobody"),
    ]
    async with serving(answer) as provider, in_process(config(provider.port)) as gateway:
        for model, body, kind, said in cases:
            with pytest.raises(ClientError) as found:
                await by_boto3(gateway, model, body)
            error = found.value.response["Error"]
            assert kind in error["Code"], (body, error)
            assert said in error["Message"], (body, error)

        def stream() -> None:
            body = json.dumps({"inputText": "a"})
            with amazon(gateway.port) as client, pytest.raises(ClientError, match="not streamed"):
                client.invoke_model_with_response_stream(modelId="titan", body=body)

        await trio.to_thread.run_sync(stream)
