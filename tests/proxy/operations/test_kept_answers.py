from __future__ import annotations

import hashlib
import json
from functools import partial
from typing import Any

import pytest
from trio.testing import MockClock

from gateway.config.callers import Caller
from gateway.core.dialects.openai_responses.dialect import OPENAI_KEPT_RESPONSES
from gateway.core.records.record import EndReason
from gateway.core.routing.balancing.homes import AnswerHomes, Home
from gateway.proxy.exchange import Exchange
from gateway.proxy.operations.kept_answers import (
    PATIENCE,
    KeptAnswerCall,
    serve_kept_answer,
)
from gateway.transport_errors import ConnectionLost

from ...core.dialects.openai_responses.streams import WHOLE
from ..scripts import EOF, JSON, SILENCE, Head, ScriptedClient, Step, fails, status
from ..world import KEY, World, deployment

CALLER = hashlib.sha256(KEY).digest()
MISSING = status(404, body=b'{"error":{"message":"Response with id \'resp_1\' not found."}}')


def gives(answer: dict[str, Any]) -> list[Step]:
    return [(0, Head(200, (JSON,))), (0, json.dumps(answer).encode()), (0, EOF)]


def kept_at(provider: str, caller: bytes = CALLER) -> AnswerHomes:
    homes = AnswerHomes()
    homes.keep("resp_1", Home(caller, f"{provider}/real", "m"))
    return homes


async def ask(
    *plays: Any,
    call: KeptAnswerCall | None = None,
    homes: AnswerHomes | None = None,
    leaves_at: float = 1e9,
    **more: Any,
) -> World:
    more.setdefault("routes", ["a", "b"])
    client = ScriptedClient(b"", leaves_at=leaves_at)
    world = World(plays, dialect=OPENAI_KEPT_RESPONSES, client=client, **more)
    world.homes = homes or AnswerHomes()
    asked = call or KeptAnswerCall("GET", "resp_1")
    await world.run(work=partial(serve, asked=asked))
    return world


async def serve(exchange: Exchange, *, asked: KeptAnswerCall) -> None:
    await serve_kept_answer(exchange, KEY, asked)


@pytest.mark.parametrize(
    ("call", "method", "target"),
    [
        (KeptAnswerCall("GET", "resp_1"), b"GET", b"/v1/responses/resp_1"),
        (
            KeptAnswerCall("GET", "resp_1", query=b"include=a%5B0%5D&stream=false"),
            b"GET",
            b"/v1/responses/resp_1?include=a%5B0%5D&stream=false",
        ),
        (
            KeptAnswerCall("GET", "resp_1", "/input_items", b"limit=5"),
            b"GET",
            b"/v1/responses/resp_1/input_items?limit=5",
        ),
        (KeptAnswerCall("POST", "resp_1", "/cancel"), b"POST", b"/v1/responses/resp_1/cancel"),
    ],
)
async def test_its_home_is_asked(
    autojump_clock: MockClock, call: KeptAnswerCall, method: bytes, target: bytes
) -> None:
    world = await ask(("b", gives(WHOLE)), call=call, homes=kept_at("b"))
    [(_, made)] = world.upstream.calls
    assert (made.method, made.target, made.body) == (method, target, b"")
    assert json.loads(world.client.text) == WHOLE | {"model": "m"}
    record = world.record
    assert (record.operation, record.end_reason) == ("kept_answers", EndReason.COMPLETE)
    assert (record.provider, record.cost_nano_usd, record.attempts) == ("b", 0, [])


async def test_what_is_deleted_has_no_home_any_more(autojump_clock: MockClock) -> None:
    homes = kept_at("b")
    gone = {"id": "resp_1", "object": "response", "deleted": True}
    world = await ask(("b", gives(gone)), call=KeptAnswerCall("DELETE", "resp_1"), homes=homes)
    assert json.loads(world.client.text) == gone
    assert homes.find("resp_1") is None


async def test_where_it_is_not_known_all_are_asked_in_turn(autojump_clock: MockClock) -> None:
    routes = [
        deployment("none"),
        deployment("a", keys=(b"key-1", b"key-2"), beside=[OPENAI_KEPT_RESPONSES]),
        deployment("b", beside=[OPENAI_KEPT_RESPONSES]),
    ]
    plays = [("a", MISSING), ("a", MISSING), ("b", gives(WHOLE))]
    world = await ask(*plays, routes=routes)
    keys = [dict(call.headers)[b"authorization"] for _, call in world.upstream.calls]
    assert keys == [b"key-1", b"key-2", b"key-1"]
    assert world.client.status == 200
    # Under which name it was asked for is not known, either.
    assert json.loads(world.client.text) == WHOLE


async def test_what_none_has_is_not_found(autojump_clock: MockClock) -> None:
    world = await ask(("a", MISSING), ("b", MISSING))
    assert world.client.status == 404
    assert world.client.error["message"] == "Response with id 'resp_1' not found."


async def test_what_another_caller_has_is_not_found(autojump_clock: MockClock) -> None:
    world = await ask(homes=kept_at("a", b"another"))
    assert world.client.status == 404
    assert world.client.error["message"] == "Response with id 'resp_1' not found."


@pytest.mark.parametrize("steps", [status(500), status(401), fails(ConnectionLost("gone"))])
async def test_who_fails_may_have_had_it(autojump_clock: MockClock, steps: list[Step]) -> None:
    world = await ask(("a", steps), ("b", MISSING))
    assert (world.client.status, world.client.error["code"]) == (502, "all_providers_failed")


async def test_a_refusal_is_relayed_without_our_key(autojump_clock: MockClock) -> None:
    body = b'{"error":{"message":"cannot cancel with key-1"}}'
    call = KeptAnswerCall("POST", "resp_1", "/cancel")
    world = await ask(("a", status(400, body=body)), call=call, homes=kept_at("a"))
    assert world.client.status == 400
    assert world.client.text == body.replace(b"key-1", b"***")
    assert world.record.end_reason is EndReason.PROVIDER_REJECTED


@pytest.mark.parametrize("id", ["a b", "../models", "a?b", "", "x" * 257, "\u00e9", "a\n"])
async def test_what_is_no_id_is_asked_of_nobody(autojump_clock: MockClock, id: str) -> None:
    world = await ask(call=KeptAnswerCall("GET", id))
    assert world.client.status == 404


@pytest.mark.parametrize("query", [b"stream=true", b"a=b&stream=1", b"a b", b"a#b", b"\xff"])
async def test_what_cannot_be_asked_is_a_400(autojump_clock: MockClock, query: bytes) -> None:
    world = await ask(call=KeptAnswerCall("GET", "resp_1", query=query))
    assert world.client.status == 400


async def test_it_does_not_wait_for_ever(autojump_clock: MockClock) -> None:
    world = await ask(("a", SILENCE))
    assert world.client.status == 504
    assert world.record.latency_ms == pytest.approx(PATIENCE * 1000)


async def test_a_caller_that_leaves_ends_it(autojump_clock: MockClock) -> None:
    world = await ask(("a", SILENCE), leaves_at=3)
    assert world.record.end_reason is EndReason.CLIENT_GONE


async def test_only_the_models_of_the_caller_are_looked_behind(autojump_clock: MockClock) -> None:
    narrow = Caller("narrow", CALLER, frozenset({"other"}), ())
    world = await ask(callers=[narrow])
    assert world.client.status == 404
    world = await ask(callers=[narrow], homes=kept_at("a"))
    assert (world.client.status, world.client.error["code"]) == (403, "model_not_found")
