"""What an answer took and cost, as it is recorded of a whole gateway."""

from __future__ import annotations

from typing import Any

import pytest

from .caller import ask
from .harness import config, in_process
from .provider import serving
from .wire import DONE, Script, completion, event, streamed, whole

# An answer of 3 tokens by its bytes; prices are 1 and 2 USD a million.
TEXT = "Hello there."

USAGES: dict[str, tuple[Any, int | None]] = {
    "xai": ({"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135}, 32_000 + 206_000),
    "strings": ({"prompt_tokens": "32", "completion_tokens": "9"}, 32_000 + 18_000),
    "no prompt": ({"completion_tokens": 9}, None),
    "a total alone": ({"total_tokens": 41}, None),
    "absurd": ({"prompt_tokens": 2**53 - 1, "completion_tokens": 2**53 - 1}, None),
    "nothing": ({"prompt_tokens": 0, "completion_tokens": 0}, None),
    "no object": ([{"prompt_tokens": 32, "completion_tokens": 9}], None),
    "null": (None, None),
}


def script(usage: Any, *, stream: bool) -> Script:
    if not stream:
        return [(0.0, whole(200, completion(TEXT, usage=usage)))]
    events = [event({"content": TEXT}), event({}, "stop"), event(choices=[], usage=usage)]
    return streamed([*events, DONE])


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("name", USAGES)
async def test_a_cost_is_exact_or_unknown(name: str, stream: bool) -> None:
    usage, cost = USAGES[name]
    async with (
        serving(script(usage, stream=stream)) as provider,
        in_process(config(provider.port)) as gateway,
    ):
        reply = await ask(gateway.port, stream=stream)
        record = await gateway.record()
    assert reply.complete
    assert TEXT.encode() in reply.body
    assert record.cost_nano_usd == cost


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_timings_are_usage_where_there_is_none(stream: bool) -> None:
    timings = {"cache_n": 68, "prompt_n": 32, "predicted_n": 9}
    played: Script = [(0.0, whole(200, completion(TEXT, usage=None, timings=timings)))]
    if stream:
        played = streamed([event({"content": TEXT}), event({}, "stop", timings=timings), DONE])
    async with serving(played) as provider, in_process(config(provider.port)) as gateway:
        reply = await ask(gateway.port, stream=stream)
        record = await gateway.record()
    assert b'"predicted_n"' in reply.body
    assert (record.input_tokens, record.output_tokens, record.cached_tokens) == (100, 9, 68)
    assert record.cost_nano_usd == 100_000 + 18_000


async def test_usage_of_null_makes_no_chunk() -> None:
    async with (
        serving(script(None, stream=False)) as provider,
        in_process(config(provider.port)) as gateway,
    ):
        reply = await ask(gateway.port, stream=True)
    assert len(reply.events) == 2
