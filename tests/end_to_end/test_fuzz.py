"""Whatever callers send: an answer that says what is wrong with it, never a 500."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
import trio

from ..rounds import rounds
from .caller import Caller, Reply, ask, calling
from .harness import GATEWAY, PATIENCE, Served, config, spawned
from .provider import Asked, serving
from .store import Kept
from .wire import DONE, Script, completion, event, streamed, whole, words

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

Write = Callable[[str], Path]

KEY: Final = "sk-of-the-fuzz"
# All that reads requests is on: limits, a budget, the cache, the debug log, what records keep.
RICH: Final = f"""
[models.cache]
ttl = 60
coalesce = true
[[tokens]]
name = "one"
key = "{KEY}"
rpm = 1_000_000
tpm = 1_000_000_000
max_concurrent = 1000
budget = {{ usd = 1e9, window = "day" }}
[debug_log]
sample = 1.0
redact = ["messages[*].content", "**.secret", "user", "metadata[*]", "a.b.c[0]"]
"""

DEEP: Final = 100_000
# As they stand in a body.
VALUES: Final[dict[str, bytes]] = {
    "null": b"null",
    "true": b"true",
    "false": b"false",
    "zero": b"0",
    "minus zero": b"-0",
    "negative": b"-1",
    "fraction": b"1.5",
    "small": b"1e-400",
    "huge": b"1e400",
    "huge exponent": b"1e" + b"9" * 5000,
    "long integer": b"9" * 5000,
    "longer integer": b"9" * 300_000,
    "beyond 64 bits": b"18446744073709551616",
    "not a number": b"NaN",
    "infinity": b"-Infinity",
    "leading zero": b"01",
    "hex": b"0x10",
    "underscore": b"1_000",
    "empty string": b'""',
    "number as string": b'"16"',
    "huge number as string": b'"1e400"',
    "digits of another script": '"\u0664\u0660"'.encode(),
    "NUL": b'"\\u0000"',
    "raw NUL": b'"\0"',
    "raw newline": b'"\n"',
    "lone surrogate": b'"\\ud800"',
    "two lone surrogates": b'"\\udc00\\ud800"',
    "surrogates as UTF-8": b'"\xed\xa0\x80"',
    "overlong UTF-8": b'"\xc0\x80"',
    "cut UTF-8": b'"\xf0\x9f\x92"',
    "Latin-1": b'"\xe9"',
    "bad escape": b'"\\x41"',
    "cut escape": b'"\\u12"',
    "line separators": '"\u2028\u2029\x85\x7f"'.encode(),
    "right to left": '"\u202e\u200b\ufeff"'.encode(),
    "long string": b'"' + b"x" * 1_000_000 + b'"',
    "long escapes": b'"' + b"\\u0041" * 50_000 + b'"',
    "long surrogates": b'"' + b"\\ud800" * 50_000 + b'"',
    "control in a header": b'"m\\r\\nx-injected: 1"',
    "path": b'"../../../../etc/passwd"',
    "family": b'"m*"',
    "empty list": b"[]",
    "list": b'["m"]',
    "empty object": b"{}",
    "object": b'{"include_usage":true,"m":"m"}',
    "odd option": b'{"include_usage":1}',
    "option in capitals": b'{"Include_Usage":true}',
    "option twice": b'{"include_usage":true,"include_usage":false}',
    "option twice, escaped": b'{"include_usage":true,"include\\u005fusage":false}',
    "many members": b"{" + b",".join(b'"%d":0' % i for i in range(100_000)) + b"}",
    "513 members": b"{" + b",".join(b'"%d":0' % i for i in range(513)) + b"}",
    "many equal members": b"{" + b",".join([b'"a":0'] * 5000) + b"}",
    "a twin beyond 256 KiB": b'{"a":"%b","a":1}' % (b"x" * 300_000),
    "many items": b"[" + b",".join([b"0"] * 100_000) + b"]",
    "deep lists": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "970 levels": b'{"a":' * 970 + b"1" + b"}" * 970,
    "900 lists": b"[" * 900 + b"]" * 900,
    "open lists": b"[" * DEEP,
    "comment": b"/* */1",
    "single quotes": b"'m'",
    "nothing": b"",
    "two values": b"1 2",
    "trailing comma": b"[1,]",
}
# What the gateway reads of a request, in one spelling or another, and two that it does not.
NAMES: Final = (
    *(b"model", b"stream", b"stream_options", b"user", b"n", b"best_of", b"messages"),
    *(b"max_tokens", b"max_completion_tokens", b"max_new_tokens", b"max_output_tokens"),
    *(b"n_predict", b"min_tokens", b"Max_Tokens", b"mod\\u0065l", b"str\\u0065am"),
    *(b"metadata", b"secret"),
)
ODD_NAMES: Final = (
    *(b"", b"\\ud800", b"\\u0000", b"x" * 100_000, b"Model", b"STREAM", b"\xef\xbb\xbfmodel"),
    "\u0130".encode(),
    "ma\u017f_tokens".encode(),
)
WHOLE: Final[dict[str, bytes]] = {
    "nothing": b"",
    "space": b" \n\t",
    "NUL": b"\0" * 100,
    "mark": b'\xef\xbb\xbf{"model":"m","messages":[]}',
    "UTF-16": '{"model":"m"}'.encode("utf-16"),
    "UTF-32": '{"model":"m"}'.encode("utf-32"),
    "gzip": b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
    "list": b"[]",
    "string": b'"model"',
    "number": b"1",
    "null": b"null",
    "two objects": b'{"model":"m"}{"model":"m"}',
    "open": b'{"model":"m"',
    "open string": b'{"model":"m',
    "only keys": b'{"model"}',
    "comma": b'{"model":"m",}',
    "deep": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"model":' * DEEP,
    "braces": b"{" * DEEP,
    "empty members": b"{" + b"," * 1000 + b"}",
    "many": b"{" + b",".join(b'"%d":0' % i for i in range(100_000)) + b"}",
    "form": b"model=m&messages=Hi",
    "xml": b"<?xml version='1.0'?><model>m</model>",
    "random": random.Random(11).randbytes(5000),
}
HEADERS: Final[tuple[tuple[str, str], ...]] = (
    *(("x-request-timeout-ms", each) for each in ("0", "-1", "1e3", "9" * 13, "", "\u0664")),
    *(("x-gateway-cache", each) for each in ("ttl=", "ttl=1e999", "ttl=-1", "ttl=nan", "off,off")),
    *(("x-gateway-no-retry", each) for each in ("yes", "", "1" * 5000)),
    *(("x-stainless-retry-count", each) for each in ("-1", "x", "9" * 5000)),
    *(("x-request-id", each) for each in ("\xe9", "a b", "x" * 5000, '"', "%00")),
    *(("traceparent", each) for each in ("00-0-0-0", "x" * 1000, "ff-" + "f" * 32)),
    *(("user-agent", each) for each in ("\xff\xfe", "x" * 5000, "")),
    *(("session-id", each) for each in ("\xff", "x" * 5000)),
    *(("content-type", each) for each in ("", "text/plain; charset=utf-7", "\xff")),
    *(("accept-encoding", each) for each in ("*;q=0", "\xff")),
    *(("origin", each) for each in ("null", "\xff", "http://" + "x" * 5000)),
    ("x-api-key", "\xff"),
    ("content-encoding", "gzip"),
)
# What a caller may be told of a request; 429 where it wants more tokens than there are. The
# provider's answer is always the same good one.
FINE: Final = {200, 400, 404, 413, 415, 422, 429, 431}
TARGETS: Final = (
    *("/v1/models/" + "x" * 5000, "/v1/models/%00", "/v1/models/%ff%fe", "/v1/models/%ed%a0%80"),
    *("/v1/models/..%2f..", "/v1/models/%", "/v1/models/%zz", "/v1/models//", "/v1//models"),
    *("/v1/chat/completions?x=%00", "/v1/chat/completions/%0d%0a", "/%2e%2e/v1/models", "/%"),
    *("/admin/api/requests?limit=x", "/metrics?x=%ff", "/health/live?%", "//"),
    "/v1/models?" + "a" * 5000,
)
METHODS: Final = ("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "X")


def answering(asked: Asked) -> Script:
    """Answer by what the head asks for: nothing here must choke on a body either."""
    if "text/event-stream" in asked.headers.get("accept", ""):
        return streamed(words("Hello"))
    return [(0.0, whole(200, completion()))]


@pytest.fixture
async def served(write: Write, tmp_path: Path) -> AsyncIterator[Served]:
    kept = Kept(f"sqlite:///{tmp_path / 'log.db'}", tmp_path)
    async with serving(answering) as provider:
        file = write(config(provider.port, models=RICH, store=kept.store))
        async with spawned([*GATEWAY], file) as served:
            yield served
            # It is as well as before, nothing has gone wrong unseen, and all is on record.
            assert (await ask(served.port, key=KEY)).status == 200
            served.terminate()
            assert await served.exit_status() == 0
    said = served.said.decode()
    assert "Traceback" not in said, said[said.index("Traceback") :][:5000]
    assert '"level":"error"' not in said, said
    assert not (tmp_path / "gateway.journal" / "rejected.jsonl").exists()
    lines = [json.loads(line) for line in served.lines.splitlines()]
    assert len(kept.ids()) == len(lines)
    assert {line["end_reason"] for line in lines} <= {"complete", "cached", "rejected"}


class Sender:
    """One connection after the other, each for as long as the gateway keeps it."""

    def __init__(self, served: Served) -> None:
        self.statuses: dict[int, int] = {}
        self._served = served
        self._caller: Caller | None = None

    async def send(self, body: bytes, what: object, headers: Headers = ()) -> Reply:
        if self._caller is None:
            self._caller = Caller(self._served.port)
            await self._caller.open()
        # A body may be refused by its head or its beginning; the answer is there all the same.
        with contextlib.suppress(trio.BrokenResourceError):
            await self._caller.post(body, key=KEY, headers=headers)
        reply = await self._caller.reply()
        assert reply.status in FINE, (what, reply)
        assert reply.complete, (what, reply)
        if reply.status != 200:
            assert reply.error["message"] or reply.status in (415, 431), (what, reply)
        if reply.headers.get("connection") == "close":
            await self.close()
        self.statuses[reply.status] = self.statuses.get(reply.status, 0) + 1
        return reply

    async def close(self) -> None:
        if self._caller is not None:
            await self._caller.stream.aclose()
            self._caller = None


@contextlib.asynccontextmanager
async def sending(served: Served) -> AsyncIterator[Sender]:
    sender = Sender(served)
    try:
        yield sender
    finally:
        await sender.close()


Headers = tuple[tuple[str, str], ...]
USUAL: Final = (
    (b"model", b'"m"'),
    (b"messages", b'[{"role":"user","content":"Hi"}]'),
)


def bodies() -> Iterator[tuple[str, bytes]]:
    """Yield each member with each value, in a place of its own or in that of a good one."""
    for place, name in enumerate((*NAMES, *ODD_NAMES)):
        for number, (what, value) in enumerate(VALUES.items()):
            stream = (b"stream", b"true" if (place + number) % 2 else b"false")
            pairs = [pair for pair in (*USUAL, stream) if pair[0] != name]
            pairs.insert((place + number) % 4, (name, value))
            yield f"{name[:30]!r}: {what}", written(pairs)


def written(pairs: list[tuple[bytes, bytes]], space: bytes = b"") -> bytes:
    return b"{" + b",".join(b'"%b":%b%b' % (name, space, value) for name, value in pairs) + b"}"


async def test_each_member_with_each_value(served: Served) -> None:
    # All of them take ten seconds; another fifth each time but for a soak.
    every = rounds(5, 1)
    async with sending(served) as sender:
        for what, body in [*bodies()][random.randrange(every) :: every]:
            await sender.send(body, what)
    # Not all are refused, nor taken.
    assert sender.statuses[200] > 100 // every
    assert sender.statuses[400] > 100 // every


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_bodies_that_are_no_request(served: Served, framing: str) -> None:
    async with sending(served) as sender:
        for what, body in WHOLE.items():
            if framing == "length":
                assert (await sender.send(body, what)).status == 400, what
                continue
            pieces = [body[start : start + 7000] for start in range(0, len(body), 7000)]
            chunks = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in pieces)
            answer = await exchanged(
                served,
                b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer %b\r\n"
                b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n%b0\r\n\r\n"
                % (KEY.encode(), chunks),
            )
            assert answer.startswith(b"HTTP/1.1 400 "), (what, answer)


async def test_heads_with_odd_values(served: Served) -> None:
    body = written([*USUAL])
    for name, value in HEADERS:
        answer = await exchanged(
            served,
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer "
            b"%b\r\n%b: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
            % (KEY.encode(), name.encode(), value.encode("utf-8"), len(body), body),
        )
        assert int(answer[9:12]) in FINE | {401}, (name, value, answer)


async def test_members_values_and_damage_at_random(served: Served) -> None:
    seed = random.randrange(10**9)
    rng = random.Random(seed)
    values = [*VALUES.values(), b'"m"', b"true", b'[{"role":"user","content":"Hi"}]']
    short = [each for each in values if len(each) < 5000]
    async with sending(served) as sender:
        for number in range(rounds(400, 20_000)):
            pairs = [*USUAL] if rng.random() < 0.8 else []
            for _ in range(rng.randrange(4)):
                name = rng.choice((*NAMES, *ODD_NAMES))
                value = rng.choice(values if rng.random() < 0.05 else short)
                pairs.insert(rng.randrange(len(pairs) + 1), (name, value))
            body = written(pairs, rng.choice((b"", b" ", b"\t\r\n")))
            if rng.random() < 0.3 and body:
                at = rng.randrange(len(body))
                body = body[:at] + rng.randbytes(rng.randrange(3)) + body[at + rng.randrange(3) :]
            await sender.send(body, (seed, number, body[:2000]))


async def test_odd_targets(served: Served) -> None:
    for target in TARGETS:
        for method in METHODS:
            answer = await exchanged(
                served,
                f"{method} {target} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {KEY}\r\n"
                "content-length: 2\r\nconnection: close\r\n\r\n{}".encode(),
            )
            assert int(answer[9:12]) in FINE | {401, 403, 405, 501}, (method, target, answer)


async def exchanged(served: Served, request: bytes) -> bytes:
    """Send `request` on a connection of its own, and return all that comes."""
    answer = b""
    async with calling(served.port) as caller:
        await caller.stream.send_all(request)
        with trio.fail_after(PATIENCE):
            while piece := await caller.stream.receive_some():
                answer += piece
    return answer


# What providers answer...

USAGE: Final = b'{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}'
MESSAGE: Final = b'{"role":"assistant","content":"Hi"}'
CHOICE: Final = b'{"index":0,"message":%b,"finish_reason":"stop"}' % MESSAGE
DELTA: Final = b'{"index":0,"delta":%b,"finish_reason":"stop"}' % MESSAGE
# Templates of whole answers and of events, by the place that a value is put into.
PLACES: Final[dict[str, bytes]] = {
    "all of it": b"%b",
    "id": b'{"id":%%b,"model":"r","choices":[%b],"usage":%b}' % (CHOICE, USAGE),
    "model": b'{"model":%%b,"choices":[%b],"usage":%b}' % (CHOICE, USAGE),
    "choices": b'{"model":"r","choices":%%b,"usage":%b}' % USAGE,
    "choice": b'{"model":"r","choices":[%%b],"usage":%b}' % USAGE,
    "index": b'{"choices":[{"index":%%b,"message":%b,"delta":%b}]}' % (MESSAGE, MESSAGE),
    "message": b'{"choices":[{"message":%b,"delta":%b,"finish_reason":"stop"}]}',
    "content": b'{"choices":[{"message":{"content":%b},"delta":{"content":%b}}]}',
    "finish_reason": b'{"choices":[{"message":%b,"delta":%b,"finish_reason":%%b}]}'
    % (MESSAGE, MESSAGE),
    "usage": b'{"choices":[%b],"usage":%%b}' % CHOICE,
    "prompt_tokens": b'{"choices":[%b],"usage":{"prompt_tokens":%%b,"completion_tokens":1}}'
    % CHOICE,
    "details": b'{"choices":[],"usage":{"prompt_tokens":9,"prompt_tokens_details":%b}}',
    "cached": b'{"choices":[],"usage":{"prompt_tokens":9,"cached_tokens":%b,"cost":%b}}',
    "timings": b'{"choices":[%b],"timings":%%b}' % CHOICE,
    "error": b'{"error":%b}',
    "error beside choices": b'{"choices":[%b],"error":%%b}' % CHOICE,
    "error's code": b'{"error":{"message":%b,"code":%b,"type":%b}}',
    "x_groq": b'{"choices":[],"x_groq":%b}',
}


def filled(template: bytes, value: bytes) -> bytes:
    return template.replace(b"%b", value)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_answers_of_providers_with_each_value(write: Write, stream: bool) -> None:
    answers = [
        (place, what, filled(template, value))
        for place, template in PLACES.items()
        for what, value in VALUES.items()
        if len(value) < 200_000
    ]
    # All of them take a minute; another seventh each time but for a soak.
    every = rounds(7, 1)
    answers = answers[random.randrange(every) :: every]

    def answer(asked: Asked) -> Script:
        body = answers[int(asked.json["seed"])][2]
        if stream:
            lines = b"".join(b"data: %b\n" % line for line in body.split(b"\n"))
            return streamed([*words("Hi")[:2], lines + b"\n", event({}, "stop"), DONE])
        return [(0.0, whole(200, body))]

    text = "[breaker]\nenabled = false\n[retry.budget]\nper_second = 1e6"
    async with serving(answer) as provider:
        file = write(config(provider.port, retry="max_attempts = 1", models=text))
        async with spawned([*GATEWAY], file) as served, calling(served.port) as caller:
            for number, (place, what, body) in enumerate(answers):
                await caller.ask(stream=stream, seed=number)
                reply = await caller.reply()
                assert reply.status not in (500, 503), (place, what, body[:500], reply)
                if not reply.complete:
                    # A stream that broke has no proper end.
                    assert stream
                    await caller.stream.aclose()
                    await caller.open()
            served.terminate()
            assert await served.exit_status() == 0
    said = served.said.decode()
    assert "Traceback" not in said, said[said.index("Traceback") :][:5000]
    assert b"internal_error" not in served.lines
    assert len(served.lines.splitlines()) == len(answers)
