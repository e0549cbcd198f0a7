"""Every fault of the table in docs/operations.md, in one ordinary configuration.

A model has two deployments and another model as its fallback. Each fault is tried four times, each
time with a new gateway that has learned nothing of it: at the first deployment only, and at both,
with a stream, and with a whole answer. What the caller gets is held against the table, by cells.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import msgspec
import pytest
import trio

from .caller import Reply, ask
from .harness import InProcess, in_process
from .provider import Asked, serving, speaking
from .wire import (
    DONE,
    EOF,
    RESET,
    STALL,
    Script,
    broken,
    completion,
    event,
    failure,
    streamed,
    whole,
)

pytestmark = pytest.mark.slow

DOCS: Final = Path(__file__).parents[2] / "docs" / "operations.md"

# Ordinary but for its patience, so that the test does not take minutes.
CONFIG: Final = """
[server]
bind = "127.0.0.1:0"
[timeouts]
connect = 3
first_event = 0.6
idle = 0.6
[retry]
max_attempts = 4
[store]
url = ""
[overload]
lag = 0
[providers.first]
kind = "openai"
base_url = "{first}"
allow_http = true
api_keys = ["sk-first-1", "sk-first-2"]
timeouts = {{ total = 1 }}
[providers.second]
kind = "openai"
base_url = "{second}"
allow_http = true
api_key = "sk-second"
timeouts = {{ total = 2 }}
[providers.spare]
kind = "openai"
base_url = "{spare}"
api_key = "sk-spare"
[[models]]
name = "main"
routes = [
  {{ provider = "first", model = "main-1" }},
  {{ provider = "second", model = "main-2" }},
]
fallbacks = ["backup"]
fallback_on = ["context_length"]
[[models]]
name = "backup"
routes = [{{ provider = "spare", model = "spare-1" }}]
"""

HTML: Final = b"<html><body>Bad gateway</body></html>"
ROLE: Final = event({"role": "assistant", "content": ""})
HELLO: Final = event({"content": "Hel"})
REFUSED: Final = {"error": {"message": "flagged", "type": "x", "code": "content_filter"}}
SAID_ERROR: Final = {"choices": [], "error": {"message": "overloaded", "code": 503}}

# What a provider with the fault answers.
Answer = Callable[[Asked], Script]


class Fault(msgspec.Struct, frozen=True):
    """`url` is where a deployment with the fault is said to be.

    The port `{}` is served by `answer`, `{refused}` by nobody, and `{plain}` has no TLS.
    """

    answer: Answer = speaking
    url: str = "http://127.0.0.1:{}/v1"


def same(*steps: bytes | object) -> Answer:
    script: Script = [(0.0, step) for step in steps]  # type: ignore[misc]
    return lambda asked: script


def by_form(stream: Script, answer: Script) -> Answer:
    return lambda asked: stream if asked.json.get("stream") else answer


def first_key(asked: Asked) -> Script:
    """Refuse the first key that each provider has."""
    bad = asked.headers["authorization"] in ("Bearer sk-first-1", "Bearer sk-second")
    return [(0.0, failure(401, "bad key", code="invalid_api_key"))] if bad else speaking(asked)


def slow(asked: Asked) -> Script:
    return [(0.3, b""), *speaking(asked)]


HEAD: Final = whole(200, completion()).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
HALF: Final = whole(200, completion())[:-100]

FAULTS: Final = {
    "connection refused": Fault(url="http://127.0.0.1:{refused}/v1"),
    "a name that does not resolve": Fault(url="http://no-such-host.invalid/v1"),
    "no TLS where TLS should be": Fault(url="https://127.0.0.1:{plain}/v1"),
    "500": Fault(same(failure(500))),
    "502 in HTML": Fault(same(whole(502, HTML, kind="text/html"))),
    "503, `Retry-After: 20`": Fault(same(failure(503, "busy", "retry-after: 20"))),
    "429": Fault(same(failure(429))),
    "429, `Retry-After: 30`": Fault(same(failure(429, "slow down", "retry-after: 30"))),
    "401 for one key": Fault(first_key),
    "silence before the head": Fault(same(STALL)),
    "silence behind the head": Fault(by_form(broken([], STALL), [(0.0, HEAD), (0.0, STALL)])),
    "closed before the head": Fault(same(EOF)),
    "reset before the head": Fault(same(RESET)),
    "reset before the first content": Fault(
        by_form(broken([ROLE], RESET), [(0.0, HALF), (0.05, RESET)])
    ),
    "torn JSON": Fault(
        by_form(
            streamed([b'data: {"choices": [{"del\n\n', DONE]),
            [(0.0, whole(200, b'{"choices": [{"mes'))],
        )
    ),
    "HTML with status 200": Fault(same(whole(200, HTML, kind="text/html"))),
    "an error with status 200": Fault(
        by_form(
            streamed([b"data: %b\n\n" % json.dumps(SAID_ERROR).encode(), DONE]),
            [(0.0, whole(200, SAID_ERROR))],
        )
    ),
    "an empty answer": Fault(
        by_form(streamed([ROLE, DONE]), [(0.0, whole(200, completion(choices=[])))])
    ),
    "a first event after half of `first_event`": Fault(slow),
    "a prompt too long for the model": Fault(
        same(failure(400, "maximum context length is 9", code="context_length_exceeded"))
    ),
    "content that is refused": Fault(same(whole(400, REFUSED))),
    "422": Fault(same(failure(422))),
    "reset within the answer": Fault(by_form(broken([HELLO], RESET), [(0.0, HALF), (0.05, RESET)])),
    "silence within the answer": Fault(
        by_form(broken([HELLO], STALL), [(0.0, HALF), (0.0, STALL)])
    ),
}


def shown(reply: Reply, *, stream: bool) -> str:
    """Return what a caller got as the table has it, having held what is true of every answer."""
    attempts = reply.headers["x-gateway-attempts"]
    if reply.status != 200:
        assert "x-gateway-fallback" not in reply.headers
        return f"{reply.status} relayed, {attempts}"
    provider = reply.headers["x-gateway-provider"]
    models = set(re.findall(rb'"model": ?"([^"]*)"', reply.body))
    name = "backup" if provider == "spare" else "main"
    assert models == {name.encode()}
    assert reply.headers.get("x-gateway-fallback") == ("backup" if name == "backup" else None)
    if stream and not reply.complete:
        assert b"[DONE]" not in reply.body
        last = json.loads(reply.events[-1].removeprefix(b"data: "))
        assert last["error"]["code"] in ("upstream_broke", "idle_timeout")
        return f"error event, {attempts}"
    text = (
        "".join(
            choice["delta"].get("content") or ""
            for each in reply.events
            if each != b"data: [DONE]"
            for choice in json.loads(each.removeprefix(b"data: "))["choices"]
        )
        if stream
        else reply.json["choices"][0]["message"]["content"]
    )
    assert reply.complete
    assert text == "Hello there."
    assert not stream or reply.events[-1] == b"data: [DONE]"
    return f"{ {'first': '1st', 'second': '2nd', 'spare': 'backup'}[provider] }, {attempts}"


@contextlib.asynccontextmanager
async def plain() -> AsyncIterator[int]:
    """Serve a port that says in plain HTTP what it thinks of a TLS handshake."""

    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n")

    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, answer, [listener])
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def try_once(fault: Fault, refused: int, *, both: bool, stream: bool) -> str:
    async with serving(fault.answer) as faulty, serving(speaking) as well, plain() as port:
        ports = {"{}": faulty.port, "{refused}": refused, "{plain}": port}
        bad = fault.url
        for name, number in ports.items():
            bad = bad.replace(name, str(number))
        good = f"http://127.0.0.1:{well.port}/v1"
        text = CONFIG.format(first=bad, second=bad if both else good, spare=good)
        async with in_process(text) as gateway:
            reply = await ask(gateway.port, model="main", stream=stream)
            await check(gateway, reply)
        if reply.status == 400 and reply.error["code"] == "content_filter":
            # To the byte.
            assert reply.json == REFUSED
    return shown(reply, stream=stream)


async def check(gateway: InProcess, reply: Reply) -> None:
    """Hold that the record says the same as the headers."""
    record = await gateway.record()
    assert len(record.attempts) == int(reply.headers["x-gateway-attempts"])
    assert record.fallback_model == reply.headers.get("x-gateway-fallback")
    if record.end_reason == "complete":
        assert (reply.status, reply.complete) == (200, True)
    await gateway.settled()


def documented() -> dict[str, list[str]]:
    """Return the table's rows: the fault, and what comes of it."""
    section = DOCS.read_text().partition("## Faults of a provider")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("|")
    ]
    return {row[0]: row[1:] for row in rows[2:]}


def test_the_table_has_each_fault_once() -> None:
    assert list(documented()) == list(FAULTS)
    assert len(FAULTS) >= 16


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.measured
async def test_a_fault_comes_to_what_the_table_says(name: str, refused_port: int) -> None:
    found = [
        await try_once(FAULTS[name], refused_port, both=both, stream=stream)
        for both in (False, True)
        for stream in (True, False)
    ]
    assert found == documented()[name]
