"""A gateway that is stopped for a while, as by a debugger or a frozen container."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from .caller import Caller, calling, chat_body
from .harness import GATEWAY, Served, config, spawned
from .provider import Provider, serving, speaking
from .wire import DONE, LAST_CHUNK, Script, completion, event, framed, stream_head, streamed, words

pytestmark = [pytest.mark.slow, pytest.mark.measured]

Write = Callable[[str], Path]

# Every deadline is a second, and the stop takes three times as long.
TIMEOUTS = "first_event = 1\nidle = 1\nconnect = 1"
SERVER = "keep_alive_timeout = 1\nbody_timeout = 1\nheader_timeout = 1"
STOPPED = 3.0
# Six seconds of it.
SPEAKING_ON = streamed(words(*[f" word {number}" for number in range(30)]), pace=0.2)

BODY = json.dumps(completion()).encode()
WHOLE_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY)
)
# It says nothing for half of a second that counts and two that do not.
SLOW_BEGINNING: Script = [
    (0.0, stream_head()),
    (2.5, framed(event({"content": "Hi"}))),
    (0.0, framed(event({}, "stop"))),
    (0.0, framed(DONE)),
    (0.0, LAST_CHUNK),
]
SLOW_BODY: Script = [(0.0, WHOLE_HEAD + BODY[:10]), (2.5, BODY[10:])]
SLOW_HEAD: Script = [(2.5, WHOLE_HEAD + BODY)]


@contextlib.asynccontextmanager
async def gateway(
    write: Write, script: Script | Callable[[Any], Script], timeouts: str = TIMEOUTS
) -> AsyncIterator[tuple[Provider, Served, Caller]]:
    async with serving(script) as provider:
        file = write(config(provider.port, timeouts=timeouts, server=SERVER))
        async with spawned([*GATEWAY], file) as served, calling(served.port) as caller:
            yield provider, served, caller
            served.terminate()
            assert await served.exit_status() == 0


async def stop(served: Served, seconds: float = STOPPED) -> None:
    served.process.send_signal(signal.SIGSTOP)
    await trio.sleep(seconds)
    served.process.send_signal(signal.SIGCONT)


async def test_a_stop_is_no_silence_of_the_provider(write: Write) -> None:
    async with gateway(write, SPEAKING_ON) as (_, served, caller):
        await caller.ask(stream=True)
        await caller.head()
        await caller.until(b"word 3")
        await stop(served)
        rest, complete = await caller.rest()
        assert complete
        assert b"word 29" in rest
        assert rest.endswith(DONE)


@pytest.mark.parametrize(
    ("script", "stream", "timeouts"),
    [
        (SLOW_BEGINNING, True, TIMEOUTS),
        (SLOW_BODY, False, TIMEOUTS),
        (SLOW_BEGINNING, True, "total = 1"),
        (SLOW_HEAD, False, "total = 1"),
    ],
    ids=["first_event", "idle", "total of a stream", "total of an answer"],
)
async def test_what_a_provider_sent_during_a_stop_is_the_answer(
    write: Write, script: Script, stream: bool, timeouts: str
) -> None:
    async with gateway(write, script, timeouts) as (provider, served, caller):
        await caller.ask(stream=stream)
        await provider.wait_asked(1)
        await trio.sleep(0.2)
        await stop(served)
        reply = await caller.reply()
        assert (reply.status, reply.complete) == (200, True)
        assert reply.headers["x-gateway-attempts"] == "1"
    assert len(provider.asked) == 1


async def test_a_request_that_came_during_a_stop_is_answered(write: Write) -> None:
    """On a new connection, on a kept one that had been idle, and one that came in two parts."""
    async with gateway(write, speaking) as (_, served, kept), calling(served.port) as begun:
        await kept.ask()
        assert (await kept.reply()).status == 200
        body = chat_body()
        await begun.begin(len(body))
        await trio.sleep(0.2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop, served)
            await trio.sleep(2)
            await kept.ask()
            await begun.stream.send_all(body)
            async with calling(served.port) as new:
                await new.ask()
                replies = [await each.reply() for each in (kept, begun, new)]
        assert [each.status for each in replies] == [200, 200, 200]


async def test_nothing_is_held_against_a_provider_for_a_stop(write: Write) -> None:
    """Ten attempts would have opened the breaker, and the retries doubled the requests."""
    async with gateway(write, SLOW_BEGINNING) as (provider, served, _):
        async with contextlib.AsyncExitStack() as stack:
            callers = [await stack.enter_async_context(calling(served.port)) for _ in range(10)]
            for each in callers:
                await each.ask(stream=True)
            await provider.wait_asked(10)
            await stop(served)
            assert [(await each.reply()).status for each in callers] == [200] * 10
        assert len(provider.asked) == 10
        await trio.sleep(0.2)
        causes = [
            row.get("cause")
            for line in served.lines.splitlines()
            for row in json.loads(line)["attempts"]
        ]
        assert causes == [None] * 10
