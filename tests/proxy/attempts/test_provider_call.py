"""Deployments that cannot serve a request are passed over, and never asked."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from trio.testing import MockClock

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.base import Dialect
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_chat.request import ChatRequest
from gateway.core.dialects.openai_responses.dialect import OPENAI_RESPONSES
from gateway.core.routing.attempts import RetryPolicy
from gateway.core.routing.capabilities.declared import Capabilities
from gateway.core.routing.causes import Cause
from gateway.core.routing.deployment import Deployment
from gateway.providers.quirks.fitting import fit_of
from gateway.providers.quirks.settings import Quirks

from ..scripts import ScriptedClient, ok, status
from ..world import State, World, deployment

IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


def able(name: str, **flags: Any) -> Deployment:
    can = Capabilities(**flags)
    return msgspec.structs.replace(deployment(name), capabilities=can if can.restricts else None)


def body_with(*parts: Any, **more: Any) -> bytes:
    message = {"role": "user", "content": [*parts] or "hi"}
    return json.dumps({"model": "m", "messages": [message], "stream": True} | more).encode()


def asked(*parts: Any, **more: Any) -> ScriptedClient:
    return ScriptedClient(body_with(*parts, **more))


def past(world: World) -> list[tuple[str, str]]:
    return [(each.provider, each.reason) for each in world.record.skipped]


@pytest.mark.parametrize(
    ("flags", "body", "reason"),
    [
        ({"images": False}, body_with(IMAGE), "no_images"),
        ({"documents": False}, body_with({"type": "file", "file": {}}), "no_documents"),
        ({"audio": False}, body_with({"type": "input_audio", "input_audio": {}}), "no_audio"),
        ({"tools": False}, body_with(tools=[{}]), "no_tools"),
        (
            {"parallel_tools": False},
            body_with(tools=[{}], parallel_tool_calls=True),
            "no_parallel_tools",
        ),
        (
            {"structured_output": False},
            body_with(response_format={"type": "json_schema"}),
            "no_structured_output",
        ),
        ({"thinking": False}, body_with(reasoning_effort="low"), "no_thinking"),
        ({"streaming": False}, body_with(), "no_streaming"),
        ({"context_tokens": 10}, body_with(), "context_too_small"),
        ({"max_output_tokens": 10}, body_with(max_tokens=11), "answer_too_long"),
    ],
)
async def test_one_that_lacks_it_is_passed_over(
    autojump_clock: MockClock, flags: dict[str, Any], body: bytes, reason: str
) -> None:
    world = World(
        [("b", ok())],
        routes=[able("a", **flags), able("b")],
        client=ScriptedClient(body),
        retry=RetryPolicy(max_attempts=1),
    )
    record = await world.run()
    assert world.client.status == 200
    assert (past(world), len(record.attempts)) == ([("a", reason)], 1)
    assert world.client.headers[b"x-gateway-skipped"] == reason.encode()
    alone = World([], routes=[able("a", **flags)], client=ScriptedClient(body))
    record = await alone.run()
    assert alone.client.status == 400
    assert alone.upstream.calls == []
    assert past(alone) == [("a", reason)]
    assert alone.client.headers[b"x-gateway-skipped"] == reason.encode()
    assert alone.client.headers[b"x-gateway-attempts"] == b"0"
    assert record.end_reason == "rejected"
    assert "cannot serve this request" in alone.client.error["message"]


def known(name: str, context: int | None, longest: int | None = None) -> Deployment:
    return msgspec.structs.replace(deployment(name), context=context, longest_answer=longest)


async def test_a_prompt_that_cannot_fit_is_not_sent(autojump_clock: MockClock) -> None:
    """By the data on models: five bytes of text a token are more than any prose has."""
    long = body_with({"type": "text", "text": "word " * 2000})
    for context, passed in ((1900, True), (2100, False)):
        world = World(
            [("b" if passed else "a", ok())],
            routes=[known("a", context), known("b", None)],
            client=ScriptedClient(long),
        )
        await world.run()
        assert world.client.status == 200
        assert past(world) == ([("a", "context_too_small")] if passed else [])
    # A picture is no text, however long its base64 is.
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 40_000}}
    world = World([("a", ok())], routes=[known("a", 4000)], client=asked(image))
    await world.run()
    assert (world.client.status, past(world)) == (200, [])
    alone = World([], routes=[known("a", 1000)], client=ScriptedClient(long))
    await alone.run()
    assert (alone.client.status, alone.upstream.calls) == (400, [])
    assert alone.client.error["code"] == "context_length_exceeded"


async def test_a_longer_answer_than_the_model_has_is_not_asked_for(
    autojump_clock: MockClock,
) -> None:
    for most, passed in ((10, True), (11, False)):
        world = World(
            [("b" if passed else "a", ok())],
            routes=[known("a", None, most), known("b", None)],
            client=ScriptedClient(body_with(max_tokens=11)),
        )
        await world.run()
        assert past(world) == ([("a", "answer_too_long")] if passed else [])


async def test_after_one_that_was_too_short_only_longer_contexts_are_asked(
    autojump_clock: MockClock,
) -> None:
    refused = status(400, body=b'{"error":{"code":"context_length_exceeded"}}')
    world = World(
        [("a", refused), ("d", ok())],
        routes=[known("a", 1000)],
        fallbacks=[known("b", 500), known("c", 1000), known("d", 1001), known("e", None)],
        client=asked(),
        switch_on=frozenset({Cause.CONTEXT_LENGTH}),
        retry=RetryPolicy(max_attempts=2),
    )
    await world.run()
    assert world.client.status == 200
    skipped = [("b", "context_too_small"), ("c", "context_too_small")]
    assert [each for each in past(world) if each[0] != "a"] == skipped


QUIRKY = Quirks(
    refuses=("logprobs", "store"),
    renames={"max_completion_tokens": "max_tokens"},
    tool_ids="9 letters and digits",
    max_body_bytes=4096,
)


def quirky(name: str, **more: Any) -> Deployment:
    return msgspec.structs.replace(deployment(name), fit=fit_of(QUIRKY), **more)


async def test_what_a_provider_refuses_is_left_out_if_it_changes_nothing(
    autojump_clock: MockClock,
) -> None:
    body = body_with(store=True, logprobs=False, max_completion_tokens=7)
    world = World([("a", ok())], routes=[quirky("a")], client=ScriptedClient(body))
    record = await world.run()
    sent = json.loads(world.upstream.calls[0][1].body)
    assert (world.client.status, sent["max_tokens"]) == (200, 7)
    assert not sent.keys() & {"store", "logprobs", "max_completion_tokens"}
    assert record.dropped == ["store"]
    assert world.client.headers[b"x-gateway-dropped"] == b"store"


async def test_what_a_provider_refuses_goes_to_another_if_it_matters(
    autojump_clock: MockClock,
) -> None:
    client = ScriptedClient(body_with(logprobs=True))
    world = World([("b", ok())], routes=[quirky("a"), able("b")], client=client)
    record = await world.run()
    assert (world.client.status, past(world)) == (200, [("a", "cannot_serve")])
    assert (json.loads(world.upstream.calls[0][1].body)["logprobs"], record.dropped) == (True, [])
    alone = World([], routes=[quirky("a")], client=ScriptedClient(body_with(logprobs=True)))
    await alone.run()
    assert (alone.client.status, alone.upstream.calls) == (400, [])
    assert alone.client.error["param"] == "logprobs"
    assert alone.client.error["code"] == "unsupported"
    dropping = World(
        [("a", ok())],
        routes=[quirky("a", drops=True)],
        client=ScriptedClient(body_with(logprobs=True)),
    )
    record = await dropping.run()
    assert (dropping.client.status, record.dropped) == (200, ["logprobs"])


async def test_a_body_that_a_provider_does_not_take_goes_to_another(
    autojump_clock: MockClock,
) -> None:
    body = body_with(user="x" * 5000)
    world = World([("b", ok())], routes=[quirky("a"), able("b")], client=ScriptedClient(body))
    await world.run()
    assert (world.client.status, past(world)) == (200, [("a", "body_too_large")])
    alone = World([], routes=[quirky("a")], client=ScriptedClient(body))
    await alone.run()
    assert alone.client.status == 400
    assert "at most 4096" in alone.client.error["message"]


async def test_ids_of_another_provider_are_made_to_fit(autojump_clock: MockClock) -> None:
    messages = [{"role": "tool", "tool_call_id": "call_1234567890", "content": "x"}]
    body = json.dumps({"model": "m", "messages": messages, "stream": True}).encode()
    world = World(
        [("a", status(500)), ("b", ok())],
        routes=["a", quirky("b")],
        client=ScriptedClient(body),
        retry=RetryPolicy(max_attempts=2, per_target=0),
    )
    await world.run()
    first, second = (json.loads(call.body)["messages"][0] for _, call in world.upstream.calls)
    assert first["tool_call_id"] == "call_1234567890"
    assert len(second["tool_call_id"]) == 9


async def test_what_is_not_asked_for_does_not_matter(autojump_clock: MockClock) -> None:
    route = able("a", images=False, tools=False, structured_output=False, thinking=False)
    world = World([("a", ok())], routes=[route], client=asked())
    await world.run()
    assert (world.client.status, past(world)) == (200, [])


async def test_a_fallback_takes_what_the_model_cannot(autojump_clock: MockClock) -> None:
    world = World(
        [("b", ok())],
        routes=[able("a", images=False)],
        fallbacks=[able("b")],
        client=asked(IMAGE),
    )
    await world.run()
    assert (world.client.status, past(world)) == (200, [("a", "no_images")])


async def test_one_that_cannot_serve_it_is_no_other_choice(autojump_clock: MockClock) -> None:
    """The breaker of the only one that can is asked like that of a model's only route."""
    found = []
    for routes in (["a"], [able("a"), able("b", images=False)]):
        state = State()
        for _ in range(8):
            world = World(
                [("a", status(500))],
                routes=routes,
                state=state,
                client=asked(IMAGE),
                retry=RetryPolicy(max_attempts=1),
            )
            await world.run(all_played=False)
            found.append((world.client.status, len(world.upstream.calls)))
    assert found[:8] == found[8:]


@pytest.mark.parametrize(
    ("dialect", "words"),
    [
        (OPENAI_CHAT, "a prompt of about"),
        (OPENAI_RESPONSES, "a prompt of about"),
        (ANTHROPIC_MESSAGES, "prompt is too long"),
    ],
)
async def test_a_prompt_that_is_too_long_for_all_is_told_in_the_words_of_the_dialect(
    autojump_clock: MockClock, dialect: Dialect, words: str
) -> None:
    long = "x" * 5000
    body = {"model": "m", "max_tokens": 5, "input": long, "messages": [{"role": "user"}]}
    route = msgspec.structs.replace(
        able("a", context_tokens=1000),
        dialect=dialect,
    )
    world = World(
        [], routes=[route], client=ScriptedClient(json.dumps(body).encode()), dialect=dialect
    )
    await world.run()
    assert world.client.status == 400
    assert world.client.refused is not None
    _, told = dialect.error_reply(world.client.refused)
    error = json.loads(told)["error"]
    assert words in error["message"]
    assert error.get("code", "context_length_exceeded") == "context_length_exceeded"


async def test_nothing_is_read_where_nothing_is_declared(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def needs(self: ChatRequest, *, prompt: bool = True) -> None:
        raise AssertionError("the request was read for nothing")

    monkeypatch.setattr(ChatRequest, "needs", needs)
    world = World([("a", status(500)), ("b", ok())], client=asked(IMAGE))
    await world.run()
    assert world.client.status == 200
