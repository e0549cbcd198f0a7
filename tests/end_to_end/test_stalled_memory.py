"""What callers cost who ask and then read nothing: memory, measured on a gateway's process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import trio

from ..rounds import rounds
from .caller import ask, calling, chat_body
from .harness import EXECUTED, PATIENCE, Served, config, spawned
from .provider import Asked, Provider, serving, speaking, until
from .wire import Script, event, framed, stream_head

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.measured]

Write = Callable[[str], Path]

KIB, MIB = 1024, 1024 * 1024


def small_events(asked: Asked) -> Script:
    block = b"".join(event({"content": "x" * 1000}) for _ in range(800))
    return [(0.0, stream_head()), *[(0.0, framed(block))] * 64]


def large_events(asked: Asked) -> Script:
    block = event({"content": "x" * 1_000_000})
    return [(0.0, stream_head()), *[(0.0, framed(block))] * 64]


def whole_answer(asked: Asked) -> Script:
    body = b'{"choices":[{"message":{"role":"assistant","content":"%b"}}]}' % (b"x" * 10_000_000)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return [(0.0, head % len(body) + body)]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("script", "readers", "each"),
    [
        # What is promised, and as much again for what an allocator and two sockets need.
        pytest.param(small_events, rounds(100, 1000), 512 * KIB, id="1 kB events"),
        # One event, or the answer, is held once.
        pytest.param(large_events, rounds(20, 200), 2 * MIB, id="1 MB events"),
        pytest.param(whole_answer, rounds(10, 30), 12 * MIB, id="10 MB answer"),
    ],
)
async def test_stalled_readers_hold_what_is_promised(
    write: Write,
    script: Callable[[Asked], Script],
    readers: int,
    each: int,
    record_property: Callable[[str, object], None],
) -> None:
    stream = script is not whole_answer
    async with serving(speaking, script) as provider:
        file = write(config(provider.port, server="send_timeout = 120"))
        async with spawned(EXECUTED, file) as served:
            await ask(served.port)
            before = resident(served)
            async with trio.open_nursery() as nursery:

                async def stall() -> None:
                    async with calling(served.port, receive_buffer=65536) as caller:
                        await caller.post(chat_body(stream=stream))
                        await trio.sleep_forever()

                for number in range(readers):
                    nursery.start_soon(stall)
                    if number % 20 == 19:
                        await provider.wait_asked(number)
                await provider.wait_asked(1 + readers)
                await _standstill(provider, served)
                grown = resident(served) - before
                nursery.cancel_scope.cancel("measured")
            await until(
                lambda: all(asked.peer_left.is_set() or not stream for asked in provider.asked[1:]),
                "providers let go",
                PATIENCE,
            )
    # `pytest --junitxml=FILE -o junit_family=xunit1` shows it: the figures of docs/operations.md.
    record_property("readers", readers)
    record_property("KiB each", round(grown / readers / KIB))
    assert grown < readers * each + 16 * MIB, f"{grown / readers / KIB:.0f} KiB each"


def resident(served: Served) -> int:
    return int(psutil.Process(served.pid).memory_info().rss)


async def _standstill(provider: Provider, served: Served) -> None:
    last: tuple[int, float] = (-1, 0.0)
    with trio.fail_after(240):
        while True:
            times = psutil.Process(served.pid).cpu_times()
            now = (sum(asked.sent for asked in provider.asked), times.user)
            if now[0] == last[0] and now[1] - last[1] < 0.1:
                return
            last = now
            await trio.sleep(1)
