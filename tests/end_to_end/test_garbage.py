"""Requests of every kind leave nothing that only the garbage collector could find.

It looks seldom, so that it takes no time from requests (`process/application.py`). What a cycle of
references kept until then, a body of megabytes perhaps, would be there for as long.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from ..ports import lasting_port
from .caller import calling, chat_body
from .harness import GATEWAY, config, spawned
from .provider import Asked, serving
from .wire import RESET, STALL, Script, completion, failure, stream_head, streamed, whole, words

_COUNTER: Final = str(Path(__file__).with_name("garbage_counter.py"))
_TOKENS: Final = (
    '[[tokens]]\nname = "t"\nkey = "sk-good-key"\nmodels = ["*"]\n[breaker]\nenabled = false\n'
)
_TIMES: Final = 12


def answer(asked: Asked) -> Script:
    """Answer as the request's user says."""
    how = asked.json.get("user")
    if how == "failure":
        return [(0.0, failure(500))]
    if how == "reset":
        return [(0.0, RESET)]
    if how == "stall":
        return [(0.0, stream_head()), (0.0, STALL)]
    if asked.json.get("stream"):
        return streamed(words("Hello", " there"))
    return [(0.0, whole(200, completion()))]


async def _ask(port: int, body: bytes, key: str) -> None:
    async with calling(port) as caller:
        await caller.post(body, key=key)
        await caller.reply()


async def _leave(port: int, body: bytes, key: str) -> None:
    with trio.move_on_after(0.05):
        await _ask(port, body, key)


_KINDS: Final[dict[str, tuple[Callable[..., Any], bytes, str]]] = {
    "whole": (_ask, chat_body(), "sk-good-key"),
    "streamed": (_ask, chat_body(stream=True), "sk-good-key"),
    "wrong key": (_ask, chat_body(), "sk-wrong-key"),
    "unknown model": (_ask, chat_body(model="unknown"), "sk-good-key"),
    "no JSON": (_ask, b"{" * 100, "sk-good-key"),
    "failing provider": (_ask, chat_body(user="failure"), "sk-good-key"),
    "failing stream": (_ask, chat_body(user="failure", stream=True), "sk-good-key"),
    "lost provider": (_ask, chat_body(user="reset"), "sk-good-key"),
    "caller leaves": (_leave, chat_body(user="stall", stream=True), "sk-good-key"),
    "caller leaves a whole answer": (_leave, chat_body(user="stall"), "sk-good-key"),
}


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_requests_leave_no_garbage(write: Callable[[str], Path], tmp_path: Path) -> None:
    found = tmp_path / "garbage.txt"
    command = [sys.executable, _COUNTER, str(found), *GATEWAY[3:]]
    file = write(config(port := lasting_port(), tokens=_TOKENS))
    async with serving(answer, port=port), spawned(command, file) as served:
        for ask, body, key in _KINDS.values():
            for _ in range(_TIMES):
                await ask(served.port, body, key)
        served.terminate()
        assert await served.exit_status() == 0
    modules = found.read_text().split()
    assert [each for each in modules if each.split(".")[0] in {"gateway", "h11"}] == []
