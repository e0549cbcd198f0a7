"""What is asked for beside chat goes the same way: routes, retries, limits, records, the cache."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gateway.config.callers import Caller
from gateway.config.schema import DebugLog
from gateway.core.dialects.base import Dialect
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_completions.dialect import OPENAI_COMPLETIONS
from gateway.core.dialects.openai_numbers.dialect import OPENAI_EMBEDDINGS, OPENAI_MODERATIONS
from gateway.core.dialects.openai_responses.dialect import OPENAI_INPUT_TOKENS, OPENAI_RESPONSES
from gateway.core.limits.account import ScopeLimits
from gateway.core.limits.budget import Budget
from gateway.core.limits.estimate import estimate_tokens
from gateway.core.records.pricing import Prices
from gateway.core.records.record import EndReason
from gateway.core.routing.attempts import RetryPolicy
from gateway.proxy.options import ClientOptions
from gateway.transport_errors import ConnectionLost

from ...core.dialects.openai_responses.streams import (
    ADDED,
    COMPLETED,
    CREATED,
    HEL,
    IN_PROGRESS,
    RESPONSE,
    STREAM,
    WHOLE,
    datas,
    event,
)
from ..scripts import DONE, EOF, JSON, SILENCE, STALL, Head, ScriptedClient, Step, fails, status
from ..test_admission import Process, caller
from ..test_capture import captured
from ..world import World, deployment

INPUT = b'{"model":"m","input":["a","b"],"encoding_format":"base64","dimensions":2}'
VECTORS: dict[str, Any] = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": "AACAPw=="}],
    "model": "real",
    "usage": {"prompt_tokens": 1000, "total_tokens": 1000},
}
SCORES: dict[str, Any] = {"id": "modr-1", "model": "real", "results": [{"flagged": False}]}
FREE = Prices(input=0, output=0)
# No price of output: there is none.
INPUT_PRICE = Prices(input=0.02)


def gives(answer: dict[str, Any], *, after: float = 0.0) -> list[Step]:
    return [(after, Head(200, (JSON,))), (0, msgspec.json.encode(answer)), (0, EOF)]


def world(*plays: Any, dialect: Dialect = OPENAI_EMBEDDINGS, **more: Any) -> World:
    more.setdefault("client", ScriptedClient(INPUT))
    return World(plays, dialect=dialect, **more)


async def test_embeddings_are_relayed_and_accounted(autojump_clock: MockClock) -> None:
    route = deployment("a", beside=[OPENAI_EMBEDDINGS], prices=INPUT_PRICE)
    found = world(("a", gives(VECTORS)), routes=[route])
    record = await found.run()
    [(_, call)] = found.upstream.calls
    assert call.target == b"/v1/embeddings"
    assert call.body == INPUT.replace(b'"m"', b'"real"')
    assert json.loads(found.client.text) == VECTORS | {"model": "m"}
    assert (record.operation, record.end_reason) == ("embeddings", EndReason.COMPLETE)
    assert (record.input_tokens, record.output_tokens, record.cost_nano_usd) == (1000, 0, 20_000)
    assert record.stream is False


@pytest.mark.parametrize(
    ("prices", "cost"), [(FREE, 0), (INPUT_PRICE, None), (Prices(), None), (Prices(input=0), None)]
)
async def test_what_is_not_counted_costs_nothing_only_if_it_is_free(
    autojump_clock: MockClock, prices: Prices, cost: int | None
) -> None:
    route = deployment("a", beside=[OPENAI_MODERATIONS], prices=prices)
    client = ScriptedClient(b'{"input":"x","model":"m"}')
    found = world(("a", gives(SCORES)), routes=[route], dialect=OPENAI_MODERATIONS, client=client)
    record = await found.run()
    assert json.loads(client.text) == SCORES | {"model": "m"}
    assert (record.operation, record.cost_nano_usd) == ("moderations", cost)
    assert (record.input_tokens, record.output_tokens) == (None, None)


@pytest.mark.parametrize("dialect", [OPENAI_EMBEDDINGS, OPENAI_MODERATIONS])
@pytest.mark.parametrize(
    ("steps", "cause"),
    [
        (status(500), "server_error"),
        (fails(ConnectionLost("gone")), "connection_lost"),
        (gives({}), "protocol_violation"),
        (gives({"error": {"message": "busy", "code": 429}}), "rate_limited"),
    ],
)
async def test_a_failure_goes_on_to_the_next_route(
    autojump_clock: MockClock, dialect: Dialect, steps: list[Step], cause: str
) -> None:
    whole = VECTORS if dialect is OPENAI_EMBEDDINGS else SCORES
    found = world(("a", steps), ("b", gives(whole)), dialect=dialect)
    record = await found.run()
    assert json.loads(found.client.text) == whole | {"model": "m"}
    assert [row.cause for row in record.attempts] == [cause, None]


async def test_a_refusal_is_relayed_as_it_came(autojump_clock: MockClock) -> None:
    body = b'{"error":{"message":"this model does not support embeddings","x":1}}'
    found = world(("a", status(400, body=body)))
    record = await found.run()
    assert (found.client.status, found.client.text) == (400, body)
    assert record.end_reason is EndReason.PROVIDER_REJECTED


async def test_a_route_that_does_not_serve_it_is_gone_past(autojump_clock: MockClock) -> None:
    routes = [deployment("a"), deployment("b", beside=[OPENAI_EMBEDDINGS])]
    found = world(("b", gives(VECTORS)), routes=routes)
    record = await found.run()
    assert found.client.status == 200
    assert [(each.provider, each.reason) for each in record.skipped] == [("a", "cannot_serve")]
    assert [row.provider for row in record.attempts] == ["b"]


async def test_a_model_that_nobody_serves_it_of_is_a_400(autojump_clock: MockClock) -> None:
    found = world(routes=[deployment("a"), deployment("b")])
    record = await found.run()
    assert found.client.status == 400
    assert found.client.error["code"] == "unsupported_operation"
    assert found.client.error["param"] == "model"
    assert "/v1/embeddings" in found.client.error["message"]
    assert (record.operation, record.error_code) == ("embeddings", "unsupported_operation")


async def test_equal_ones_are_answered_from_the_cache(autojump_clock: MockClock) -> None:
    first = world(("a", gives(VECTORS)))
    asked = ClientOptions(cache=b"ttl=60")
    await first.run(asked=asked)
    again = world(routes=["a"], state=first.state)
    again.cache = first.cache
    record = await again.run(asked=asked)
    assert again.client.text == first.client.text
    assert (record.end_reason, record.cost_nano_usd) == (EndReason.CACHED, 0)
    # The same body to another path is another request.
    other = world(("a", status(400)), state=first.state, dialect=OPENAI_CHAT)
    other.cache = first.cache
    await other.run(asked=asked)
    assert other.client.status == 400


async def test_a_budget_reserves_and_pays_for_the_input_alone(autojump_clock: MockClock) -> None:
    process = Process(caller(budget=Budget(usd=1)))
    client = ScriptedClient(INPUT)
    found = process.request(
        ("a", gives(VECTORS, after=1)), dialect=OPENAI_EMBEDDINGS, client=client
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(found.run)
        await trio.sleep(0.5)
        [account] = process.state.limits.ledger._accounts.values()
        spending = account.spending
        assert spending is not None
        # At 2 USD a million; for an answer to a chat it would be 8,000,000 more.
        assert spending.reserved == estimate_tokens(INPUT, 0) * 2000
    assert (spending.spent, spending.reserved) == (2_000_000, 0)


async def test_a_caller_that_leaves_ends_the_call(autojump_clock: MockClock) -> None:
    found = world(("a", SILENCE), client=ScriptedClient(INPUT, leaves_at=3))
    record = await found.run()
    assert (record.end_reason, record.status) == (EndReason.CLIENT_GONE, 499)
    assert math.isclose(record.latency_ms, 3000)


# Legacy completions...

PROMPT = b'{"model":"m","prompt":"hello","stream":true}'
USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}


def said(text: str | None, finish: str | None = None, **more: Any) -> bytes:
    choices = [] if text is None else [{"text": text, "index": 0, "finish_reason": finish}]
    return b"data: %b\n\n" % msgspec.json.encode({"model": "real", "choices": choices, **more})


async def test_a_legacy_completion_streams(autojump_clock: MockClock) -> None:
    events = [said("hi"), said("", "stop"), said(None, usage=USAGE)]
    steps: list[Step] = [(0, Head()), *((0.1, each) for each in events), (0, DONE), (0, EOF)]
    found = world(
        ("a", status(503)),
        ("b", steps),
        dialect=OPENAI_COMPLETIONS,
        client=ScriptedClient(PROMPT),
    )
    record = await found.run()
    [(_, call), _] = found.upstream.calls
    assert call.target == b"/v1/completions"
    assert msgspec.json.decode(call.body)["stream_options"] == {"include_usage": True}
    renamed = b"".join(events[:2]).replace(b'"real"', b'"m"')
    assert found.client.text == renamed + DONE
    assert (record.operation, record.end_reason) == ("completions", EndReason.COMPLETE)
    assert (record.input_tokens, record.output_tokens) == (100, 20)
    assert record.cost_nano_usd == 100 * 2000 + 20 * 8000


async def test_a_broken_one_is_told_in_the_stream(autojump_clock: MockClock) -> None:
    steps: list[Step] = [(0, Head()), (0, said("hi")), (1, ConnectionLost("gone"))]
    client = ScriptedClient(PROMPT)
    found = world(("a", steps), dialect=OPENAI_COMPLETIONS, client=client)
    record = await found.run()
    assert record.end_reason is EndReason.UPSTREAM_BROKE
    assert b'data: {"error":{"message":"gone"' in client.text


async def test_a_capture_names_its_path(autojump_clock: MockClock) -> None:
    found = world(("a", gives(VECTORS)))
    _, sink = await captured(found, DebugLog(sample=1.0))
    [capture] = sink.put_in
    assert capture.request.target == "/v1/embeddings"


# Responses...

ASK = b'{"model":"m","input":"hello","stream":true}'
OPENED = CREATED + IN_PROGRESS


def stream_of(*events: bytes, pace: float = 0.0) -> list[Step]:
    return [(0, Head()), *((pace, each) for each in events), (0, EOF)]


def asking(*plays: Any, body: bytes = ASK, **more: Any) -> World:
    client = ScriptedClient(body, **more.pop("client", {}))
    return world(*plays, dialect=OPENAI_RESPONSES, client=client, **more)


async def test_a_response_streams(autojump_clock: MockClock) -> None:
    found = asking(("a", stream_of(*STREAM, pace=0.1)))
    record = await found.run()
    [(_, call)] = found.upstream.calls
    assert (call.target, call.body) == (b"/v1/responses", ASK.replace(b'"m"', b'"real"'))
    assert found.client.text == b"".join(STREAM).replace(b'"model":"real"', b'"model":"m"')
    assert (record.operation, record.end_reason) == ("responses", EndReason.COMPLETE)
    counted = (record.input_tokens, record.output_tokens, record.cached_tokens)
    assert (*counted, record.reasoning_tokens) == (100, 20, 40, 5)
    assert record.cost_nano_usd == 60 * 2000 + 40 * 500 + 20 * 8000


async def test_a_whole_response(autojump_clock: MockClock) -> None:
    found = asking(("a", gives(WHOLE)), body=b'{"model":"m","input":"hello"}')
    record = await found.run()
    assert json.loads(found.client.text) == WHOLE | {"model": "m"}
    assert (record.stream, record.input_tokens, record.output_tokens) == (False, 100, 20)


def failing(code: str) -> bytes:
    error = {"code": code, "message": "no"}
    return event("response.failed", 2, response=RESPONSE | {"status": "failed", "error": error})


@pytest.mark.parametrize(
    ("steps", "cause"),
    [
        (status(503), "server_error"),
        (stream_of(OPENED, failing("server_error")), "stream_error"),
        (stream_of(OPENED, failing("rate_limit_exceeded")), "rate_limited"),
        (stream_of(CREATED), "empty_stream"),
        ([(0, Head()), (0, CREATED), (1, ConnectionLost("gone"))], "connection_lost"),
    ],
)
async def test_what_fails_before_content_is_tried_elsewhere(
    autojump_clock: MockClock, steps: list[Step], cause: str
) -> None:
    found = asking(("a", steps), ("b", stream_of(*STREAM)))
    record = await found.run()
    assert found.client.text.count(b"event: response.created") == 1
    assert found.client.text.endswith(COMPLETED.replace(b'"model":"real"', b'"model":"m"'))
    assert [row.cause for row in record.attempts] == [cause, None]


async def test_nothing_of_an_attempt_is_shown_that_another_may_follow(
    autojump_clock: MockClock,
) -> None:
    # The caller has waited for long enough to be sent something, but not for half a response.
    slow: list[Step] = [(20, Head()), (1, CREATED), (1, IN_PROGRESS), (1, ConnectionLost("gone"))]
    found = asking(("a", slow), ("b", stream_of(*STREAM)))
    await found.run()
    opening, rest = found.client.text.split(CREATED.replace(b'"real"', b'"m"'))
    assert opening.replace(b": keep-alive\n\n", b"") == b""
    assert opening
    assert rest.endswith(COMPLETED.replace(b'"model":"real"', b'"model":"m"'))


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ([(1, ConnectionLost("gone"))], EndReason.UPSTREAM_BROKE),
        ([(0, EOF)], EndReason.UPSTREAM_BROKE),
        ([(0, STALL)], EndReason.IDLE_TIMEOUT),
        ([(0, b"data: [DONE]\n\n"), (0, EOF)], EndReason.UPSTREAM_BROKE),
        ([(0, event("error", 4, message="no", code="server_error")), (0, STALL)], None),
        ([(0, failing("server_error")), (0, EOF)], None),
    ],
)
async def test_a_stream_that_breaks_ends_with_a_failed_response(
    autojump_clock: MockClock, steps: list[Step], reason: EndReason | None
) -> None:
    begun: list[Step] = [(0, Head()), (0, OPENED + ADDED), (0.1, HEL)]
    found = asking(("a", [*begun, *steps]))
    record = await found.run()
    assert record.end_reason is (reason or EndReason.UPSTREAM_BROKE)
    events = datas(found.client.text)
    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["status"] == "failed"
    assert events[-1]["response"]["id"] == RESPONSE["id"]
    assert events[-1]["response"]["error"]["code"] == "server_error"
    assert events[-1]["response"]["model"] == "m"
    assert b"response.completed" not in found.client.text


async def test_our_key_in_an_error_is_not_shown(autojump_clock: MockClock) -> None:
    error = event("error", 4, message="no: key-1", code="x")
    begun: list[Step] = [(0, Head()), (0, OPENED + ADDED), (0, HEL), (0, error)]
    for last in ([failing("key-1")], []):
        found = asking(("a", [*begun, *((0, each) for each in last), (0, EOF)]))
        await found.run()
        kinds = [each["type"] for each in datas(found.client.text)]
        assert kinds[-2:] == ["error", "response.failed"]
        assert b"key-1" not in found.client.text


async def test_a_shutdown_is_told_in_the_stream(autojump_clock: MockClock) -> None:
    found = asking(("a", [(0, Head()), (0, OPENED + ADDED), (0.1, HEL), (0, STALL)]))
    record = await found.run_and_end_at(5)
    assert record.end_reason is EndReason.SHUTTING_DOWN
    last = datas(found.client.text)[-1]
    assert (last["type"], last["sequence_number"]) == ("response.failed", 4)


async def test_all_that_fails_before_the_stream_has_begun_is_an_error(
    autojump_clock: MockClock,
) -> None:
    found = asking(("a", status(503)), retry=RetryPolicy(max_attempts=1))
    await found.run()
    assert found.client.status == 502
    assert found.client.error["code"] == "all_providers_failed"


async def test_all_that_fails_behind_the_head_is_a_failed_response(
    autojump_clock: MockClock,
) -> None:
    slow: list[Step] = [(20, Head()), (1, CREATED), (1, IN_PROGRESS), (1, ConnectionLost("gone"))]
    found = asking(("a", slow), retry=RetryPolicy(max_attempts=1))
    await found.run()
    [failed] = datas(found.client.text)
    assert (failed["type"], failed["sequence_number"]) == ("response.failed", 0)
    assert failed["response"]["status"] == "failed"


async def test_a_caller_that_leaves_a_response_pays_for_its_text(
    autojump_clock: MockClock,
) -> None:
    steps: list[Step] = [(0, Head()), (0, OPENED + ADDED), *[(0.1, HEL)] * 40, (0, STALL)]
    process = Process(caller(budget=Budget(usd=1)))
    client = ScriptedClient(ASK, leaves_at=10)
    found = process.request(("a", steps), dialect=OPENAI_RESPONSES, client=client)
    record = await found.run()
    assert record.end_reason is EndReason.CLIENT_GONE
    assert record.cost_nano_usd == estimate_tokens(ASK, 0) * 2000 + 40 * 8000


# ... and what goes on from them.


def going_on(id: str = "resp_1", **members: Any) -> bytes:
    return msgspec.json.encode(
        {"model": "m", "input": "more", "previous_response_id": id, **members}
    )


MISSING = status(
    400,
    body=b'{"error":{"message":"Previous response with id \'resp_1\' not found.",'
    b'"type":"invalid_request_error","param":"previous_response_id",'
    b'"code":"previous_response_not_found"}}',
)


@pytest.mark.parametrize("stream", [False, True])
async def test_what_goes_on_goes_to_the_same_deployment(
    autojump_clock: MockClock, stream: bool
) -> None:
    first_body = msgspec.json.encode({"model": "m", "input": "hello", "stream": stream})
    answer = stream_of(*STREAM) if stream else gives(WHOLE)
    first = asking(("a", status(503)), ("b", answer), body=first_body)
    await first.run()
    for _ in range(2):
        # "a" is well again, and would be the first.
        again = asking(("b", gives(WHOLE)), body=going_on(), routes=["a", "b"], state=first.state)
        again.homes = first.homes
        record = await again.run()
        assert again.client.status == 200
        assert [row.provider for row in record.attempts] == ["b"]
    # Nor does it go elsewhere if that one fails: nobody else could answer it.
    broken = asking(
        ("b", status(500)),
        body=going_on(),
        routes=["a", "b"],
        state=first.state,
        retry=RetryPolicy(max_attempts=1),
    )
    broken.homes = first.homes
    await broken.run()
    assert broken.client.status == 502


async def test_where_that_is_unknown_they_are_asked_in_turn(autojump_clock: MockClock) -> None:
    found = asking(("a", MISSING), ("b", gives(WHOLE)), body=going_on())
    record = await found.run()
    assert found.client.status == 200
    assert [row.cause for row in record.attempts] == ["unsupported", None]
    lost = asking(("a", MISSING), ("b", MISSING), body=going_on())
    await lost.run()
    assert (lost.client.status, lost.client.error["code"]) == (400, "previous_response_not_found")


async def test_what_is_kept_for_one_caller_is_not_there_for_another(
    autojump_clock: MockClock,
) -> None:
    first = asking(("a", gives(WHOLE)), body=b'{"model":"m","input":"hello"}')
    await first.run()
    stranger = Caller("other", hashlib.sha256(b"sk-other").digest(), frozenset(), ("",))
    other = asking(body=going_on(), routes=["a"], callers=[stranger])
    other.homes = first.homes
    await other.run(key=b"sk-other")
    assert (other.client.status, other.client.error["code"]) == (400, "previous_response_not_found")


async def test_to_count_tokens_costs_nothing(autojump_clock: MockClock) -> None:
    process = Process(caller(ScopeLimits(tpm=1000), budget=Budget(usd=1)))
    client = ScriptedClient(b'{"model":"m","input":"hello"}')
    counted = {"object": "response.input_tokens", "input_tokens": 11}
    found = process.request(("a", gives(counted)), dialect=OPENAI_INPUT_TOKENS, client=client)
    record = await found.run()
    assert json.loads(client.text) == counted
    assert (record.operation, record.cost_nano_usd) == ("count_tokens", 0)
    assert client.headers[b"x-ratelimit-remaining-tokens"] == b"1000"
