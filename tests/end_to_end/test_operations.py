"""What is asked for beside chat, by the official SDK, of the demo provider and of scripted ones."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.records.record import EndReason

from ..core.dialects.openai_responses.streams import STREAM, WHOLE
from .harness import config, in_process
from .provider import Asked, serving
from .sdk import VERSIONS, call_of, run_sdk
from .wire import RESET, Script, broken, failure, streamed, whole

pytestmark = pytest.mark.slow

both_lines = pytest.mark.parametrize("version", VERSIONS, ids=lambda line: f"openai{line}")
both_clients = pytest.mark.parametrize("client", ["sync", "async"])

DEMO = """
[server]
bind = "127.0.0.1:0"
[overload]
lag = 0
[store]
url = ""
[providers.demo]
kind = "demo"
token_interval = 0.0
[[models]]
name = "m"
routes = [{ provider = "demo", model = "demo-1", input_price = 1, output_price = 2 }]
[[models]]
name = "omni-moderation-latest"
routes = [{ provider = "demo", model = "demo-1", input_price = 0, output_price = 0 }]
"""


@both_lines
@both_clients
async def test_of_the_demo_provider(version: str, client: str) -> None:
    calls = [
        call_of("embeddings", input=["one two", "three"], dimensions=8),
        call_of("embeddings", input="one two", dimensions=8, encoding_format="float"),
        {"do": "moderations", "with": {"input": "be nice"}},
        call_of("completions", prompt="Hello there", max_tokens=5),
        call_of("completions", prompt="Hello there", max_tokens=5, stream=True),
        call_of(
            "completions",
            prompt="Hello there",
            stream=True,
            stream_options={"include_usage": True},
        ),
    ]
    async with in_process(DEMO) as gateway:
        packed, plain, moderation, text, chunks, told = await run_sdk(
            version, gateway.url, calls, client=client
        )
        records = [await gateway.record(number) for number in range(1, 7)]
    # The SDK asks for base64 unless told otherwise, and unpacks it.
    assert packed["answer"]["model"] == plain["answer"]["model"] == "m"
    assert [len(each["embedding"]) for each in packed["answer"]["data"]] == [8, 8]
    assert packed["answer"]["data"][0]["embedding"] == pytest.approx(
        plain["answer"]["data"][0]["embedding"]
    )
    assert moderation["answer"]["model"] == "omni-moderation-latest"
    assert moderation["answer"]["results"][0]["flagged"] is False
    said = text["answer"]["choices"][0]["text"]
    assert "".join(each["choices"][0]["text"] for each in chunks["chunks"]) == said
    assert all("usage" not in each for each in chunks["chunks"])
    assert told["chunks"][-1]["usage"]["completion_tokens"] == 16
    operations = ["embeddings"] * 2 + ["moderations"] + ["completions"] * 3
    assert [record.operation for record in records] == operations
    assert {record.end_reason for record in records} == {EndReason.COMPLETE}
    # 3 and 2 words at 1 USD a million, nothing, and 2 words with answers of 5 and 16.
    assert [record.cost_nano_usd for record in records] == [3000, 2000, 0, 12000, 12000, 34000]


def of_text(text: str, finish: str | None = None) -> bytes:
    choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": finish}
    chunk = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "real-model"}
    return b"data: %b\n\n" % json.dumps(chunk | {"choices": [choice]}).encode()


VECTORS: dict[str, Any] = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5] * 1536}],
    "model": "real-model",
    "usage": {"prompt_tokens": 9, "total_tokens": 9},
}


@both_lines
async def test_failures_are_tried_again_and_refusals_relayed(version: str) -> None:
    def second(asked: Asked) -> Script:
        if asked.target.endswith("/embeddings"):
            return [(0.0, whole(200, VECTORS))]
        return [(0.0, failure(400, "no such thing", code="unsupported_value"))]

    async with (
        serving([(0.0, failure(500))]) as broken_one,
        serving(second) as other,
        in_process(config(broken_one.port, other.port)) as gateway,
    ):
        calls = [call_of("embeddings", input="x"), call_of("completions", prompt="x")]
        vectors, refused = await run_sdk(version, gateway.url, calls)
        assert vectors["answer"] == VECTORS | {"model": "m"}
        assert refused["error"]["class"] == "BadRequestError"
        assert refused["error"]["code"] == "unsupported_value"
        assert [each.target for each in other.asked] == ["/v1/embeddings", "/v1/completions"]
        record = await gateway.record(1)
        assert [row.cause for row in record.attempts][-1] is None
        assert record.cost_nano_usd == 9000


@both_lines
async def test_a_stream_of_text_that_breaks_raises(version: str) -> None:
    good = streamed([of_text("Hel"), of_text("lo"), of_text("", "stop"), b"data: [DONE]\n\n"])
    async with (
        serving(broken([of_text("Hel")], RESET), good) as provider,
        in_process(config(provider.port)) as gateway,
    ):
        calls = [call_of("completions", prompt="x", stream=True) for _ in range(2)]
        cut, complete = await run_sdk(version, gateway.url, calls)
        assert [each["choices"][0]["text"] for each in cut["chunks"]] == ["Hel"]
        assert cut["error"]["class"] == "APIError"
        assert "error" not in complete
        assert [each["model"] for each in complete["chunks"]] == ["m"] * 3
        assert (await gateway.record(1)).end_reason is EndReason.UPSTREAM_BROKE


# Responses...


@both_lines
@both_clients
async def test_responses_of_the_demo_provider(version: str, client: str) -> None:
    calls = [
        call_of("responses", input="Why?"),
        call_of("responses", input="Why?", stream=True),
        call_of("responses", input="Why?", stream=True, max_output_tokens=3),
        {"do": "input_tokens", "with": {"model": "m", "input": "one two"}},
        call_of("responses", input="Why?", previous_response_id="resp_x", max_retries=0),
    ]
    async with in_process(DEMO) as gateway:
        whole_one, stream, short, counted, lost = await run_sdk(
            version, gateway.url, calls, client=client
        )
        records = [await gateway.record(number) for number in range(1, 6)]
    assert whole_one["answer"]["model"] == "m"
    assert [each["sequence_number"] for each in stream["chunks"]] == [*range(len(stream["chunks"]))]
    last = stream["chunks"][-1]
    assert (last["type"], last["response"]["model"]) == ("response.completed", "m")
    said = [each["output"][0]["content"] for each in (last["response"], whole_one["answer"])]
    assert said[0] == said[1]
    assert short["chunks"][-1]["type"] == "response.incomplete"
    assert counted["answer"] == {"object": "response.input_tokens", "input_tokens": 2}
    assert lost["error"]["class"] == "BadRequestError"
    operations = ["responses"] * 3 + ["count_tokens", "responses"]
    assert [record.operation for record in records] == operations
    assert records[0].cost_nano_usd == records[1].cost_nano_usd
    assert (records[2].cost_nano_usd, records[3].cost_nano_usd) == (1000 + 3 * 2000, 0)


def with_api(*ports: int) -> str:
    return config(*ports, provider='api = "responses"')


@both_lines
async def test_a_response_that_breaks_ends_with_a_failed_one(version: str) -> None:
    async with (
        serving(broken(STREAM[:5], RESET), streamed(STREAM)) as provider,
        in_process(with_api(provider.port)) as gateway,
    ):
        calls = [call_of("responses", input="x", stream=True) for _ in range(2)]
        cut, complete = await run_sdk(version, gateway.url, calls)
        kinds = [each["type"] for each in cut["chunks"]]
        assert kinds[-2:] == ["response.output_text.delta", "response.failed"]
        assert [each["sequence_number"] for each in cut["chunks"]] == list(range(len(kinds)))
        failed = cut["chunks"][-1]["response"]
        assert (failed["status"], failed["error"]["code"]) == ("failed", "server_error")
        assert complete["chunks"][-1]["response"]["usage"]["input_tokens"] == 100
        assert provider.asked[0].target == "/v1/responses"
        assert (await gateway.record(1)).end_reason is EndReason.UPSTREAM_BROKE
        assert (await gateway.record(2)).end_reason is EndReason.COMPLETE


@both_lines
async def test_what_a_provider_keeps_is_found_where_it_was_made(version: str) -> None:
    def keeps(asked: Asked) -> Script:
        if asked.method == "DELETE":
            gone = {"id": "resp_1", "object": "response", "deleted": True}
            return [(0.0, whole(200, gone))]
        items = {"object": "list", "data": [], "has_more": False, "first_id": "", "last_id": ""}
        return [(0.0, whole(200, items if asked.target.endswith("input_items") else WHOLE))]

    calls: list[dict[str, Any]] = [
        call_of("responses", input="x"),
        call_of("responses", input="more", previous_response_id="resp_1"),
        *({"do": do, "id": "resp_1"} for do in ("retrieve", "input_items", "cancel", "delete")),
        {"do": "retrieve", "id": "resp_2", "max_retries": 0},
    ]
    missing = [(0.0, failure(404, "Response not found."))]
    async with (
        serving([(0.0, failure(500))], missing) as first,
        serving(keeps, keeps, keeps, keeps, keeps, keeps, missing) as second,
        in_process(with_api(first.port, second.port)) as gateway,
    ):
        seen = await run_sdk(version, gateway.url, calls)
        assert [each.get("error") for each in seen[:6]] == [None] * 6
        assert seen[2]["answer"]["model"] == "m"
        assert seen[6]["error"]["class"] == "NotFoundError"
        asked = [(each.method, each.target) for each in second.asked]
        assert asked == [
            ("POST", "/v1/responses"),
            ("POST", "/v1/responses"),
            ("GET", "/v1/responses/resp_1"),
            ("GET", "/v1/responses/resp_1/input_items"),
            ("POST", "/v1/responses/resp_1/cancel"),
            ("DELETE", "/v1/responses/resp_1"),
            ("GET", "/v1/responses/resp_2"),
        ]
        # One attempt at the first, its quick retry if it got one, and who might have the last.
        assert first.asked[-1].target == "/v1/responses/resp_2"
