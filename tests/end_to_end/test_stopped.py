"""A gateway that is stopped for a while, as by a suspended machine or a debugger."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from .caller import calling
from .harness import GATEWAY, PATIENCE, config, spawned
from .provider import serving
from .wire import DONE, streamed, words

pytestmark = pytest.mark.slow

Write = Callable[[str], Path]


# Six seconds of it.
SPEAKING_ON = streamed(words(*[f" word {number}" for number in range(30)]), pace=0.2)


async def test_a_stop_is_no_silence_of_the_provider(write: Write) -> None:
    async with serving(SPEAKING_ON) as provider:
        file = write(config(provider.port, timeouts="idle = 1"))
        async with spawned([*GATEWAY], file) as served, calling(served.port) as caller:
            await caller.ask(stream=True)
            await caller.head()
            await caller.until(b"word 3")
            served.process.send_signal(signal.SIGSTOP)
            await trio.sleep(3)
            served.process.send_signal(signal.SIGCONT)
            with trio.fail_after(PATIENCE):
                rest, complete = await caller.rest()
            assert complete
            assert b"word 29" in rest
            assert rest.endswith(DONE)
            served.terminate()
            assert await served.exit_status() == 0
