"""Refusals in words that are not known, and what their caller is told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from trio.testing import MockClock

from ..scripts import ok, status
from ..world import World, deployment

SECRETIVE = (
    "Incorrect API key: sk-prov-123",
    "Project does not have access to the model",
    "You are not authorized to perform this operation",
    "arn:aws:bedrock:us-east-1:1234:model/x is not allowed",
    "Contact sales@acme.example",
    "Quota of the month is used up",
    "Not possible from 10.1.2.3",
    "request 0b9f1c7d2e3a4b5c6d7e8f90 was refused",
    "The owner of this deployment has switched it off",
    "",
)
WORDS = (
    "This picture is not acceptable",
    "We do not answer questions of this kind",
    "The language of the prompt is not served here",
    "Forbidden topic: weapons",
    "Please do not ask for medical advice",
)


def refused(code: int, message: str) -> list[Any]:
    # Beside the message a body may name us: nothing of it is shown.
    body = {"error": {"message": message, "code": code}, "user_id": "user_35tI40u3gKTMEMGS061O"}
    return status(code, body=msgspec.json.encode(body))


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("code", [402, 403])
async def test_unknown_words_are_told(autojump_clock: MockClock, code: int, words: str) -> None:
    world = World([("a", refused(code, words))])
    record = await world.run()
    assert world.client.status == code
    assert world.client.error == {
        "message": words,
        "type": "invalid_request_error",
        "param": None,
        "code": "provider_rejected",
    }
    assert b"user_35" not in world.client.text
    # Still a refusal that may be about the key: what the record says of it has not changed.
    assert world.causes == ["auth_failed"]
    assert (record.status, record.end_reason) == (code, "provider_rejected")
    assert world.client.headers[b"x-gateway-attempts"] == b"1"


@pytest.mark.parametrize("words", SECRETIVE)
@pytest.mark.parametrize("code", [402, 403])
async def test_words_about_our_account_are_not_told(
    autojump_clock: MockClock, code: int, words: str
) -> None:
    world = World([("a", refused(code, words))])
    await world.run()
    assert world.client.status == 502
    assert world.client.error["message"] == "all providers failed: a/real: auth_failed"


async def test_401_is_never_told(autojump_clock: MockClock) -> None:
    world = World([("a", refused(401, WORDS[0]))])
    await world.run()
    assert world.client.status == 502


async def test_another_route_may_still_answer(autojump_clock: MockClock) -> None:
    world = World([("a", refused(403, WORDS[0])), ("b", ok())], routes=["a", "b"])
    await world.run()
    assert world.client.status == 200


async def test_of_several_failures_the_words_stand_in_the_message(
    autojump_clock: MockClock,
) -> None:
    world = World([("a", refused(403, WORDS[0])), ("b", status(503)), ("b", status(503))])
    await world.run()
    assert world.client.status == 502
    assert f"a/real: auth_failed ({WORDS[0]})" in world.client.error["message"]
    assert world.client.headers[b"x-gateway-attempts"] == b"3"


async def test_a_relayed_refusal_says_which_fallback_refuses(autojump_clock: MockClock) -> None:
    for refusal in (status(422), refused(403, WORDS[0])):
        plays = [("a", status(503)), ("a", status(503)), ("b", refusal)]
        world = World(plays, routes=["a"], fallbacks=[deployment("b")], fallbacks_named=["backup"])
        record = await world.run()
        assert record.end_reason == "provider_rejected"
        assert record.fallback_model == "backup"
        assert world.client.headers[b"x-gateway-fallback"] == b"backup"
        assert world.client.headers[b"x-gateway-attempts"] == b"3"


async def test_a_failure_of_all_names_no_fallback(autojump_clock: MockClock) -> None:
    plays = [("a", status(503)), ("a", status(503)), ("b", status(503))]
    world = World(plays, routes=["a"], fallbacks=[deployment("b")], fallbacks_named=["backup"])
    record = await world.run()
    assert (world.client.status, record.fallback_model) == (502, None)
    assert b"x-gateway-fallback" not in world.client.headers
