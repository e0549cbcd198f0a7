"""The official OpenAI SDK, both of its lines in use, sync and async, against a gateway."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.records.record import EndReason

from .harness import config, in_process
from .provider import Asked, serving
from .sdk import VERSIONS, chat, run_sdk
from .wire import (
    DONE,
    RESET,
    Script,
    broken,
    completion,
    event,
    failure,
    streamed,
    usage_event,
    whole,
)

pytestmark = pytest.mark.slow

TOKENS = """
[[tokens]]
name = "app"
key = "sk-good-key"
[[tokens]]
name = "narrow"
key = "sk-narrow-key"
models = ["vendor/slashed-model"]
"""
MODELS = """
[[models]]
name = "vendor/slashed-model"
alias = "m"
"""

LIMITED = """
[[models]]
name = "limited"
routes = [{ provider = "p0", model = "limited" }]
"""

both_lines = pytest.mark.parametrize("version", VERSIONS, ids=lambda line: f"openai{line}")
both_clients = pytest.mark.parametrize("client", ["sync", "async"])

TOOL_DELTAS: list[dict[str, Any]] = [
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "index": 0,
                "id": "call_DdmO9pD3xa9XTPNJ32zg2hcA",
                "type": "function",
                "function": {"name": "get_weather", "arguments": ""},
            }
        ],
    },
    *(
        {"tool_calls": [{"index": 0, "function": {"arguments": part}}]}
        for part in ('{"', 'city":"Z\\', "u00fcrich", '"}')
    ),
]


def by_content(asked: Asked) -> Script:
    """Play what the question names."""
    said = asked.json["messages"][-1]["content"]
    if said == "tools":
        events = [*(event(delta) for delta in TOOL_DELTAS), event({}, "tool_calls"), DONE]
        return streamed(events)
    if said == "break":
        return broken([event({"role": "assistant", "content": "Hel"})], RESET)
    if said == "error-event":
        error = (
            b'data: {"error":{"message":"the model fell over","type":"server_error","code":503}}'
        )
        return streamed([event({"content": "Hel"}), error + b"\n\n"])
    if said.isdecimal():
        headers = ("retry-after: 7",) if said == "429" else ()
        return [(0.0, failure(int(said), f"status {said}", *headers, code="their_code"))]
    if asked.json.get("stream"):
        usage = [usage_event()] if asked.wants_usage else []
        return streamed(
            [
                event({"role": "assistant", "content": ""}),
                event({"content": "Hello"}, reasoning_details=[{"type": "unknown"}]),
                event({"content": " there."}),
                event({}, "stop"),
                *usage,
                DONE,
            ]
        )
    return [(0.0, whole(200, completion(citations=[{"url": "https://example.com"}])))]


def says(content: str, **more: Any) -> dict[str, Any]:
    return chat(messages=[{"role": "user", "content": content}], **more)


@both_lines
@both_clients
async def test_calls(version: str, client: str) -> None:
    calls = [
        chat(),
        chat(stream=True),
        chat(stream=True, stream_options={"include_usage": True}),
        says("tools", stream=True),
        chat(raw=True, extra_headers={"x-request-id": "my-request-1"}),
        chat(raw=True, stream=True),
        {"do": "models"},
        {"do": "model", "id": "vendor/slashed-model"},
        chat(model="vendor/slashed-model"),
    ]
    async with (
        serving(by_content) as provider,
        in_process(config(provider.port, tokens=TOKENS, models=MODELS)) as gateway,
    ):
        seen = await run_sdk(version, gateway.url, calls, client=client)
        await gateway.settled()
    plain, stream, counted, tools, raw, raw_stream, models, model, slashed = seen

    assert plain["answer"]["choices"][0]["message"]["content"] == "Hello there."
    assert plain["answer"]["model"] == "m"
    assert plain["answer"]["citations"] == [{"url": "https://example.com"}]
    assert plain["answer"]["usage"]["total_tokens"] == 29

    assert content_of(stream) == "Hello there."
    assert {chunk["model"] for chunk in stream["chunks"]} == {"m"}
    assert stream["chunks"][1]["reasoning_details"] == [{"type": "unknown"}]
    assert all("usage" not in chunk and chunk["choices"] for chunk in stream["chunks"])

    assert content_of(counted) == "Hello there."
    assert counted["chunks"][-1]["choices"] == []
    assert counted["chunks"][-1]["usage"]["total_tokens"] == 29

    arguments = "".join(
        call["function"]["arguments"]
        for chunk in tools["chunks"]
        for call in chunk["choices"][0]["delta"].get("tool_calls", ())
    )
    assert arguments == '{"city":"Z\\u00fcrich"}'
    assert tools["chunks"][-1]["choices"][0]["finish_reason"] == "tool_calls"

    assert raw["request_id"] == "my-request-1"
    assert raw["headers"]["x-gateway-provider"] == "p0"
    assert raw_stream["request_id"].startswith("req_")
    assert content_of(raw_stream) == "Hello there."

    assert [each["id"] for each in models["models"]] == ["m", "vendor/slashed-model"]
    assert model["model"]["id"] == "vendor/slashed-model"
    assert set(model["model"]) == {"id", "object", "created", "owned_by"}
    assert slashed["answer"]["model"] == "vendor/slashed-model"


def content_of(seen: dict[str, Any]) -> str:
    return "".join(
        choice["delta"].get("content") or ""
        for chunk in seen["chunks"]
        for choice in chunk["choices"]
    )


@both_lines
@both_clients
async def test_errors(version: str, client: str) -> None:
    """Every class of error, its words, and how often the SDK asked: with its default retries."""
    cases: list[tuple[dict[str, Any], str, int | None, str | None]] = [
        (chat(api_key="sk-wrong-key"), "AuthenticationError", 401, "invalid_api_key"),
        (chat(api_key="sk-narrow-key"), "PermissionDeniedError", 403, "model_not_found"),
        (chat(model="no/such"), "NotFoundError", 404, "model_not_found"),
        ({"do": "model", "id": "no/such"}, "NotFoundError", 404, "model_not_found"),
        (chat(stream_options=7), "BadRequestError", 400, "invalid_request"),
        (says("400"), "BadRequestError", 400, "their_code"),
        (says("422", stream=True), "UnprocessableEntityError", 422, "their_code"),
        (says("500"), "InternalServerError", 502, "all_providers_failed"),
        (says("503", stream=True), "InternalServerError", 502, "all_providers_failed"),
        # Its own model: the key rests for that one.
        (
            says("429", model="limited", max_retries=0),
            "RateLimitError",
            429,
            "rate_limit_exceeded",
        ),
        (says("break", stream=True), "APIError", None, "upstream_broke"),
        (says("error-event", stream=True), "APIError", None, "503"),
        # After them, since the key is set aside; and who comes then is told at once.
        (says("401"), "InternalServerError", 502, "all_providers_failed"),
        (says("hello", max_retries=0), "InternalServerError", 503, "auth_unavailable"),
    ]
    async with (
        serving(by_content) as provider,
        # One attempt each: to wait for a provider's retry-after is another test's business.
        in_process(
            config(provider.port, retry="max_attempts = 1", tokens=TOKENS, models=MODELS + LIMITED)
        ) as gateway,
    ):
        calls = [call for call, *_ in cases]
        seen = await run_sdk(version, gateway.url, calls, client=client)
        await gateway.settled()
        records = list(gateway.records)
    for (call, kind, status, code), got in zip(cases, seen, strict=True):
        error = got["error"]
        assert error["class"] == kind, (call, error)
        assert error["status"] == status, (call, error)
        assert str(error["code"]) == code, (call, error)
        assert error["message"]
        if status is not None:
            assert error["request_id"], (call, error)
    # No call was made twice; `models.retrieve` leaves no record.
    assert len(records) == len(cases) - 1

    refused, limited, broke, fell_over = seen[-2], *seen[9:12]
    assert limited["error"]["retry_after"] == "7"
    assert content_of(broke) == content_of(fell_over) == "Hel"
    assert fell_over["error"]["message"] == "the model fell over"
    assert fell_over["error"]["body"]["code"] == 503
    assert "connection" in broke["error"]["message"]
    ends = [record.end_reason for record in records]
    assert ends[-4:-2] == [EndReason.UPSTREAM_BROKE] * 2
    assert ends[4] is EndReason.PROVIDER_REJECTED
    # Whose key it was that a provider refused is nobody's business but the operator's.
    assert "status 401" not in refused["error"]["message"]


@both_lines
async def test_rate_limit_is_retried_as_the_provider_asked(version: str) -> None:
    limit: Script = [(0.0, failure(429, "slow down", "retry-after-ms: 150"))]
    async with (
        serving(limit, by_content) as provider,
        in_process(config(provider.port, retry="max_attempts = 1")) as gateway,
    ):
        (seen,) = await run_sdk(version, gateway.url, [chat()])
        await gateway.record(2)
        await gateway.settled()
        records = list(gateway.records)
    assert seen["answer"]["choices"][0]["message"]["content"] == "Hello there."
    # On a busy machine the clock of the gateway, here in the process of the tests, can be behind
    # that of the SDK. Then the SDK is early, and is told to come again.
    *refused, answered = records
    assert {record.status for record in refused} == {429}
    assert answered.status == 200
    assert len(provider.asked) == 2
    assert answered.time - refused[0].time >= 0.1
